"""Recipes: one strict YAML file says everything about a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, SerializeAsAny, field_validator, model_validator

from darkarcs.configuration import Configuration, apply_overrides, read_yaml
from darkarcs.data import Augmentation, Preprocessing, SplitSettings
from darkarcs.errors import ConfigurationError
from darkarcs.model_folder import TestTimeAugmentation
from darkarcs.models import FineTuning
from darkarcs.objectives import Classification, objectives
from darkarcs.registry import nearest
from darkarcs.training.teachers import TeacherSettings

SCHEMA_VERSION = 1


class ModelSettings(Configuration):
    """Which model, and from which weights.

    Attributes
    ----------
    name : str
        A name of the model registry, or ``huggingface:<name>``.
    pretrained : str, optional
        A ``.safetensors`` file, ``hf_hub:owner/name``, or ``default`` for the registry's own.
    options : dict
        Overrides of the architecture, such as ``{"patch_size": 12, "stochastic_depth": 0.1}``.
    """

    name: str
    pretrained: str | None = None
    options: dict[str, Any] = {}

    @field_validator("options")
    @classmethod
    def _not_reserved(cls, value: dict[str, Any]) -> dict[str, Any]:
        reserved = {"num_classes", "in_channels", "image_size", "pretrained"} & set(value)
        if reserved:
            raise ValueError(f"'{min(reserved)}' follows from the data or has a key of its own")
        return value


class TrainingSettings(Configuration):
    """Optimizer, schedule and length of a run.

    Attributes
    ----------
    epochs : int, default 20
        Passes over the training images; validation and a checkpoint come after each.
    batch_size : int, default 128
        Images a step; the last incomplete batch of an epoch is left out.
    images_per_epoch : int, optional
        Images of an epoch, drawn anew each time; all of them by default. A stream has its own.
    learning_rate : float, default 1e-3
        Peak learning rate of the head and, with ``layer_decay`` 1, of all layers.
    weight_decay : float, default 0.05
        AdamW's; not applied to biases, norms, tokens and position embeddings.
    betas : tuple of float, default (0.9, 0.999)
        AdamW's.
    layer_decay : float, default 1.0
        Each layer group nearer to the input trains at this factor times the next.
    warmup : float, default 0.1
        Share of all steps in which the learning rate rises linearly; a cosine to
        ``final_learning_rate`` times the peak follows.
    final_learning_rate : float, default 0.01
        Share of the peak at the last step.
    gradient_clip : float, default 1.0
        Largest norm of the gradient; 0 for none.
    ema_share : float, default 0.02
        Horizon of the moving average of the weights that is validated and released, as a share
        of all steps; 0 for none. A share, not a decay: an average over a quarter of a run mixes
        weights that have nothing in common (measured on a compact transformer: AUC 0.43 against
        0.98 for the last weights).
    precision : {"auto", "32", "bf16"}, default "auto"
        ``auto`` takes bfloat16 autocast where the device computes it natively.
    early_stopping : int, optional
        Stop after this many epochs without a better validation AUC.
    evaluation_batch_size : int, default 256
        Images a step in validation.
    loggers : tuple of {"tensorboard", "wandb"}
        Beside the CSV that is always written.
    threads : int, optional
        CPU threads; fixed for bit-for-bit equal repeats.
    """

    epochs: int = Field(default=20, ge=1)
    batch_size: int = Field(default=128, ge=1)
    images_per_epoch: int | None = Field(default=None, ge=1)
    learning_rate: float = Field(default=1e-3, gt=0)
    weight_decay: float = Field(default=0.05, ge=0)
    betas: tuple[float, float] = (0.9, 0.999)
    layer_decay: float = Field(default=1.0, gt=0, le=1)
    warmup: float = Field(default=0.1, ge=0, lt=1)
    final_learning_rate: float = Field(default=0.01, ge=0, le=1)
    gradient_clip: float = Field(default=1.0, ge=0)
    ema_share: float = Field(default=0.02, ge=0, le=0.5)
    precision: Literal["auto", "32", "bf16"] = "auto"
    early_stopping: int | None = Field(default=None, ge=1)
    evaluation_batch_size: int = Field(default=256, ge=1)
    loggers: tuple[Literal["tensorboard", "wandb"], ...] = ()
    threads: int | None = Field(default=None, ge=1)


class StreamSettings(Configuration):
    """How an endless stream of simulated lenses is used; see ``scene:`` without ``num``.

    Attributes
    ----------
    images_per_epoch : int, default 16384
        Fresh lenses between two validations.
    num_validation : int, default 2048
        Lenses of the validation part, the same at each validation.
    num_fit : int, default 1024
        First lenses of the training part, whose statistics become the preprocessing's constants.
    """

    images_per_epoch: int = Field(default=16384, ge=1)
    num_validation: int = Field(default=2048, ge=2)
    num_fit: int = Field(default=1024, ge=2)


class Recipe(Configuration):
    """A whole run.

    Attributes
    ----------
    schema_version : int
        Version of this schema.
    name : str
        What the run is called in results.
    description : str
        One line for people.
    seed : int
        Root of every random stream of the run: initial weights, order, augmentation, dropout.
    test_time_augmentation : {"none", "dihedral"}, default "none"
        How the released model predicts: one view, or the mean over the eight rotations and
        reflections. Written into the model folder; selection while training uses one view.
    unlabelled : {"none", "rest"}, default "none"
        Whether a few-label run (``split.num_per_class``) also learns, without their labels, from
        the rest of the training split.
    split, stream, preprocessing, augmentation, model, fine_tuning, teacher, objective, training
        The parts; see their classes. ``split`` divides a set of images, ``stream`` is for data
        without end.
    """

    schema_version: Literal[1] = 1
    name: str
    description: str = ""
    seed: int = 0
    test_time_augmentation: TestTimeAugmentation = "none"
    unlabelled: Literal["none", "rest"] = "none"
    split: SplitSettings = SplitSettings()
    stream: StreamSettings = StreamSettings()
    preprocessing: Preprocessing = Preprocessing()
    augmentation: Augmentation = Augmentation()
    model: ModelSettings
    fine_tuning: FineTuning = FineTuning()
    teacher: TeacherSettings = TeacherSettings()
    objective: SerializeAsAny[Configuration] = Classification()
    training: TrainingSettings = TrainingSettings()

    @model_validator(mode="after")
    def _rest_of_few(self) -> Recipe:
        if self.unlabelled == "rest" and self.split.num_per_class is None:
            raise ValueError("unlabelled: rest needs split.num_per_class, or nothing is left over")
        return self

    @field_validator("objective", mode="before")
    @classmethod
    def _objective(cls, value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        configuration, _ = objectives[str(value.get("kind", "classification"))]
        return configuration.parse(value, "objective")


def load_recipe(path: Path | str, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe and apply overrides.

    Parameters
    ----------
    path : pathlib.Path or str
        A YAML file, or the name of a recipe inside the package (`packaged_recipes`).
    overrides : sequence of str
        Each ``"a.b=c"``.

    Returns
    -------
    Recipe
        Validated.

    Raises
    ------
    ConfigurationError
        One line: which key of which file is wrong, and what is near.
    """
    packaged = packaged_recipes()
    if not Path(path).is_file() and "/" not in str(path) and not str(path).endswith(".yaml"):
        if str(path) not in packaged:
            raise ConfigurationError(
                f"{path}: neither a file nor a packaged recipe; "
                + nearest(str(path), list(packaged))
            )
        path = packaged[str(path)]
    path = Path(path)
    values = apply_overrides(read_yaml(path), overrides)
    version = values.get("schema_version", SCHEMA_VERSION)
    if version != SCHEMA_VERSION:
        raise ConfigurationError(
            f"{path}: schema_version {version} is not the {SCHEMA_VERSION} that this release reads"
        )
    return Recipe.parse(values, str(path))


def packaged_recipes() -> dict[str, Path]:
    """List the recipes that travel inside the package.

    Returns
    -------
    dict of str to pathlib.Path
        File by name.

    Examples
    --------
    >>> "demo" in packaged_recipes()
    True
    """
    folder = Path(__file__).resolve().parent / "recipes"
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}
