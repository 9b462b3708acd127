"""Prediction by iterative erasing: what is not attended goes dark, and the model looks again.

References
----------
.. [1] L. Shin 2022, "Iterative Erasing of Unattended Image Regions in PyTorch", Artificialis
   (medium.com): the class token's attention of the last layer darkens the image.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from darkarcs.configuration import Configuration
from darkarcs.errors import ModelError
from darkarcs.explain.attention import class_attention
from darkarcs.explain.capturing import reading_tokens, require_attention, to_pixels
from darkarcs.explain.filling import Fill, background, filling

#: Which prediction counts: that of the last round, or the mean of the log-probabilities of all.
Combine = Literal["last", "mean"]
#: How the unattended goes: fading to the sky by the attention, or patch by patch into noise.
ErasingKind = Literal["darken", "patches"]


class ErasingSettings(Configuration):
    """How a model predicts by iterative erasing.

    Attributes
    ----------
    rounds : int
        At most so many times something is erased; 0 predicts as without erasing.
    confidence : float, default 0.9
        An image is done when the probability of a class reaches it.
    combine : {"last", "mean"}, default "last"
        See `Combine`.
    kind : {"darken", "patches"}, default "darken"
        ``darken`` as in the article; ``patches`` fills the least attended patches.
    share : float, default 0.2
        Of all patches, how many each round erases; for ``patches`` alone.
    fill : {"background", "level", "mean"}, default "background"
        What ``patches`` puts there.
    seed : int, default 0
        Of the filling noise.

    Examples
    --------
    >>> ErasingSettings(rounds=3).label()
    'erase=3&by=darken&confidence=0.9&combine=last'
    """

    rounds: int = Field(ge=0)
    confidence: float = Field(default=0.9, gt=0, le=1)
    combine: Combine = "last"
    kind: ErasingKind = "darken"
    share: float = Field(default=0.2, gt=0, lt=1)
    fill: Fill = "background"
    seed: int = 0

    def label(self) -> str:
        """Say in one word how was predicted, for prediction files and logs.

        Returns
        -------
        str
            Settings that decide the prediction, as in a query string.
        """
        parts: dict[str, object] = {"erase": self.rounds, "by": self.kind}
        if self.kind == "patches":
            parts |= {"share": self.share, "fill": self.fill, "seed": self.seed}
        parts |= {"confidence": self.confidence, "combine": self.combine}
        return "&".join(f"{name}={value}" for name, value in parts.items())


@dataclass(frozen=True)
class ErasingPrediction:
    """What came of predicting by iterative erasing.

    Attributes
    ----------
    logits : Tensor, shape (B, K)
        The prediction: the logits of the last round that was computed, or with ``mean`` the
        mean of the log-probabilities of all rounds that were.
    rounds_used : Tensor, shape (B,), int64
        How many times something was really erased; 0 for an image that was confident at once.
    confident : Tensor, shape (B,), bool
        Whether a class reached the confidence.
    sequence : Tensor, shape (R, B, C, H, W), or None
        The image in each of the rounds that were computed (the first is the whole image), as
        the model saw it; NaN after an image was done.
    sequence_logits : Tensor, shape (R, B, K)
        What the model said in each round; NaN after an image was done.
    """

    logits: Tensor
    rounds_used: Tensor
    confident: Tensor
    sequence: Tensor | None
    sequence_logits: Tensor


@torch.no_grad()
def iterative_erasing_prediction(
    model: nn.Module,
    images: Tensor,
    rounds: int,
    confidence: float = 0.9,
    combine: Combine = "last",
    *,
    kind: ErasingKind = "darken",
    share: float = 0.2,
    fill: Fill = "background",
    temperature: float = 1.0,
    seed: int = 0,
    keep_sequence: bool = False,
    readers: slice | None = None,
) -> ErasingPrediction:
    r"""Predict; while in doubt, erase what the model does not attend to and predict again [1]_.

    With ``darken`` each pixel's brightness above the sky is multiplied by the last layer's
    attention of what the head reads (in the article the class token), averaged over heads,
    interpolated to pixels and divided by its maximum; round after round, each on what the last
    one left:

    .. math:: x_{k+1} = s + \frac{a(x_k)}{\max a(x_k)} (x_k - s)

    The article darkens towards black; here black is the level `s` of the image's own sky, since
    preprocessed images have no natural zero. With ``patches`` the least attended patches are
    filled with that sky, noise included, ``share`` of all patches a round; at least one patch
    is left. An image that a round would leave as it is needs no further one and is done.

    Parameters
    ----------
    model : torch.nn.Module
        In evaluation mode, with attention unless `rounds` is 0.
    images : Tensor, shape (B, C, H, W)
        Preprocessed, on the model's device.
    rounds : int
        At most so many erasings, fewer where nothing is left to erase. With 0 this is
        ``model(images).logits``, bit for bit.
    confidence : float, default 0.9
        Images with a class of this probability are not computed further.
    combine : {"last", "mean"}, default "last"
        See `ErasingPrediction`.
    kind : {"darken", "patches"}, default "darken"
        How the unattended goes.
    share : float, default 0.2
        See `ErasingSettings`.
    fill : {"background", "level", "mean"}, default "background"
        See `ErasingSettings`.
    temperature : float, default 1.0
        Divides the logits before they are compared with the confidence; not in the result.
    seed : int, default 0
        See `ErasingSettings`.
    keep_sequence : bool, default False
        Keep the images of every round.
    readers : slice, optional
        From `reading_tokens`, which is asked by default.

    Returns
    -------
    ErasingPrediction
        On the images' device.

    Raises
    ------
    ModelError
        If the model has no attention, or a setting is out of range.

    References
    ----------
    .. [1] L. Shin 2022, Artificialis.
    """
    _check(rounds, confidence, combine, kind, share)
    prefix = require_erasable(model) if rounds else 0
    readers = reading_tokens(model, images) if rounds and readers is None else readers
    replacement = filling(images, fill, seed)
    current = images.clone()
    active = torch.arange(len(images), device=images.device)
    erased: Tensor | None = None
    all_logits, sequence = [], []
    for number in range(rounds + 1):
        # the last round needs no attention, but asking for it changes how logits are rounded
        output = model(current[active], capture=("attention.-1",) if rounds else ())
        all_logits.append(_placed(output.logits, active, len(images)))
        if keep_sequence:
            sequence.append(_placed(current[active], active, len(images)))
        doubtful = _highest(output.logits, temperature) < confidence
        active = active[doubtful]
        if number == rounds or not len(active):
            break
        seen = _attended(output.captured["attention.-1"][doubtful], prefix, readers)
        before = current[active]
        if kind == "darken":
            current[active] = darken(before, seen)
            changed = _changed(current[active], before)
        else:
            if erased is None:
                erased = seen.new_zeros(len(images), seen[0].numel(), dtype=torch.bool)
            grown = erase_least(seen, erased[active], share)
            changed = _changed(grown, erased[active])
            erased[active] = grown
            hidden = _pixels_of(grown, seen.shape[-1], current)
            current[active] = torch.where(hidden, replacement[active], before)
        active = active[changed]  # where nothing is left to erase, a pass would repeat the last
        if not len(active):
            break
    logits = torch.stack(all_logits)  # (rounds computed, B, K)
    used = (~logits.isnan().any(dim=2)).sum(dim=0) - 1  # (B,)
    last = logits[used, torch.arange(len(images), device=images.device)]
    averaged = rounds > 0 and combine == "mean"
    return ErasingPrediction(
        logits=logits.log_softmax(dim=2).nanmean(dim=0) if averaged else last,
        rounds_used=used,
        confident=_highest(last, temperature) >= confidence,
        sequence=torch.stack(sequence) if keep_sequence else None,
        sequence_logits=logits,
    )


def require_erasable(model: nn.Module) -> int:
    """Return the number of tokens before the patches, of a model that can predict by erasing.

    Parameters
    ----------
    model : torch.nn.Module
        See `darkarcs.models.interface.ImageClassifier`.

    Returns
    -------
    int
        Its ``num_prefix_tokens``.

    Raises
    ------
    ModelError
        If the model has no attention that could say what to erase.
    """
    return require_attention(model, "predict without erasing: leave --erase out")


def darken(images: Tensor, attention: Tensor) -> Tensor:
    """Fade images to their sky where they are not attended.

    Parameters
    ----------
    images : Tensor, shape (B, C, H, W)
        Preprocessed.
    attention : Tensor, shape (B, g, g)
        From `darkarcs.explain.class_attention`.

    Returns
    -------
    Tensor, shape (B, C, H, W)
        Unchanged where attention is strongest.

    Examples
    --------
    >>> image = torch.zeros(1, 1, 6, 6)
    >>> image[..., 1:5, 1:5] = 1.0
    >>> darken(image, torch.tensor([[[0.3, 0.3], [0.3, 0.3]]])).equal(image)
    True
    """
    weight = to_pixels(attention, *images.shape[-2:]).to(images)
    weight = weight / weight.amax(dim=(1, 2), keepdim=True).clamp(min=1e-12)
    level, _ = background(images)
    return level + weight[:, None] * (images - level)


def erase_least(attention: Tensor, erased: Tensor, share: float) -> Tensor:
    """Add the least attended of the patches that are left to those that are erased.

    Parameters
    ----------
    attention : Tensor, shape (B, g, g)
        From `darkarcs.explain.class_attention`.
    erased : Tensor, shape (B, g * g), bool
        Patches that are gone already.
    share : float
        Of all patches, how many go; at least one goes and one stays.

    Returns
    -------
    Tensor, shape (B, g * g), bool
        Old and new.

    Examples
    --------
    >>> attention = torch.tensor([[[0.1, 0.4], [0.3, 0.2]]])
    >>> erase_least(attention, torch.tensor([[True, False, False, False]]), 0.25).tolist()
    [[True, False, False, True]]
    """
    scores = attention.flatten(1).masked_fill(erased, torch.inf)
    count = max(1, round(share * scores.shape[1]))
    order = scores.argsort(dim=1, stable=True).argsort(dim=1, stable=True)  # rank of each patch
    left = (~erased).sum(dim=1, keepdim=True)
    return erased | (order < torch.minimum(torch.tensor(count), left - 1))


def _attended(attention: Tensor, prefix: int, readers: slice | None) -> Tensor:
    """Give the attention to patches, (B, g, g), where the model is."""
    looked = class_attention(attention.float().cpu().numpy(), prefix, readers=readers)
    return torch.from_numpy(looked).to(attention.device)


def _highest(logits: Tensor, temperature: float) -> Tensor:
    """Give the probability of the likeliest class, (B,)."""
    return (logits / temperature).softmax(dim=1).amax(dim=1)


def _changed(images: Tensor, others: Tensor) -> Tensor:
    return (images != others).flatten(1).any(dim=1)


def _check(rounds: int, confidence: float, combine: str, kind: str, share: float) -> None:
    if rounds < 0 or not 0 < confidence <= 1 or not 0 < share < 1:
        raise ModelError(
            f"iterative erasing: rounds = {rounds}, confidence = {confidence}, share = {share}: "
            "needs rounds >= 0, 0 < confidence <= 1, 0 < share < 1"
        )
    for name, value, known in (("combine", combine, Combine), ("kind", kind, ErasingKind)):
        if value not in get_args(known):
            raise ModelError(f"{name} = '{value}': must be one of {', '.join(get_args(known))}")


def _pixels_of(patches: Tensor, side: int, images: Tensor) -> Tensor:
    """Spread a mask of patches (B, g * g) over pixels (B, 1, H, W)."""
    grid = patches.view(-1, 1, side, side).to(images)
    # nearest is exact where patches divide the image, and sound where they do not
    return F.interpolate(grid, images.shape[-2:], mode="nearest-exact") > 0.5


def _placed(values: Tensor, active: Tensor, count: int) -> Tensor:
    """Put the values of the active images among all images; the others are NaN."""
    placed = values.new_full((count, *values.shape[1:]), torch.nan)
    placed[active] = values
    return placed
