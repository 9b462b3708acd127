"""Iterative erasing as a whole: limits, what is seen, where gradients flow, what it costs."""

from __future__ import annotations

import copy
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from darkarcs.errors import ConfigurationError
from darkarcs.models import create_model
from darkarcs.objectives import (
    Batch,
    Classification,
    IterativeErasing,
    IterativeErasingObjective,
    Objective,
    ObjectiveContext,
    ObjectiveOutput,
    objectives,
)
from darkarcs.objectives.erasing.fill import border_statistics, patch_pixels
from darkarcs.objectives.erasing.rounds import ErasingRounds, Round
from darkarcs.seeding import torch_generator

SIZE, PATCHES, TOKENS = 32, 16, 17
ALL = {"classification": 1.0, "reconstruction": 1.0, "consistency": 1.0}
ONLY_RECONSTRUCTION = {"classification": 0.0, "reconstruction": 1.0}
#: Without attention to capture, both take the same kernel and agree to the last bit.
ANNEALED = {"num_rounds": 2, "guard": "anneal", "strategy": "random"}
VIT: dict[str, Any] = {"patch_size": 8, "width": 32, "depth": 2, "num_heads": 2}
COMPACT: dict[str, Any] = {"patch_size": 8, "depth": 2, "stochastic_depth": 0.1}


def make_model(name: str = "vit_ti16", **options: Any) -> nn.Module:
    torch.manual_seed(0)
    given = {**(COMPACT if name.startswith("compact") else VIT), **options}
    return create_model(name, num_classes=2, in_channels=1, image_size=SIZE, **given).train()


def make(model: nn.Module, kind: str = "iterative_erasing", **values: Any) -> Objective:
    if kind == "iterative_erasing":
        values = {"anneal_in": 0.0, **values}
    configuration, build = objectives[kind]
    torch.manual_seed(1)
    context = ObjectiveContext(model, (2, 2), 1, SIZE, num_steps=100, seed=0)
    return build(configuration.parse(values, "objective"), context)


def make_batch(labels: tuple[int, ...] = (0, 1, 0, 1)) -> Batch:
    images = torch.randn(len(labels), 1, SIZE, SIZE, generator=torch_generator(9))
    return Batch(images, torch.tensor(labels))


def run(
    model: nn.Module, objective: Objective, batch: Batch | None = None, step: int = 50
) -> ObjectiveOutput:
    torch.manual_seed(2)  # dropout and stochastic depth, as training seeds them
    return objective(model, batch or make_batch(), step, torch_generator(0, "objective", step))


