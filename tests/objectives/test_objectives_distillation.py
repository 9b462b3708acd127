"""The distillation objective: mixes, schedules, labels, and any pair of models."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from darkarcs.errors import ConfigurationError
from darkarcs.models import create_model
from darkarcs.objectives import (
    UNLABELLED,
    Batch,
    Classification,
    ClassificationObjective,
    Distillation,
    DistillationObjective,
    ObjectiveContext,
    TeacherAnswers,
    TeacherDescription,
    TeacherLosses,
    TeacherTerms,
    measure_shape,
    objectives,
)
from darkarcs.objectives.weight_schedule import weight_at

IMAGES = torch.randn(4, 1, 32, 32, generator=torch.Generator().manual_seed(0))
LABELS = torch.tensor([0, 1, 1, UNLABELLED])
EVERYTHING = {
    "labels": {"weight": 1.0},
    "answers": {"weight": 1.0},
    "features": {"weight": 1.0, "layers": "all"},
    "relations": {"weight": 1.0},
    "class_attention": {"weight": 1.0},
}
OFF = {"weight": 0.0}


def transformer(seed: int = 0, **options: Any) -> Any:
    torch.manual_seed(seed)
    shape = {"patch_size": 8, "width": 32, "depth": 2, "num_heads": 2, **options}
    return create_model("vit", num_classes=2, image_size=32, **shape).eval()


def make(
    settings: dict[str, Any], student: nn.Module, guide: nn.Module | None, **context: Any
) -> DistillationObjective:
    shape = None if guide is None else measure_shape(guide, 1, 32)
    values: dict[str, Any] = {
        "model": student,
        "class_counts": (1, 2),
        "in_channels": 1,
        "image_size": 32,
        "num_steps": 100,
        "seed": 0,
        "teacher": TeacherDescription(gives_answers=True, shape=shape),
    }
    configuration = Distillation.parse(settings, "objective")
    return DistillationObjective(configuration, ObjectiveContext(**{**values, **context}))


@torch.no_grad()
def ask(teacher: nn.Module, objective: DistillationObjective, size: int = 32) -> TeacherAnswers:
    images = nn.functional.interpolate(IMAGES, size=(size, size))
    output = teacher(images, capture=objective.teacher_captures)
    return TeacherAnswers(output.logits[None], output.captured, token_forwards=68)


def run(
    objective: DistillationObjective, student: nn.Module, answers: TeacherAnswers, step: int = 0
) -> Any:
    batch = Batch(IMAGES, LABELS, teacher=answers)
    return objective(student, batch, step, torch.Generator())


def test_a_student_equal_to_its_teacher_has_nothing_to_learn_from_it() -> None:
    model = transformer()
    objective = make({**EVERYTHING, "labels": OFF}, model, model)
    for projection in objective.losses.matchings["features"].projections.values():
        nn.init.eye_(projection.weight)
        nn.init.zeros_(projection.bias)
    output = run(objective, model, ask(model, objective))
    assert set(output.parts) == {"answers", "features", "relations", "class_attention"}
    assert float(output.loss.detach()) == pytest.approx(0.0, abs=1e-6)


STUDENTS = {
    "another width, depth and number of heads": {"width": 48, "depth": 3, "num_heads": 3},
    "another grid": {"patch_size": 4},
    "no class token": {"class_token": False, "pool": "mean"},
    "a distillation token": {"distillation_token": True},
    "registers": {"num_registers": 2},
}


@pytest.mark.parametrize("options", STUDENTS.values(), ids=STUDENTS.keys())
def test_everything_is_learned_across_shapes(options: dict[str, Any]) -> None:
    student, teacher = transformer(**options).train(), transformer(seed=1, depth=4)
    objective = make(EVERYTHING, student, teacher)
    output = run(objective, student, ask(teacher, objective))
    assert set(output.parts) == set(EVERYTHING)
    assert float(output.loss.detach()) == pytest.approx(sum(map(float, output.parts.values())))
    assert output.token_forwards == 4 * student.num_tokens(32, 32) + 68
    output.loss.backward()
    learned = [p.grad is not None for p in student.blocks.parameters()]
    assert all(learned)
    assert all(p.grad is not None for p in objective.parameters())


def test_a_teacher_at_another_size() -> None:
    student, teacher = transformer(), transformer(seed=1, patch_size=4)
    shape = measure_shape(teacher, 1, 48)
    assert shape.grids[0] == (12, 12)
    described = TeacherDescription(gives_answers=True, shape=shape)
    objective = make(EVERYTHING, student, teacher, teacher=described)
    output = run(objective, student, ask(teacher, objective, size=48))
    assert bool(output.loss.isfinite())


def test_a_cnn_teaches_answers_and_features() -> None:
    student = transformer()
    teacher = create_model("resnet18", num_classes=2, image_size=32).eval()
    settings = {"features": {"weight": 1.0, "layers": [[0, 1], [1, 2]]}}
    objective = make(settings, student, teacher)
    assert objective.teacher_captures == ("hidden.1", "hidden.2")
    assert set(run(objective, student, ask(teacher, objective)).parts) == {
        "labels",
        "answers",
        "features",
    }
    for term, what in (("relations", "queries"), ("class_attention", "attention")):
        with pytest.raises(ConfigurationError, match=f"{term}.* the teacher has no {what}"):
            make({term: {"weight": 1.0}}, student, teacher)


def test_labels_alone_are_the_classification_objective() -> None:
    student, settings = transformer(), {"label_smoothing": 0.1, "class_weights": "balanced"}
    objective = make({"labels": {"weight": 1.0, **settings}}, student, None)
    batch = Batch(IMAGES[:3], LABELS[:3], teacher=TeacherAnswers(torch.zeros(1, 3, 2)))
    part = objective(student, batch, 0, torch.Generator()).parts["labels"]
    plain = ClassificationObjective(Classification.parse(settings, ""), (1, 2))
    assert torch.allclose(part, plain(student, batch, 0, torch.Generator()).loss)


def test_an_image_without_label_adds_nothing_to_the_labels_loss() -> None:
    student = transformer()
    objective = make({"labels": {"weight": 1.0}}, student, None)
    answers = TeacherAnswers(torch.zeros(1, 4, 2))
    part = float(run(objective, student, answers).parts["labels"])
    logits = student(IMAGES).logits[:3].detach()
    by_hand = nn.functional.cross_entropy(logits, LABELS[:3], reduction="sum") / 4
    assert part == pytest.approx(float(by_hand))
    batch = Batch(IMAGES, torch.full((4,), UNLABELLED), teacher=answers)
    output = objective(student, batch, 0, torch.Generator())
    assert float(output.parts["labels"]) == 0.0
    assert float(output.loss.detach()) == pytest.approx(0.5 * float(output.parts["answers"]))


def test_the_distillation_token_learns_the_answers_and_the_class_token_the_labels() -> None:
    student = transformer(distillation_token=True).train()
    for weight, learns in ((0.5, False), (0.0, True)):
        settings = {"answers": {"weight": weight, "kind": "hard"}, "relations": {"weight": 1.0}}
        objective = make(settings, student, transformer(seed=1))
        output = student(IMAGES)
        loss = objective._label_loss(output, LABELS)
        gradient = torch.autograd.grad(loss, student.head_dist.bias, allow_unused=True)[0]
        assert (gradient is not None and bool(gradient.any())) == learns
    objective = make({"answers": {"weight": 1.0, "kind": "hard"}}, student, None)
    answers = TeacherAnswers(torch.tensor([[[9.0, 0.0], [0.0, 9.0], [0.0, 9.0], [9.0, 0.0]]]))
    loss = run(objective, student, answers).parts["answers"]
    expected = nn.functional.cross_entropy(
        student(IMAGES).distillation_logits, torch.tensor([0, 1, 1, 0])
    )
    assert torch.allclose(loss, expected)


def test_without_labels_both_heads_learn_the_answers() -> None:
    student = transformer(distillation_token=True).train()
    answers = TeacherAnswers(torch.randn(1, 4, 2, generator=torch.Generator().manual_seed(3)))
    for labels, learns in ((0.5, False), (0.0, True)):
        for kind in ("soft", "hard"):
            settings = {"labels": {"weight": labels}, "answers": {"weight": 1.0, "kind": kind}}
            objective = make(settings, student, None)
            loss, _ = objective.losses(student(IMAGES), answers, 0.0)
            for head, expected in ((student.head, learns), (student.head_dist, True)):
                gradient = torch.autograd.grad(loss, head.weight, retain_graph=True)[0]
                assert bool(gradient.any()) == expected, (labels, kind)
    with pytest.raises(ConfigurationError, match="nothing would train the head"):
        make({"labels": OFF, "answers": OFF, "features": {"weight": 1.0}}, student, student)


class Numbers(nn.Module):
    """A model whose hidden state has no places, as one that reads a few numbers."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.shape = shape

    def forward(self, images: Tensor, capture: Any = ()) -> Any:
        hidden = {"hidden.0": torch.zeros(len(images), *self.shape)}
        return SimpleNamespace(captured=hidden if "hidden" in capture else {})


