"""The losses of iterative erasing, each a pure function, and the evidence that weights one."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from darkarcs.objectives.contract import UNLABELLED


def classification_loss(
    logits: Tensor,
    labels: Tensor,
    *,
    image_weights: Tensor | None = None,
    class_weights: Tensor | None = None,
    label_smoothing: float = 0.0,
) -> Tensor:
    r"""Cross-entropy of the labelled images, each with a weight of its own.

    .. math:: L = \frac{\sum_i e_i \, w_{y_i} \mathrm{CE}(z_i, y_i)}{\sum_i w_{y_i}}

    The denominator leaves the image weights :math:`e_i` out: an image of little evidence counts
    less in the whole loss, and not only less than its neighbours.

    Parameters
    ----------
    logits : Tensor, shape (B, K)
        Of one round.
    labels : Tensor, shape (B,), int64
        `UNLABELLED` images are left out.
    image_weights : Tensor, shape (B,), optional
        :math:`e_i`; one where absent.
    class_weights : Tensor, shape (K,), optional
        :math:`w_k`; one where absent.
    label_smoothing : float, default 0.0
        Share of the target's probability that is spread evenly over all classes.

    Returns
    -------
    Tensor, shape ()
        Zero if no image has a label.

    Examples
    --------
    >>> logits, labels = torch.zeros(2, 2), torch.tensor([1, -1])
    >>> float(classification_loss(logits, labels).exp())
    2.0
    >>> float(classification_loss(logits, labels, image_weights=torch.zeros(2)))
    0.0
    """
    labelled = labels != UNLABELLED
    if not bool(labelled.all()):
        logits, labels = logits[labelled], labels[labelled]
        image_weights = None if image_weights is None else image_weights[labelled]
    if len(labels) == 0:
        return logits.float().sum()  # zero, with a graph
    # float32: under bfloat16 autocast the logits have three digits
    reduction = "mean" if image_weights is None else "none"
    losses = functional.cross_entropy(
        logits.float(),
        labels,
        weight=class_weights,
        label_smoothing=label_smoothing,
        reduction=reduction,
    )
    if image_weights is None:
        return losses
    total = len(labels) if class_weights is None else class_weights[labels].sum()
    return (losses * image_weights).sum() / total


def consistency_loss(logits: Tensor, whole: Tensor) -> Tensor:
    r"""Divergence of an erased image's prediction from the whole image's.

    .. math:: L = \frac{1}{B} \sum_i \mathrm{KL}\bigl(\mathrm{sg}[p(x_i)] \,\|\, p(\tilde x_i)\bigr)

    Parameters
    ----------
    logits : Tensor, shape (B, K)
        Of the erased images.
    whole : Tensor, shape (B, K)
        Of the whole images; no gradient goes there.

    Returns
    -------
    Tensor, shape ()
        In nats.

    Examples
    --------
    >>> logits = torch.tensor([[2.0, -1.0]])
    >>> float(consistency_loss(logits, logits + 3.0))
    0.0
    """
    target = whole.detach().float().log_softmax(dim=1)
    predicted = logits.float().log_softmax(dim=1)
    return functional.kl_div(predicted, target, reduction="batchmean", log_target=True)


def cut_patches(images: Tensor, patch_size: int) -> Tensor:
    """Cut images into patches.

    Parameters
    ----------
    images : Tensor, shape (B, C, H, W)
        Height and width are multiples of the patch size.
    patch_size : int, pixels
        Side of a patch.

    Returns
    -------
    Tensor, shape (B, P, C * patch_size ** 2)
        Row by row, as the patches lie in the image.

    Examples
    --------
    >>> cut_patches(torch.arange(16.0).view(1, 1, 4, 4), 2)[0, 1].tolist()
    [2.0, 3.0, 6.0, 7.0]
    """
    patches = functional.unfold(images.float(), patch_size, stride=patch_size)  # (B, C p p, P)
    return patches.transpose(1, 2)


def reconstruction_loss(
    predicted: Tensor, target: Tensor, erased: Tensor, normalize: bool = True
) -> Tensor:
    r"""Squared error of the pixels of erased patches [1]_.

    .. math:: L = \frac{1}{|E|} \sum_{(i, p) \in E} \frac{1}{D}
              \bigl\| \hat x_{ip} - \mathrm{norm}(x_{ip}) \bigr\|^2

    Parameters
    ----------
    predicted, target : Tensor, shape (B, P, D)
        Pixels of each patch; see `cut_patches`.
    erased : Tensor, shape (B, P), bool
        `E`: nothing else counts.
    normalize : bool, default True
        Whether the target is each patch at mean zero and unit variance.

    Returns
    -------
    Tensor, shape ()
        About one, if normalised, for a prediction that knows nothing.

    References
    ----------
    .. [1] He et al. 2022, CVPR, arXiv:2111.06377, sections 3 and 4.1.

    Examples
    --------
    >>> target = torch.tensor([[[1.0, 3.0], [5.0, 5.0]]])
    >>> erased = torch.tensor([[True, False]])
    >>> float(reconstruction_loss(torch.zeros(1, 2, 2), target, erased, normalize=False))
    5.0
    """
    predicted, target = predicted[erased].float(), target[erased].float()  # (|E|, D)
    if normalize:
        deviation = target - target.mean(dim=-1, keepdim=True)
        # the constant of He et al.'s code: a patch without any structure stays at zero
        target = deviation / (deviation.square().mean(dim=-1, keepdim=True) + 1e-6).sqrt()
    return functional.mse_loss(predicted, target)


def visible_attention(attention: Tensor, erased: Tensor) -> Tensor:
    """Evidence left: the share of the whole image's attention that is still visible.

    Parameters
    ----------
    attention : Tensor, shape (B, P)
        To the whole image, each row with sum one.
    erased : Tensor, shape (B, P), bool
        What is gone.

    Returns
    -------
    Tensor, shape (B,)
        In [0, 1].

    Examples
    --------
    >>> visible_attention(torch.tensor([[0.75, 0.25]]), torch.tensor([[True, False]]))
    tensor([0.2500])
    """
    return attention.masked_fill(erased, 0.0).sum(dim=1)


def remaining_probability(logits: Tensor, whole: Tensor, labels: Tensor) -> Tensor:
    """Evidence left: the true class's probability over that for the whole image.

    Parameters
    ----------
    logits : Tensor, shape (B, K)
        Of the erased images.
    whole : Tensor, shape (B, K)
        Of the whole images.
    labels : Tensor, shape (B,), int64
        Without a label the evidence is one.

    Returns
    -------
    Tensor, shape (B,)
        In [0, 1], detached.

    Examples
    --------
    >>> whole, erased = torch.tensor([[0.0, 30.0]]), torch.zeros(1, 2)
    >>> remaining_probability(erased, whole, torch.tensor([1]))
    tensor([0.5000])
    """
    index = labels.clamp(min=0)[:, None]
    log_now = logits.detach().float().log_softmax(dim=1).gather(1, index)[:, 0]
    log_then = whole.detach().float().log_softmax(dim=1).gather(1, index)[:, 0]
    ratio = (log_now - log_then).exp().clamp(max=1.0)
    return torch.where(labels == UNLABELLED, torch.ones_like(ratio), ratio)


def weighted_mean(losses: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    """Average the losses of the rounds that a step had.

    Parameters
    ----------
    losses : sequence of Tensor, shape ()
        Of rounds from 0 on.
    weights : sequence of float
        Of the same rounds.

    Returns
    -------
    Tensor, shape ()
        Zero, with the graph of the last loss, if all weights are zero.

    Examples
    --------
    >>> weighted_mean([torch.tensor(1.0), torch.tensor(2.0)], [3.0, 1.0])
    tensor(1.2500)
    """
    total = sum(weights)
    if total == 0:
        return 0.0 * losses[-1]
    return torch.stack([w * loss for w, loss in zip(weights, losses, strict=True)]).sum() / total
