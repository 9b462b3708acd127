"""What an objective learns beside labels, made from the lenses of a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from darkarcs.data import Augmentation, FittedPreprocessing, LensImages
from darkarcs.data.augmentation import apply_dihedral
from darkarcs.errors import ConfigurationError
from darkarcs.measurement import describe_targets, find_targets
from darkarcs.objectives import COUNTS, TargetRequest, TargetStatistics
from darkarcs.objectives.regression import measure_features
from darkarcs.training.recipe import Recipe


@dataclass(frozen=True)
class TargetMaker:
    """Turns the metadata and lists of lenses into targets.

    Attributes
    ----------
    request : TargetRequest
        What the objective asks for.
    preprocessing : FittedPreprocessing
        Of the images.
    grid : int
        Patches along the side of a preprocessed image.
    """

    request: TargetRequest
    preprocessing: FittedPreprocessing
    grid: int

    def make(self, lenses: LensImages) -> dict[str, Tensor]:
        """Make the targets of some lenses.

        Parameters
        ----------
        lenses : LensImages
            With metadata.

        Returns
        -------
        dict of str to torch.Tensor
            See `darkarcs.measurement.find_targets`.
        """
        found = find_targets(lenses, self.request, self.preprocessing, self.grid)
        return {name: torch.from_numpy(values) for name, values in found.items()}

    def describe(self, lenses: LensImages) -> TargetStatistics:
        """Give the statistics of the targets of some lenses.

        Parameters
        ----------
        lenses : LensImages
            Of training.

        Returns
        -------
        TargetStatistics
            By which the objective scales them.
        """
        found = find_targets(lenses, self.request, self.preprocessing, self.grid)
        return describe_targets(found)


def make_target_maker(
    recipe: Recipe, preprocessing: FittedPreprocessing, model: nn.Module
) -> TargetMaker | None:
    """Make the target maker of a recipe whose objective asks for targets.

    Parameters
    ----------
    recipe : Recipe
        Its objective and augmentation.
    preprocessing : FittedPreprocessing
        Of the images.
    model : torch.nn.Module
        Whose patches the map follows.

    Returns
    -------
    TargetMaker or None
        None for an objective that learns from labels alone.

    Raises
    ------
    ConfigurationError
        If a map is asked for and the augmentation moves images in ways that it cannot follow.
    """
    configuration: Any = recipe.objective
    if not hasattr(configuration, "request"):
        return None
    request: TargetRequest = configuration.request()
    augmentation = recipe.augmentation
    moves = {
        "rotation": augmentation.rotation,
        "scale": augmentation.scale is not None,
        "shift_pixels": augmentation.shift_pixels > 0,
    }
    for name, moved in moves.items():
        if moved and request.cells is not None:
            raise ConfigurationError(
                f"augmentation.{name} moves subhalos between the cells of objective.map: set it "
                "off; the eight rotations and reflections of augmentation.dihedral stay"
            )
    _, grid = measure_features(model, preprocessing.channels, preprocessing.height)
    return TargetMaker(request, preprocessing, grid)


def follow(
    targets: dict[str, Tensor] | None,
    augmentation: Augmentation,
    generator: torch.Generator,
    square: bool = True,
) -> dict[str, Tensor] | None:
    """Turn maps as the images of their batch were turned.

    Parameters
    ----------
    targets : dict of str to torch.Tensor, optional
        Of a batch, before augmentation.
    augmentation : Augmentation
        What was done to the images.
    generator : torch.Generator
        In the state in which the images met theirs.
    square : bool, default True
        Whether the images are.

    Returns
    -------
    dict of str to torch.Tensor, optional
        Numbers as they were, the map turned.
    """
    if targets is None or COUNTS not in targets or not augmentation.dihedral:
        return targets
    counts = targets[COUNTS]
    element = augmentation.dihedral_elements(len(counts), square, generator)
    return {**targets, COUNTS: apply_dihedral(counts[:, None], element)[:, 0]}
