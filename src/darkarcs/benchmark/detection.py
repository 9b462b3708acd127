"""Detection limits: how often one subhalo is found, by its mass and its distance from the arc."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from darkarcs.benchmark.detection_lenses import ARC_SHARE, template_of
from darkarcs.benchmark.detection_observers import Detections, DetectionSettings, observe_lenses
from darkarcs.benchmark.detection_rates import (
    Rate,
    mass_at_rate,
    model_rate,
    oracle_rate,
    require_controls,
    threshold_at,
)
from darkarcs.configuration import read_yaml
from darkarcs.evaluation import Predictions, evaluate_predictions
from darkarcs.evaluation.delong import delong_covariance
from darkarcs.evaluation.operating_points import threshold_draws
from darkarcs.evaluation.provenance import command_line, describe_machine, package_version
from darkarcs.inference import Predictor
from darkarcs.inference.filing import log_evaluation
from darkarcs.scenes import Scene

#: Published figures beside which ours are drawn; what differs is said with each.
PUBLISHED = Path(__file__).with_name("detection_published.yaml")


def detection(
    scene: Scene,
    settings: DetectionSettings,
    predictors: Mapping[str, Predictor] | None = None,
    *,
    marginalize: bool = True,
    test_log: Path | None = None,
) -> dict[str, Any]:
    """Measure detection limits of models beside those of oracles.

    Parameters
    ----------
    scene : Scene
        Whose lenses; a class of kind ``single_subhalo`` says how subhalos are placed and built
        (see `darkarcs.benchmark.detection_lenses.template_of`), other classes do not matter.
    settings : DetectionSettings
        What to measure.
    predictors : mapping of str to Predictor, optional
        Models by name; none measures the oracles alone.
    marginalize : bool, default True
        Also measure the oracle that does not know the smooth lens, which takes longer.
    test_log : pathlib.Path, optional
        Log that gets a line for each model, unless the part is one that training uses.

    Returns
    -------
    dict
        Ready for JSON; ``rows`` holds for each observer, mass, bin and false-positive rate
        ``num``, ``rate`` and its 95 % ``interval``, ``limits`` the mass from which on half of
        the subhalos are found.

    Raises
    ------
    DarkarcsError
        A model that does not know smooth lenses, too few controls, a subhalo that outweighs the
        lens.
    """
    named = dict(predictors or {})
    for rate in settings.false_positive_rates if named else ():
        require_controls(settings.num_controls, rate)
    found = observe_lenses(scene, settings, named, marginalize=marginalize)
    rows = rate_rows(found, settings)
    areas = _areas(found, settings)
    if test_log is not None and settings.part == "test":
        for name, one in named.items():
            _log(test_log, name, one, found, settings)
    return {
        "schema_version": 1,
        "kind": "detection",
        "scene": scene.identity,
        "description": scene.description,
        "subhalo": template_of(scene).model_dump(mode="json", exclude={"log10_mass"}),
        "arc": f"pixels above {ARC_SHARE:g} of the peak of the smooth, noiseless image",
        **settings.model_dump(mode="json"),
        "parameters_hash": found.hashes,
        "models": {name: one.folder.model_hash for name, one in named.items()},
        "rows": rows,
        "limits": _limits(rows, settings),
        "areas": areas,
        "published": read_yaml(PUBLISHED),
        "command": command_line(),
        "version": package_version(),
        "machine": describe_machine(torch.get_num_threads()),
    }


def rate_rows(found: Detections, settings: DetectionSettings) -> list[dict[str, Any]]:
    """Turn what was measured of each lens into true-positive rates.

    Parameters
    ----------
    found : Detections
        Of all lenses.
    settings : DetectionSettings
        Masses, bins and false-positive rates.

    Returns
    -------
    list of dict
        ``observer``, ``log10_mass``, ``bin`` (arcsec; null for all distances),
        ``false_positive_rate``, ``num``, ``rate``, ``interval``; bins without lenses are left
        out.
    """
    rows = []
    for wanted in settings.false_positive_rates:
        thresholds = {
            name: (threshold_at(scores, wanted), threshold_draws(scores, wanted))
            for name, scores in found.controls.items()
        }
        for edges in settings.bins:
            inside = in_bin(found.arc_distance, edges)
            if not inside.any():
                continue
            for i, mass in enumerate(settings.log10_masses):
                rates: dict[str, Rate] = {
                    name: oracle_rate(values[i][inside], wanted)
                    for name, values in found.oracles.items()
                } | {
                    name: model_rate(values[i][inside], *thresholds[name])
                    for name, values in found.models.items()
                }
                place = {
                    "log10_mass": mass,
                    "bin": None if edges is None else list(edges),
                    "false_positive_rate": wanted,
                }
                rows += [{"observer": name, **place, **one.row()} for name, one in rates.items()]
    return rows


def in_bin(
    distance: NDArray[np.float64], edges: tuple[float, float | None] | None
) -> NDArray[np.bool_]:
    """Tell which lenses fall into a bin of the distance to the arc.

    Parameters
    ----------
    distance : ndarray, shape (N,), arcsec
        To the arc.
    edges : tuple of float, optional
        Lower edge, included, and upper one; None for all distances.

    Returns
    -------
    ndarray of bool, shape (N,)
        Whether it is inside.

    Examples
    --------
    >>> in_bin(np.array([0.0, 0.1, 0.7]), (0.1, None)).tolist()
    [False, True, True]
    """
    if edges is None:
        return np.ones(len(distance), dtype=bool)
    low, high = edges
    return (distance >= low) & (distance < (np.inf if high is None else high))


def _limits(rows: list[dict[str, Any]], settings: DetectionSettings) -> list[dict[str, Any]]:
    """Masses from which on half of the subhalos are found, for each curve of the rows."""
    curves: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in rows:
        edges = None if row["bin"] is None else tuple(row["bin"])
        curves.setdefault((row["observer"], edges, row["false_positive_rate"]), []).append(row)
    return [
        {
            "observer": observer,
            "bin": None if edges is None else list(edges),
            "false_positive_rate": wanted,
            "log10_mass": mass_at_rate(
                settings.log10_masses, [row["rate"] for row in curve], wanted=0.5
            ),
        }
        for (observer, edges, wanted), curve in curves.items()
    ]


def _areas(found: Detections, settings: DetectionSettings) -> list[dict[str, Any]]:
    """AUC of each model and mass, with DeLong's standard error."""
    rows = []
    for name, scores in found.models.items():
        controls = found.controls[name]
        positive = np.arange(len(controls) + scores.shape[1]) >= len(controls)
        for mass, cases in zip(settings.log10_masses, scores, strict=True):
            areas, covariance = delong_covariance(np.concatenate([controls, cases])[None], positive)
            row = {"observer": name, "log10_mass": mass, "auc": float(areas[0])}
            rows.append(row | {"standard_error": float(np.sqrt(covariance[0, 0]))})
    return rows


def _log(
    log: Path, name: str, predictor: Predictor, found: Detections, settings: DetectionSettings
) -> None:
    """Keep count of a look at test lenses: all masses together against the smooth ones."""
    controls, cases = found.controls[name], found.models[name].reshape(-1)
    count = len(controls) + len(cases)
    identities = np.array([f"{found.hashes['no_sub']}/{i}" for i in range(count)])
    predictions = Predictions(
        identities=identities,
        groups=identities,
        names=identities,
        labels=(np.arange(count) >= len(controls)).astype(np.int64),
        logits=np.stack([np.zeros(count), np.concatenate([controls, cases])], axis=1),
        class_names=("no_sub", "sub"),
        split=f"{settings.part}, detection",
        model_hash=predictor.folder.model_hash,
    )
    log_evaluation(log, name, evaluate_predictions(predictions, num_bootstrap=50), predictions)
