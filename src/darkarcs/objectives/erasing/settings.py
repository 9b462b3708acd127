"""The settings of iterative erasing, and what contradicts what."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from darkarcs.configuration import Configuration
from darkarcs.objectives.teacher_terms import TeacherTerms
from darkarcs.objectives.weight_schedule import is_ever_used

Strategy = Literal["random", "most_attended", "least_attended", "mixed"]
AttentionMap = Literal["class_attention", "rollout", "gradient_weighted"]
Fill = Literal["background", "mean", "mask_token"]
Guard = Literal["none", "cap", "anneal", "evidence"]


class ErasingWeights(Configuration):
    """Weights of the three losses in the sum that is minimised.

    Attributes
    ----------
    classification : float, default 1.0
        Of the cross-entropy, itself a weighted mean over the rounds. At 0 no label is used.
    reconstruction : float, default 0.0
        Of the squared error on the erased patches.
    consistency : float, default 0.0
        Of the divergence of later rounds from the whole image's prediction.
    """

    classification: float = Field(default=1.0, ge=0)
    reconstruction: float = Field(default=0.0, ge=0)
    consistency: float = Field(default=0.0, ge=0)


class DecoderSettings(Configuration):
    """Shape of the transformer that reconstructs erased patches.

    Attributes
    ----------
    width : int, default 64
        Size of its tokens.
    depth : int, default 1
        Number of blocks.
    num_heads : int, default 4
        Heads of each; must divide the width.
    """

    width: int = Field(default=64, ge=1)
    depth: int = Field(default=1, ge=1)
    num_heads: int = Field(default=4, ge=1)

    @model_validator(mode="after")
    def _check(self) -> DecoderSettings:
        if self.width % self.num_heads:
            raise ValueError(f"width {self.width} is not a multiple of num_heads {self.num_heads}")
        return self


class RoundTerms(TeacherTerms):
    """What each round learns from teachers who see the whole image.

    Attributes
    ----------
    round_weights : tuple of float, default ()
        Of rounds 0 to ``num_rounds`` in the mean; empty for equal ones. ``[1, 0, 0]`` teaches
        the whole image alone, ``[0, 1, 1]`` what is left of it.
    """

    round_weights: tuple[float, ...] = ()


class IterativeErasing(Configuration):
    """Configuration of `IterativeErasingObjective`.

    Attributes
    ----------
    kind : {"iterative_erasing"}
        Name of the objective in a recipe.
    num_rounds : int, default 2
        Rounds after round 0, which sees the whole image; 0 is plain classification.
    strategy : {"random", "most_attended", "least_attended", "mixed"}
        What goes first. ``mixed`` draws one of the other three for each image and step.
    mixture : tuple of three float, default (1, 1, 1)
        Relative odds of random, most and least attended under ``mixed``.
    attention : {"class_attention", "rollout", "gradient_weighted"}
        What "attended" means; see `darkarcs.objectives.erasing.attention_maps`.
    attention_of : {"model", "average"}, default "model"
        Whose attention: the trained model's, from the forward pass that it makes anyway, or
        that of its moving average, which costs a pass of its own.
    average_decay : float, default 0.99
        Of that moving average, a step; it warms up over the first steps.
    attend : {"each_round", "first_round"}, default "each_round"
        Whether each round follows the attention to what the round before left, or all rounds
        follow that to the whole image; the latter lets the rounds share one forward pass.
    selection_noise : float, default 0.0
        Scale of the Gumbel noise on the logarithm of the attention; at 1, patches are drawn
        with odds equal to their attention.
    hint_share : float, default 0.0
        Of the most attended patches that could go, the share (drawn at random) that is shown in
        every round nevertheless.
    erased_share : float, default 0.2
        Share of the image that each round erases further.
    max_erased : float, default 0.5
        Largest share of the image that is ever erased.
    anneal_in : float, default 0.2
        Share of the run's steps over which the erased area grows linearly to its full size.
    erased_images : float, default 1.0
        Share of each batch (drawn at random, at least one image) that later rounds see.
    fill : {"background", "mean", "mask_token"}, default "background"
        What erased pixels become: noise of that image's own border, that image's mean, or
        nothing that the encoder sees.
    skip_erased : bool, default True
        With ``mask_token``, whether the encoder leaves the erased patches out, which is cheaper,
        or sees its learned mask token at their places.
    patch_size : int, optional
        For a model without patches: side in pixels of what is erased at once.
    weights : ErasingWeights
        Of the three losses.
    round_weights : tuple of float, default ()
        Of rounds 0 to ``num_rounds`` in the cross-entropy's mean; empty for equal ones.
    guard : {"none", "cap", "anneal", "evidence"}, default "none"
        Protection from labels that erasing made false: no label for a later round once its
        evidence falls below ``evidence_floor``; later rounds' labels weighted from 1 down to 0
        over the run; or each weighted by its evidence left. The teachers' answers, which are
        those to the whole image, are weighted likewise.
    evidence : {"attention", "probability"}, default "attention"
        Evidence left in an erased image: the share of the attention to the whole image that is
        still visible, or the probability of the true class over that for the whole image, at
        most 1 (and 1 without a label).
    evidence_floor : float, default 0.5
        For ``guard: cap``.
    reconstruct : {"all", "last"}, default "all"
        Which later rounds are reconstructed.
    normalize_patches : bool, default True
        Whether each patch is reconstructed at mean zero and unit variance.
    decoder : DecoderSettings
        Of the reconstruction.
    distillation : RoundTerms, optional
        What every round learns from the recipe's teachers, who see the whole image: the keys of
        ``kind: distillation`` but its labels, and ``round_weights``, of rounds 0 to
        ``num_rounds`` in the mean.
    label_smoothing, class_weights : float, and {"none", "balanced"} or tuple of float
        As in `darkarcs.objectives.Classification`.
    """

    kind: Literal["iterative_erasing"] = "iterative_erasing"
    num_rounds: int = Field(default=2, ge=0)
    strategy: Strategy = "most_attended"
    mixture: tuple[float, float, float] = (1.0, 1.0, 1.0)
    attention: AttentionMap = "class_attention"
    attention_of: Literal["model", "average"] = "model"
    average_decay: float = Field(default=0.99, ge=0, lt=1)
    attend: Literal["each_round", "first_round"] = "each_round"
    selection_noise: float = Field(default=0.0, ge=0)
    hint_share: float = Field(default=0.0, ge=0, lt=1)
    erased_share: float = Field(default=0.2, gt=0, lt=1)
    max_erased: float = Field(default=0.5, gt=0, lt=1)
    anneal_in: float = Field(default=0.2, ge=0, le=1)
    erased_images: float = Field(default=1.0, gt=0, le=1)
    fill: Fill = "background"
    skip_erased: bool = True
    patch_size: int | None = Field(default=None, ge=1)
    weights: ErasingWeights = ErasingWeights()
    round_weights: tuple[float, ...] = ()
    guard: Guard = "none"
    evidence: Literal["attention", "probability"] = "attention"
    evidence_floor: float = Field(default=0.5, ge=0, le=1)
    reconstruct: Literal["all", "last"] = "all"
    normalize_patches: bool = True
    decoder: DecoderSettings = DecoderSettings()
    distillation: RoundTerms | None = None
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    class_weights: Literal["none", "balanced"] | tuple[float, ...] = "none"

    @model_validator(mode="after")
    def _check(self) -> IterativeErasing:
        if min(self.mixture) < 0 or sum(self.mixture) == 0:
            raise ValueError("mixture must hold odds that are not negative and not all zero")
        if self.hint_share and self.strategy not in ("most_attended", "mixed"):
            raise ValueError("hint_share shows what was attended most: set strategy most_attended")
        if self.max_erased * (1 + self.hint_share) >= 1:
            raise ValueError("max_erased * (1 + hint_share) must stay below 1")
        self._check_rounds("round_weights", self.round_weights)
        if self.guard == "anneal" and self.round_weights and not self.round_weights[0]:
            raise ValueError(
                "guard anneal weighs later rounds down against the whole image's: it needs "
                "round_weights above 0 for round 0"
            )
        if self.distillation is not None:
            self._check_rounds("distillation.round_weights", self.distillation.round_weights)
            if not self.uses_labels and not self.learns_answers:
                raise ValueError(
                    "nothing would train the head: set weights.classification or "
                    "distillation.answers.weight above 0"
                )
            return self
        if not self.num_rounds and not self.uses_labels:
            raise ValueError("without classification num_rounds must be at least 1")
        if not any(self.weights.model_dump().values()):
            raise ValueError("weights must not all be zero")
        return self

    def _check_rounds(self, key: str, weights: tuple[float, ...]) -> None:
        wanted = self.num_rounds + 1
        if weights and (len(weights) != wanted or min(weights) < 0 or not sum(weights)):
            raise ValueError(
                f"{key} must be {wanted} numbers, one for each round from 0 on, not negative and "
                "not all zero"
            )

    @property
    def uses_labels(self) -> bool:
        """Whether any label is used."""
        return self.weights.classification > 0

    @property
    def learns_answers(self) -> bool:
        """Whether teachers' answers are learned."""
        return self.distillation is not None and is_ever_used(self.distillation.answers.weight)

    @property
    def is_self_supervised(self) -> bool:
        """Whether nothing tells the classes: neither labels nor teachers."""
        return not self.uses_labels and self.distillation is None

    @property
    def learns_without_labels(self) -> bool:
        """Whether an image without a label has a loss."""
        erases = self.weights.reconstruction + self.weights.consistency > 0
        return self.distillation is not None or (self.num_rounds > 0 and erases)

    @property
    def skips(self) -> bool:
        """Whether the encoder leaves erased patches out of its sequence."""
        return self.fill == "mask_token" and self.skip_erased

    @property
    def needs_attention(self) -> bool:
        """Whether an attention map of the whole image is needed."""
        guarded = self.guard in ("cap", "evidence") and self.evidence == "attention"
        guarded = guarded and (self.uses_labels or self.learns_answers)
        return self.num_rounds > 0 and (self.strategy != "random" or guarded)

    @property
    def reads_whole_image(self) -> bool:
        """Whether a loss, or what goes, depends on what the model makes of the whole image."""
        learns = self.uses_labels or self.distillation is not None or self.weights.consistency > 0
        return learns or (self.needs_attention and self.attention_of == "model")

    @property
    def attends_each_round(self) -> bool:
        """Whether a later round's attention decides what the next one erases."""
        return self.strategy != "random" and self.attend == "each_round"
