"""Figure of a robustness report: AUC against the covered share of the image."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from darkarcs.errors import DataError
from darkarcs.evaluation.files import write_new

#: Colours of Okabe & Ito, which people with any form of colour vision tell apart.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
MARKERS = ("o", "s", "^", "D", "v", "P")


def draw_robustness(report: dict[str, Any], path: Path) -> Path:
    """Draw the AUC of each model against cover, and under noise and a wider PSF beside it.

    Parameters
    ----------
    report : dict
        From `darkarcs.benchmark.robustness`.
    path : pathlib.Path
        A new picture; its suffix (png, svg, pdf) decides the format.

    Returns
    -------
    pathlib.Path
        The path.

    Raises
    ------
    DataError
        If the format is not known.
    OutputExistsError
        If the path exists.
    """
    path = Path(path)
    kind = path.suffix.lower().lstrip(".")
    if kind not in ("png", "svg", "pdf"):
        raise DataError(f"{path}: a figure ends in .png, .svg or .pdf")
    conditions = report["conditions"]
    covers = {0: "as is"}
    for name in conditions:
        if match := re.fullmatch(r"cover (\d+) %", name):
            covers[int(match[1])] = name
    others = ["as is", *(n for n in conditions if n not in covers.values())]
    style: Any = {"font.family": "DejaVu Sans", "axes.spines.top": False, "axes.grid": True}
    style |= {"axes.spines.right": False, "grid.color": "#d9dde2", "axes.axisbelow": True}
    with mpl.rc_context(style):
        figure = Figure(figsize=(9.5, 4.2), layout="constrained")
        left, right = figure.subplots(1, 2, sharey=True, width_ratios=[1.5, 1])
        for index, name in enumerate(report["models"]):
            colour, marker = COLOURS[index % 6], MARKERS[index % 6]
            for axes, places, chosen in (
                (left, list(covers), list(covers.values())),
                (right, [k + 0.12 * index for k in range(len(others))], others),
            ):
                rows = [conditions[condition][name] for condition in chosen]
                values = [row["auc"] for row in rows]
                low = [row["auc"] - row["interval"][0] for row in rows]
                high = [row["interval"][1] - row["auc"] for row in rows]
                axes.errorbar(
                    places, values, [low, high], color=colour, marker=marker, markersize=5,
                    linestyle="-" if axes is left else "", capsize=3, label=name.replace("$", r"\$")
                )  # fmt: skip
        left.set(xlabel="covered share of the image, %", ylabel="AUC")
        left.legend(frameon=False, loc="lower left")
        middle = 0.06 * (len(report["models"]) - 1)
        right.set_xticks([k + middle for k in range(len(others))], others)
        right.set_xlim(-0.5, len(others) - 0.5 + 2 * middle)
        if min(axes.get_ylim()[0] for axes in (left, right)) < 0.5:
            for axes in (left, right):
                axes.axhline(0.5, color="#5a6470", linestyle=":", linewidth=1)
        figure.suptitle(f"AUC with 95 % intervals on {report['n']:,} images ({report['split']})")
        stream = io.BytesIO()
        figure.savefig(stream, format=kind, dpi=150)
    write_new(path, stream.getvalue())
    return path
