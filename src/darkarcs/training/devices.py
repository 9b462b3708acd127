"""Which device, and in which precision it trains."""

from __future__ import annotations

import platform
from typing import Literal

import torch


def choose_device(name: str = "auto") -> torch.device:
    """Choose a device.

    Parameters
    ----------
    name : str, default "auto"
        ``auto`` takes CUDA, then Apple's GPU, then the CPU; anything else is torch's name.

    Returns
    -------
    torch.device
        The device.
    """
    if name != "auto":
        return torch.device(name)
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def computes_bfloat16(device: torch.device) -> bool:
    """Tell whether a device has instructions for bfloat16.

    Parameters
    ----------
    device : torch.device
        A device.

    Returns
    -------
    bool
        False where bfloat16 would be emulated, and slower than float32.
    """
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":
        return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported()) and (
            platform.machine() in ("x86_64", "AMD64")
        )
    return False


def choose_precision(
    setting: Literal["auto", "32", "bf16"], device: torch.device
) -> Literal["32-true", "bf16-mixed"]:
    """Turn the recipe's precision into Lightning's.

    Parameters
    ----------
    setting : {"auto", "32", "bf16"}
        The recipe's.
    device : torch.device
        Where training runs.

    Returns
    -------
    {"32-true", "bf16-mixed"}
        Lightning's name.
    """
    if setting == "bf16" or (setting == "auto" and computes_bfloat16(device)):
        return "bf16-mixed"
    return "32-true"