def gradients(module: nn.Module) -> dict[str, Tensor]:
    return {n: p.grad for n, p in module.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("name", ["vit_ti16", "deit_ti16", "compact_vit_100k"])
@pytest.mark.parametrize("options", [{"num_rounds": 0}, ANNEALED])
def test_no_rounds_is_plain_classification(name: str, options: dict[str, Any]) -> None:
    model, twin = make_model(name, dropout=0.1), make_model(name, dropout=0.1)
    same = {"label_smoothing": 0.1, "class_weights": (1.0, 3.0)}
    # at the last step the annealed labels of later rounds weigh nothing
    ours = run(model, make(model, **options, **same), step=100)
    plain = run(twin, make(twin, "classification", **same), step=100)
    assert torch.equal(ours.loss, plain.loss)
    assert torch.equal(ours.logits, plain.logits)
    assert torch.equal(ours.parts["classification"], plain.parts["classification"])
    ours.loss.backward()
    plain.loss.backward()
    expected = gradients(twin)
    for name_, gradient in gradients(model).items():
        if name_ in expected:
            assert torch.allclose(gradient, expected[name_], atol=1e-7), name_
    if options["num_rounds"] == 0:
        assert ours.token_forwards == plain.token_forwards
    for (key, value), other in zip(
        model.state_dict().items(), twin.state_dict().values(), strict=True
    ):
        assert torch.equal(value, other), key  # running statistics included


def collect(monkeypatch: pytest.MonkeyPatch) -> list[list[Round]]:
    seen: list[list[Round]] = []
    original = ErasingRounds.run

    def spy(self: ErasingRounds, *arguments: Any) -> list[Round]:
        seen.append(original(self, *arguments))
        return seen[-1]

    monkeypatch.setattr(ErasingRounds, "run", spy)
    return seen


@pytest.mark.parametrize("attend", ["each_round", "first_round"])
@pytest.mark.parametrize("fill", ["background", "mask_token"])
@pytest.mark.parametrize("strategy", ["random", "most_attended", "least_attended", "mixed"])
def test_erased_sets_grow_within_the_cap(
    strategy: str, fill: str, attend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, model = collect(monkeypatch), make_model("compact_vit_100k")
    values = {"num_rounds": 3, "erased_share": 0.25, "max_erased": 0.6}
    output = run(model, make(model, strategy=strategy, fill=fill, attend=attend, **values))
    assert torch.isfinite(output.loss)
    (rounds,) = seen
    assert [found.erased.sum(dim=1).tolist() for found in rounds] == [[4] * 4, [8] * 4, [9] * 4]
    for before, after in pairwise(rounds):
        assert bool((after.erased | ~before.erased).all())


def test_the_most_attended_go_first_and_hints_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    seen, model = collect(monkeypatch), make_model()
    batch = make_batch()
    captured = model(batch.images, capture=("attention.-1",)).captured["attention.-1"]
    attention = captured[:, :, 0, 1:].mean(dim=1)  # (B, patches)
    for strategy, largest in (("most_attended", True), ("least_attended", False)):
        run(model, make(model, strategy=strategy, num_rounds=1, erased_share=0.25))
        expected = attention.topk(4, largest=largest).indices.sort().values
        found = seen[-1][0].erased.nonzero()[:, 1].view(4, 4)
        assert torch.equal(found, expected)
    run(model, make(model, num_rounds=1, erased_share=0.5, hint_share=0.25))
    shown = ~seen[-1][0].erased
    top = torch.zeros_like(shown).scatter_(1, attention.topk(8).indices, True)
    assert (shown & top).sum(dim=1).tolist() == [2] * 4


class Watched(nn.Module):
    """A model that remembers what it was called with."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.calls: list[tuple[Tensor, dict[str, Any]]] = []
        self.num_tokens = model.num_tokens

    def forward(self, images: Tensor, **options: Any) -> Any:
        self.calls.append((images, options))
        return self.model(images, **options)


def test_a_later_round_sees_its_own_background_in_place_of_what_went(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen, model = collect(monkeypatch), make_model()
    watched, batch = Watched(model), make_batch()
    bright = Batch(batch.images * 0.1 + 7.0, batch.labels)
    run(watched, make(model, num_rounds=1, erased_share=0.5), bright)
    assert torch.equal(watched.calls[0][0], bright.images)
    assert seen[0][0].erased is not None
    pixels = patch_pixels(seen[0][0].erased, (4, 4), 8)
    later = watched.calls[1][0]
    assert torch.equal(later.masked_select(~pixels), bright.images.masked_select(~pixels))
    mean, rms = border_statistics(bright.images)
    normal = ((later - mean) / rms)[pixels]  # 2048 numbers
    assert normal.mean().item() == pytest.approx(0, abs=0.1)
    assert normal.std().item() == pytest.approx(1, abs=0.08)


@pytest.mark.parametrize("name", ["vit_ti16", "compact_vit_100k"])
@pytest.mark.parametrize("skip", [True, False])
def test_no_logit_depends_on_an_erased_pixel(name: str, skip: bool) -> None:
    model = make_model(name).eval()
    erased = torch.zeros(1, PATCHES, dtype=torch.bool)
    erased[0, [5, 6, 9]] = True
    images = torch.randn(1, 1, SIZE, SIZE, requires_grad=True)
    mode = "skip" if skip else "mask_token"
    model(images, patch_mask=erased, erased=mode).logits[0, 0].backward()
    pixels = patch_pixels(erased, (4, 4), 8)
    assert images.grad is not None
    assert not bool(images.grad[pixels].any())
    assert bool(images.grad[~pixels].any())


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, 4 * 17 * 3),
        ({"fill": "mask_token"}, 4 * (17 + 13 + 9)),
        ({"fill": "mask_token", "skip_erased": False}, 4 * 17 * 3),
        ({"fill": "mask_token", "strategy": "random"}, 4 * (17 + 13 + 9)),
        ({"erased_images": 0.5}, 4 * 17 + 2 * 17 * 2),
        ({"attention_of": "average"}, 4 * 17 * 3 + 4 * 17 * 2),
        ({"attention_of": "average", "attend": "first_round"}, 4 * 17 * 3 + 4 * 17),
        ({"attention_of": "average", "fill": "mask_token"}, 4 * (17 + 13 + 9) + 4 * (17 + 13)),
        ({"attention_of": "average", "strategy": "random"}, 4 * 17 * 3),
        ({"weights": ALL}, 4 * 17 * 3 + 4 * 16 * 2),
        ({"weights": ALL, "reconstruct": "last"}, 4 * 17 * 3 + 4 * 16),
        ({"num_rounds": 0}, 4 * 17),
        # nothing reads the whole image, unless its attention leads
        ({"weights": ONLY_RECONSTRUCTION, "strategy": "random"}, 4 * 17 * 2 + 4 * 16 * 2),
        ({"weights": ONLY_RECONSTRUCTION}, 4 * 17 * 3 + 4 * 16 * 2),
    ],
)
def test_tokens_are_counted_by_hand(values: dict[str, Any], expected: int) -> None:
    model = make_model()
    objective = make(model, **{"num_rounds": 2, "erased_share": 0.25, **values})
    assert run(model, objective).token_forwards == expected


def test_losses_are_summed_with_their_weights() -> None:
    model = make_model()
    weights = {"classification": 2.0, "reconstruction": 0.5, "consistency": 3.0}
    rounds = {"num_rounds": 1, "round_weights": (1.0, 4.0)}
    output = run(model, make(model, weights=weights, **rounds))
    parts = output.parts
    classification = (parts["classification"] + 4 * parts["classification_erased"]) / 5
    expected = 2 * classification + 0.5 * parts["reconstruction"] + 3 * parts["consistency"]
    assert output.loss.item() == pytest.approx(expected.item(), rel=1e-6)
    assert set(parts) == {
        "classification",
        "classification_erased",
        "reconstruction",
        "consistency",
    }
    assert not any(part.requires_grad for part in parts.values())


def test_gradients_flow_only_where_they_should() -> None:
    model = make_model()
    objective = make(model, weights=ONLY_RECONSTRUCTION, fill="mask_token")
    run(model, objective).loss.backward()
    assert gradients(objective)
    found = gradients(model)
    assert not any(name.startswith("head") for name in found)
    assert "patch_embed.proj.weight" in found
    # the whole image has no loss in self-supervision: its pass keeps no graph
    watched = Watched(model)
    assert not run(watched, objective).logits.requires_grad

    model.zero_grad()
    averaged = make(model, attention_of="average", attention="gradient_weighted", weights=ALL)
    run(model, averaged).loss.backward()
    average = averaged.average  # type: ignore[union-attr]
    assert isinstance(average, nn.Module)
    assert not gradients(average)
    trained = {n for n, p in averaged.named_parameters() if p.requires_grad}
    assert trained
    assert not any(name.startswith("average") for name in trained)


def test_consistency_alone_moves_the_erased_prediction_towards_the_whole_one() -> None:
    model = make_model()
    objective = make(model, weights={"classification": 0.0, "consistency": 1.0})
    output = run(model, objective)
    assert output.loss == output.parts["consistency"]
    assert output.loss.item() > 0
    output.loss.backward()
    assert "head.weight" in gradients(model)


def test_labels_are_unused_without_classification() -> None:
    outputs = []
    for labels in ((0, 1, 0, 1), (1, 1, 1, 0), (-1, -1, -1, -1)):
        model = make_model()
        values = {"attention": "gradient_weighted", "guard": "evidence"}
        objective = make(model, weights=ONLY_RECONSTRUCTION, **values)
        outputs.append(run(model, objective, make_batch(labels)))
    assert outputs[0].loss == outputs[1].loss == outputs[2].loss
    assert set(outputs[0].parts) == {"reconstruction"}


def test_unlabelled_images_are_reconstructed_but_not_classified() -> None:
    def losses(labels: tuple[int, ...], weights: dict[str, float]) -> dict[str, float]:
        model = make_model()
        objective = make(model, weights=weights, strategy="random")
        output = run(model, objective, make_batch(labels))
        return {name: part.item() for name, part in output.parts.items()}

    whole, half = losses((0, 1, 0, 1), ALL), losses((0, 1, -1, -1), ALL)
    assert half["reconstruction"] == whole["reconstruction"]
    assert half["consistency"] == whole["consistency"]
    assert half["classification"] != whole["classification"]
    none = losses((-1, -1, -1, -1), ALL)
    assert none["classification"] == none["classification_erased"] == 0
    assert none["reconstruction"] == whole["reconstruction"]


def test_guards_weigh_the_labels_of_later_rounds() -> None:
    def erased_loss(**values: Any) -> float:
        model = make_model()
        output = run(model, make(model, num_rounds=1, erased_share=0.25, **values))
        return output.parts["classification_erased"].item()

    plain = erased_loss()
    # a fresh model attends almost evenly: erasing a quarter leaves three quarters
    assert erased_loss(guard="evidence") == pytest.approx(0.75 * plain, rel=0.03)
    assert erased_loss(guard="cap", evidence_floor=0.5) == plain
    assert erased_loss(guard="cap", evidence_floor=0.9) == 0
    by_probability = erased_loss(guard="evidence", evidence="probability")
    assert 0.5 * plain < by_probability <= plain


def test_annealing_takes_the_labels_of_later_rounds_away() -> None:
    model = make_model()
    objective = make(model, num_rounds=1, guard="anneal", attend="first_round")
    for step in (0, 25, 100):
        output = run(model, objective, step=step)
        share = 1 - step / 100
        first, later = (output.parts[n] for n in ("classification", "classification_erased"))
        expected = (first + share * later) / (1 + share)
        assert output.loss.item() == pytest.approx(expected.item(), rel=1e-6)


@pytest.mark.parametrize("strategy", ["random", "mixed"])
def test_a_step_is_a_function_of_its_generator(strategy: str) -> None:
    losses = []
    for step in (5, 5, 6):
        model = make_model("compact_vit_100k", dropout=0.2)
        values = {"strategy": strategy, "selection_noise": 0.5, "weights": ALL}
        objective = make(model, erased_images=0.5, **values)
        torch.manual_seed(3)
        generator = torch_generator(0, "objective", step)
        losses.append(objective(model, make_batch(), 50, generator).loss.item())
    assert losses[0] == losses[1] != losses[2]


def test_running_statistics_are_those_of_whole_images() -> None:
    model, twin = make_model("compact_vit_100k"), make_model("compact_vit_100k")
    run(model, make(model, weights=ALL))
    run(twin, make(twin, "classification"))
    buffers = dict(twin.named_buffers())
    assert buffers
    for name, value in model.named_buffers():
        assert torch.equal(value, buffers[name]), name


@pytest.mark.parametrize("fill", ["background", "mask_token"])
@pytest.mark.parametrize("attention", ["class_attention", "rollout", "gradient_weighted"])
def test_bfloat16_autocast(fill: str, attention: str) -> None:
    model = make_model("compact_vit_100k")
    objective = make(model, fill=fill, attention=attention, weights=ALL, guard="evidence")
    with torch.autocast("cpu", torch.bfloat16):
        output = run(model, objective)
    assert output.loss.dtype == torch.float32
    output.loss.backward()
    exact = run(model, objective)
    assert output.loss.item() == pytest.approx(exact.loss.item(), rel=0.05)


@pytest.mark.parametrize("attention", ["rollout", "gradient_weighted"])
def test_validation_in_inference_mode(attention: str) -> None:
    model = make_model().eval()
    objective = make(model, attention=attention, attention_of="average", weights=ALL).eval()
    before = copy.deepcopy(objective.state_dict())
    with torch.inference_mode():
        output = run(model, objective)
    assert torch.isfinite(output.loss)
    assert all(torch.equal(v, before[k]) for k, v in objective.state_dict().items())


@pytest.mark.parametrize("name", ["resnet18", "d4_cnn"])
def test_convolutional_networks_are_erased_at_random(name: str) -> None:
    torch.manual_seed(0)
    model = create_model(name, num_classes=2, in_channels=1, image_size=SIZE).train()
    values = {"strategy": "random", "patch_size": 8, "weights": {"consistency": 1.0}}
    output = run(model, make(model, **values))
    assert output.token_forwards == 0
    assert output.parts["classification_erased"] != output.parts["classification"]
    output.loss.backward()


def test_models_of_transformers() -> None:
    pytest.importorskip("transformers")
    config = {
        "model_type": "deit",
        "architectures": ["DeiTForImageClassification"],
        "hidden_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "image_size": SIZE,
        "patch_size": 8,
    }
    options: dict[str, Any] = {"num_classes": 2, "in_channels": 1, "image_size": SIZE}
    model = create_model("huggingface:tiny", config=config, **options).train()
    for attention in ("class_attention", "rollout", "gradient_weighted"):
        output = run(model, make(model, attention=attention, weights=ALL))
        output.loss.backward()
        assert output.token_forwards == 4 * 18 * 3 + 4 * 16 * 2


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"hint_share": 0.1, "strategy": "random"}, "hint_share"),
        ({"max_erased": 0.95, "hint_share": 0.1}, "below 1"),
        ({"round_weights": (1.0, 1.0)}, "round_weights must be 3 numbers"),
        ({"num_rounds": 0, "weights": ONLY_RECONSTRUCTION}, "at least 1"),
        ({"weights": {"classification": 0.0}}, "all be zero"),
        ({"mixture": (0.0, 0.0, 0.0)}, "odds"),
        ({"guard": "anneal", "round_weights": (0.0, 1.0, 1.0)}, "against the whole image's"),
        ({"decoder": {"width": 30}}, "not a multiple"),
        ({"strategie": "random"}, "did you mean 'strategy'"),
    ],
)
def test_contradictions_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        IterativeErasing.parse(values, "objective")


def test_defaults_of_shared_keys_are_those_of_classification() -> None:
    plain = Classification().model_dump()
    erasing = IterativeErasing().model_dump()
    assert all(erasing[key] == value for key, value in plain.items() if key != "kind")
    assert isinstance(make(make_model()), IterativeErasingObjective)


@pytest.mark.parametrize("weights", [(0, 0, 1), (0, 1, 0), (1, 0, 0), (1, 0, 1), (0, 1, 1)])
@pytest.mark.parametrize("step", [0, 10, 50])
def test_any_round_may_carry_the_labels_at_any_step(weights: tuple[int, ...], step: int) -> None:
    model = make_model("compact_vit_100k")
    objective = make(model, num_rounds=2, anneal_in=0.2, strategy="random", round_weights=weights)
    output = run(model, objective, step=step)
    output.loss.backward()
    assert output.loss > 0
    assert gradients(model)


def test_gradient_weighted_attention_of_a_frozen_backbone() -> None:
    model = make_model("compact_vit_100k")
    model.requires_grad_(False)
    model.head.requires_grad_(True)
    values = {"num_rounds": 2, "strategy": "most_attended", "attention": "gradient_weighted"}
    output = run(model, make(model, **values))
    output.loss.backward()
    assert set(gradients(model)) == {"head.weight", "head.bias"}


@pytest.mark.parametrize("strategy", ["random", "most_attended"])
def test_batch_statistics_without_labels_are_those_of_whole_images(strategy: str) -> None:
    values = {"weights": ONLY_RECONSTRUCTION, "strategy": strategy, "fill": "mask_token"}
    model, twin = make_model("compact_vit_100k"), make_model("compact_vit_100k")
    run(model, make(model, **values))
    twin(make_batch().images)
    expected = dict(twin.named_buffers())
    found = {n: b for n, b in model.named_buffers() if "running" in n or "tracked" in n}
    assert found
    for name, buffer in found.items():
        assert torch.equal(buffer, expected[name]), name
