"""Learning the teacher's hidden states, once they are projected to its width.

References
----------
.. [1] Romero et al. 2015, arXiv:1412.6550 (hints from a middle layer).
.. [2] Yang et al. 2022, arXiv:2209.02432 (the first layers of a transformer).
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor
from torch.nn import functional

Distance = Literal["cosine", "mse"]


def feature_loss(student: Tensor, teacher: Tensor, distance: Distance) -> Tensor:
    """Compare hidden states token by token.

    Parameters
    ----------
    student, teacher : torch.Tensor, shape (B, n, D)
        Of the same tokens and width.
    distance : {"cosine", "mse"}
        ``cosine`` is one minus the cosine of the angle between both, blind to length; ``mse``
        the mean squared difference over the variance of the teacher's values in the batch, so
        that a weight means the same for every teacher.

    Returns
    -------
    torch.Tensor, shape ()
        Mean over tokens.

    Examples
    --------
    >>> import torch
    >>> tokens = torch.tensor([[[1.0, 0.0], [0.0, 2.0]]])
    >>> feature_loss(tokens, tokens, "cosine").item(), feature_loss(tokens, tokens, "mse").item()
    (0.0, 0.0)
    """
    student, teacher = student.float(), teacher.float()
    if distance == "cosine":
        return (1 - functional.cosine_similarity(student, teacher, dim=-1)).mean()
    variance = teacher.var(correction=0).clamp(min=1e-12)
    return functional.mse_loss(student, teacher) / variance
