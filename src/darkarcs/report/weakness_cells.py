"""Sub-populations of ``darkarcs weaknesses`` as rows of text, for terminals and documents."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

#: Names of the columns after the first.
HEADER = ("images", "AUC", "accuracy", "log-loss", "too sure by")
#: Of each kind, in documents.
_NUM_SHOWN = 10
#: What is asked of every model of lenses, whether it is a weakness or not.
_ALWAYS = (
    *("arc.configuration", "lens.einstein_radius", "arc.snr"),
    *("substructure.largest_mass", "substructure.distance_to_arc"),
)


def subpopulation_cells(row: dict[str, Any]) -> tuple[str, ...]:
    """Write one sub-population.

    Parameters
    ----------
    row : dict
        Of ``subpopulations``, or of a kind of ``interactions``.

    Returns
    -------
    tuple of str
        What it is, and the columns of `HEADER`.

    Examples
    --------
    >>> def of(value):
    ...     return {"value": value, "interval": [value - 0.1, value + 0.1]}
    >>> measures = {"accuracy": of(0.6), "log_loss": of(0.7), "calibration_gap": of(0.25)}
    >>> row = {"text": "faint", "n": 200, "auc": of(0.5), "measures": measures}
    >>> cells = subpopulation_cells({**row, "class_counts": {"no_sub": 90, "cdm": 110}})
    >>> cells[0], cells[1], cells[2], cells[-1]
    ('faint', '200', '0.5000 [0.4000, 0.6000]', '+0.250')
    >>> subpopulation_cells({**row, "class_counts": {"no_sub": 0, "cdm": 200}})[-1]
    ''
    """
    measures = {**row["measures"], "auc": row["auc"]}
    return (row["text"], *_measured(row["n"], measures, holds_all_classes(row)))


def overall_cells(content: dict[str, Any]) -> tuple[str, ...]:
    """Write what all images give.

    Parameters
    ----------
    content : dict
        Of ``weaknesses.json``.

    Returns
    -------
    tuple of str
        As of `subpopulation_cells`.
    """
    return ("all images", *_measured(content["n"], content["overall"], True))


def weakness_cells(content: dict[str, Any]) -> tuple[Sequence[str], list[tuple[str, ...]]]:
    """Write the worst and the best sub-populations, with all images between them.

    Parameters
    ----------
    content : dict
        Of ``weaknesses.json``.

    Returns
    -------
    header : sequence of str
        Names of the columns.
    rows : list of tuple of str
        The worst first, the best last; of all attributes that tell the same images apart one.
    """
    rows = content["subpopulations"]
    worst, best = (
        [subpopulation_cells(rows[entry["index"]]) for entry in content[kind][:_NUM_SHOWN]]
        for kind in ("worst", "best")
    )
    return ("lenses", *HEADER), [*worst, overall_cells(content), *best[::-1]]


def attribute_cells(content: dict[str, Any]) -> tuple[Sequence[str], list[tuple[str, ...]]]:
    """Write all bins of what is asked of every model: arc, ring, noise, heaviest subhalo.

    Parameters
    ----------
    content : dict
        Of ``weaknesses.json``.

    Returns
    -------
    header : sequence of str
        Names of the columns.
    rows : list of tuple of str
        Attribute after attribute, in the order of its values.
    """
    rows = content["subpopulations"]
    return ("lenses", *HEADER), [
        subpopulation_cells(row)
        for attribute in _ALWAYS
        for row in rows
        if [one["attribute"] for one in row["conditions"]] == [attribute]
    ]


def holds_all_classes(row: Mapping[str, Any]) -> bool:
    """Tell whether being too sure means anything: among images of one class it does not.

    Probabilities are right among images that got the same answer. Among images that hold the same
    truth the best of models is too sure where that truth is hard to see.

    Parameters
    ----------
    row : mapping
        A sub-population with its ``class_counts``.

    Returns
    -------
    bool
        Whether there are images of every class.
    """
    return all(count > 0 for count in row["class_counts"].values())


def _measured(count: int, measures: dict[str, Any], all_classes: bool) -> tuple[str, ...]:
    return (
        f"{count:,}",
        _with_interval(measures["auc"], 4),
        _with_interval(measures["accuracy"], 3),
        _with_interval(measures["log_loss"], 3),
        f"{measures['calibration_gap']['value']:+.3f}" if all_classes else "",
    )


def _with_interval(measured: dict[str, Any], digits: int) -> str:
    interval = measured["interval"]
    shown = f"{measured['value']:.{digits}f}"
    return (
        shown
        if interval is None
        else f"{shown} [{interval[0]:.{digits}f}, {interval[1]:.{digits}f}]"
    )
