"""Tables of detection limits and of sensitivity, from their result files."""

from __future__ import annotations

from typing import Any

from darkarcs.evaluation.tables import Cells


def detection_cells(content: dict[str, Any]) -> Cells:
    """Lay out the rates of ``bench detection``.

    Parameters
    ----------
    content : dict
        What the benchmark wrote.

    Returns
    -------
    header : tuple of str
        Of the columns, one a mass.
    rows : list of tuple of str
        One a false-positive rate, bin and observer: rates with their 95 % intervals, and the mass
        from which on half of the subhalos are found.

    Examples
    --------
    >>> row = {"observer": "oracle", "log10_mass": 9.0, "bin": None, "false_positive_rate": 0.1}
    >>> row |= {"num": 500, "rate": 0.4, "interval": [0.35, 0.45]}
    >>> limit = {"observer": "oracle", "bin": None, "false_positive_rate": 0.1, "log10_mass": None}
    >>> header, rows = detection_cells({"log10_masses": [9.0], "rows": [row], "limits": [limit]})
    >>> rows
    [('10 %', 'all', '500', 'oracle', '0.40 [0.35, 0.45]', 'above 10^9')]
    """
    masses = content["log10_masses"]
    header = (
        *("false positives", "from the arc", "lenses", "observer"),
        *(f"10^{mass:g}" for mass in masses),
        "half found from",
    )
    rows = []
    for limit in content["limits"]:
        key = ("observer", "bin", "false_positive_rate")
        curve = [row for row in content["rows"] if all(row[k] == limit[k] for k in key)]
        rates = [
            f"{row['rate']:.2f} [{row['interval'][0]:.2f}, {row['interval'][1]:.2f}]"
            for row in curve
        ]
        share = f"{100 * limit['false_positive_rate']:g} %"
        place = (share, _place(limit["bin"]), str(curve[0]["num"]), limit["observer"])
        rows.append((*place, *rates, _half(limit["log10_mass"], masses)))
    return header, rows


def limit_cells(content: dict[str, Any]) -> Cells:
    """Lay out the limits of ``bench detection``, the short form of `detection_cells`.

    Parameters
    ----------
    content : dict
        What the benchmark wrote.

    Returns
    -------
    header : tuple of str
        Of the columns, one a bin of the distance from the arc with its number of lenses.
    rows : list of tuple of str
        One a false-positive rate and observer: the mass from which on half of the subhalos are
        found.

    Examples
    --------
    >>> row = {"observer": "oracle", "log10_mass": 9.0, "bin": None, "false_positive_rate": 0.1}
    >>> limit = row | {"log10_mass": 9.23}
    >>> limit_cells({"log10_masses": [9.0, 9.5], "rows": [row | {"num": 5}], "limits": [limit]})
    (('false positives', 'observer', 'all (5)'), [('10 %', 'oracle', '10^9.23')])
    """
    bins: dict[str, int] = {}
    for row in content["rows"]:
        bins.setdefault(_place(row["bin"]), row["num"])
    found: dict[tuple[float, str], dict[str, str]] = {}
    for limit in content["limits"]:
        curve = found.setdefault((limit["false_positive_rate"], limit["observer"]), {})
        curve[_place(limit["bin"])] = _half(limit["log10_mass"], content["log10_masses"])
    header = ("false positives", "observer", *(f"{name} ({num})" for name, num in bins.items()))
    rows = [
        (f"{100 * rate:g} %", observer, *(curve.get(name, "") for name in bins))
        for (rate, observer), curve in found.items()
    ]
    return header, rows


def sensitivity_cells(content: dict[str, Any]) -> Cells:
    """Lay out the summary of ``sensitivity``.

    Parameters
    ----------
    content : dict
        What it wrote.

    Returns
    -------
    header : tuple of str
        Of the columns.
    rows : list of tuple of str
        One an observer and threshold: which share of the area inside two Einstein radii is
        sensitive to subhalos of a mass, and the lightest detectable one.
    """
    masses = content["summary_log10_masses"]
    header = (
        *("observer", "false positives"),
        *(f"sensitive to 10^{mass:g}, %" for mass in masses),
        "lightest",
    )
    rows = []
    for row in content["summary"]:
        lightest = row["lightest_log10_mass"]
        rows.append(
            (
                row["observer"],
                f"{100 * row['false_positive_rate']:.3g} %",
                *("" if share is None else f"{100 * share:.2f}" for share in row["shares"]),
                "none" if lightest is None else _at(lightest, content["log10_masses"]),
            )
        )
    return header, rows


def _half(found: float | None, masses: list[float]) -> str:
    if found is None:
        return f"above 10^{masses[-1]:g}"
    return _at(found, masses)


def _at(found: float, masses: list[float]) -> str:
    """A mass; what is found at the lightest that was tried might be found below."""
    return f"{'below ' if found == masses[0] else ''}10^{found:.2f}"


def _place(edges: list[float] | None) -> str:
    if edges is None:
        return "all"
    low, high = edges
    return f'over {low:g}"' if high is None else f'{low:g}" to {high:g}"'
