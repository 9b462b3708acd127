"""How models bear what they were not trained on: noise, a wider PSF, covered images."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track

from darkarcs import data
from darkarcs.benchmark.corruptions import border_sky, cover, more_noise, wider_psf
from darkarcs.data import LensImages
from darkarcs.errors import ConfigurationError, DataError, OutputExistsError
from darkarcs.evaluation import Predictions, evaluate_predictions
from darkarcs.evaluation.compare import compare_predictions
from darkarcs.evaluation.files import write_new
from darkarcs.evaluation.provenance import command_line, package_version
from darkarcs.inference import Predictor, SharedImages
from darkarcs.inference.evaluate import select_split
from darkarcs.inference.filing import log_evaluation
from darkarcs.model_folder import SMOOTH_FIT, TestTimeAugmentation

Corruption = Callable[[LensImages], LensImages]

#: Shares of the image that are covered.
COVERS: tuple[float, ...] = (0.1, 0.2, 0.3, 0.4, 0.5)
#: Full width of the PSF, in pixels, where nobody says what it is.
DEFAULT_FWHM = 2.5


def corruptions(fwhm: float, seed: int = 0) -> dict[str, Corruption]:
    """Name the conditions under which models are compared.

    Parameters
    ----------
    fwhm : float, pixels
        Full width at half maximum of the images' PSF.
    seed : int, default 0
        Root of all draws.

    Returns
    -------
    dict of str to callable
        ``as is``, ``noise x2``, ``psf x1.5``, ``cover 10 %`` to ``cover 50 %``.

    Examples
    --------
    >>> list(corruptions(2.5))[:4]
    ['as is', 'noise x2', 'psf x1.5', 'cover 10 %']
    """
    named: dict[str, Corruption] = {
        "as is": _as_is,
        "noise x2": partial(more_noise, factor=2.0, seed=seed),
        "psf x1.5": partial(wider_psf, fwhm=fwhm, factor=1.5, seed=seed),
    }
    return named | {
        f"cover {round(100 * share)} %": partial(cover, share=share, seed=seed) for share in COVERS
    }


def robustness(
    models: Sequence[Path],
    data_uri: str,
    *,
    split: str = "test",
    out: Path | None = None,
    psf_fwhm: float | None = None,
    test_time_augmentation: TestTimeAugmentation | None = None,
    skip_bad: bool = False,
    num_bootstrap: int = 2000,
    seed: int = 0,
    cache: Path | None = None,
    test_log: Path | None = None,
    device: str = "cpu",
    progress: bool = False,
) -> dict[str, Any]:
    """Measure the AUC of models under corruptions, the same pixels for all of them.

    Parameters
    ----------
    models : sequence of pathlib.Path
        Model folders, of the same classes.
    data_uri : str
        Labelled images.
    split : {"test", "validation", "train", "all"}, default "test"
        See `darkarcs.inference.evaluate`; all models must have been trained with this split.
    out : pathlib.Path, optional
        A new JSON file.
    psf_fwhm : float, optional, pixels
        Of the images; by default what their manifest says, else `DEFAULT_FWHM`.
    test_time_augmentation : {"none", "dihedral"}, optional
        Each model folder's choice by default.
    skip_bad : bool, default False
        Leave bad files out instead of stopping.
    num_bootstrap : int, default 2000
        Resamples of the intervals and comparisons.
    seed : int, default 0
        Of corruptions and bootstrap.
    cache : pathlib.Path, optional
        Folder where fits of smooth lenses are kept, for models that look at such.
    test_log : pathlib.Path, optional
        Log that gets a line for every evaluation, unless training used the split.
    device : str, default "cpu"
        Where the models run.
    progress : bool, default False
        Show a progress bar on standard error.

    Returns
    -------
    dict
        Ready for JSON: ``conditions`` (by condition and model ``auc``, ``interval``,
        ``accuracy``, ``difference_to_as_is``), ``comparisons`` (by condition a list of pairs
        with ``first``, ``second``, ``difference``, ``interval``, ``p_value``: DeLong's paired
        test, and the ``bootstrap_interval``), ``models``, ``psf_fwhm`` and where it is from,
        ``border_noise`` (median of the images'), ``warnings``.

    Raises
    ------
    DarkarcsError
        Bad or unlabelled data, a split that cannot be repeated, output that exists, two
        models of one name.
    """
    if out is not None and Path(out).exists():
        raise OutputExistsError(Path(out))
    predictors = _named(models, device)
    images = _images(data_uri, skip_bad)
    chosen = _common_split(images, predictors, split)
    (fwhm, source), noise = _width(images, psf_fwhm), _sky_noise(chosen)
    conditions: dict[str, Any] = {}
    comparisons: dict[str, Any] = {}
    named = corruptions(fwhm, seed)
    shown = track(
        named.items(), "Corrupting", console=Console(stderr=True), disable=not progress,
        transient=True,
    )  # fmt: skip
    for condition, corrupt in shown:
        shared = SharedImages(corrupt(chosen), cache)
        label = split if condition == "as is" else f"{split}, {condition}"
        found = {
            name: predictor.predict(shared.taken_by(predictor), label, test_time_augmentation)
            for name, predictor in predictors.items()
        }
        log = None if split in ("train", "validation") else test_log
        plain = conditions.get("as is", {})
        conditions[condition] = _measured(found, plain, log, num_bootstrap, seed)
        comparisons[condition] = _comparisons(found, num_bootstrap, seed)
    report = {
        "schema_version": 1,
        "split": split,
        "n": len(chosen),
        "class_counts": chosen.class_counts(),
        "data_hash": images.content_hash,
        "models": {name: p.folder.model_hash for name, p in predictors.items()},
        "psf_fwhm": fwhm,
        "psf_fwhm_from": source,
        "border_noise": noise,
        "seed": seed,
        "conditions": conditions,
        "comparisons": comparisons,
        "warnings": _warnings(noise, source),
        "command": command_line(),
        "version": package_version(),
    }
    if out is not None:
        write_new(Path(out), (json.dumps(report, indent=2) + "\n").encode())
    return report


def _images(uri: str, skip_bad: bool) -> LensImages:
    images = data.open(uri, skip_bad=skip_bad)
    if SMOOTH_FIT in images.manifest:
        raise DataError(
            f"{uri}: holds residuals of smooth fits, and what is made worse are images: give "
            "the images that were fitted, with --split all"
        )
    return images


def _sky_noise(images: LensImages) -> float:
    return float(np.median(border_sky(images.images).noise))


def _as_is(images: LensImages) -> LensImages:
    return images


def _named(models: Sequence[Path], device: str) -> dict[str, Predictor]:
    predictors: dict[str, Predictor] = {}
    for path in models:
        predictor = Predictor(path, device)
        name = predictor.folder.description.name
        if name in predictors:
            raise ConfigurationError(
                f"{path}: a model named '{name}' is compared already; set 'name' in its model.json "
                "to tell them apart"
            )
        predictors[name] = predictor
    if not predictors:
        raise ConfigurationError("name at least one model")
    return predictors


def _common_split(images: LensImages, predictors: dict[str, Predictor], split: str) -> LensImages:
    """Select the split, which must be the same for all models."""
    if images.labels is None:
        raise DataError(f"{images.manifest['source']}: has no labels to evaluate against")
    parts = {
        name: select_split(images, predictor.folder.description, split)
        for name, predictor in predictors.items()
    }
    first, *others = parts
    for name in others:
        if parts[name].content_hash != parts[first].content_hash:
            raise DataError(f"'{first}' and '{name}' were trained with different {split} splits")
    return parts[first]


def _width(images: LensImages, psf_fwhm: float | None) -> tuple[float, str]:
    if psf_fwhm is not None:
        return psf_fwhm, "option"
    arcsec = images.manifest.get("psf_fwhm")
    if isinstance(arcsec, int | float) and images.pixel_scale:
        return float(arcsec) / images.pixel_scale, "manifest"
    return DEFAULT_FWHM, "default"


def _measured(
    found: dict[str, Predictions],
    plain: dict[str, Any],
    test_log: Path | None,
    num_bootstrap: int,
    seed: int,
) -> dict[str, Any]:
    """Evaluate each model under one condition, and log it."""
    rows = {}
    for name, predictions in found.items():
        evaluation = evaluate_predictions(predictions, num_bootstrap=num_bootstrap, seed=seed)
        if test_log is not None:
            log_evaluation(test_log, name, evaluation, predictions)
        rows[name] = _summary(evaluation, plain.get(name))
    return rows


def _summary(evaluation: dict[str, Any], plain: dict[str, Any] | None) -> dict[str, Any]:
    area = evaluation["auc"]
    return {
        "auc": area["macro"],
        "interval": area["interval"],
        "accuracy": evaluation["accuracy"],
        "difference_to_as_is": 0.0 if plain is None else area["macro"] - plain["auc"],
    }


def _comparisons(
    found: dict[str, Predictions], num_bootstrap: int, seed: int
) -> list[dict[str, Any]]:
    rows = []
    for first, second in combinations(found, 2):
        tested = compare_predictions(
            found[first], found[second], num_bootstrap=num_bootstrap, seed=seed
        )
        macro = tested["macro"]
        rows.append(
            {
                "first": first,
                "second": second,
                **{key: macro[key] for key in ("difference", "interval", "p_value")},
                "bootstrap_interval": tested["bootstrap"]["interval"],
            }
        )
    return rows


def _warnings(noise: float, source: str) -> list[str]:
    found = []
    if noise == 0:
        found.append(
            "the borders of most images show no noise, so 'noise x2' leaves these as they are"
        )
    if source == "default":
        found.append(f"nobody says how wide the PSF is: {DEFAULT_FWHM} pixels are assumed")
    return found