@pytest.mark.parametrize("shape", [(1,), (5, 8)], ids=["no places", "no square"])
def test_a_teacher_without_a_grid_gives_answers_and_no_more(shape: tuple[int, ...]) -> None:
    student, teacher = transformer(), Numbers(shape)
    make({}, student, teacher)
    message = "no hidden states" if len(shape) == 1 else "layer 0 form no square"
    with pytest.raises(ConfigurationError, match=message):
        make({"features": {"weight": 1.0}}, student, teacher)


def test_features_first_answers_later() -> None:
    student, teacher = transformer(), transformer(seed=1)
    settings = {
        "labels": OFF,
        "features": {"weight": [[0.0, 2.0], [0.5, 0.0]]},
        "answers": {"weight": [[0.5, 0.0], [1.0, 1.0]]},
    }
    objective = make(settings, student, teacher)
    answers = ask(teacher, objective)
    found = {step: run(objective, student, answers, step) for step in (0, 25, 50, 75)}
    for output in found.values():
        output.loss.backward()  # a step that learns nothing is a step all the same
    assert [sorted(found[step].parts) for step in found] == [
        ["features"],
        ["features"],
        [],
        ["answers"],
    ]
    features = float(found[0].parts["features"])
    assert float(found[0].loss.detach()) == pytest.approx(2.0 * features)
    assert float(found[25].loss.detach()) == pytest.approx(1.0 * features)
    assert float(found[75].loss.detach()) == pytest.approx(0.5 * float(found[75].parts["answers"]))
    assert float(found[50].loss.detach()) == 0.0


