"""Cells of the tables of how well maps find what substructure changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from darkarcs.evaluation.tables import Cells


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
        Pointing game in the whole image and in the arc, and AUC within the arc, against all changes
        and against those that no smooth lens could mimic, where these were measured.

    Examples
    --------
    >>> one = {"value": 0.75, "interval": [0.5, 1.0], "chance": 0.25}
    >>> scores = {"n": 64, "pointing": one, "pointing_in_arc": one, "auc": one}
    >>> evidence_cells({"maps": {"random": scores}, "maps_projected": {"random": scores}})[1][0][:3]
    ('random', '0.75 [0.50, 1.00]', '0.75 [0.50, 1.00]')
    """
    header, chosen = ["map"], [content["maps"]]
    if "maps_projected" in content:
        chosen.append(content["maps_projected"])
    for scores, what in zip(chosen, ("", ", not mimicked"), strict=False):
        first = next(iter(scores.values()))
        whole, arc = (_chance(first[key]) for key in ("pointing", "pointing_in_arc"))
        header += [
            f"pointing{what} ({first['n']} pairs, chance {whole})",
            f"in the arc{what} (chance {arc})",
            f"AUC in the arc{what}",
        ]
    rows = [
        (
            name.replace("_", " "),
            *(_bounded(scores[name][key]) for scores in chosen for key in _SHOWN),
        )
        for name in content["maps"]
    ]
    return tuple(header), rows


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
    entries = [entry for entry in content["entries"] if "maps_projected" in entry]
    names = dict.fromkeys(name for entry in entries for name in entry["maps_projected"])
    rows = []
    for name in names:
        found = [entry["maps_projected"].get(name) for entry in entries]
        cells = ("" if one is None else _bounded(one["auc"]) for one in found)
        rows.append((name.replace("_", " "), *cells))
    return ("map", *(entry["model"] for entry in entries)), rows


_SHOWN = ("pointing", "pointing_in_arc", "auc")


def _chance(score: Mapping[str, Any]) -> str:
    return "unknown" if score["chance"] is None else f"{score['chance']:.2f}"


def _bounded(score: Mapping[str, Any]) -> str:
    if score["value"] is None:
        return ""
    if score["interval"] is None:  # all alike: resampling says nothing
        return f"{score['value']:.2f}"
    low, high = score["interval"]
    return f"{score['value']:.2f} [{low:.2f}, {high:.2f}]"
