"""Random streams that are a pure function of a seed and the name of what they serve.

Nothing in darkarcs draws from a global generator. A stream is addressed, for example
``(seed, "augmentation", step)``, so that any step can be replayed without its predecessors:
this is what makes a resumed training equal to an uninterrupted one.
"""

from __future__ import annotations

import hashlib

import numpy as np
import torch


def derive_seed(seed: int, *address: str | int) -> int:
    """Derive a 63-bit seed from a root seed and an address.

    Parameters
    ----------
    seed : int
        Root seed.
    *address : str or int
        What the stream is for; any difference gives an unrelated stream.

    Returns
    -------
    int
        Between 0 and 2**63 - 1; the same on every machine and in every process.

    Examples
    --------
    >>> derive_seed(7, "augmentation", 3) == derive_seed(7, "augmentation", 3)
    True
    >>> derive_seed(7, "augmentation", 3) == derive_seed(7, "augmentation", 4)
    False
    """
    text = "\x1f".join([str(int(seed)), *(f"{type(part).__name__}:{part}" for part in address)])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def numpy_generator(seed: int, *address: str | int) -> np.random.Generator:
    """Make NumPy's generator (Philox) of a stream.

    Parameters
    ----------
    seed : int
        Root seed.
    *address : str or int
        What the stream is for.

    Returns
    -------
    numpy.random.Generator
        Independent of every other address.
    """
    return np.random.Generator(np.random.Philox(derive_seed(seed, *address)))


def torch_generator(
    seed: int, *address: str | int, device: torch.device | str = "cpu"
) -> torch.Generator:
    """Make torch's generator of a stream.

    Parameters
    ----------
    seed : int
        Root seed.
    *address : str or int
        What the stream is for.
    device : torch.device or str, default "cpu"
        Where the numbers are drawn.

    Returns
    -------
    torch.Generator
        Independent of every other address.
    """
    generator = torch.Generator(device=device)
    generator.manual_seed(derive_seed(seed, *address))
    return generator
