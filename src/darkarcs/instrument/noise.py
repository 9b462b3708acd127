r"""Noise of a detector: photons, read-out, and the error of treating many photons as normal.

Where the expected count lambda is below a threshold the count is drawn from the Poisson
distribution itself; above it, from the normal distribution of the same mean and variance, rounded
to whole counts. A Poisson variable is a sum of any number of independent ones, so by the theorem
of Berry and Esseen its distribution differs from the normal one nowhere by more than

.. math:: \sup_k |F(k) - \Phi| \le 0.4748 / \sqrt{\lambda},

0.015 at the default threshold of 1000 counts. Rounding makes the actual difference smaller, about
0.067 / sqrt(lambda), 0.0021 there: what is left is the skewness, 1 / sqrt(lambda).

References
----------
.. [1] Shevtsova 2011, 1111.6554: the constant 0.4748.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from darkarcs.errors import DataError

#: Expected counts from which on the normal distribution is used.
NORMAL_ABOVE = 1000.0


def normal_error_bound(expected: float) -> float:
    """Bound the error of the normal distribution in place of the Poisson distribution.

    Parameters
    ----------
    expected : float, counts
        The mean.

    Returns
    -------
    float
        Greatest difference of the cumulative distributions (Kolmogorov's distance).

    Examples
    --------
    >>> round(normal_error_bound(1000.0), 4)
    0.015
    """
    return 0.4748 / math.sqrt(expected)


def draw_counts(
    expected: Tensor, generator: torch.Generator, *, normal_above: float = NORMAL_ABOVE
) -> Tensor:
    """Draw photon counts.

    Parameters
    ----------
    expected : Tensor, any shape, counts
        Means, not negative.
    generator : torch.Generator
        Source of chance, on the device of ``expected``.
    normal_above : float, counts
        From here on the rounded normal distribution is used; infinity never uses it.

    Returns
    -------
    Tensor
        Whole counts, in the precision of ``expected``, without gradient.

    Raises
    ------
    DataError
        If a mean is negative or not finite.

    Examples
    --------
    >>> mean = torch.tensor([0.0, 2.0, 1e6])
    >>> counts = draw_counts(mean, torch.Generator().manual_seed(0))
    >>> bool((counts == counts.round()).all()), counts[0].item()
    (True, 0.0)
    """
    expected = expected.detach()
    if not bool(torch.isfinite(expected).all()) or bool((expected < 0).any()):
        raise DataError("expected counts must be finite and not negative")
    few = expected < normal_above
    if bool(few.all()):
        return torch.poisson(expected, generator)
    counts = expected + expected.sqrt() * _standard_normal(expected, generator)
    counts = counts.round().clamp(min=0.0)
    if bool(few.any()):
        counts[few] = torch.poisson(expected[few], generator)
    return counts


def draw_read_noise(like: Tensor, rms: float, generator: torch.Generator) -> Tensor:
    """Draw normal noise, alike and independent in each pixel.

    Parameters
    ----------
    like : Tensor
        Its shape, precision and device are those of the noise.
    rms : float
        Standard deviation.
    generator : torch.Generator
        Source of chance, on the device of ``like``.

    Returns
    -------
    Tensor
        Of mean zero.
    """
    return rms * _standard_normal(like, generator)


def _standard_normal(like: Tensor, generator: torch.Generator) -> Tensor:
    return torch.randn(like.shape, generator=generator, dtype=like.dtype, device=like.device)
