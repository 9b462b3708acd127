"""How much each round erases, by the progress of the run."""

from __future__ import annotations

from collections.abc import Sequence


def erased_counts(
    num_patches: int,
    num_rounds: int,
    *,
    erased_share: float,
    max_erased: float,
    anneal_in: float = 0.0,
    progress: float = 1.0,
) -> tuple[int, ...]:
    r"""Count the patches that are erased in rounds 1 to K.

    .. math:: n_r = \min\bigl(\max(1, \lfloor r s P a + 1/2 \rfloor),\,
              \max(1, \lfloor c P \rfloor)\bigr), \qquad a = \min(1, t / t_a)

    with share `s` a round, cap `c`, progress `t` and `t_a` the share of the run over which the
    area grows. Rounds may erase equally much; see `merged_weights`.

    Parameters
    ----------
    num_patches : int
        Patches `P` of an image.
    num_rounds : int
        `K`.
    erased_share : float
        `s`.
    max_erased : float
        `c`.
    anneal_in : float, default 0.0
        :math:`t_a`.
    progress : float, default 1.0
        Share of the run's steps that lie behind.

    Returns
    -------
    tuple of int
        `K` numbers, none smaller than the one before.

    Examples
    --------
    >>> erased_counts(64, 3, erased_share=0.2, max_erased=0.5)
    (13, 26, 32)
    >>> erased_counts(64, 3, erased_share=0.2, max_erased=0.5, anneal_in=0.2, progress=0.0)
    (1, 1, 1)
    """
    area = min(1.0, progress / anneal_in) if anneal_in > 0 else 1.0
    cap = max(1, int(max_erased * num_patches + 1e-9))
    share = erased_share * num_patches * area
    return tuple(min(max(1, int(number * share + 0.5)), cap) for number in range(1, num_rounds + 1))


def merged_weights(weights: Sequence[float], counts: Sequence[int]) -> list[float]:
    """Add the weights of later rounds that erase nothing new: one pass stands for all of them.

    Parameters
    ----------
    weights : sequence of float
        Of rounds 0 to K.
    counts : sequence of int
        Of rounds 1 to K; see `erased_counts`.

    Returns
    -------
    list of float
        Of round 0 and of each different count, in order.

    Examples
    --------
    >>> merged_weights([1.0, 0.5, 2.0, 3.0], [13, 32, 32])
    [1.0, 0.5, 5.0]
    """
    merged: dict[int, float] = {}
    for weight, count in zip(weights[1:], counts, strict=True):
        merged[count] = merged.get(count, 0.0) + weight
    return [weights[0], *merged.values()]
