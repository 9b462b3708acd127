"""The measuring head beside a model: ``measurement.safetensors`` and ``measurement.json``.

They lie in the model folder, whose other files do not know of them: a model that measures
classifies like any other. Nothing in them is executable.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import Field
from safetensors import SafetensorError
from safetensors.torch import load_file, save

from darkarcs.configuration import Configuration
from darkarcs.errors import ModelError
from darkarcs.objectives import HeadShape, MeasurementHead, SubstructureMap, TargetRequest
from darkarcs.objectives.regression_losses import RegressionLoss
from darkarcs.objectives.targets import Transform

HEAD, DESCRIPTION = "measurement.safetensors", "measurement.json"
#: Files beside a model that measures.
MEASUREMENT_FILES = (HEAD, DESCRIPTION)


class MeasuredTarget(Configuration):
    """One number that a model measures.

    Attributes
    ----------
    name : str
        Column of the metadata.
    transform : {"none", "log10"}
        What was done to it: intervals are those of the transformed number.
    mean, std : float
        Of the transformed number in training.
    corrections : dict of str to float
        By level of the interval (``"0.9"``) what `darkarcs.evaluation.conformal_regression` found
        on the calibration lenses.
    num_calibration : int, default 0
        On how many of them.
    """

    name: str
    transform: Transform
    mean: float
    std: float
    corrections: dict[str, float] = {}
    num_calibration: int = 0


class Measurement(Configuration):
    """Content of ``measurement.json``.

    Attributes
    ----------
    schema_version : int
        Version of this schema.
    shape : HeadShape
        How to build the head.
    loss : QuantileLoss or GaussianLoss
        What its numbers mean.
    levels : tuple of float
        Of the intervals.
    targets : tuple of MeasuredTarget
        In the order of the head's outputs.
    map : SubstructureMap, optional
        What its map means.
    balance : float, default 1.0
        Weight of the map's occupied cells in training.
    calibration : str
        On what the corrections were fitted.
    """

    schema_version: Literal[1] = 1
    shape: HeadShape
    loss: RegressionLoss
    levels: tuple[float, ...] = Field(min_length=1)
    targets: tuple[MeasuredTarget, ...]
    map: SubstructureMap | None = None
    balance: float = 1.0
    calibration: str = ""

    def request(self) -> TargetRequest:
        """Say what the truth of these measurements is.

        Returns
        -------
        TargetRequest
            As the objective asked for it.
        """
        return TargetRequest(
            transforms={target.name: target.transform for target in self.targets},
            cells=None if self.map is None else self.map.cells,
            min_mass=0.0 if self.map is None else self.map.min_mass,
        )


@dataclass(frozen=True)
class MeasuringModel:
    """A measuring head read from a model folder.

    Attributes
    ----------
    description : Measurement
        Content of ``measurement.json``.
    head : MeasurementHead
        In evaluation mode.
    head_hash : str
        SHA-256 over both files.
    """

    description: Measurement
    head: MeasurementHead
    head_hash: str


def has_measurement(folder: Path) -> bool:
    """Tell whether a model folder holds a measuring head.

    Parameters
    ----------
    folder : pathlib.Path
        A model folder.

    Returns
    -------
    bool
        Whether its description is there.
    """
    return (Path(folder) / DESCRIPTION).is_file()


def measures_only(class_names: Sequence[str], recipe: Mapping[str, Any]) -> bool:
    """Tell whether a model was trained to measure and to tell no classes apart.

    Parameters
    ----------
    class_names : sequence of str
        Of the model.
    recipe : mapping
        That it was trained by, as its provenance holds it; may be empty.

    Returns
    -------
    bool
        True if its classes say nothing.

    Examples
    --------
    >>> measures_only(("cdm",), {"objective": {"kind": "regression"}})
    True
    """
    objective = recipe.get("objective", {})
    if objective.get("kind") != "regression":
        return False
    return len(class_names) < 2 or not objective.get("classification", {}).get("weight", 0)


def measurement_files(head: MeasurementHead, description: Measurement) -> dict[str, bytes]:
    """Give the files of a measuring head, as `darkarcs.model_folder.write_model_folder` takes them.

    Parameters
    ----------
    head : MeasurementHead
        Its weights are stored.
    description : Measurement
        Stored as JSON.

    Returns
    -------
    dict of str to bytes
        Content by file name.
    """
    state = {name: value.detach().cpu().contiguous() for name, value in head.state_dict().items()}
    text = json.dumps(description.model_dump(mode="json"), indent=2, allow_nan=False) + "\n"
    return {HEAD: save(state), DESCRIPTION: text.encode()}


def read_measurement(folder: Path, device: torch.device | str = "cpu") -> MeasuringModel:
    """Read the measuring head of a model folder.

    Parameters
    ----------
    folder : pathlib.Path
        A model folder.
    device : torch.device or str, default "cpu"
        Where the head goes.

    Returns
    -------
    MeasuringModel
        Ready to measure.

    Raises
    ------
    ModelError
        If there is none, or a file is damaged.
    """
    folder = Path(folder)
    if not has_measurement(folder):
        raise ModelError(
            f"{folder}: this model classifies but does not measure (no {DESCRIPTION} in it): train "
            "one with objective.kind=regression"
        )
    description = Measurement.parse(_read_json(folder / DESCRIPTION), str(folder / DESCRIPTION))
    head = MeasurementHead(description.shape)
    try:
        head.load_state_dict(load_file(folder / HEAD))
    except (OSError, SafetensorError, RuntimeError) as error:
        reason = str(error).splitlines()[-1].strip()
        raise ModelError(f"{folder / HEAD}: cannot be read ({reason})") from None
    digest = hashlib.sha256()
    for name in (HEAD, DESCRIPTION):
        digest.update((folder / name).read_bytes())
    return MeasuringModel(description, head.to(device).eval(), digest.hexdigest())


def _read_json(file: Path) -> Mapping[str, Any]:
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ModelError(f"{file}: is damaged ({error}); copy the model folder again") from None
    if not isinstance(values, dict):
        raise ModelError(f"{file}: is damaged (not a JSON object); copy the model folder again")
    return values
