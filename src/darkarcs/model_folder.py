"""The model folder: everything that classification needs, and nothing else.

A folder holds ``model.safetensors`` (the weights), ``model.json`` (architecture, preprocessing
with its constants, class names, temperature, provenance) and ``seen.safetensors`` (the first
64 bits of the identity of each image that training or selection has seen, so that an
evaluation can tell whether its data overlap). ``trust.safetensors`` may lie beside them: what
tells images that are unlike the training set (`darkarcs.trust`). Nothing in it is executable.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from darkarcs.configuration import Configuration
from darkarcs.data import FittedPreprocessing
from darkarcs.data.augmentation import apply_dihedral
from darkarcs.data.lens_images import SMOOTH_FIT as SMOOTH_FIT
from darkarcs.errors import ModelError, require_new
from darkarcs.models import create_model

#: How a model predicts: one view of an image, or the mean over its eight rotations and
#: reflections, under which the physics does not change.
TestTimeAugmentation = Literal["none", "dihedral"]

WEIGHTS, DESCRIPTION, SEEN = "model.safetensors", "model.json", "seen.safetensors"


class Architecture(Configuration):
    """What `darkarcs.models.create_model` needs to build the model again.

    Attributes
    ----------
    name : str
        Name in the model registry.
    num_classes, in_channels, image_size : int
        Shape of input and output; the size in pixels.
    options : dict
        Overrides of the architecture.
    """

    name: str
    num_classes: int
    in_channels: int
    image_size: int
    options: dict[str, Any] = {}


class ModelDescription(Configuration):
    """Content of ``model.json``.

    Attributes
    ----------
    schema_version : int
        Version of this schema.
    name : str
        Name of the model or of the run that made it.
    task : str
        What it tells apart, for example ``"no_sub against sub"``.
    architecture : Architecture
        How to build it.
    preprocessing : FittedPreprocessing
        With its constants.
    smooth_fit : dict, optional
        The model looks at residuals of smooth lenses, made as this says
        (`darkarcs.fitting.SmoothFit`); preprocessing is then of the residuals.
    class_names : tuple of str
        In the order of the logits.
    test_time_augmentation : {"none", "dihedral"}, default "none"
        How the model predicts unless told otherwise.
    temperature : float, default 1.0
        Divides the logits before the softmax.
    split : dict
        The split settings of the recipe and a hash of each split's identities, so that
        ``evaluate --split test`` can repeat it.
    data : dict
        Content hash, source and size of the data set trained on.
    provenance : dict
        Command, recipe, seed, version, images seen, token-forwards, wall time, learning curve.
    """

    schema_version: Literal[1] = 1
    name: str
    task: str
    architecture: Architecture
    preprocessing: FittedPreprocessing
    smooth_fit: dict[str, Any] | None = None
    class_names: tuple[str, ...]
    test_time_augmentation: TestTimeAugmentation = "none"
    temperature: float = 1.0
    split: dict[str, Any] = {}
    data: dict[str, Any] = {}
    provenance: dict[str, Any] = {}


def predict_logits(
    model: nn.Module, images: Tensor, test_time_augmentation: TestTimeAugmentation
) -> Tensor:
    """Predict one batch.

    Parameters
    ----------
    model : torch.nn.Module
        In evaluation mode.
    images : torch.Tensor, shape (B, C, S, S)
        Preprocessed.
    test_time_augmentation : {"none", "dihedral"}
        ``dihedral`` averages the log-probabilities of the eight rotations and reflections.

    Returns
    -------
    torch.Tensor, shape (B, K)
        Logits.
    """
    if test_time_augmentation == "none":
        logits: Tensor = model(images).logits
        return logits
    views = []
    for element in range(8):
        chosen = torch.full((len(images),), element, device=images.device)
        views.append(model(apply_dihedral(images, chosen)).logits.log_softmax(dim=1))
    return torch.stack(views).mean(dim=0)


@dataclass(frozen=True)
class ModelFolder:
    """A model read from its folder.

    Attributes
    ----------
    path : pathlib.Path
        The folder.
    description : ModelDescription
        Content of ``model.json``.
    model : torch.nn.Module
        In evaluation mode, float32.
    model_hash : str
        SHA-256 over both files, the weights and the description.
    seen : dict of str to numpy.ndarray
        By split name the sorted 64-bit identities that training has seen.
    """

    path: Path
    description: ModelDescription
    model: nn.Module
    model_hash: str
    seen: dict[str, NDArray[np.int64]]


def short_identities(identities: Sequence[str] | NDArray[np.str_]) -> NDArray[np.int64]:
    """Shorten identities to 64 bits, sorted.

    Parameters
    ----------
    identities : sequence of str
        Hexadecimal digests, of which the first 16 digits are taken; others (those of simulated
        lenses) are hashed.

    Returns
    -------
    numpy.ndarray, shape (N,), int64
        Sorted.

    Examples
    --------
    >>> short_identities(["00000000000000ff" + "0" * 48]).tolist()
    [255]
    """
    values = np.array([int(_digest(str(text))[:16], 16) for text in identities], dtype=np.uint64)
    return np.sort(values.view(np.int64))


def _digest(identity: str) -> str:
    is_digest = len(identity) == 64 and set(identity) <= set("0123456789abcdef")
    return identity if is_digest else hashlib.sha256(identity.encode()).hexdigest()


def write_model_folder(
    path: Path,
    model: nn.Module,
    description: ModelDescription,
    seen: Mapping[str, NDArray[np.int64]],
    *,
    half: bool = False,
    extras: Mapping[str, bytes] | None = None,
) -> Path:
    """Write a model folder.

    Parameters
    ----------
    path : pathlib.Path
        A new or empty folder.
    model : torch.nn.Module
        Its state dict is stored.
    description : ModelDescription
        Stored as JSON.
    seen : mapping of str to numpy.ndarray
        From `short_identities`, by split.
    half : bool, default False
        Store floating-point weights as float16; they are read back as float32.
    extras : mapping of str to bytes, optional
        Content of further files by name, such as ``trust.safetensors``; the model works
        without them, and they do not enter its hash.

    Returns
    -------
    pathlib.Path
        The folder.

    Raises
    ------
    OutputExistsError
        If something is there already.
    """
    path = require_new(path)
    part = path.with_name(path.name + ".part")  # a kill leaves this behind, never half a model
    if part.exists():
        shutil.rmtree(part)
    part.mkdir(parents=True)
    state = {}
    for name, value in model.state_dict().items():
        narrow = half and value.is_floating_point()
        state[name] = (value.half() if narrow else value).detach().cpu().contiguous()
    save_file(state, part / WEIGHTS)
    save_file({k: torch.from_numpy(v.copy()) for k, v in seen.items()}, part / SEEN)
    for name, content in (extras or {}).items():
        (part / name).write_bytes(content)
    text = json.dumps(description.model_dump(mode="json"), indent=2) + "\n"
    (part / DESCRIPTION).write_text(text, encoding="utf-8")
    if path.exists():  # an empty folder
        path.rmdir()
    return part.rename(path)


def read_description(path: Path) -> ModelDescription:
    """Read ``model.json`` alone, without touching the weights.

    Parameters
    ----------
    path : pathlib.Path
        A model folder.

    Returns
    -------
    ModelDescription
        Validated.

    Raises
    ------
    ModelError
        If it is no model folder, or its JSON is damaged.
    """
    file = Path(path) / DESCRIPTION
    if not file.is_file():
        raise ModelError(f"{path}: is not a model folder (no {DESCRIPTION} in it)")
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ModelError(f"{file}: is damaged ({error}); copy the model folder again") from None
    if not isinstance(values, dict):
        raise ModelError(f"{file}: is damaged (not a JSON object); copy the model folder again")
    return ModelDescription.parse(values, str(file))


def hash_model_folder(path: Path) -> str:
    """Hash a model's weights and description.

    Parameters
    ----------
    path : pathlib.Path
        A model folder.

    Returns
    -------
    str
        SHA-256, hexadecimal.
    """
    digest = hashlib.sha256()
    for name in (WEIGHTS, DESCRIPTION):
        digest.update((Path(path) / name).read_bytes())
    return digest.hexdigest()


def read_model_folder(path: Path, device: torch.device | str = "cpu") -> ModelFolder:
    """Read a model folder and build its model.

    Parameters
    ----------
    path : pathlib.Path
        A model folder.
    device : torch.device or str, default "cpu"
        Where the model goes.

    Returns
    -------
    ModelFolder
        The model in evaluation mode and its description.

    Raises
    ------
    ModelError
        If a file is missing or damaged, or the weights do not fit the architecture.
    """
    path = Path(path)
    description = read_description(path)
    architecture = description.architecture
    model = create_model(
        architecture.name,
        num_classes=architecture.num_classes,
        in_channels=architecture.in_channels,
        image_size=architecture.image_size,
        **architecture.options,
    )
    try:
        state = load_file(path / WEIGHTS)
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{path / WEIGHTS}: cannot be read ({error})") from None
    state = {k: v.float() if v.is_floating_point() else v for k, v in state.items()}
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        reason = str(error).splitlines()[1 if "\n" in str(error) else 0].strip()
        raise ModelError(
            f"{path / WEIGHTS}: does not fit the architecture '{architecture.name}' ({reason})"
        ) from None
    seen: dict[str, NDArray[np.int64]] = {}
    if (path / SEEN).is_file():
        with safe_open(path / SEEN, framework="numpy") as file:
            seen = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    model = model.to(device).eval()
    return ModelFolder(path, description, model, hash_model_folder(path), seen)
