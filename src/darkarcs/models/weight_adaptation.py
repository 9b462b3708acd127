"""Fitting a checkpoint's tensors to a model of another patch size, image size or input."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from darkarcs.models.interface import ImageClassifier
from darkarcs.models.position_embedding import resize_position_embedding
from darkarcs.models.vision_transformer import VisionTransformer

_PREFIX_TOKENS = ("cls_token", "dist_token", "reg_token")


def resize_patch_kernel(kernel: Tensor, size: tuple[int, int]) -> Tensor:
    r"""Resize patch-embedding kernels so that resized patches give the same tokens.

    With :math:`x' = B x` the (bicubic) resizing of a patch, the new kernel is
    :math:`w' = (B^\top)^{+} w`, the best solution of :math:`\langle x', w' \rangle =
    \langle x, w \rangle` for all :math:`x`; it is exact when patches grow.

    Parameters
    ----------
    kernel : Tensor, shape (D, C, h, w)
        Of the patch embedding.
    size : tuple of int, pixels
        New height and width.

    Returns
    -------
    Tensor, shape (D, C, *size)
        Of the same dtype.

    References
    ----------
    Beyer et al. 2023, FlexiViT, arXiv 2212.08013, equation 2 and section 3.4.

    Examples
    --------
    >>> kernel = torch.rand(1, 1, 4, 4)
    >>> patch = torch.rand(1, 1, 4, 4)
    >>> larger = F.interpolate(patch, (6, 6), mode="bicubic", antialias=True)
    >>> before, after = (kernel * patch).sum(), (resize_patch_kernel(kernel, (6, 6)) * larger).sum()
    >>> bool(torch.isclose(before, after, atol=1e-5))
    True
    """
    # resizing in two dimensions is a Kronecker product, and so is its pseudo-inverse
    rows: Tensor = torch.linalg.pinv(_resize_matrix(kernel.shape[2], size[0]).T)  # (new h, h)
    columns: Tensor = torch.linalg.pinv(_resize_matrix(kernel.shape[3], size[1]).T)  # (new w, w)
    return (rows @ kernel.double() @ columns.T).to(kernel.dtype)


def _resize_matrix(old: int, new: int) -> Tensor:
    # columns are unit vectors, and only the rows are resized
    basis = torch.eye(old, dtype=torch.float64)[None, None]  # (1, 1, old, old)
    return F.interpolate(basis, (new, old), mode="bicubic", antialias=True)[0, 0]  # (new, old)


def adapt_channels(kernel: Tensor, in_channels: int) -> Tensor:
    """Fit the first convolution's kernels to another number of channels.

    Parameters
    ----------
    kernel : Tensor, shape (D, C, h, w)
        Of the first convolution.
    in_channels : int
        Wanted.

    Returns
    -------
    Tensor, shape (D, in_channels, h, w)
        For one channel the sum over the old ones, which equals feeding one grey image to all
        of them. Otherwise the old ones repeated in turn and scaled by C / in_channels, so
        that activations keep their size.

    Examples
    --------
    >>> adapt_channels(torch.ones(1, 3, 1, 1), 1).flatten().tolist()
    [3.0]
    >>> adapt_channels(torch.ones(1, 3, 1, 1), 6).flatten().tolist()
    [0.5, 0.5, 0.5, 0.5, 0.5, 0.5]
    """
    old = kernel.shape[1]
    if old == in_channels:
        return kernel
    if in_channels == 1:
        return kernel.sum(dim=1, keepdim=True)
    repeated = kernel.repeat(1, math.ceil(in_channels / old), 1, 1)[:, :in_channels]
    return repeated * (old / in_channels)


def fold_normalization(
    kernel: Tensor, bias: Tensor, mean: tuple[float, ...], std: tuple[float, ...]
) -> tuple[Tensor, Tensor]:
    """Move ``(x - mean) / std`` of the input into a patch embedding.

    Parameters
    ----------
    kernel : Tensor, shape (D, C, h, w)
        Of a convolution without padding.
    bias : Tensor, shape (D,)
        Its bias.
    mean, std : tuple of float, length C
        The normalization that the weights were trained with.

    Returns
    -------
    kernel : Tensor, shape (D, C, h, w)
        For raw input.
    bias : Tensor, shape (D,)
        For raw input.
    """
    folded = kernel / kernel.new_tensor(std)[:, None, None]
    return folded, bias - torch.einsum("dchw,c->d", folded, kernel.new_tensor(mean))


def adapt_checkpoint(checkpoint: dict[str, Tensor], model: ImageClassifier) -> dict[str, str]:
    """Change a checkpoint's tensors, in place, into those that a model has.

    Parameters
    ----------
    checkpoint : dict of str to Tensor
        Changed in place.
    model : ImageClassifier
        Not changed.

    Returns
    -------
    dict of str to str
        What was done to which tensor.
    """
    notes: dict[str, str] = {}
    _adapt_input_kernel(checkpoint, model, notes)
    if isinstance(model, VisionTransformer):
        _adapt_positions(checkpoint, model, notes)
        _adapt_layer_scale(checkpoint, model, notes)
    return notes


def _adapt_input_kernel(
    checkpoint: dict[str, Tensor], model: ImageClassifier, notes: dict[str, str]
) -> None:
    name = model.input_kernel
    if name is None or name not in checkpoint or checkpoint[name].ndim != 4:
        return
    kernel, wanted = checkpoint[name], model.state_dict()[name].shape
    done = []
    if name == "patch_embed.proj.weight" and kernel.shape[2:] != wanted[2:]:
        done.append(f"patch of {kernel.shape[-1]} to {wanted[-1]} pixels")
        kernel = resize_patch_kernel(kernel, (wanted[2], wanted[3]))
    if kernel.shape[1] != wanted[1]:
        done.append(f"{kernel.shape[1]} to {wanted[1]} channels")
        kernel = adapt_channels(kernel, wanted[1])
    if done:
        checkpoint[name] = kernel
        notes[name] = ", ".join(done)


def _adapt_positions(
    checkpoint: dict[str, Tensor], model: VisionTransformer, notes: dict[str, str]
) -> None:
    positions = checkpoint.get("pos_embed")
    if positions is None or positions.ndim != 3 or positions.shape[-1] != model.pos_embed.shape[-1]:
        return
    counts = {n: checkpoint[n].shape[1] for n in _PREFIX_TOKENS if n in checkpoint}
    side = math.isqrt(positions.shape[1] - sum(counts.values()))
    if side**2 + sum(counts.values()) != positions.shape[1]:
        side = math.isqrt(positions.shape[1])  # no positions for prefix tokens
        counts = {}
    num_prefix = positions.shape[1] - side**2
    if num_prefix not in (0, sum(counts.values())):
        return  # not a square grid: left out, with its shape, by the loader
    split = torch.split_with_sizes(positions[:, :num_prefix], list(counts.values()), dim=1)
    parts = dict(zip(counts, split, strict=True))
    patches = resize_position_embedding(
        positions[:, num_prefix:], (side, side), model.grid_size, num_prefix=0
    )
    done = [] if (side, side) == model.grid_size else [_grids((side, side), model.grid_size)]
    prefix = []
    for name in _PREFIX_TOKENS:
        token = getattr(model, name)
        if token is None:
            continue
        if model.architecture.prefix_positions:
            # a token without position in the checkpoint has position zero
            prefix.append(parts.get(name, torch.zeros_like(token, dtype=positions.dtype)))
            if name not in parts:
                done.append(f"position of {name} set to zero")
        elif name in parts:
            checkpoint[name] = checkpoint[name] + parts[name]
            notes[name] = "position added"
            done.append(f"position of {name} folded into it")
    checkpoint["pos_embed"] = torch.cat([*prefix, patches], dim=1)
    if done:
        notes["pos_embed"] = ", ".join(done)


def _grids(old: tuple[int, int], new: tuple[int, int]) -> str:
    return f"grid of {old[0]}x{old[1]} to {new[0]}x{new[1]}"


def _adapt_layer_scale(
    checkpoint: dict[str, Tensor], model: VisionTransformer, notes: dict[str, str]
) -> None:
    wanted = model.architecture.layer_scale is not None
    for layer in range(len(model.blocks)):
        for scale, linear in (("ls1", "attn.proj"), ("ls2", "mlp.fc2")):
            gamma_name = f"blocks.{layer}.{scale}.gamma"
            weight, bias = (f"blocks.{layer}.{linear}.{part}" for part in ("weight", "bias"))
            if weight not in checkpoint or bias not in checkpoint:
                continue
            if wanted and gamma_name not in checkpoint:
                checkpoint[gamma_name] = torch.ones_like(checkpoint[bias])
                notes[gamma_name] = "set to one: the checkpoint has none"
            elif not wanted and gamma_name in checkpoint:
                gamma = checkpoint.pop(gamma_name)
                checkpoint[weight] = gamma[:, None] * checkpoint[weight]
                checkpoint[bias] = gamma * checkpoint[bias]
                notes[weight] = notes[bias] = "layer scale folded in"


def architecture_of(checkpoint: dict[str, Tensor]) -> dict[str, int | float | bool | None]:
    """Read the shape of a vision transformer off a checkpoint with timm's names.

    Parameters
    ----------
    checkpoint : dict of str to Tensor
        State dict.

    Returns
    -------
    dict
        Fields of `TransformerArchitecture`; heads are taken to be 64 wide, as in all
        published plain ViTs, DeiTs and DINOs.

    Raises
    ------
    KeyError
        If it is not such a checkpoint.
    """
    kernel = checkpoint["patch_embed.proj.weight"]
    width = kernel.shape[0]
    registers = checkpoint.get("reg_token")
    counts = sum(checkpoint[n].shape[1] for n in _PREFIX_TOKENS if n in checkpoint)
    num_positions = checkpoint["pos_embed"].shape[1]
    return {
        "patch_size": kernel.shape[-1],
        "width": width,
        "depth": len({name.split(".")[1] for name in checkpoint if name.startswith("blocks.")}),
        "num_heads": max(width // 64, 1),
        "mlp_ratio": checkpoint["blocks.0.mlp.fc1.weight"].shape[0] / width,
        "class_token": "cls_token" in checkpoint,
        "distillation_token": "dist_token" in checkpoint,
        "num_registers": 0 if registers is None else registers.shape[1],
        "prefix_positions": math.isqrt(num_positions - counts) ** 2 + counts == num_positions,
        "layer_scale": 1.0 if "blocks.0.ls1.gamma" in checkpoint else None,
    }
