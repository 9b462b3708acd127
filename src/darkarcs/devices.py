"""Which device a model runs on, and in which precision it trains."""

from __future__ import annotations

import platform
from typing import Literal

import torch

from darkarcs.errors import ConfigurationError


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

    Raises
    ------
    ConfigurationError
        If there is no such device here.
    """
    if name != "auto":
        return _existing(name)
    if torch.cuda.is_available():
        return torch.device("cuda")
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


def _existing(name: str) -> torch.device:
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ConfigurationError(f"no device '{name}': choose auto, cpu, cuda or mps") from None
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    here = {"cpu": True, "cuda": (device.index or 0) < count}
    here["mps"] = torch.backends.mps.is_available()
    if not here.get(device.type, False):
        raise ConfigurationError(f"device '{name}' is not on this machine: choose auto or cpu")
    return device


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
