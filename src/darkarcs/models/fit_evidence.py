r"""The evidence of fits as a model: what a network that looks at fits has to beat.

`darkarcs.fitting.subhalo_search` gives the log of the evidence for subhalos against a smooth lens,
place by place, for S strengths of the subhalos. With :math:`\bar e_s` the mean of the map of
strength s over the image, the model is the mixture

.. math:: E = \ln \sum_s w_s \exp(f_s \bar e_s)

with a weight and a factor for each strength, and logits that are linear in asinh E: how often each
strength occurs, and how far linear theory is to be trusted. A smooth lens whose fit ended in a side
minimum can have an evidence of hundreds: as odds it would be certain, in asinh it is not. Nothing
in the model knows where on the image a subhalo is, or what a lens looks like.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from pydantic import Field
from torch import Tensor, nn

from darkarcs.configuration import Configuration
from darkarcs.errors import ModelError
from darkarcs.models.catalogue import register_model
from darkarcs.models.interface import Capture, Erased, ImageClassifier, ModelOutput, as_logits


class EvidenceArchitecture(Configuration):
    """What can be chosen of a `FitEvidence`.

    Attributes
    ----------
    strengths : int
        How many of the last channels are maps of evidence.
    factor : float
        Of the means over an image, to begin with: about the number of places.
    """

    strengths: int = Field(3, ge=1)
    factor: float = Field(200.0, gt=0)


class FitEvidence(ImageClassifier):
    """Sums maps of the evidence for subhalos.

    Parameters
    ----------
    architecture : EvidenceArchitecture
        Number of maps, and where factors begin.
    num_classes, in_channels : int
        Number of logits, and of the images' channels, of which the last are the maps.

    Raises
    ------
    ModelError
        If `darkarcs.fitting` does not write images of so many channels.

    Examples
    --------
    >>> model = FitEvidence(EvidenceArchitecture(), num_classes=2, in_channels=7)
    >>> maps = torch.zeros(1, 7, 64, 64)
    >>> maps[:, -1, 20:30, 20:30] = 3.0
    >>> model(maps).logits.diff().item() > model(0 * maps).logits.diff().item()
    True
    >>> sum(parameter.numel() for parameter in model.parameters())
    10
    """

    def __init__(
        self, architecture: EvidenceArchitecture, *, num_classes: int, in_channels: int
    ) -> None:
        super().__init__(num_classes=num_classes, in_channels=in_channels)
        self.architecture = architecture
        strengths = architecture.strengths
        others = in_channels - strengths - 2  # residuals and light of each band
        if others < 2 or others % 2:
            raise ModelError(
                f"fit_evidence sums {strengths} maps of evidence behind two of subhalos and two a "
                f"band, and the images have {in_channels} channels: train it on what darkarcs fit "
                "writes"
            )
        self.log_factor = nn.Parameter(torch.full((strengths,), math.log(architecture.factor)))
        self.log_weight = nn.Parameter(torch.full((strengths,), -math.log(strengths)))
        self.head = nn.Linear(1, num_classes)
        with torch.no_grad():  # evidence for the classes after the first, as it is
            self.head.weight.fill_(1.0)[0] = 0.0
            self.head.bias.zero_()

    @property
    def classifier(self) -> nn.Module:
        """The linear layer behind the evidence."""
        return self.head

    def forward(
        self,
        images: Tensor,
        patch_mask: Tensor | None = None,
        capture: Sequence[str] = (),
        erased: Erased = "mask_token",
    ) -> ModelOutput:
        """Classify images (B, C, H, W); ``hidden.0`` is asinh E, (B, 1)."""
        self.check_images(images)
        self.refuse_patch_mask(patch_mask)
        taps = Capture(capture, {"hidden": 1})
        mean = images[:, -self.architecture.strengths :].float().mean(dim=(2, 3))  # (B, S)
        terms = self.log_factor.exp() * mean + self.log_weight
        evidence = terms.logsumexp(dim=1, keepdim=True).asinh()
        taps.store({"hidden": evidence}, 0)
        return ModelOutput(as_logits(self.head(evidence)), captured=taps.tensors)

    def layer_groups(self) -> list[list[nn.Parameter]]:
        """Return every parameter once: factors and weights, then the head."""
        return [[self.log_factor, self.log_weight], list(self.head.parameters())]


@register_model(
    "fit_evidence",
    family="fit_evidence",
    description="mean evidence for subhalos of fitted lenses, ten parameters (needs darkarcs fit)",
    in_channels=7,
)
def fit_evidence(
    *, num_classes: int, in_channels: int, image_size: int, **overrides: Any
) -> FitEvidence:
    """Build the model of evidence; it takes images of any size."""
    architecture = EvidenceArchitecture.parse(overrides, "model")
    return FitEvidence(architecture, num_classes=num_classes, in_channels=in_channels)
