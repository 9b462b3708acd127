"""Learning how the teacher's tokens relate to each other, whatever its width and heads.

References
----------
.. [1] Wang et al. 2021, arXiv:2012.15828 (MiniLMv2), section 3.1 and equations 4 to 6.
.. [2] Wang et al. 2020, arXiv:2002.10957 (MiniLM), equation 9.
"""

from __future__ import annotations

import math

from torch import Tensor
from torch.nn import functional

from darkarcs.errors import ConfigurationError


def relation_loss(student: Tensor, teacher: Tensor, num_heads: int) -> Tensor:
    r"""Divergence between the self-relations of two sets of vectors [1]_.

    With the vectors of all attention heads joined and cut anew into :math:`A` relation heads,
    so that both sides have as many,

    .. math:: \frac{1}{A n} \sum_{a,i} \mathrm{KL}\big(R^T_{ai} \,\big\|\, R^S_{ai}\big), \qquad
              R_a = \mathrm{softmax}\big(X_a X_a^\top / \sqrt{d}\big)

    Parameters
    ----------
    student : torch.Tensor, shape (B, n, D)
        Queries, keys or values, heads joined.
    teacher : torch.Tensor, shape (B, n, D')
        The same of the teacher, of the same tokens.
    num_heads : int
        Relation heads; divides both widths.

    Returns
    -------
    torch.Tensor, shape ()
        Mean over images, heads and tokens, in nats.

    References
    ----------
    .. [1] Wang et al. 2021, arXiv:2012.15828, equations 4 to 6.

    Examples
    --------
    >>> import torch
    >>> vectors = torch.arange(24.0).reshape(1, 3, 8) / 10
    >>> relation_loss(vectors, vectors, num_heads=2)
    tensor(0.)
    """
    rows = student.shape[0] * student.shape[1] * num_heads
    divergence = functional.kl_div(
        _relations(student, num_heads),
        _relations(teacher, num_heads),
        reduction="sum",
        log_target=True,
    )
    return divergence / rows


def choose_num_heads(
    num_heads: int | None, student_width: int, teacher_width: int, most: int
) -> int:
    """Choose, or check, the number of relation heads.

    Parameters
    ----------
    num_heads : int, optional
        As configured; None for the largest that fits.
    student_width, teacher_width : int
        Both must be divisible.
    most : int
        How many to take at most where it is not configured: the teacher's heads.

    Returns
    -------
    int
        The number.

    Raises
    ------
    ConfigurationError
        If a configured number does not divide both widths.

    Examples
    --------
    >>> choose_num_heads(None, student_width=64, teacher_width=192, most=3)
    2
    """
    if num_heads is None:
        common = math.gcd(student_width, teacher_width)
        return max(count for count in range(1, max(most, 1) + 1) if common % count == 0)
    if student_width % num_heads or teacher_width % num_heads:
        raise ConfigurationError(
            f"objective.relations.num_heads = {num_heads} must divide the widths of student "
            f"({student_width}) and teacher ({teacher_width})"
        )
    return num_heads


def _relations(vectors: Tensor, num_heads: int) -> Tensor:
    """Log-probabilities (B, A, n, n)."""
    batch, length, _ = vectors.shape
    split = vectors.float().reshape(batch, length, num_heads, -1).transpose(1, 2)  # (B, A, n, d)
    scores: Tensor = split @ split.transpose(-2, -1) / math.sqrt(split.shape[-1])
    return scores.log_softmax(dim=-1)
