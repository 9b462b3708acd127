"""What a map explains: one number an image that says how strongly a class is believed."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

from darkarcs.errors import ModelError

#: The log-odds of a class against all others, or its probability. A confident model's
#: probability hardly moves whatever is erased; its log-odds do.
Measure = Literal["log_odds", "probability"]


def class_score(logits: Tensor, class_index: Tensor, measure: Measure = "log_odds") -> Tensor:
    """Say how strongly a model believes in a class.

    Parameters
    ----------
    logits : Tensor, shape (B, K)
        Two classes or more.
    class_index : Tensor, shape (B,), int64
        A class for each image.
    measure : {"log_odds", "probability"}, default "log_odds"
        See `Measure`.

    Returns
    -------
    Tensor, shape (B,)
        Differentiable.

    Raises
    ------
    ModelError
        If there is no such measure.

    Examples
    --------
    >>> logits = torch.tensor([[0.0, 2.0]])
    >>> class_score(logits, torch.tensor([1])).item()
    2.0
    >>> round(class_score(logits, torch.tensor([1]), "probability").item(), 3)
    0.881
    """
    if measure not in get_args(Measure):
        raise ModelError(f"measure = '{measure}': must be one of {', '.join(get_args(Measure))}")
    column = class_index[:, None]
    if measure == "probability":
        return logits.softmax(dim=1).gather(1, column)[:, 0]
    others = logits.scatter(1, column, -torch.inf)
    return logits.gather(1, column)[:, 0] - others.logsumexp(dim=1)


def resolve_class(logits: Tensor, class_index: int | Tensor | None) -> Tensor:
    """Bring what was asked for to one class an image.

    Parameters
    ----------
    logits : Tensor, shape (B, K)
        Of the images as they are.
    class_index : int, Tensor of shape (B,), or None
        None takes the class with the largest logit.

    Returns
    -------
    Tensor, shape (B,), int64
        On the device of the logits.

    Raises
    ------
    ModelError
        If a class does not exist, or there is not one for each image.

    Examples
    --------
    >>> resolve_class(torch.tensor([[0.0, 2.0], [1.0, 0.0]]), None).tolist()
    [1, 0]
    """
    if class_index is None:
        return logits.argmax(dim=1)
    index = torch.as_tensor(class_index, dtype=torch.int64, device=logits.device)
    if index.ndim == 0:
        index = index.expand(len(logits))
    if index.shape != (len(logits),):
        raise ModelError(f"class_index has shape {tuple(index.shape)}, not ({len(logits)},)")
    if len(index) and not 0 <= int(index.min()) <= int(index.max()) < logits.shape[1]:
        raise ModelError(f"class_index must lie in 0..{logits.shape[1] - 1}")
    return index
