"""Learning the teachers' answers: their probabilities, or only what they decide.

References
----------
.. [1] Hinton, Vinyals & Dean 2015, arXiv:1503.02531, section 2.
.. [2] Touvron et al. 2021, arXiv:2012.12877, equations 2 and 3.
"""

from __future__ import annotations

import math

from torch import Tensor
from torch.nn import functional


def mean_log_probabilities(logits: Tensor, temperature: float = 1.0) -> Tensor:
    """Take the logarithm of the mean of the teachers' probabilities.

    Parameters
    ----------
    logits : torch.Tensor, shape (M, B, K)
        Of each teacher.
    temperature : float, default 1.0
        Divides the logits of each.

    Returns
    -------
    torch.Tensor, shape (B, K)
        Log-probabilities.

    Examples
    --------
    >>> import torch
    >>> sure = torch.tensor([[[0.0, 50.0]], [[50.0, 0.0]]])  # two teachers who disagree
    >>> mean_log_probabilities(sure).exp().tolist()
    [[0.5, 0.5]]
    """
    each = (logits.float() / temperature).log_softmax(dim=-1)
    return each.logsumexp(dim=0) - math.log(len(logits))


def soft_answers(
    student: Tensor, teachers: Tensor, temperature: float, image_weights: Tensor | None = None
) -> Tensor:
    r"""Divergence of the student's probabilities from the teachers' mean [1]_.

    .. math:: \frac{T^2}{B} \sum_b e_b \, \mathrm{KL}\Big(\frac{1}{M}\sum_m
              \sigma(t_{mb} / T) \,\Big\|\, \sigma(s_b / T)\Big)

    The factor of the squared temperature keeps the gradient's size when it changes.

    Parameters
    ----------
    student : torch.Tensor, shape (B, K)
        Logits.
    teachers : torch.Tensor, shape (M, B, K)
        Logits of each teacher.
    temperature : float
        Above 1 the wrong classes count for more.
    image_weights : torch.Tensor, shape (B,), optional
        :math:`e_b`; one where absent.

    Returns
    -------
    torch.Tensor, shape ()
        In nats, times the squared temperature.

    References
    ----------
    .. [1] Hinton, Vinyals & Dean 2015, arXiv:1503.02531, section 2.

    Examples
    --------
    >>> import torch
    >>> logits = torch.tensor([[2.0, 0.0], [0.0, 1.0]])
    >>> soft_answers(logits, logits[None], temperature=3.0)
    tensor(0.)
    """
    target = mean_log_probabilities(teachers, temperature)
    answer = (student.float() / temperature).log_softmax(dim=-1)
    each = functional.kl_div(answer, target, reduction="none", log_target=True).sum(dim=-1)
    return temperature**2 * _mean(each, image_weights)


def hard_answers(student: Tensor, teachers: Tensor, image_weights: Tensor | None = None) -> Tensor:
    """Cross-entropy of the student against the teachers' most probable class [2]_.

    Parameters
    ----------
    student : torch.Tensor, shape (B, K)
        Logits; of the distillation token where the student has one.
    teachers : torch.Tensor, shape (M, B, K)
        Logits of each teacher; their mean probability decides.
    image_weights : torch.Tensor, shape (B,), optional
        As in `soft_answers`.

    Returns
    -------
    torch.Tensor, shape ()
        Mean over the batch, in nats.

    References
    ----------
    .. [2] Touvron et al. 2021, arXiv:2012.12877, equation 3.

    Examples
    --------
    >>> import torch
    >>> logits = torch.tensor([[40.0, 0.0], [0.0, 40.0]])
    >>> round(hard_answers(logits, logits[None]).item(), 6)
    0.0
    """
    target = mean_log_probabilities(teachers).argmax(-1)
    return _mean(functional.cross_entropy(student.float(), target, reduction="none"), image_weights)


def _mean(losses: Tensor, image_weights: Tensor | None) -> Tensor:
    return losses.mean() if image_weights is None else (losses * image_weights).mean()
