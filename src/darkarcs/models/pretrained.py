"""Published weights for our models: any patch size, image size and number of channels."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from huggingface_hub import hf_hub_download
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from darkarcs.errors import ModelError
from darkarcs.models.interface import ImageClassifier
from darkarcs.models.weight_adaptation import adapt_checkpoint

HUB_PREFIX = "hf_hub:"
_PICKLES = {".bin", ".pth", ".pt", ".ckpt", ".pkl", ".pickle", ".npz"}


@dataclass
class LoadReport:
    """What came from a checkpoint, and what did not.

    Attributes
    ----------
    source : str
        Path or hub name.
    loaded : list of str
        Parameters taken as they are.
    resized : list of str
        Parameters adapted, each with a word on how.
    left_out : list of str
        Of the checkpoint, not used, each with the reason.
    missing : list of str
        Parameters of the model that the checkpoint does not have: these stay as initialized.

    Examples
    --------
    >>> print(LoadReport("weights.safetensors", loaded=["norm.weight"], missing=["head.weight"]))
    weights.safetensors: 1 tensor loaded as it is; left as initialized: head.weight.
    """

    source: str
    loaded: list[str] = field(default_factory=list)
    resized: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        count = len(self.loaded)
        counted = (
            "1 tensor loaded as it is" if count == 1 else f"{count} tensors loaded as they are"
        )
        parts = [f"{self.source}: {counted}"]
        for word, names in (
            ("adapted", self.resized),
            ("left out", self.left_out),
            ("left as initialized", self.missing),
        ):
            if names:
                parts.append(f"{word}: {_shorten(names)}")
        return "; ".join(parts) + "."


def _shorten(names: list[str], limit: int = 6) -> str:
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more


def read_checkpoint(source: str | Path) -> dict[str, Tensor]:
    """Read a state dict from a safetensors file or the Hugging Face hub.

    Parameters
    ----------
    source : str or pathlib.Path
        Path of a ``.safetensors`` file, or ``hf_hub:owner/name`` (optionally
        ``hf_hub:owner/name@revision``), whose ``model.safetensors`` is downloaded and cached.

    Returns
    -------
    dict of str to Tensor
        By parameter name.

    Raises
    ------
    ModelError
        If the file is absent, cannot be downloaded, is broken, or could only be unpickled.
    """
    text = str(source)
    path = _download(text) if text.startswith(HUB_PREFIX) else Path(text)
    if path.suffix.lower() in _PICKLES:
        raise ModelError(
            f"{path}: is not read, because unpickling a file can run any code: "
            "convert it with safetensors.torch.save_file to a .safetensors file"
        )
    if not path.is_file():
        raise ModelError(
            f"{path}: no such file: pretrained weights are the path of a .safetensors file, "
            "'hf_hub:owner/name' or 'default'"
        )
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{path}: is not a readable safetensors file ({error})") from None


def _download(name: str) -> Path:
    repository, _, revision = name.removeprefix(HUB_PREFIX).partition("@")
    try:
        return Path(hf_hub_download(repository, "model.safetensors", revision=revision or None))
    except (ValueError, OSError) as error:  # the hub's own errors derive from these
        reason = str(error).strip().splitlines()[0]
        raise ModelError(
            f"{name}: model.safetensors cannot be downloaded ({reason}); "
            "download it elsewhere and give the path of the file"
        ) from None


def load_pretrained(model: ImageClassifier, source: str | Path) -> LoadReport:
    """Load a checkpoint into a model that may differ from it in input and head.

    A ViT, DeiT or DINO checkpoint with timm's names fits any `VisionTransformer` of the same
    width: patch kernels are resized by the pseudo-inverse (FlexiViT), position embeddings
    interpolated, channels adapted; layer scales and positions of the class token are folded
    where the model has none. Other models take tensors of equal name and shape, and the first
    convolution with adapted channels. A head of another class count is left out.

    Parameters
    ----------
    model : ImageClassifier
        Changed in place.
    source : str or pathlib.Path
        See `read_checkpoint`.

    Returns
    -------
    LoadReport
        What was loaded, resized, left out and missing.

    Raises
    ------
    ModelError
        If the checkpoint cannot be read, or is of another architecture.

    Notes
    -----
    Inputs are expected on the scale that the checkpoint was trained with (`ModelSpec.mean` and
    `ModelSpec.std`: for the AugReg ViTs, images in 0..1 mapped to -1..1); fine-tuning
    forgives another normalization of similar size. For one channel the kernels are summed over
    red, green and blue, which equals feeding the same grey image to all three.
    """
    report = LoadReport(str(source))
    checkpoint = read_checkpoint(source)
    target = model.state_dict()
    notes = adapt_checkpoint(checkpoint, model)
    fitting: dict[str, Tensor] = {}
    for name, tensor in checkpoint.items():
        if name not in target:
            report.left_out.append(f"{name} (the model has none)")
        elif tensor.shape != target[name].shape:
            shapes = f"{tuple(tensor.shape)} against {tuple(target[name].shape)}"
            report.left_out.append(f"{name} ({shapes})")
        else:
            fitting[name] = tensor
            if name in notes:
                report.resized.append(f"{name} ({notes[name]})")
            else:
                report.loaded.append(name)
    report.missing = [name for name in target if name not in fitting]
    _require_same_architecture(target, fitting, report)
    model.load_state_dict(fitting, strict=False)
    return report


def _require_same_architecture(
    target: dict[str, Tensor], fitting: dict[str, Tensor], report: LoadReport
) -> None:
    body = [name for name in target if name.startswith(("blocks.", "layer"))] or list(target)
    absent = [name for name in body if name not in fitting]
    if len(absent) > len(body) // 4:
        reason = next((e for e in report.left_out if e.startswith(absent[0])), absent[0])
        raise ModelError(
            f"{report.source}: fits {len(body) - len(absent)} of the model's {len(body)} inner "
            f"tensors: it is another architecture (first that differs: {reason}); choose the "
            "model that it was made for, or 'vit' to read the shape off the checkpoint"
        )
