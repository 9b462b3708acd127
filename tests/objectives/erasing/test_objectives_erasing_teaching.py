"""Erasing and distillation at once: teachers see the whole image, the student what is left."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from darkarcs.errors import ConfigurationError
from darkarcs.models import create_model
from darkarcs.objectives import (
    UNLABELLED,
    Batch,
    Distillation,
    DistillationObjective,
    IterativeErasing,
    IterativeErasingObjective,
    ObjectiveContext,
    ObjectiveOutput,
    TeacherAnswers,
    TeacherDescription,
    measure_shape,
)
from darkarcs.seeding import torch_generator

IMAGES = torch.randn(4, 1, 32, 32, generator=torch_generator(3))
LABELS = torch.tensor([0, 1, 1, 0])
OFF = {"weight": 0.0}
INSIDE = {
    "features": {"weight": 1.0, "layers": "all"},
    "relations": {"weight": 1.0},
    "class_attention": {"weight": 1.0},
}
EVERYTHING = {"answers": {"weight": 1.0}, **INSIDE}
UNTAUGHT = {"classification": 0.0}


def transformer(seed: int = 0, **options: Any) -> Any:
    torch.manual_seed(seed)
    shape = {"patch_size": 8, "width": 32, "depth": 2, "num_heads": 2, **options}
    return create_model("vit", num_classes=2, image_size=32, **shape).eval()


def make(
    student: nn.Module, guide: nn.Module | None, distillation: dict[str, Any], **values: Any
) -> IterativeErasingObjective:
    shape = None if guide is None else measure_shape(guide, 1, 32)
    described = TeacherDescription(gives_answers=True, shape=shape)
    values = {"anneal_in": 0.0, "erased_share": 0.25, **values, "distillation": distillation}
    torch.manual_seed(1)
    context = ObjectiveContext(student, (2, 2), 1, 32, num_steps=100, seed=0, teacher=described)
    return IterativeErasingObjective(IterativeErasing.parse(values, "objective"), context)


@torch.no_grad()
def ask(teacher: nn.Module, objective: IterativeErasingObjective) -> TeacherAnswers:
    output = teacher(IMAGES, capture=objective.teacher_captures)
    return TeacherAnswers(output.logits[None], output.captured, token_forwards=68)


def run(
    objective: IterativeErasingObjective,
    student: nn.Module,
    answers: TeacherAnswers | None,
    labels: Tensor = LABELS,
    step: int = 0,
) -> ObjectiveOutput:
    batch = Batch(IMAGES, labels, teacher=answers)
    return objective(student, batch, step, torch_generator(0, "objective", 5))


def equal_projections(objective: IterativeErasingObjective) -> None:
    assert objective.teaching is not None
    for projection in objective.teaching.losses.matchings["features"].projections.values():
        nn.init.eye_(projection.weight)
        nn.init.zeros_(projection.bias)


@pytest.mark.parametrize("fill", ["background", "mask_token"])
@pytest.mark.parametrize("options", [{}, {"class_token": False, "pool": "mean"}])
def test_a_student_equal_to_its_teacher_learns_from_erased_rounds_alone(
    options: dict[str, Any], fill: str
) -> None:
    model = transformer(**options)
    with torch.no_grad():  # a fresh model hardly looks at anything
        for parameter in model.blocks.parameters():
            parameter *= 8.0 if parameter.ndim == 2 else 1.0
    objective = make(model, model, EVERYTHING, weights=UNTAUGHT, fill=fill, strategy="random")
    equal_projections(objective)
    parts = run(objective, model, ask(model, objective)).parts
    assert set(parts) == {*EVERYTHING, *(f"{name}_erased" for name in EVERYTHING)}
    for name in EVERYTHING:
        assert float(parts[name]) == pytest.approx(0.0, abs=1e-6), name
        assert float(parts[f"{name}_erased"]) > 1e-5, name


def test_no_rounds_are_the_distillation_objective() -> None:
    student, teacher = transformer(), transformer(seed=1)
    objective = make(student, teacher, EVERYTHING, weights=UNTAUGHT, num_rounds=0)
    answers = ask(teacher, objective)
    output = run(objective, student, answers)
    assert objective.teaching is not None
    losses = objective.teaching.losses
    seen = student(IMAGES, capture=losses.student_captures)
    expected, parts = losses(seen, answers, 0.0)
    assert torch.allclose(output.loss, expected)
    assert output.parts.keys() == parts.keys()
    assert output.token_forwards == 4 * 17 + 68


def test_a_label_weighs_what_it_weighs_in_the_distillation_objective() -> None:
    student = transformer()
    labels = torch.tensor([1, UNLABELLED, UNLABELLED, UNLABELLED])
    answers = TeacherAnswers(torch.zeros(1, 4, 2))
    ours = make(student, None, {"answers": {"weight": 1.0}}, num_rounds=0)
    settings = {"labels": {"weight": 1.0}, "answers": {"weight": 1.0}}
    theirs = DistillationObjective(
        Distillation.parse(settings, "objective"),
        ObjectiveContext(student, (2, 2), 1, 32, 100, 0, TeacherDescription(gives_answers=True)),
    )
    own = run(ours, student, answers, labels)
    other = theirs(student, Batch(IMAGES, labels, teacher=answers), 0, torch_generator(0))
    assert float(own.parts["classification"]) == pytest.approx(float(other.parts["labels"]))
    assert torch.allclose(own.loss, other.loss)


def test_a_step_without_any_weight_can_be_taken() -> None:
    student = transformer()
    settings = {"answers": {"weight": [[0.0, 0.0], [0.1, 1.0]]}}
    objective = make(student, None, settings, weights=UNTAUGHT, strategy="random")
    output = run(objective, student, TeacherAnswers(torch.zeros(1, 4, 2)))
    output.loss.backward()
    assert float(output.loss.detach()) == 0.0


class Blind(nn.Module):
    """A student whose answer and tokens are those of its teacher wherever it can see."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.num_tokens = model.num_tokens

    def forward(self, images: Tensor, **options: Any) -> Any:
        options.pop("patch_mask", None)
        options.pop("erased", None)
        repeats = len(images) // len(IMAGES)
        return self.model(IMAGES.repeat(repeats, 1, 1, 1), **options)


