"""What models and oracles make of lenses with one subhalo."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Self

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import AfterValidator, Field, model_validator

from darkarcs.benchmark.detection_lenses import (
    ORACLES,
    distance_to_arc,
    observe,
    render_smooth,
    scene_with,
    smooth_scene,
    template_of,
)
from darkarcs.benchmark.detection_rates import require_smooth_class, substructure_score
from darkarcs.configuration import Configuration
from darkarcs.data import LensImages
from darkarcs.errors import ConfigurationError
from darkarcs.inference import Predictor, SharedImages
from darkarcs.scenes import LensParameters, Part, Scene
from darkarcs.scenes.smooth import macro_nuisances
from darkarcs.simulation.progress import show_progress

Floats = NDArray[np.float64]
#: log10 of the mass of the heaviest clusters of galaxies, solar masses: no subhalo has it.
_HEAVIEST = 16.0


def _share(value: float) -> float:
    if not 0 < value < 1:
        raise ValueError("a rate is a share above 0 and below 1: write 0.01 for 1 %")
    return value


def _log10_masses(values: tuple[float, ...]) -> tuple[float, ...]:
    if not np.isfinite(values).all() or (np.diff(values) <= 0).any():
        raise ValueError("must be finite and ascending")
    if any(value > _HEAVIEST for value in values):
        raise ValueError("masses are log10 of solar masses: write 9 for 1e9")
    return values


Share = Annotated[float, AfterValidator(_share)]
Log10Masses = Annotated[tuple[float, ...], AfterValidator(_log10_masses)]
#: Lenses that are rendered together.
CHUNK = 32


class DetectionSettings(Configuration):
    """What to measure.

    Attributes
    ----------
    log10_masses : tuple of float, log10 solar masses
        m_200 at infall of the subhalos, ascending.
    num : int
        Lenses of each mass; the same lenses and places for all masses.
    num_controls : int
        Smooth lenses that set the models' thresholds.
    bin_edges : tuple of float, arcsec
        Between bins of the distance to the arc, ascending.
    false_positive_rates : tuple of float
        At which true-positive rates are quoted.
    seed : int
        Of all draws.
    part : {"train", "validation", "test"}
        Which stream of lenses.
    """

    log10_masses: Annotated[Log10Masses, Field(min_length=1)] = (8, 8.5, 9, 9.5, 10, 10.5)
    num: int = Field(800, ge=1)
    num_controls: int = Field(2000, ge=1)
    bin_edges: tuple[float, ...] = (0.1, 0.3, 0.6)
    false_positive_rates: Annotated[tuple[Share, ...], Field(min_length=1)] = (0.01, 0.1)
    seed: int = 0
    part: Part = "test"

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if not np.isfinite(self.bin_edges).all() or (np.diff(self.bin_edges) <= 0).any():
            raise ValueError("bin_edges must be finite and ascending")
        if any(edge <= 0 for edge in self.bin_edges):
            raise ValueError("bin_edges must be greater than 0")
        return self

    @property
    def bins(self) -> list[tuple[float, float | None] | None]:
        """The bins of the distance to the arc.

        Returns
        -------
        list
            None for all distances, then lower and upper edge of each bin; the last is open.

        Examples
        --------
        >>> DetectionSettings(bin_edges=(0.2,)).bins
        [None, (0.0, 0.2), (0.2, None)]
        """
        lower = (0.0, *self.bin_edges)
        upper: tuple[float | None, ...] = (*self.bin_edges, None)
        return [None, *zip(lower, upper, strict=True)]


@dataclass(frozen=True)
class Detections:
    """What was measured of each lens.

    Attributes
    ----------
    arc_distance : ndarray, shape (N,), arcsec
        From the subhalo to the arc.
    oracles : dict of str to ndarray of shape (M, N)
        d of each mass and lens, by `darkarcs.benchmark.detection_lenses.ORACLES`.
    models : dict of str to ndarray of shape (M, N)
        Scores of the models.
    controls : dict of str to ndarray of shape (C,)
        Scores of the models for smooth lenses.
    hashes : dict of str to str
        Of the tables of parameters: of the smooth lenses ``no_sub``, then by mass.
    """

    arc_distance: Floats
    oracles: dict[str, Floats]
    models: dict[str, Floats]
    controls: dict[str, Floats]
    hashes: dict[str, str]


def open_predictors(folders: Sequence[Path], device: str = "cpu") -> dict[str, Predictor]:
    """Open models under the names they have.

    Parameters
    ----------
    folders : sequence of pathlib.Path
        Model folders.
    device : str, default "cpu"
        Where they run.

    Returns
    -------
    dict of str to Predictor
        By name.

    Raises
    ------
    ConfigurationError
        If two have one name, or one that an oracle has.
    ModelError
        If one cannot be read, or does not know smooth lenses.
    """
    named: dict[str, Predictor] = {}
    for folder in folders:
        predictor = Predictor(folder, device)
        name = predictor.folder.description.name
        if name in named or name in ORACLES:
            raise ConfigurationError(
                f"{folder}: an observer named '{name}' is there already; set 'name' in its "
                "model.json to tell them apart"
            )
        require_smooth_class(predictor.class_names)
        named[name] = predictor
    return named


def observe_lenses(
    scene: Scene,
    settings: DetectionSettings,
    predictors: Mapping[str, Predictor],
    *,
    marginalize: bool = True,
) -> Detections:
    """Render the lenses and let every observer look at them.

    Parameters
    ----------
    scene : Scene
        Whose lenses.
    settings : DetectionSettings
        Masses and numbers.
    predictors : mapping of str to Predictor
        Models by name.
    marginalize : bool, default True
        Whether the oracles that do not know the smooth lens look, too.

    Returns
    -------
    Detections
        Of ``settings.num`` lenses.
    """
    smooth, template = smooth_scene(scene), template_of(scene)
    twins = smooth.draw(settings.seed, 0, settings.num, part=settings.part)
    masses = {
        f"{mass:g}": scene_with(scene, template, mass).draw(
            settings.seed, 0, settings.num, part=settings.part
        )
        for mass in settings.log10_masses
    }
    nuisances = macro_nuisances(smooth) if marginalize else None
    parts = []
    with show_progress(f"one subhalo in {scene.name}", settings.num) as advance:
        for start in range(0, settings.num, CHUNK):
            chunk = slice(start, start + CHUNK)
            lenses = {mass: drawn.select(chunk) for mass, drawn in masses.items()}
            parts.append(_look(smooth, twins.select(chunk), lenses, predictors, nuisances))
            advance(len(parts[-1].arc_distance))
    return Detections(
        arc_distance=np.concatenate([part.arc_distance for part in parts]),
        oracles=_joined([part.oracles for part in parts]),
        models=_joined([part.models for part in parts]),
        controls=control_scores(smooth, settings, predictors),
        hashes={name: drawn.content_hash() for name, drawn in ({"no_sub": twins} | masses).items()},
    )


def control_scores(
    smooth: Scene, settings: DetectionSettings, predictors: Mapping[str, Predictor]
) -> dict[str, Floats]:
    """Let models look at smooth lenses.

    Parameters
    ----------
    smooth : Scene
        From `darkarcs.benchmark.detection_lenses.smooth_scene`.
    settings : DetectionSettings
        With ``num_controls``.
    predictors : mapping of str to Predictor
        Models by name.

    Returns
    -------
    dict of str to ndarray of shape (C,)
        Their scores for substructure.
    """
    if not predictors:
        return {}
    count = settings.num_controls
    drawn = smooth.draw(settings.seed, 0, count, part=settings.part)
    parts = []
    with show_progress(f"smooth lenses of {smooth.name}", count) as advance:
        for start in range(0, count, CHUNK):
            lenses = render_smooth(smooth, drawn.select(slice(start, start + CHUNK)))
            images = observe(smooth, lenses.images, lenses.parameters, "no_sub")
            shared = SharedImages(images)  # models of the same fits
            parts.append({n: scores_of(one, shared.taken_by(one)) for n, one in predictors.items()})
            advance(len(images))
    return _joined(parts)


def _look(
    smooth: Scene,
    twins: LensParameters,
    lenses: Mapping[str, LensParameters],
    predictors: Mapping[str, Predictor],
    nuisances: Mapping[str, float] | None,
) -> Detections:
    """Observe one chunk of lenses with subhalos of all masses."""
    without = render_smooth(smooth, twins, nuisances)
    oracles: list[dict[str, Floats]] = []
    models: dict[str, list[Floats]] = {name: [] for name in predictors}
    for mass, drawn in lenses.items():
        with torch.no_grad():
            images = smooth.render(drawn)
        oracles.append(without.strengths(images))
        if predictors:
            shared = SharedImages(observe(smooth, images, drawn, mass))
            for name, predictor in predictors.items():
                models[name].append(scores_of(predictor, shared.taken_by(predictor)))
    halo = next(iter(lenses.values())).columns
    x, y = (halo[f"substructure.{axis}"] + halo[f"lens.centre_{axis}"] for axis in "xy")
    return Detections(
        arc_distance=distance_to_arc(without.images, x, y, smooth.instrument.pixel_scale),
        oracles={name: np.stack([found[name] for found in oracles]) for name in oracles[0]},
        models={name: np.stack(values) for name, values in models.items()},
        controls={},
        hashes={},
    )


def scores_of(predictor: Predictor, images: LensImages) -> Floats:
    """Let a model look at images.

    Parameters
    ----------
    predictor : Predictor
        The model.
    images : LensImages
        With noise, or what the model takes of them.

    Returns
    -------
    ndarray, shape (N,)
        Its score for substructure; see `darkarcs.benchmark.detection_rates.substructure_score`.
    """
    return substructure_score(predictor.logits(images), predictor.class_names)


def _joined(parts: list[dict[str, Floats]]) -> dict[str, Floats]:
    return {name: np.concatenate([part[name] for part in parts], axis=-1) for name in parts[0]}
