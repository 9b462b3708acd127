"""Where models stand between the unknown-substructure observer and the oracles."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from darkarcs.benchmark.limit_evidence import EVIDENCE, KNOWN, fitted_evidence, known_evidence
from darkarcs.errors import DataError
from darkarcs.evaluation.evaluate import evaluate_predictions
from darkarcs.evaluation.predictions import Predictions
from darkarcs.evaluation.provenance import command_line, git_commit, package_version
from darkarcs.fitting import SmoothFitter
from darkarcs.inference import Predictor, SharedImages
from darkarcs.inference.filing import log_evaluation
from darkarcs.limits import LimitRequest, LimitResult
from darkarcs.limits.results import AreaRecord, ModelPoint
from darkarcs.limits.variants import Variant, make_variants
from darkarcs.scenes import Scene
from darkarcs.simulation import SimulationRequest, simulate


def place_models(
    scene: Scene,
    request: LimitRequest,
    folders: Mapping[str, Path],
    *,
    known_lenses: bool = False,
    cache: Path | None = None,
    test_log: Path | None = None,
    device: str = "cpu",
) -> tuple[ModelPoint, ...]:
    """Show models noisy images of the lenses that the limits were measured on.

    Parameters
    ----------
    scene : Scene
        Of the limits.
    request : LimitRequest
        Its lenses: each is shown with and without substructure.
    folders : mapping of str to pathlib.Path
        Model folders by what they are called.
    known_lenses : bool, default False
        Whether to tell as well what the evidence for subhalos says if the smooth lens is known, as
        the unknown-substructure observer knows it: `KNOWN`.
    cache : pathlib.Path, optional
        Folder where fits of smooth lenses are kept, for models that look at such.
    test_log : pathlib.Path, optional
        Where looks at a test stream are counted.
    device : str, default "cpu"
        Where the models run.

    Returns
    -------
    tuple of ModelPoint
        For each class and fraction of the request, all models; each says by which command it was
        placed. Beside a model that looks at fits stands what these tell without it, `EVIDENCE`.
    """
    predictors = {name: Predictor(folder, device) for name, folder in folders.items()}
    fitter = SmoothFitter(scene) if known_lenses else None
    points = []
    for variant in make_variants(scene, request.classes, request.fractions):
        wanted = SimulationRequest(
            scene=variant.scene,
            seed=request.seed,
            num=2 * request.num,
            part=request.part,
            paired=True,
        )
        images = simulate(wanted)
        shared, told = SharedImages(images, cache), set()
        for name, predictor in predictors.items():
            taken = shared.taken_by(predictor)
            predictions = predictor.predict(taken, request.part, progress=True)
            converged = predictor.folder.description.provenance.get("converged")
            point = _place(name, variant, predictions, test_log)
            points.append(point.model_copy(update={"converged": converged}))
            evidence = fitted_evidence(taken, request.part)
            if evidence is not None and evidence.model_hash not in told:
                told.add(evidence.model_hash)
                points.append(_place(EVIDENCE, variant, evidence, test_log))
        if fitter is not None:
            points.append(
                _place(KNOWN, variant, known_evidence(images, request.part, fitter), test_log)
            )
    made = {
        "command": command_line(),
        "version": package_version(),
        "commit": git_commit(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    return tuple(point.model_copy(update=made) for point in points)


def try_models(
    scene: Scene, request: LimitRequest, folders: Sequence[Path], *, device: str = "cpu"
) -> None:
    """Let models read two images of a scene, before limits are measured that take long.

    Parameters
    ----------
    scene : Scene
        Of the limits.
    request : LimitRequest
        Its lenses.
    folders : sequence of pathlib.Path
        Model folders.
    device : str, default "cpu"
        Where the models run.

    Raises
    ------
    DarkarcsError
        If a folder holds no model, or its model cannot read such images.
    """
    images = simulate(SimulationRequest(scene=scene, seed=request.seed, num=2, part=request.part))
    for folder in folders:
        Predictor(folder, device).logits(images)


def read_limits(path: Path) -> LimitResult:
    """Read limits that were measured.

    Parameters
    ----------
    path : pathlib.Path
        A result file of ``darkarcs limit``.

    Returns
    -------
    LimitResult
        Validated.

    Raises
    ------
    DataError
        If it cannot be read, or is no JSON.
    ConfigurationError
        If it is of another layout.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
    except ValueError:
        raise DataError(f"{path}: is not valid JSON; it may be cut short") from None
    return LimitResult.parse(content, str(path))


def _place(
    name: str, variant: Variant, predictions: Predictions, test_log: Path | None
) -> ModelPoint:
    two = _control_against_rest(predictions)
    evaluation = evaluate_predictions(two, num_bootstrap=200)
    if test_log is not None:
        log_evaluation(test_log, f"{name} (limit: {variant.scene.name})", evaluation, two)
    scores = two.logits[:, 1] - two.logits[:, 0]
    higher = scores[1::2] - scores[0::2]  # images of a pair follow each other
    low, high = evaluation["auc"]["interval"]
    return ModelPoint(
        model=name,
        model_hash=predictions.model_hash,
        class_name=variant.class_name,
        fraction=variant.fraction,
        num=len(predictions),
        pooled=AreaRecord(value=evaluation["auc"]["macro"], interval=(low, high)),
        paired=float(((higher > 0) + 0.5 * (higher == 0)).mean()),
    )


def _control_against_rest(predictions: Predictions) -> Predictions:
    """Take all classes but ``no_sub`` together: any substructure counts as seen."""
    control = predictions.class_names.index("no_sub")
    others = np.delete(predictions.logits, control, axis=1)
    labels = predictions.labels
    assert labels is not None
    return Predictions(
        identities=predictions.identities,
        groups=predictions.groups,
        names=predictions.names,
        labels=(labels != control).astype(np.int64),
        logits=np.stack(
            [predictions.logits[:, control], np.logaddexp.reduce(others, axis=1)], axis=1
        ),
        class_names=("no_sub", "sub"),
        split=predictions.split,
        model_hash=predictions.model_hash,
    )
