"""Whether work is left to a compiled loop or to plain torch."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import torch
from torch import Tensor
from torch.autograd import forward_ad

from darkarcs.errors import ConfigurationError

#: How to compute: "kernel" is compiled and forward only, "torch" differentiable, "auto" chooses.
Method = Literal["auto", "torch", "kernel"]


def use_kernel(method: Method, values: Iterable[Tensor | float], misfit: str | None = None) -> bool:
    """Decide whether to call a kernel.

    A kernel is for float32 on the CPU where no derivative is asked for: neither in reverse
    (an argument requires a gradient while gradients are recorded) nor forward (dual tensors,
    the transforms of `torch.func`), nor while a graph is traced.

    Parameters
    ----------
    method : "auto", "torch" or "kernel"
        "auto" takes the kernel where it can do what plain torch would.
    values : iterable of Tensor or float
        All that it would work on.
    misfit : str, optional
        Why their shapes are none that it takes, as `misfit_of_masses` and `misfit_of_profile` say.

    Returns
    -------
    bool
        True for the kernel.

    Raises
    ------
    ConfigurationError
        If the kernel is demanded and cannot do it.

    Examples
    --------
    >>> theta = torch.zeros(8, 8)
    >>> use_kernel("auto", [theta, 1.0]), use_kernel("auto", [theta.double(), 1.0])
    (True, False)
    """
    if method not in ("auto", "torch", "kernel"):
        raise ConfigurationError(f"method {method!r} is not one of auto, torch, kernel")
    if method == "torch":
        return False
    obstacle = _obstacle([value for value in values if isinstance(value, Tensor)]) or misfit
    if obstacle is not None and method == "kernel":
        raise ConfigurationError(f'the kernel {obstacle}: use method="torch" or "auto"')
    return obstacle is None


def _obstacle(tensors: list[Tensor]) -> str | None:
    if torch.compiler.is_compiling():
        return "cannot be traced"
    gradients = torch.is_grad_enabled()
    for tensor in tensors:
        if not tensor.is_cpu:
            return "runs on the CPU only"
        if tensor.dtype != torch.float32:
            return "takes float32 only"
        if gradients and tensor.requires_grad:
            return "has no gradient"
        unpacked = forward_ad.unpack_dual(tensor)  # type: ignore[no-untyped-call]
        if unpacked.tangent is not None:
            return "has no forward derivative"
        try:
            tensor.data_ptr()
        except RuntimeError:  # no plain memory, as inside a transform of `torch.func`
            return "cannot be transformed"
    return None