def test_weights_that_make_no_sense() -> None:
    assert weight_at(((0.2, 1.0), (0.4, 3.0)), 0.3) == pytest.approx(2.0)
    for weight in (-1.0, [[0.5, 1.0], [0.2, 0.0]], [[0.0, -1.0]], [[0.0, 1.0], [1.5, 0.0]], []):
        with pytest.raises(ConfigurationError, match="weight"):
            Distillation.parse({"answers": {"weight": weight}}, "objective")


def test_what_teachers_cannot_give_is_said_at_once() -> None:
    student = transformer()
    with pytest.raises(ConfigurationError, match=r"name model folders in teacher\.models"):
        make({}, student, None, teacher=None)
    with pytest.raises(ConfigurationError, match="tell other classes apart"):
        make({}, student, None, teacher=TeacherDescription(gives_answers=False))
    with pytest.raises(ConfigurationError, match="nothing is learned from the teachers"):
        make({"answers": OFF}, student, None)
    with pytest.raises(ConfigurationError, match=r"set teacher\.answers to loop"):
        make({"features": {"weight": 1.0}}, student, None)
    for name in ("features", "relations", "class_attention"):
        with pytest.raises(ConfigurationError, match=rf"{name}\.layers: names no layers"):
            make({name: {"weight": 1.0, "layers": []}}, student, student)
    objective = make({}, student, None)
    with pytest.raises(ConfigurationError, match="in every batch"):
        objective(student, Batch(IMAGES, LABELS), 0, torch.Generator())


def test_a_student_that_skips_erased_patches_learns_from_a_whole_teacher() -> None:
    """The seam for erasing: same losses, fewer tokens on the student's side."""
    student = transformer(class_token=False, pool="mean")
    settings = {name: value for name, value in EVERYTHING.items() if name != "labels"}
    terms = TeacherTerms.parse(settings, "distillation")
    objective = make(EVERYTHING, student, student)
    losses = TeacherLosses(
        terms,
        ObjectiveContext(
            student,
            (1, 2),
            1,
            32,
            100,
            0,
            TeacherDescription(True, measure_shape(student, 1, 32)),
        ),
    )
    erased = torch.zeros(4, 16, dtype=torch.bool)
    erased[:, 3:9] = True
    output = student(IMAGES, patch_mask=erased, capture=losses.student_captures, erased="skip")
    loss, parts = losses(output, ask(student, objective), 0.0, erased)
    assert bool(loss.isfinite())
    assert output.captured["hidden.1"].shape[1] == 10
    assert set(parts) == set(settings)
    masked = student(IMAGES, patch_mask=erased, capture=losses.student_captures)
    loss, _ = losses(masked, ask(student, objective), 0.0)
    assert bool(loss.isfinite())


def test_losses_are_float32_under_autocast() -> None:
    student, teacher = transformer(), transformer(seed=1)
    objective = make(EVERYTHING, student, teacher)
    answers = ask(teacher, objective)
    with torch.autocast("cpu", torch.bfloat16):
        output = run(objective, student, answers)
    values: list[Tensor] = [output.loss, *output.parts.values()]
    assert {value.dtype for value in values} == {torch.float32}


def test_it_is_registered() -> None:
    assert objectives["distillation"][0] is Distillation
    assert DistillationObjective.uses_unlabelled
    assert DistillationObjective.uses_teacher
