"""How much each round erases, by the progress of the run."""

from __future__ import annotations


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
    area grows. A round that would erase nothing new is left out.

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
        Strictly growing; at most `K` numbers, none if `K` is 0.

    Examples
    --------
    >>> erased_counts(64, 3, erased_share=0.2, max_erased=0.5)
    (13, 26, 32)
    >>> erased_counts(64, 3, erased_share=0.2, max_erased=0.5, anneal_in=0.2, progress=0.0)
    (1,)
    """
    area = min(1.0, progress / anneal_in) if anneal_in > 0 else 1.0
    cap = max(1, int(max_erased * num_patches + 1e-9))
    counts: list[int] = []
    for number in range(1, num_rounds + 1):
        count = min(max(1, int(number * erased_share * num_patches * area + 0.5)), cap)
        if not counts or count > counts[-1]:
            counts.append(count)
    return tuple(counts)
