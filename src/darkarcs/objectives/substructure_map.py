"""A map of where substructure sits: what is asked of it, its loss, and its probabilities."""

from __future__ import annotations

import math
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from darkarcs.configuration import Configuration
from darkarcs.errors import ConfigurationError

#: A cell is weighted at most this much more where it holds a subhalo.
_MAX_BALANCE = 100.0


class SubstructureMap(Configuration):
    """A map over the image, learned from the positions of subhalos.

    Attributes
    ----------
    weight : float, default 1.0
        Of the map's loss beside the others.
    min_mass : float, default 1e9, solar masses
        Lighter subhalos are not counted.
    cells : int, default 1
        Cells along the side of a patch; 2 gives a map of twice the patches' resolution.
    learns : {"presence", "counts"}, default "presence"
        ``presence``: whether a cell holds a subhalo, by cross-entropy in which empty and
        occupied cells weigh alike. ``counts``: how many it holds, by a Poisson likelihood.
    """

    weight: float = Field(default=1.0, ge=0.0)
    min_mass: float = Field(default=1e9, gt=0.0)
    cells: int = Field(default=1, ge=1, le=8)
    learns: Literal["presence", "counts"] = "presence"


def balance_of(occupied: float) -> float:
    """Give the weight of occupied cells by which both kinds weigh alike.

    Parameters
    ----------
    occupied : float
        Share of cells that hold a subhalo.

    Returns
    -------
    float
        Empty over occupied cells, between 1 and 100.

    Raises
    ------
    ConfigurationError
        If no cell is occupied.

    Examples
    --------
    >>> balance_of(0.1)
    9.0
    """
    if not occupied > 0:
        raise ConfigurationError(
            "objective.map: no cell of the training images holds a subhalo: lower "
            "objective.map.min_mass, or train on a scene whose substructure is in subhalos"
        )
    return min(max(1 / occupied - 1, 1.0), _MAX_BALANCE)


def map_loss(
    logits: Tensor, counts: Tensor, learns: Literal["presence", "counts"], balance: float
) -> Tensor:
    """Compute the loss of a map over the cells whose truth is known.

    Parameters
    ----------
    logits : torch.Tensor, shape (B, G, G)
        For ``presence`` log-odds, for ``counts`` logarithms of expected counts.
    counts : torch.Tensor, shape (B, G, G)
        Subhalos in each cell, NaN where unknown.
    learns : {"presence", "counts"}
        See `SubstructureMap`.
    balance : float
        Weight of occupied cells, for ``presence``.

    Returns
    -------
    torch.Tensor, shape ()
        Mean over known cells; zero where none is.

    Examples
    --------
    >>> counts = torch.tensor([[[0.0, 2.0], [float("nan"), 0.0]]])
    >>> map_loss(torch.zeros(1, 2, 2), counts, "presence", 1.0).item()
    0.693...
    """
    known = torch.isfinite(counts)
    if not bool(known.any()):
        return logits.sum() * 0.0
    predicted, truth = logits[known].float(), counts[known]
    if learns == "counts":
        return functional.poisson_nll_loss(predicted, truth, log_input=True)
    occupied = (truth > 0).to(predicted)
    weight = torch.where(truth > 0, balance, 1.0)
    losses = functional.binary_cross_entropy_with_logits(predicted, occupied, reduction="none")
    return (weight * losses).sum() / weight.sum()


def map_probability(
    logits: Tensor, learns: Literal["presence", "counts"], balance: float
) -> Tensor:
    """Give the probability that a cell holds a subhalo.

    The weight that occupied cells had in training is taken back: it multiplied their odds.

    Parameters
    ----------
    logits : torch.Tensor, shape (...)
        See `map_loss`.
    learns : {"presence", "counts"}
        See `SubstructureMap`.
    balance : float
        Weight of occupied cells in training.

    Returns
    -------
    torch.Tensor, shape (...)
        Between 0 and 1; for counts 1 - exp(-expected count).

    Examples
    --------
    >>> map_probability(torch.zeros(1), "presence", 9.0).item()
    0.1...
    >>> map_probability(torch.zeros(1), "counts", 9.0).item()
    0.632...
    """
    if learns == "counts":
        return -torch.expm1(-torch.exp(logits))
    return torch.sigmoid(logits - math.log(balance))
