"""Tables of what predictions cost, and of models beside information limits."""

from __future__ import annotations

from typing import Any

from darkarcs.evaluation.tables import Cells


def inference_cells(content: dict[str, Any]) -> Cells:
    """Write what ``darkarcs bench inference`` measured.

    Parameters
    ----------
    content : dict
        Its file.

    Returns
    -------
    header : tuple of str
        Names of the columns.
    rows : list of tuple of str
        Of each model: size, work, latency at batch 1, and throughput in units of the first's at
        the same precision.

    Examples
    --------
    >>> cost = {"latency_p50": 0.002, "latency_p99": 0.003, "throughput": 500.0}
    >>> cost |= {"ratios": {"throughput": {"median": 1.0}}, "peak_memory_bytes": 2**20}
    >>> one = {"parameters": 1000, "flops": 2e6, "float32": cost, "bfloat16": cost}
    >>> inference_cells({"models": {"small": one}})[1]
    [('small', '1,000', '2.0', '2.0 / 3.0', '1.0', '500', '1.0', '1.0')]
    """
    header = (
        *("model", "parameters", "MFLOP", "latency p50 / p99, ms", "memory, MiB", "images/s"),
        *("throughput, float32", "bfloat16"),
    )
    rows = []
    for name, row in content["models"].items():
        single, half = row["float32"], row["bfloat16"]
        median, slow = (1e3 * single[key] for key in ("latency_p50", "latency_p99"))
        rows.append(
            (
                *(name, f"{row['parameters']:,}", f"{row['flops'] / 1e6:.1f}"),
                *(f"{median:.1f} / {slow:.1f}", f"{single['peak_memory_bytes'] / 2**20:.1f}"),
                f"{single['throughput']:.0f}",
                *(f"{one['ratios']['throughput']['median']:.1f}" for one in (single, half)),
            )
        )
    return header, rows


def arm_cells(content: dict[str, Any]) -> Cells:
    """Write what ``darkarcs bench arms`` measured.

    Parameters
    ----------
    content : dict
        Its file.

    Returns
    -------
    header : tuple of str
        Names of the columns.
    rows : list of tuple of str
        Of each arm, the plain one first.

    Examples
    --------
    >>> arm = {"throughput": 168.4, "ratio": 0.5, "token_forwards": 130.0}
    >>> arm_cells({"arms": {"random": arm}})[1]
    [('random', '168', '0.50', '130')]
    """
    header = ("arm", "training images/s", "of the first arm's", "token-forwards an image")
    rows: list[tuple[str, ...]] = [
        (name, f"{row['throughput']:.0f}", f"{row['ratio']:.2f}", f"{row['token_forwards']:.0f}")
        for name, row in content["arms"].items()
    ]
    return header, rows


def limit_model_cells(content: dict[str, Any]) -> Cells:
    """Write where models stand between the observer and the oracles, by pooled AUC.

    Parameters
    ----------
    content : dict
        Of ``results/limits/NAME.json``.

    Returns
    -------
    header : tuple of str
        Names of the columns.
    rows : list of tuple of str
        Of each class, fraction and model.

    Examples
    --------
    >>> area = {"value": 0.7, "interval": [0.6, 0.8]}
    >>> row = {"class_name": "cdm", "fraction": 0.1, "noise_factor": 1.0, "observer": None}
    >>> row |= {"marginalized": {"pooled": area}, "oracle": {"pooled": area}}
    >>> point = {"class_name": "cdm", "fraction": 0.1, "model": "m", "pooled": area, "paired": 0.8}
    >>> limit_model_cells({"rows": [row], "models": [point]})[1]
    [('cdm', '0.1', 'm', '0.700 [0.600, 0.800]', '0.800', '', '0.700', '0.700')]
    """
    header = (
        *("class", "fraction", "model", "its AUC [95 %]", "paired"),
        *("observer", "marginalized oracle", "oracle"),
    )
    rows = []
    for point in content["models"]:
        of_scene = (row for row in content["rows"] if row["noise_factor"] == 1)
        where = next(
            row
            for row in of_scene
            if (row["class_name"], row["fraction"]) == (point["class_name"], point["fraction"])
        )
        low, high = point["pooled"]["interval"]
        limits = (where[name] for name in ("observer", "marginalized", "oracle"))
        rows.append(
            (
                point["class_name"],
                "" if point["fraction"] is None else f"{point['fraction']:g}",
                point["model"] + (" (not converged)" if point.get("converged") is False else ""),
                f"{point['pooled']['value']:.3f} [{low:.3f}, {high:.3f}]",
                f"{point['paired']:.3f}",
                *("" if one is None else f"{one['pooled']['value']:.3f}" for one in limits),
            )
        )
    return header, rows
