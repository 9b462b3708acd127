"""What goes: orders of the patches, hints, and sets of erased patches that only grow.

References
----------
.. [1] Kakogeorgiou et al. 2022, ECCV, arXiv:2203.12719: AttMask, most attended tokens masked,
   a share of them shown as hints.
.. [2] Wei et al. 2017, CVPR, arXiv:1703.08448: adversarial erasing.
.. [3] Singh et al. 2018, arXiv:1811.02545: random patches (hide-and-seek).
"""

from __future__ import annotations

import torch
from torch import Tensor

#: Direction of each strategy on the attention, in the order of `IterativeErasing.mixture`.
DIRECTIONS = {"random": 0.0, "most_attended": 1.0, "least_attended": -1.0}

#: Orders at random what differs by less than a part in ten thousand: without it, patches of
#: equal attention would go from the top left on.
_TIE_BREAKER = 1e-4


def draw_directions(
    strategy: str,
    mixture: tuple[float, float, float],
    num_images: int,
    generator: torch.Generator,
) -> Tensor:
    """Say for each image whether the most (+1) or least (-1) attended or random (0) goes first.

    Parameters
    ----------
    strategy : {"random", "most_attended", "least_attended", "mixed"}
        The strategy; only ``mixed`` draws.
    mixture : tuple of three float
        Relative odds of random, most and least attended under ``mixed``.
    num_images : int
        `B`.
    generator : torch.Generator
        The step's stream.

    Returns
    -------
    Tensor, shape (B,), float32
        On the generator's device.

    Examples
    --------
    >>> draw_directions("least_attended", (1, 1, 1), 2, torch.Generator())
    tensor([-1., -1.])
    """
    device = generator.device
    if strategy != "mixed":
        return torch.full((num_images,), DIRECTIONS[strategy], device=device)
    odds = torch.tensor(mixture, dtype=torch.float32, device=device)
    drawn = torch.multinomial(odds, num_images, replacement=True, generator=generator)
    return torch.tensor(list(DIRECTIONS.values()), device=device)[drawn]


def order_scores(
    attention: Tensor | None,
    directions: Tensor,
    num_patches: int,
    noise: float,
    generator: torch.Generator,
) -> Tensor:
    r"""Score patches so that the highest go first.

    .. math:: s_i = d \ln a_i + \nu G_i

    with direction `d` and Gumbel noise `G`: for :math:`d = \nu = 1` taking the highest `n`
    draws `n` patches without replacement with odds :math:`a_i`. At ``d = 0`` the order is
    random.

    Parameters
    ----------
    attention : Tensor, shape (B, P), or None
        Attention of each patch; None where no direction needs it.
    directions : Tensor, shape (B,)
        See `draw_directions`.
    num_patches : int
        `P`.
    noise : float
        :math:`\nu`.
    generator : torch.Generator
        The step's stream.

    Returns
    -------
    Tensor, shape (B, P), float32
        On the attention's device, or the generator's.
    """
    shape = (len(directions), num_patches)
    uniform = torch.rand(shape, generator=generator, device=generator.device)
    if attention is None:
        return uniform
    device = attention.device
    uniform, directions = uniform.to(device), directions.to(device)
    gumbel = -(-uniform.clamp(1e-9, 1 - 1e-7).log()).log()
    order = directions[:, None] * attention.clamp(min=1e-12).log() + noise * gumbel
    return torch.where(directions[:, None] == 0, uniform, order + _TIE_BREAKER * uniform)


def draw_hints(
    attention: Tensor | None,
    directions: Tensor,
    num_patches: int,
    num_candidates: int,
    share: float,
    generator: torch.Generator,
) -> Tensor:
    """Draw the patches that stay visible although they are attended most [1]_.

    Parameters
    ----------
    attention : Tensor, shape (B, P), or None
        Attention of each patch of the whole image.
    directions : Tensor, shape (B,)
        See `draw_directions`; only images whose most attended patches go get hints.
    num_patches : int
        `P`.
    num_candidates : int
        Hints come from this many most attended patches: as many as the last round erases.
    share : float
        Share of the candidates that become hints.
    generator : torch.Generator
        The step's stream.

    Returns
    -------
    Tensor, shape (B, P), bool
        True for a hint.

    References
    ----------
    .. [1] Kakogeorgiou et al. 2022, ECCV, arXiv:2203.12719, section 3.2 (AttMask-Hint).
    """
    count = int(share * num_candidates + 0.5)
    if attention is None or count == 0:
        device = generator.device if attention is None else attention.device
        return torch.zeros(len(directions), num_patches, dtype=torch.bool, device=device)
    shape = (len(directions), num_candidates)
    uniform = torch.rand(shape, generator=generator, device=generator.device)
    drawn = uniform.topk(count, dim=1).indices.to(attention.device)  # (B, hints)
    candidates = attention.topk(num_candidates, dim=1).indices  # (B, candidates)
    hints = torch.zeros(attention.shape, dtype=torch.bool, device=attention.device)
    hints.scatter_(1, candidates.gather(1, drawn), True)
    return hints & (directions.to(attention.device)[:, None] > 0)


def grow_mask(erased: Tensor, scores: Tensor, protected: Tensor, count: int) -> Tensor:
    """Erase further patches, the highest scores first, until ``count`` are gone.

    Parameters
    ----------
    erased : Tensor, shape (B, P), bool
        What is erased already, and stays so.
    scores : Tensor, shape (B, P)
        See `order_scores`.
    protected : Tensor, shape (B, P), bool
        What must stay visible.
    count : int
        Patches that are erased in each image afterwards; at least as many as now.

    Returns
    -------
    Tensor, shape (B, P), bool
        Contains ``erased``; the same number in each row.

    Examples
    --------
    >>> nothing = torch.zeros(1, 4, dtype=torch.bool)
    >>> first = grow_mask(nothing, torch.tensor([[0.1, 0.4, 0.3, 0.2]]), nothing, 1)
    >>> grow_mask(first, torch.tensor([[0.9, 0.0, 0.1, 0.2]]), nothing, 2)
    tensor([[ True,  True, False, False]])
    """
    infinity = float("inf")
    scores = scores.to(erased.device).masked_fill(protected, -infinity)
    scores = scores.masked_fill(erased, infinity)
    grown = torch.zeros_like(erased)
    return grown.scatter_(1, scores.topk(count, dim=1).indices, True)
