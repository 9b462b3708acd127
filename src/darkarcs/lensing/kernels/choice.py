"""Whether a sum of deflections is left to a compiled kernel or to plain torch."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Literal

import torch
from torch import Tensor
from torch.autograd import forward_ad

from darkarcs.errors import ConfigurationError, MissingExtraError

#: How to sum: "kernel" is compiled and forward only, "torch" differentiable, "auto" chooses.
Method = Literal["auto", "torch", "kernel"]


def use_kernel(
    method: Method, theta_x: Tensor, theta_y: Tensor, *parameters: Tensor | float
) -> bool:
    """Decide whether to call a kernel.

    A kernel is for float32 on the CPU where no derivative is asked for: neither in reverse
    (an argument requires a gradient while gradients are recorded) nor forward (dual tensors,
    the transforms of `torch.func`), nor while a graph is traced.

    Parameters
    ----------
    method : "auto", "torch" or "kernel"
        "auto" takes the kernel where it can do what plain torch would.
    theta_x, theta_y : Tensor, shape (H, W) or (B, H, W)
        Positions.
    *parameters : Tensor of shape (B, S), or float
        Of the masses.

    Returns
    -------
    bool
        True for the kernel.

    Raises
    ------
    ConfigurationError
        If the kernel is demanded and cannot do it.
    MissingExtraError
        If the kernel is demanded and numba is not installed.

    Examples
    --------
    >>> theta, mass = torch.zeros(8, 8, dtype=torch.float64), torch.ones(1, 2)
    >>> use_kernel("auto", theta, theta, mass)
    False
    """
    if method not in ("auto", "torch", "kernel"):
        raise ConfigurationError(f"method {method!r} is not one of auto, torch, kernel")
    if method == "torch":
        return False
    tensors = [value for value in (theta_x, theta_y, *parameters) if isinstance(value, Tensor)]
    obstacle = _obstacle(tensors) or _misfit(theta_x, theta_y, tensors[2:])
    if obstacle is None and find_spec("numba") is None:
        if method == "kernel":
            raise MissingExtraError('method="kernel"', "kernels")
        return False
    if obstacle is not None and method == "kernel":
        raise ConfigurationError(f'the kernel {obstacle}: use method="torch" or "auto"')
    return obstacle is None


def _obstacle(tensors: list[Tensor]) -> str | None:
    if torch.compiler.is_compiling():
        return "cannot be traced"
    if any(tensor.device.type != "cpu" for tensor in tensors):
        return "runs on the CPU only"
    if any(tensor.dtype != torch.float32 for tensor in tensors):
        return "takes float32 only"
    if torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors):
        return "has no gradient"
    if any(_is_dual(tensor) for tensor in tensors):
        return "has no forward derivative"
    return None if all(_has_memory(tensor) for tensor in tensors) else "cannot be transformed"


def _is_dual(tensor: Tensor) -> bool:
    unpacked = forward_ad.unpack_dual(tensor)  # type: ignore[no-untyped-call]
    return unpacked.tangent is not None


def _misfit(theta_x: Tensor, theta_y: Tensor, parameters: list[Tensor]) -> str | None:
    """Shapes beyond the documented ones are left to torch's broadcasting, or to its errors."""
    batches = {len(value) for value in parameters if value.ndim == 2}
    fits = (
        theta_x.shape == theta_y.shape
        and theta_x.ndim in (2, 3)
        and len(batches) == 1
        and (theta_x.ndim == 2 or len(theta_x) in (1, *batches))
    )
    return None if fits else "takes positions (H, W) or (B, H, W) and masses (B, S)"


def _has_memory(tensor: Tensor) -> bool:
    """Tell whether it is plain memory, as inside a transform of `torch.func` it is not."""
    try:
        tensor.data_ptr()
    except RuntimeError:
        return False
    return True
