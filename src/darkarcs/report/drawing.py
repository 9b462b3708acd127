"""Drawing for pages: one palette, figures as SVG that take the page's colours.

Figures are drawn in place-holder colours, each of which becomes a CSS variable when the SVG is
set into the page. So one figure serves a light and a dark page, and needs no script. Text is
drawn as paths: the page looks the same where a font is missing.

References
----------
.. [1] Okabe & Ito 2008, Color Universal Design: eight colours that people with any form of
   colour vision tell apart.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

#: Place-holders of the text, of thin lines, and of the background.
INK, LINE, SURFACE = "#010101", "#010102", "#010103"

_SERIES = tuple(f"#01020{index}" for index in range(6))
_VARIABLES = {
    INK: "var(--ink)",
    LINE: "var(--line)",
    SURFACE: "var(--surface)",
    **{colour: f"var(--series-{index})" for index, colour in enumerate(_SERIES)},
}
_DASHES = ("-", (0, (5, 1.5)), (0, (1.2, 1.2)), (0, (6, 1.5, 1.2, 1.5)))

# matplotlib types its settings by every name there is; a plain mapping is what they are.
_STYLE: Any = {
    "svg.fonttype": "path",
    "svg.hashsalt": "darkarcs",
    "font.family": "DejaVu Sans",
    "font.size": 10.5,
    "axes.edgecolor": LINE,
    "axes.labelcolor": INK,
    "axes.titlesize": 11.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": LINE,
    "grid.linewidth": 0.6,
    "text.color": INK,
    "xtick.color": LINE,
    "ytick.color": LINE,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "lines.solid_capstyle": "round",
}


def series_colour(index: int) -> str:
    """Place-holder colour of a class or curve.

    Parameters
    ----------
    index : int
        Its place in the order of classes.

    Returns
    -------
    str
        A colour of the palette of Okabe & Ito, used again after six.

    Examples
    --------
    >>> series_colour(0) == series_colour(6)
    True
    """
    return _SERIES[index % len(_SERIES)]


def series_dashes(index: int) -> Any:
    """Line style of a class or curve, so that colour is never the only difference.

    Parameters
    ----------
    index : int
        Its place in the order of classes.

    Returns
    -------
    str or tuple
        A line style of matplotlib.

    Examples
    --------
    >>> series_dashes(0)
    '-'
    """
    return _DASHES[index % len(_DASHES)]


def plain(text: str, longest: int = 32) -> str:
    """Make a name safe to be drawn: no formula, no hidden legend entry, not too long.

    Parameters
    ----------
    text : str
        A name that a user chose.
    longest : int, default 32
        Longer names lose their middle.

    Returns
    -------
    str
        What matplotlib draws as it stands.

    Examples
    --------
    >>> plain("_hidden"), plain("abcdefgh", longest=5), len(plain("$"))
    (' _hidden', 'ab…gh', 2)
    """
    if len(text) > longest:
        half = (longest - 1) // 2
        text = f"{text[:half]}…{text[-half:]}"
    text = text.encode("utf-8", "replace").decode().replace("$", r"\$")
    # matplotlib leaves labels that begin with an underscore out of legends.
    return f" {text}" if text.startswith("_") else text


def draw(name: str, paint: Callable[[Axes], None], width: float = 5.2, height: float = 4.1) -> str:
    """Draw one pair of axes and return it as SVG for a page.

    Parameters
    ----------
    name : str
        Unique within the page; identifiers inside the SVG begin with it.
    paint : callable
        Draws on the axes.
    width, height : float
        In inches; the page scales the figure to its column.

    Returns
    -------
    str
        An ``<svg>`` element without script, style sheet or outside reference. Equal input
        gives equal text.
    """
    with mpl.rc_context(_STYLE), warnings.catch_warnings():
        # A letter that the font lacks is drawn as a box; that is no reason to complain.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure = Figure(figsize=(width, height), layout="constrained")
        paint(figure.add_subplot())
        stream = io.StringIO()
        figure.savefig(
            stream, format="svg", transparent=True, metadata={"Date": None, "Creator": None}
        )
    return _for_page(stream.getvalue(), name)


def _for_page(svg: str, name: str) -> str:
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\sid="', f' id="{name}-', svg)
    svg = re.sub(r'href="#', f'href="#{name}-', svg)
    svg = re.sub(r"url\(#", f"url(#{name}-", svg)
    for colour, variable in _VARIABLES.items():
        svg = svg.replace(colour, variable)
    head, body = svg.split(">", 1)
    head = re.sub(r'\s(width|height|xmlns|xmlns:xlink|version|id)="[^"]*"', "", head)
    # The figure is described by its container; inside there are only shapes.
    return f'{head} xmlns:xlink="http://www.w3.org/1999/xlink" aria-hidden="true">{body}'
