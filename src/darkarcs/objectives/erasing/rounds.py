"""The rounds of one step: look at the whole image, erase, look again."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from darkarcs.objectives.contract import count_token_forwards
from darkarcs.objectives.erasing.attention_maps import CAPTURES, attention_map
from darkarcs.objectives.erasing.fill import fill_erased, patch_pixels
from darkarcs.objectives.erasing.layout import TokenLayout, patch_tokens
from darkarcs.objectives.erasing.moving_average import MovingAverage
from darkarcs.objectives.erasing.selection import (
    draw_directions,
    draw_hints,
    grow_mask,
    order_scores,
)
from darkarcs.objectives.erasing.settings import IterativeErasing


@dataclass(frozen=True)
class Round:
    """One round: what was erased, and what the model made of the rest.

    Attributes
    ----------
    erased : Tensor, shape (B, P), bool, or None
        What was erased; None for the whole image.
    logits : Tensor, shape (B, K)
        The prediction from what was left.
    distillation_logits : Tensor, shape (B, K), or None
        That of the distillation token.
    tokens : Tensor, shape (B, P or those left, D), or None
        Patch tokens, where they are to be reconstructed from.
    captured : dict of str to Tensor
        What the losses against teachers compare.
    """

    erased: Tensor | None
    logits: Tensor
    distillation_logits: Tensor | None = None
    tokens: Tensor | None = None
    captured: dict[str, Tensor] = field(default_factory=dict)

    def select(self, rows: Tensor | slice) -> Round:
        """Take some of the images.

        Parameters
        ----------
        rows : Tensor, shape (b,), int64, or slice
            Their indices.

        Returns
        -------
        Round
            Of these images, in this order.

        Examples
        --------
        >>> logits = torch.tensor([[0.0, 1.0], [2.0, 3.0]])
        >>> Round(None, logits).select(torch.tensor([1])).logits
        tensor([[2., 3.]])
        """
        return Round(
            _rows(self.erased, rows),
            self.logits[rows],
            _rows(self.distillation_logits, rows),
            _rows(self.tokens, rows),
            {name: tensor[rows] for name, tensor in self.captured.items()},
        )


def _rows(tensor: Tensor | None, rows: Tensor | slice) -> Tensor | None:
    return None if tensor is None else tensor[rows]


def _with_graph(images: Tensor) -> Tensor:
    """Begin the graph at the pixels: the weights may be frozen, or have no gradient."""
    return images if torch.is_inference_mode_enabled() else images.detach().requires_grad_()


class ErasingRounds:
    """Runs the rounds of one step and counts the tokens that they cost.

    Parameters
    ----------
    configuration : IterativeErasing
        What goes, and what takes its place.
    layout : TokenLayout
        Of the model.
    model : nn.Module
        That is trained.
    average : MovingAverage or None
        Whose attention is followed, if not the model's own.
    generator : torch.Generator
        The step's stream.
    compared : tuple of str
        What the losses against teachers capture of each round.

    Attributes
    ----------
    token_forwards : int
        Tokens that went forward through a transformer so far.
    """

    def __init__(
        self,
        configuration: IterativeErasing,
        layout: TokenLayout,
        model: nn.Module,
        average: MovingAverage | None,
        generator: torch.Generator,
        compared: tuple[str, ...] = (),
    ) -> None:
        self.configuration = configuration
        self.layout = layout
        self.model = model
        self.average = average
        self.generator = generator
        self.compared = compared
        self.token_forwards = 0
        own = configuration.needs_attention and average is None
        self._own_capture = CAPTURES[configuration.attention] if own else ()

    def see_whole(
        self, images: Tensor, labels: Tensor, rows: Tensor, with_gradient: bool
    ) -> tuple[Round | None, Tensor | None]:
        """Run round 0, if anything reads it.

        Parameters
        ----------
        images : Tensor, shape (B, C, H, W)
            The whole batch.
        labels : Tensor, shape (B,), int64
            For gradient-weighted attention.
        rows : Tensor, shape (b,), int64
            The images that later rounds will see.
        with_gradient : bool
            Whether a loss hangs on round 0.

        Returns
        -------
        whole : Round, or None
            Of all images; None if nothing reads it.
        attention : Tensor, shape (b, P), or None
            Of the chosen images, each row with sum one; None if nothing needs it.
        """
        whole = None
        by_gradient = bool(self._own_capture) and self.configuration.attention.startswith("grad")
        if self.configuration.reads_whole_image:
            with torch.set_grad_enabled((with_gradient and torch.is_grad_enabled()) or by_gradient):
                seen = _with_graph(images) if by_gradient else images
                output = self._see(self.model, seen, self.compared + self._own_capture)
                whole = self._round(None, output)
                if self._own_capture:
                    return whole, self._map(output, labels)[rows]
        if self.average is not None:
            return whole, self._average_map(images[rows], labels[rows], None, {})
        return whole, None

    def run(
        self, images: Tensor, labels: Tensor, attention: Tensor | None, counts: tuple[int, ...]
    ) -> list[Round]:
        """Run the later rounds.

        Parameters
        ----------
        images : Tensor, shape (B, C, H, W)
            Whole images.
        labels : Tensor, shape (B,), int64
            For gradient-weighted attention.
        attention : Tensor, shape (B, P), or None
            To the whole images.
        counts : tuple of int
            Patches that are erased in each round.

        Returns
        -------
        list of Round
            One for each count; each erases what the one before did, and more.
        """
        c, num_patches = self.configuration, self.layout.num_patches
        directions = draw_directions(c.strategy, c.mixture, len(images), self.generator)
        hints = draw_hints(
            attention, directions, num_patches, counts[-1], c.hint_share, self.generator
        ).to(images.device)
        erased = torch.zeros_like(hints)
        if not (c.attends_each_round and len(counts) > 1):
            scores = self._scores(attention, directions)
            masks = [grow_mask(erased, scores, hints, count) for count in counts]
            return self._see_together(images, masks)
        rounds: list[Round] = []
        for number, count in enumerate(counts, start=1):
            erased = grow_mask(erased, self._scores(attention, directions), hints, count)
            is_last = number == len(counts)
            found, attention = self._see_and_attend(images, labels, erased, is_last)
            rounds.append(found)
        return rounds

    def _scores(self, attention: Tensor | None, directions: Tensor) -> Tensor:
        noise, num_patches = self.configuration.selection_noise, self.layout.num_patches
        if self.configuration.strategy == "random":
            attention = None
        return order_scores(attention, directions, num_patches, noise, self.generator)

    def _see_together(self, images: Tensor, masks: list[Tensor]) -> list[Round]:
        """See all rounds in one pass where their sequences are equally long."""
        wanted = [self._wanted(index == len(masks)) for index in range(1, len(masks) + 1)]
        if self.configuration.skips or len(masks) == 1:
            inputs = (self._erase(images, mask) for mask in masks)
            outputs = [
                self._see(self.model, seen, names, **options)
                for (seen, options), names in zip(inputs, wanted, strict=True)
            ]
            return [self._round(mask, out) for mask, out in zip(masks, outputs, strict=True)]
        repeated = images.repeat(len(masks), 1, 1, 1)  # (rounds B, C, H, W)
        seen, options = self._erase(repeated, torch.cat(masks))
        output = self._see(self.model, seen, wanted[-1], **options)
        together, size = self._round(torch.cat(masks), output), len(images)
        rounds = [together.select(slice(i * size, (i + 1) * size)) for i in range(len(masks))]
        return [
            found if self.layout.tokens_name in names else replace(found, tokens=None)
            for found, names in zip(rounds, wanted, strict=True)
        ]

    def _see_and_attend(
        self, images: Tensor, labels: Tensor, erased: Tensor, is_last: bool
    ) -> tuple[Round, Tensor | None]:
        seen, options = self._erase(images, erased)
        capture = self._wanted(is_last)
        if is_last:  # nobody asks where it looks
            return self._round(erased, self._see(self.model, seen, capture, **options)), None
        if self._own_capture and self.configuration.attention.startswith("grad"):
            seen = _with_graph(seen)
        output = self._see(self.model, seen, capture + self._own_capture, **options)
        if self.average is not None:
            attention = self._average_map(seen, labels, erased, options)
        else:
            attention = self._place(self._map(output, labels), erased)
        return self._round(erased, output), attention

    def _erase(self, images: Tensor, erased: Tensor) -> tuple[Tensor, dict[str, Any]]:
        """Give what a network sees of the images: pixels, and options of its forward pass."""
        c = self.configuration
        if c.fill == "mask_token":
            return images, {"patch_mask": erased, "erased": "skip" if c.skips else "mask_token"}
        pixels = patch_pixels(erased, self.layout.grid, self.layout.patch_size)
        return fill_erased(images, pixels, c.fill, self.generator), {}

    def _see(
        self, network: nn.Module, images: Tensor, capture: tuple[str, ...], **options: Any
    ) -> Any:
        self.token_forwards += count_token_forwards(self.model, images)
        if self.configuration.skips and "patch_mask" in options:
            self.token_forwards -= int(options["patch_mask"].sum())
        if not capture and not options:
            return network(images)
        return network(images, capture=capture, **options)

    def _wanted(self, is_last: bool) -> tuple[str, ...]:
        """Name what the losses of a later round capture."""
        c = self.configuration
        decoded = c.weights.reconstruction > 0 and (is_last or c.reconstruct == "all")
        return (*self.compared, self.layout.tokens_name) if decoded else self.compared

    def _round(self, erased: Tensor | None, output: Any) -> Round:
        has_tokens = self.layout.tokens_name in output.captured
        return Round(
            erased,
            output.logits,
            output.distillation_logits,
            patch_tokens(output, self.layout) if has_tokens else None,
            {name: output.captured[name] for name in self.compared},
        )

    def _map(self, output: Any, labels: Tensor) -> Tensor:
        layout = self.layout
        kind = self.configuration.attention
        return attention_map(kind, output, labels, layout.num_prefix_tokens, layout.readers)

    def _average_map(
        self, images: Tensor, labels: Tensor, erased: Tensor | None, options: dict[str, Any]
    ) -> Tensor:
        assert self.average is not None
        kind = self.configuration.attention
        by_gradient = kind == "gradient_weighted" and not torch.is_inference_mode_enabled()
        with torch.set_grad_enabled(by_gradient):
            seen = _with_graph(images) if by_gradient else images
            output = self._see(self.average, seen, CAPTURES[kind], **options)
            found = self._map(output, labels)
        return found if erased is None else self._place(found, erased)

    def _place(self, attention: Tensor, erased: Tensor) -> Tensor:
        """Put attention to the patches left into the whole grid; what is skipped gets none."""
        if attention.shape == erased.shape:
            return attention
        placed = torch.zeros(erased.shape, dtype=attention.dtype, device=attention.device)
        placed[~erased] = attention.flatten()
        return placed