@pytest.mark.parametrize("values", [{"attend": "first_round"}, {"strategy": "random"}, {}])
def test_erased_rounds_are_compared_with_the_whole_image(values: dict[str, Any]) -> None:
    model = transformer()
    objective = make(model, model, EVERYTHING, weights=UNTAUGHT, **values)
    equal_projections(objective)
    # whoever answers to what is left as to the whole image has nothing to learn in any round
    output = run(objective, Blind(model), ask(model, objective))
    assert all(float(part) == pytest.approx(0.0, abs=1e-6) for part in output.parts.values())


@pytest.mark.parametrize("fill", ["background", "mask_token"])
def test_tokens_of_erased_patches_do_not_count(fill: str) -> None:
    student, teacher = transformer(), transformer(seed=1)
    values = {"weights": UNTAUGHT, "fill": fill, "skip_erased": False, "strategy": "random"}
    objective = make(student, teacher, EVERYTHING, **values)
    answers = ask(teacher, objective)
    seen: list[Tensor] = []
    assert objective.teaching is not None
    teaching = objective.teaching

    def keep(_: nn.Module, arguments: tuple[Any, ...]) -> None:
        seen.extend(found.erased for found in arguments[1])

    handle = teaching.register_forward_pre_hook(keep)
    before = run(objective, student, answers).parts
    handle.remove()
    gone = torch.stack(seen).all(dim=0)  # (B, patches): in every later round
    assert gone.sum(dim=1).tolist() == [4] * 4
    changed = {name: value.clone() for name, value in answers.captured.items()}
    for name in changed:
        if name.startswith("hidden"):
            changed[name][:, 1:][gone] += 3.0
    shifted = run(objective, student, TeacherAnswers(answers.logits, changed)).parts
    assert shifted["features"] != before["features"]
    assert torch.equal(shifted["features_erased"], before["features_erased"])


