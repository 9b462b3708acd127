"""Learning where the teacher looks when it decides.

References
----------
.. [1] Zagoruyko & Komodakis 2017, arXiv:1612.03928 (attention transfer).
.. [2] Caron et al. 2021, arXiv:2104.14294 (the class token's attention).
"""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

from darkarcs.objectives.distillation_losses.token_grids import aligned_patches

#: Keeps the logarithm finite where attention has underflown.
FLOOR = 1e-12


def class_attention(
    attention: Tensor,
    num_prefix_tokens: int,
    class_token: bool,
    grid: tuple[int, int] | None = None,
    erased: Tensor | None = None,
) -> Tensor:
    """Give the share of attention that each patch receives.

    Parameters
    ----------
    attention : torch.Tensor, shape (B, heads, N, N)
        Probabilities after softmax; row ``i`` says where token ``i`` looks.
    num_prefix_tokens : int
        Tokens before the patches.
    class_token : bool
        Whether the first is a class token, which looks; without one it is the mean over all
        patches, since a model without one reads the mean of its patches.
    grid : tuple of (int, int), optional
        Rows and columns to resample the patches to; as they are by default.
    erased : torch.Tensor, shape (B, rows * columns), bool, optional
        Patches that are then left out, as many in every image.

    Returns
    -------
    torch.Tensor, shape (B, n)
        Mean over heads, normalised to one over the patches.

    References
    ----------
    .. [2] Caron et al. 2021, arXiv:2104.14294.

    Examples
    --------
    >>> import torch
    >>> looks = torch.full((1, 2, 5, 5), 0.2)
    >>> class_attention(looks, 1, class_token=True, grid=(2, 2)).tolist()
    [[0.25, 0.25, 0.25, 0.25]]
    """
    mean = attention.float().mean(dim=1)  # (B, N, N)
    looking = mean[:, 0] if class_token else mean[:, num_prefix_tokens:].mean(dim=1)
    received = looking[:, num_prefix_tokens:]  # (B, patches)
    if grid is not None:
        received = aligned_patches(received[..., None], 0, grid, erased)[..., 0]
    return received / received.sum(dim=1, keepdim=True).clamp(min=FLOOR)


def class_attention_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Divergence of the student's distribution of attention from the teacher's.

    Parameters
    ----------
    student, teacher : torch.Tensor, shape (B, n)
        From `class_attention`, on one grid.

    Returns
    -------
    torch.Tensor, shape ()
        KL(teacher || student), mean over the batch, in nats.

    Examples
    --------
    >>> import torch
    >>> shares = torch.tensor([[0.25, 0.75]])
    >>> class_attention_loss(shares, shares)
    tensor(0.)
    """
    log_student, log_teacher = (shares.clamp(min=FLOOR).log() for shares in (student, teacher))
    return functional.kl_div(log_student, log_teacher, reduction="batchmean", log_target=True)
