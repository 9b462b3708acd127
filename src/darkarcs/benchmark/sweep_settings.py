"""What a sweep compares: its file, and the recipe of each of its runs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from pydantic import Field

from darkarcs.configuration import Configuration, read_yaml
from darkarcs.errors import ConfigurationError
from darkarcs.explain import ErasingSettings
from darkarcs.training import Recipe, load_recipe

#: What stands for the model folder of another arm, as in ``teacher.models=[{model:plain}]``.
_MODEL_OF_ARM = re.compile(r"\{model:([^}]+)\}")
#: Images that measure an arm without being looked at while it trains, and without the test split.
DEVELOPMENT = "development"


class Sweep(Configuration):
    """A comparison of arms.

    Attributes
    ----------
    schema_version : 1
        Of these keys.
    name, description : str
        Name of the results; one line for people.
    recipe : str
        The base, relative to the sweep's file.
    common : tuple of str
        Overrides of every arm, each ``a.b=c``.
    arms : dict of str to tuple of str
        Overrides of each arm; the first arm is the plain one. ``{model:ARM}`` stands for the
        model folder of an arm before it, with the same labels and seed.
    budget_images : int
        Images that the plain arm sees; every arm spends as many token-forwards, teachers and
        decoders included.
    seeds : tuple of int
        Of weights, order, augmentation and the draw of labels.
    num_per_class : tuple of int or None
        Labels a class, those that select included; None, or an empty tuple, for all labels.
    learning_rates : tuple of float
        Each arm is trained with every one, and its own validation images choose; empty for the
        recipe's.
    tuned_with : {"every seed", "first seed"}
        Whether each seed chooses its learning rate, or the first one for all; the choice is
        made anew for each number of labels.
    measured_on : {"development", "test"}
        ``development``: the validation split of the whole set less the images that the run
        itself has. A screen that chooses arms must use it; each look at ``test`` is logged.
    erasing : ErasingSettings, optional
        Each model is measured a second time with this prediction strategy.
    """

    schema_version: Literal[1] = 1
    name: str
    description: str = ""
    recipe: str
    common: tuple[str, ...] = ()
    arms: dict[str, tuple[str, ...]] = Field(min_length=1)
    budget_images: int = Field(gt=0)
    seeds: tuple[int, ...] = (0,)
    num_per_class: tuple[int | None, ...] = ()
    learning_rates: tuple[float, ...] = ()
    tuned_with: Literal["every seed", "first seed"] = "every seed"
    measured_on: Literal["development", "test"] = "development"
    erasing: ErasingSettings | None = None


def load_sweep(path: Path) -> Sweep:
    """Read a sweep.

    Parameters
    ----------
    path : pathlib.Path
        A YAML file.

    Returns
    -------
    Sweep
        Its recipe as an absolute path.

    Raises
    ------
    ConfigurationError
        One line: which key is wrong.
    """
    sweep = Sweep.parse(read_yaml(path), str(path))
    return sweep.model_copy(update={"recipe": str(path.parent / sweep.recipe)})


@dataclass(frozen=True)
class SweepRun:
    """One arm, number of labels and seed of a sweep.

    Attributes
    ----------
    sweep : Sweep
        The comparison.
    arm : str
        Which arm.
    labels : int or None
        Labels a class, None for all.
    seed : int
        Of the run and of the draw of labels.
    overrides : tuple of str
        More overrides of every arm.
    models : mapping of str to pathlib.Path
        Model folders of the arms that came before, with the same labels and seed.
    """

    sweep: Sweep
    arm: str
    labels: int | None
    seed: int
    overrides: tuple[str, ...]
    models: Mapping[str, Path]

    def recipe(self, more: tuple[str, ...] = ()) -> Recipe:
        """Resolve the recipe.

        Parameters
        ----------
        more : tuple of str
            Overrides that win over all others.

        Returns
        -------
        Recipe
            Validated.

        Raises
        ------
        ConfigurationError
            If a key is wrong, or an arm is named that does not come before.
        """
        few = (f"split.num_per_class={self.labels}", f"split.subset_seed={self.seed}")
        named = (f"name={self.sweep.name}-{self.arm}", f"seed={self.seed}")
        given = [*self.sweep.common, *self.sweep.arms[self.arm], *named]
        given += [*(few if self.labels is not None else ()), *self.overrides, *more]
        return load_recipe(self.sweep.recipe, [self._filled(text) for text in given])

    def _filled(self, override: str) -> str:
        def folder(match: re.Match[str]) -> str:
            if match[1] not in self.models:
                raise ConfigurationError(
                    f"{self.sweep.name}: {match[0]} in arm '{self.arm}': no such arm before it"
                )
            return str(self.models[match[1]])

        return _MODEL_OF_ARM.sub(folder, override)

    def first(self) -> SweepRun:
        """Give the plain arm's run.

        Returns
        -------
        SweepRun
            With the same labels and seed.
        """
        return replace(self, arm=next(iter(self.sweep.arms)))
