"""Cells of the tables of how well maps find what substructure changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Cells = tuple[tuple[str, ...], list[tuple[str, ...]]]


def evidence_cells(content: Mapping[str, Any]) -> Cells:
    """Write what ``bench evidence`` measured of one model, map by map.

    Parameters
    ----------
    content : mapping
        Its file.

    Returns
    -------
    header : tuple of str
        Names of the columns.
    rows : list of tuple of str
        Pointing game and AUC within the arc, against all changes and against those that no smooth
        lens could mimic.

    Examples
    --------
    >>> one = {"value": 0.75, "interval": [0.5, 1.0], "chance": 0.25}
    >>> scores = {"n": 64, "pointing": one, "auc": one}
    >>> evidence_cells({"maps": {"random": scores}, "maps_projected": {"random": scores}})[1][0][:3]
    ('random', '0.75 [0.50, 1.00]', '0.75 [0.50, 1.00]')
    """
    maps, left = content["maps"], content["maps_projected"]
    pairs, pairs_left = (next(iter(scores.values()))["n"] for scores in (maps, left))
    chance = next(iter(maps.values()))["pointing"]["chance"]
    chance_left = next(iter(left.values()))["pointing"]["chance"]
    header = (
        *("map", f"pointing ({pairs} pairs, chance {chance:.2f})", "AUC in the arc"),
        f"pointing, not mimicked ({pairs_left} pairs, chance {chance_left:.2f})",
        "AUC, not mimicked",
    )
    rows = [
        (
            name.replace("_", " "),
            *(_bounded(scores[key]) for scores in (maps[name], left[name]) for key in _SHOWN),
        )
        for name in maps
    ]
    return header, rows


def evidence_model_cells(content: Mapping[str, Any]) -> Cells:
    """Compare models: AUC, within the arc, against changes that no smooth lens could mimic.

    Parameters
    ----------
    content : mapping
        ``entries``: what several files of ``bench evidence`` hold.

    Returns
    -------
    header : tuple of str
        ``map`` and the names of the models.
    rows : list of tuple of str
        One a map.

    Examples
    --------
    >>> scores = {"auc": {"value": 0.75, "interval": [0.5, 1.0]}}
    >>> entry = {"model": "plain", "maps_projected": {"random": scores}}
    >>> evidence_model_cells({"entries": [entry]})
    (('map', 'plain'), [('random', '0.75 [0.50, 1.00]')])
    """
    entries = content["entries"]
    names = dict.fromkeys(name for entry in entries for name in entry["maps_projected"])
    rows = []
    for name in names:
        found = [entry["maps_projected"].get(name) for entry in entries]
        cells = ("" if one is None else _bounded(one["auc"]) for one in found)
        rows.append((name.replace("_", " "), *cells))
    return ("map", *(entry["model"] for entry in entries)), rows


_SHOWN = ("pointing", "auc")


def _bounded(score: Mapping[str, Any]) -> str:
    low, high = score["interval"]
    return f"{score['value']:.2f} [{low:.2f}, {high:.2f}]"
