"""Losses whose minimum is a whole distribution, not its mean alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from darkarcs.configuration import Configuration


class QuantileLoss(Configuration):
    """Learn quantiles, whatever the shape of the distribution.

    Attributes
    ----------
    kind : {"quantile"}
        Name of the loss in a recipe.
    """

    kind: Literal["quantile"] = "quantile"


class GaussianLoss(Configuration):
    """Learn the mean and the variance of a normal distribution.

    Attributes
    ----------
    kind : {"gaussian"}
        Name of the loss in a recipe.
    beta : float, default 0.5
        Power of the predicted variance by which the loss of an image is weighted: 0 is the plain
        likelihood, which neglects what it cannot explain at first, 1 learns the mean as squared
        errors do.
    """

    kind: Literal["gaussian"] = "gaussian"
    beta: float = Field(default=0.5, ge=0.0, le=1.0)


RegressionLoss = Annotated[QuantileLoss | GaussianLoss, Field(discriminator="kind")]


def quantile_shares(levels: Sequence[float]) -> tuple[float, ...]:
    """List the quantiles that bound central intervals, and the median.

    Parameters
    ----------
    levels : sequence of float
        Of the intervals, such as 0.68.

    Returns
    -------
    tuple of float
        Ascending: the lower bounds, 0.5, the upper bounds.

    Examples
    --------
    >>> [round(share, 3) for share in quantile_shares([0.68, 0.9])]
    [0.05, 0.16, 0.5, 0.84, 0.95]
    """
    lower = sorted((1 - level) / 2 for level in levels)
    return (*lower, 0.5, *(1 - share for share in reversed(lower)))


def ordered_quantiles(raw: Tensor) -> Tensor:
    """Turn free numbers into quantiles that never cross.

    The middle number is the median; each other one is a step away from its neighbour, made
    positive by a softplus.

    Parameters
    ----------
    raw : torch.Tensor, shape (..., Q)
        Q is odd.

    Returns
    -------
    torch.Tensor, shape (..., Q)
        Ascending.

    Examples
    --------
    >>> ordered_quantiles(torch.zeros(3)).round(decimals=2)
    tensor([-0.6900,  0.0000,  0.6900])
    """
    half = raw.shape[-1] // 2
    steps = functional.softplus(raw)
    below = steps[..., :half].flip(-1).cumsum(-1).flip(-1)
    above = steps[..., half + 1 :].cumsum(-1)
    middle = raw[..., half : half + 1]
    return torch.cat([middle - below, middle, middle + above], dim=-1)


def gaussian_quantiles(raw: Tensor, shares: Sequence[float]) -> Tensor:
    """Give the quantiles of normal distributions.

    Parameters
    ----------
    raw : torch.Tensor, shape (..., 2)
        Mean, and logarithm of the variance.
    shares : sequence of float, length Q
        Which quantiles.

    Returns
    -------
    torch.Tensor, shape (..., Q)
        In the order of the shares.

    Examples
    --------
    >>> gaussian_quantiles(torch.tensor([1.0, 0.0]), [0.5, 0.8413]).round(decimals=2).tolist()
    [1.0, 2.0]
    """
    units: Tensor = torch.special.ndtri(torch.tensor(shares, dtype=torch.float64)).to(raw)
    quantiles: Tensor = raw[..., :1] + torch.exp(raw[..., 1:] / 2) * units
    return quantiles


def pinball_loss(quantiles: Tensor, target: Tensor, shares: Sequence[float]) -> Tensor:
    r"""Compute the pinball loss, summed over quantiles.

    .. math:: \sum_q \max\bigl(q (y - \hat y_q), (q - 1)(y - \hat y_q)\bigr)

    Its expectation is smallest at the true quantiles [1]_.

    Parameters
    ----------
    quantiles : torch.Tensor, shape (..., Q)
        Predicted.
    target : torch.Tensor, shape (...)
        The truth.
    shares : sequence of float, length Q
        Which quantiles.

    Returns
    -------
    torch.Tensor, shape (...)
        One loss a target.

    References
    ----------
    .. [1] Koenker & Bassett 1978, Econometrica 46, 33, eq. 3.1.

    Examples
    --------
    >>> pinball_loss(torch.tensor([[1.0, 1.0]]), torch.tensor([2.0]), [0.5, 0.9]).round(decimals=2)
    tensor([1.4000])
    """
    share = torch.tensor(shares, dtype=quantiles.dtype, device=quantiles.device)
    error = target[..., None] - quantiles
    return torch.maximum(share * error, (share - 1) * error).sum(-1)


def gaussian_loss(raw: Tensor, target: Tensor, beta: float) -> Tensor:
    r"""Compute the likelihood loss of a normal distribution, weighted by its own variance.

    .. math:: \lfloor\sigma^{2\beta}\rfloor \left(\frac{\log\sigma^2}{2} +
              \frac{(y - \mu)^2}{2 \sigma^2}\right)

    where no gradient flows through the floored factor [1]_.

    Parameters
    ----------
    raw : torch.Tensor, shape (..., 2)
        Mean, and logarithm of the variance.
    target : torch.Tensor, shape (...)
        The truth.
    beta : float
        See `GaussianLoss`.

    Returns
    -------
    torch.Tensor, shape (...)
        One loss a target, without the constant log(2 pi) / 2.

    References
    ----------
    .. [1] Seitzer et al. 2022, arXiv 2203.09168, eq. 4.

    Examples
    --------
    >>> gaussian_loss(torch.tensor([0.0, 0.0]), torch.tensor(2.0), 0.5).item()
    2.0
    """
    mean, log_variance = raw.unbind(-1)
    likelihood = 0.5 * (log_variance + (target - mean) ** 2 * torch.exp(-log_variance))
    return torch.exp(beta * log_variance).detach() * likelihood