STUDENTS: dict[str, dict[str, Any]] = {
    "as large": {},
    "another width, depth and grid": {"width": 48, "depth": 3, "num_heads": 3, "patch_size": 4},
    "no class token": {"class_token": False, "pool": "mean"},
    "a distillation token": {"distillation_token": True},
}


@pytest.mark.parametrize("fill", ["background", "mask_token"])
@pytest.mark.parametrize("options", STUDENTS.values(), ids=STUDENTS.keys())
def test_gradients_flow(options: dict[str, Any], fill: str) -> None:
    student, teacher = transformer(**options).train(), transformer(seed=1, depth=4)
    teacher.requires_grad_(False)
    weights = {"classification": 1.0, "reconstruction": 1.0, "consistency": 1.0}
    objective = make(
        student, teacher, EVERYTHING, weights=weights, fill=fill, attention="gradient_weighted"
    )
    answers = ask(teacher, objective)
    output = run(objective, student, answers)
    assert bool(output.loss.isfinite())
    output.loss.backward()
    assert all(parameter.grad is not None for parameter in objective.parameters())
    assert all(parameter.grad is not None for parameter in student.blocks.parameters())
    assert not any(tensor.requires_grad for tensor in answers.captured.values())


def test_attention_that_is_learned_does_not_change_what_is_erased() -> None:
    student, teacher = transformer(depth=3), transformer(seed=1, depth=3)
    erased: list[Tensor] = []
    for distillation in ({}, {"class_attention": {"weight": 1.0, "layers": "early"}}):
        objective = make(student, teacher, distillation, weights=UNTAUGHT)
        assert objective.teaching is not None
        objective.teaching.register_forward_pre_hook(
            lambda _, arguments: erased.extend(found.erased for found in arguments[1])
        )
        run(objective, student, ask(teacher, objective))
    assert all(torch.equal(erased[i], erased[i + 2]) for i in range(2))


def test_images_without_labels_are_taught() -> None:
    student, teacher = transformer(), transformer(seed=1)
    objective = make(student, teacher, {})
    assert objective.uses_unlabelled
    assert objective.uses_teacher
    assert not objective.is_self_supervised
    answers = ask(teacher, objective)
    labelled = run(objective, student, answers)
    none = run(objective, student, answers, torch.full((4,), UNLABELLED))
    assert none.parts["classification"] == none.parts["classification_erased"] == 0
    for name in ("answers", "answers_erased"):
        assert none.parts[name] == labelled.parts[name]
    expected = 0.5 * (none.parts["answers"] + 2 * none.parts["answers_erased"]) / 3
    assert float(none.loss.detach()) == pytest.approx(float(expected), rel=1e-6)


def test_rounds_are_weighted() -> None:
    student, teacher = transformer(), transformer(seed=1)
    losses = {}
    for weights in ((1.0, 0.0, 0.0), (0.0, 1.0, 1.0), (2.0, 1.0, 1.0)):
        terms = {"answers": {"weight": 1.0}, "round_weights": weights}
        objective = make(student, teacher, terms, weights=UNTAUGHT)
        output = run(objective, student, ask(teacher, objective))
        losses[weights] = float(output.loss.detach())
        assert ("answers" in output.parts) == (weights[0] > 0)
        assert ("answers_erased" in output.parts) == (weights[1] > 0)
    whole, erased, both = losses.values()
    assert both == pytest.approx((2 * whole + 2 * erased) / 4)


