"""Losses between the insides of two models: what each captures, and how it is compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from darkarcs.errors import ConfigurationError
from darkarcs.objectives.distillation_losses import (
    aligned_patches,
    choose_num_heads,
    class_attention,
    class_attention_loss,
    feature_loss,
    join_heads,
    map_layers,
    relation_loss,
    visible_patches,
)
from darkarcs.objectives.model_shape import ModelShape
from darkarcs.objectives.teacher_terms import ClassAttentionTerm, FeatureTerm, RelationTerm

Captured = Mapping[str, Tensor]

_QUERIES = "queries, keys and values"


class Matching(nn.Module):
    """Base: compares pairs of layers and takes the mean.

    Parameters
    ----------
    pairs : sequence of (int, int)
        Student's and teacher's layers.
    kinds : sequence of str
        What is captured of each, such as ``hidden``.
    student, teacher : ModelShape
        Of the two models.
    key : str
        Of the term in the recipe, for messages.

    Attributes
    ----------
    grids : dict of int to (int, int)
        Rows and columns of the patches of the student's layers.

    Raises
    ------
    ConfigurationError
        If the patches of a layer form no grid.
    """

    def __init__(
        self,
        pairs: Sequence[tuple[int, int]],
        kinds: Sequence[str],
        student: ModelShape,
        teacher: ModelShape,
        key: str,
    ) -> None:
        super().__init__()
        self.pairs = tuple(pairs)
        self.grids = {own: _grid(student, own, key, "student") for own, _ in pairs}
        for _, other in pairs:
            _grid(teacher, other, key, "teacher")
        self.student = student
        self.teacher = teacher
        self.student_captures = {f"{kind}.{own}" for kind in kinds for own, _ in pairs}
        self.teacher_captures = {f"{kind}.{other}" for kind in kinds for _, other in pairs}

    def forward(self, student: Captured, teacher: Captured, erased: Tensor | None) -> Tensor:
        """Compare what was captured; see `darkarcs.objectives.teacher_losses`."""
        losses = [self.compare(student, teacher, pair, erased) for pair in self.pairs]
        return torch.stack(losses).mean()

    def compare(
        self, student: Captured, teacher: Captured, pair: tuple[int, int], erased: Tensor | None
    ) -> Tensor:
        """Compare one pair of layers.

        Parameters
        ----------
        student, teacher : mapping of str to torch.Tensor
            What was captured.
        pair : tuple of (int, int)
            Layers.
        erased : torch.Tensor, shape (B, patches), bool, or None
            Patches that do not count, on the student's grid; its sequence may hold them or not.

        Returns
        -------
        torch.Tensor, shape ()
            The loss.
        """
        raise NotImplementedError

    def align(self, tokens: Tensor, pair: tuple[int, int], erased: Tensor | None) -> Tensor:
        """Bring a teacher's tokens to the places of the student's patches.

        Parameters
        ----------
        tokens : torch.Tensor, shape (B, N, D) or (B, D, H, W)
            Of the teacher.
        pair : tuple of (int, int)
            Layers.
        erased : torch.Tensor, shape (B, patches), bool, or None
            See `compare`.

        Returns
        -------
        torch.Tensor, shape (B, n, D)
            As many as the student has.
        """
        grid = self.grids[pair[0]]
        return aligned_patches(tokens, self.teacher.num_prefix_tokens, grid, erased)

    def own_patches(self, tokens: Tensor, erased: Tensor | None) -> Tensor:
        """Take the patches of the student.

        Parameters
        ----------
        tokens : torch.Tensor, shape (B, N, D) or (B, D, H, W)
            Of the student.
        erased : torch.Tensor, shape (B, patches), bool, or None
            See `compare`.

        Returns
        -------
        torch.Tensor, shape (B, n, D), float32
            Without what stands before the patches, and without erased ones.
        """
        if tokens.ndim == 4:
            patches = tokens.float().flatten(2).transpose(1, 2)
        else:
            patches = tokens[:, self.student.num_prefix_tokens :].float()
        if erased is None or patches.shape[1] != erased.shape[1]:  # they were skipped
            return patches
        return visible_patches(patches, erased)


class FeatureMatching(Matching):
    """Hidden states, the student's projected to the teacher's width.

    Parameters
    ----------
    term : FeatureTerm
        Layers and distance.
    student, teacher : ModelShape
        Of the two models.
    key : str
        Of the term in the recipe, for messages.

    Raises
    ------
    ConfigurationError
        If a model has no hidden states to capture, or a layer does not exist.
    """

    def __init__(
        self, term: FeatureTerm, student: ModelShape, teacher: ModelShape, key: str
    ) -> None:
        _require(bool(student.depth), key, "student", "hidden states")
        _require(bool(teacher.depth), key, "teacher", "hidden states")
        pairs = map_layers(term.layers, student.depth, teacher.depth, f"{key}.layers")
        super().__init__(pairs, ("hidden",), student, teacher, key)
        self.distance = term.distance
        self.projections = nn.ModuleDict(
            {
                f"{own}_{other}": nn.Linear(student.widths[own], teacher.widths[other])
                for own, other in pairs
            }
        )

    def compare(
        self, student: Captured, teacher: Captured, pair: tuple[int, int], erased: Tensor | None
    ) -> Tensor:
        """Compare one pair of layers; see `Matching.compare`."""
        projection = self.projections[f"{pair[0]}_{pair[1]}"]
        projected = projection(self.own_patches(student[f"hidden.{pair[0]}"], erased))
        target = self.align(teacher[f"hidden.{pair[1]}"], pair, erased)
        return feature_loss(projected, target, self.distance)


class RelationMatching(Matching):
    """Relations of queries, keys and values.

    Parameters
    ----------
    term : RelationTerm
        Layers, vectors and heads.
    student, teacher : ModelShape
        Of the two models.
    key : str
        Of the term in the recipe, for messages.

    Raises
    ------
    ConfigurationError
        If a model has no queries to capture, a layer does not exist, or the heads do not
        divide the widths.
    """

    def __init__(
        self, term: RelationTerm, student: ModelShape, teacher: ModelShape, key: str
    ) -> None:
        _require(bool(student.num_heads and student.depth), key, "student", _QUERIES)
        _require(bool(teacher.num_heads and teacher.depth), key, "teacher", _QUERIES)
        pairs = map_layers(term.layers, student.depth, teacher.depth, f"{key}.layers")
        super().__init__(pairs, term.of, student, teacher, key)
        self.kinds = term.of
        self.num_heads = {
            (own, other): choose_num_heads(
                term.num_heads, student.widths[own], teacher.widths[other], teacher.num_heads
            )
            for own, other in pairs
        }

    def compare(
        self, student: Captured, teacher: Captured, pair: tuple[int, int], erased: Tensor | None
    ) -> Tensor:
        """Compare one pair of layers; see `Matching.compare`."""
        losses = []
        for kind in self.kinds:
            own = self.own_patches(join_heads(student[f"{kind}.{pair[0]}"]), erased)
            other = self.align(join_heads(teacher[f"{kind}.{pair[1]}"]), pair, erased)
            losses.append(relation_loss(own, other, self.num_heads[pair]))
        return torch.stack(losses).mean()


class ClassAttentionMatching(Matching):
    """Where the class token looks, on the student's grid.

    Parameters
    ----------
    term : ClassAttentionTerm
        Layers.
    student, teacher : ModelShape
        Of the two models.
    key : str
        Of the term in the recipe, for messages.

    Raises
    ------
    ConfigurationError
        If a model has no attention to capture, or a layer does not exist.
    """

    def __init__(
        self, term: ClassAttentionTerm, student: ModelShape, teacher: ModelShape, key: str
    ) -> None:
        _require(bool(student.gives_attention and student.depth), key, "student", "attention")
        _require(bool(teacher.gives_attention and teacher.depth), key, "teacher", "attention")
        pairs = map_layers(term.layers, student.depth, teacher.depth, f"{key}.layers")
        super().__init__(pairs, ("attention",), student, teacher, key)

    def compare(
        self, student: Captured, teacher: Captured, pair: tuple[int, int], erased: Tensor | None
    ) -> Tensor:
        """Compare one pair of layers; see `Matching.compare`."""
        own, other = student[f"attention.{pair[0]}"], teacher[f"attention.{pair[1]}"]
        grid = self.grids[pair[0]]
        mine, shape = self.student, self.teacher
        skipped = own.shape[-1] - mine.num_prefix_tokens < grid[0] * grid[1]
        here = (None, None) if skipped else (grid, erased)
        return class_attention_loss(
            class_attention(own, mine.num_prefix_tokens, mine.class_token, *here),
            class_attention(other, shape.num_prefix_tokens, shape.class_token, grid, erased),
        )


def _require(condition: bool, key: str, whose: str, what: str) -> None:
    if not condition:
        raise ConfigurationError(
            f"{key}.weight is above 0, but the {whose} has no {what} to capture: choose a vision "
            "transformer of this package, such as compact_vit_1m, or set the weight to 0"
        )


def _grid(shape: ModelShape, layer: int, key: str, whose: str) -> tuple[int, int]:
    grid = shape.grids[layer]
    if grid is None:
        raise ConfigurationError(
            f"{key}: the patches of the {whose}'s layer {layer} form no square, so that nobody "
            f"knows their places: name other {key}.layers, or set its weight to 0"
        )
    return grid
