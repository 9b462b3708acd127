"""One picture of an audit: the classes' radial profiles, and what each family tells."""

from __future__ import annotations

from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from darkarcs.audit.audit import SetAudit
from darkarcs.audit.leaks import SHORTCUT_AUC
from darkarcs.errors import OutputExistsError

# Okabe & Ito's colours, told apart by any form of colour vision.
_CLASS_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
_CLASS_DASHES = ("-", "--", ":", "-.")
_VERDICT_COLOURS = {"leaks": "#D55E00", "carries": "#E69F00", "clean": "#009E73"}


def draw_audit(audited: SetAudit, path_png: str | Path) -> Path:
    """Draw the radial profiles of the classes beside the AUC of each family.

    Parameters
    ----------
    audited : SetAudit
        Of one set, with leaks.
    path_png : str or pathlib.Path
        The picture to make.

    Returns
    -------
    pathlib.Path
        The path.

    Raises
    ------
    OutputExistsError
        If the path exists.
    """
    path = Path(path_png)
    if path.exists():
        raise OutputExistsError(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure = Figure(figsize=(10.5, 4.2), dpi=160, layout="constrained")
    FigureCanvasAgg(figure)  # pixels in memory: no display, no global state of pyplot
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.15))
    _draw_profiles(left, audited)
    _draw_areas(right, audited)
    figure.savefig(path)
    return path


def _draw_profiles(axes: Axes, audited: SetAudit) -> None:
    for number, profile in enumerate(audited.profiles):
        colour = _CLASS_COLOURS[number % len(_CLASS_COLOURS)]
        dashes = _CLASS_DASHES[number % len(_CLASS_DASHES)]
        axes.fill_between(
            profile.radius, profile.low, profile.high, color=colour, alpha=0.2, linewidth=0
        )
        # A dollar begins a formula, and a leading underscore hides a name from the legend.
        label = profile.name.replace("$", r"\$")
        label = f" {label}" if label.startswith("_") else label
        axes.plot(profile.radius, profile.mean, color=colour, linestyle=dashes, label=label)
    # A bright core would hide the ring; below zero there is no logarithm.
    if all(profile.low.min() > 0 for profile in audited.profiles):
        axes.set_yscale("log")
    axes.set_xlabel("radius (pixels)")
    axes.set_ylabel("mean pixel value")
    axes.set_title("Radial profile: mean, and 16 to 84 % of the images", fontsize=10)
    axes.legend(frameon=False)
    axes.spines[["top", "right"]].set_visible(False)


def _draw_areas(axes: Axes, audited: SetAudit) -> None:
    names = [leak.family for leak in audited.leaks]
    for row, leak in enumerate(audited.leaks):
        area, (low, high) = leak.measured.auc, leak.measured.interval
        axes.barh(row, area - 0.5, left=0.5, height=0.6, color=_VERDICT_COLOURS[leak.verdict])
        axes.plot([low, high], [row, row], color="black", linewidth=1.2)
        for end in (low, high):
            axes.plot([end, end], [row - 0.15, row + 0.15], color="black", linewidth=1.2)
        place = max(high, 0.5) + 0.012
        axes.text(place, row, f"{area:.3f} {leak.verdict}", va="center", fontsize=9)
    axes.axvline(0.5, color="0.3", linewidth=0.8)
    axes.axvline(SHORTCUT_AUC, color="0.6", linewidth=0.8, linestyle=":")
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    lowest = min(leak.measured.interval[0] for leak in audited.leaks)
    axes.set_xlim(min(0.45, lowest - 0.01), 1.17)
    axes.set_xticks([0.5, 0.6, 0.7, 0.8, 0.9, 1.0])
    axes.set_xlabel("out-of-fold AUC, with interval")
    axes.set_title("What plain features alone tell of the class", fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