def test_guards_weigh_the_answers_of_later_rounds() -> None:
    student, teacher = transformer(), transformer(seed=1)

    def erased_answers(step: int = 0, **values: Any) -> float:
        terms = {"answers": {"weight": 1.0}}
        objective = make(student, teacher, terms, weights=UNTAUGHT, num_rounds=1, **values)
        output = run(objective, student, ask(teacher, objective), step=step)
        assert float(output.parts["answers"]) > 0
        return float(output.parts["answers_erased"])

    plain = erased_answers()
    # a fresh model attends almost evenly: erasing a quarter leaves three quarters
    assert erased_answers(guard="evidence") == pytest.approx(0.75 * plain, rel=0.05)
    assert erased_answers(guard="cap", evidence_floor=0.9) == 0
    assert erased_answers(25, guard="anneal") == pytest.approx(0.75 * plain, rel=1e-5)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, 4 * 17 * 3 + 68),
        ({"fill": "mask_token"}, 4 * (17 + 13 + 9) + 68),
        ({"erased_images": 0.5}, 4 * 17 + 2 * 17 * 2 + 68),
    ],
)
def test_tokens_of_teachers_are_counted(values: dict[str, Any], expected: int) -> None:
    student, teacher = transformer(), transformer(seed=1)
    objective = make(student, teacher, EVERYTHING, **values)
    output = run(objective, student, ask(teacher, objective))
    assert output.token_forwards == expected
    assert bool(output.loss.isfinite())


def test_a_distillation_token_takes_the_answers_and_leaves_the_labels() -> None:
    student, teacher = transformer(distillation_token=True).train(), transformer(seed=1)
    objective = make(student, teacher, {}, num_rounds=0)
    output = run(objective, student, ask(teacher, objective))
    expected = nn.functional.cross_entropy(student(IMAGES).logits, LABELS)
    assert float(output.parts["classification"]) == pytest.approx(float(expected.detach()))


def test_a_network_without_patches_learns_answers_and_features() -> None:
    torch.manual_seed(0)
    student = create_model("resnet18", num_classes=2, in_channels=1, image_size=32).train()
    terms = {"features": {"weight": 1.0, "layers": [[1, 1]]}}
    values = {"strategy": "random", "patch_size": 8}
    objective = make(student, transformer(), terms, **values)
    output = run(objective, student, ask(transformer(), objective))
    output.loss.backward()
    assert {"answers_erased", "features_erased"} <= set(output.parts)


def test_everything_under_autocast() -> None:
    student, teacher = transformer(), transformer(seed=1)
    objective = make(student, teacher, EVERYTHING)
    answers = ask(teacher, objective)
    with torch.autocast("cpu", torch.bfloat16):
        output = run(objective, student, answers)
    assert output.loss.dtype == torch.float32
    exact = run(objective, student, answers)
    assert float(output.loss.detach()) == pytest.approx(float(exact.loss.detach()), rel=0.05)


def test_what_is_missing_is_named() -> None:
    student, teacher = transformer(), transformer(seed=1)
    configuration = IterativeErasing.parse({"distillation": {}}, "objective")
    context = ObjectiveContext(student, (2, 2), 1, 32, num_steps=100, seed=0)
    with pytest.raises(ConfigurationError, match=r"name model folders in teacher\.models"):
        IterativeErasingObjective(configuration, context)
    with pytest.raises(ConfigurationError, match=r"objective\.distillation\.features\.weight"):
        make(student, None, {"features": {"weight": 1.0}})
    cnn = create_model("resnet18", num_classes=2, image_size=32).eval()
    with pytest.raises(ConfigurationError, match=r"distillation\.relations.* no queries"):
        make(student, cnn, {"relations": {"weight": 1.0}})
    with pytest.raises(ConfigurationError, match=r"all weights of objective\.distillation"):
        make(student, teacher, {"answers": OFF})
    objective = make(student, teacher, {})
    with pytest.raises(ConfigurationError, match="in every batch"):
        run(objective, student, None)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"distillation": {"round_weights": (1.0,)}}, "distillation.round_weights must be 3"),
        (
            {"distillation": {"answers": OFF, **INSIDE}, "weights": UNTAUGHT},
            "nothing would train the head",
        ),
        ({"distillation": {"labels": {}}}, "labels"),
    ],
)
def test_contradictions_of_both_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        IterativeErasing.parse(values, "objective")
