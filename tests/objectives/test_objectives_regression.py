"""Regression: proper losses, masks, what enters them, and the map's balance."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from darkarcs.errors import ConfigurationError, ModelError
from darkarcs.models import create_model
from darkarcs.objectives import (
    COUNTS,
    Batch,
    HeadShape,
    MeasurementHead,
    ObjectiveContext,
    Regression,
    TargetStatistics,
    objectives,
)
from darkarcs.objectives.regression import RegressionObjective, measure_features
from darkarcs.objectives.regression_losses import (
    gaussian_loss,
    gaussian_quantiles,
    ordered_quantiles,
    pinball_loss,
    quantile_shares,
)
from darkarcs.objectives.substructure_map import balance_of, map_loss, map_probability
from darkarcs.seeding import torch_generator

NAME = "substructure.fraction"
STATISTICS = TargetStatistics({NAME: -2.0}, {NAME: 0.5}, occupied=0.2, mean_count=0.3)


def make(num_classes: int = 2, model: str = "compact_vit_100k", **settings: Any) -> Any:
    """Make a small model and its objective."""
    options = {"patch_size": 8, "depth": 1} if "vit" in model else {}
    backbone = create_model(model, num_classes=num_classes, in_channels=1, image_size=32, **options)
    configuration = Regression.parse({"targets": {NAME: "log10"}, **settings}, "test")
    context = ObjectiveContext(
        backbone, (4,) * num_classes, 1, 32, num_steps=10, seed=0, targets=STATISTICS
    )
    _, factory = objectives["regression"]
    return backbone, factory(configuration, context)


def a_batch(grid: int = 4, /, **targets: torch.Tensor) -> Batch:
    images = torch.randn(6, 1, 32, 32, generator=torch_generator(0, "images"))
    values = {
        NAME: torch.tensor([-2.0, -1.5, math.nan, -2.5, -1.0, math.nan]),
        COUNTS: torch.zeros(6, grid, grid),
        **targets,
    }
    values[COUNTS][:, -1, 0] = 1.0
    return Batch(images, torch.tensor([1, 1, 0, 1, 1, 0]), targets=values)


def forward(backbone: Any, objective: RegressionObjective, batch: Batch) -> Any:
    return objective(backbone, batch, 0, torch_generator(0, "test"))


@pytest.mark.parametrize("share", [0.05, 0.5, 0.84])
def test_pinball_loss_is_smallest_at_the_quantile(share: float) -> None:
    draws = torch.from_numpy(np.random.default_rng(0).normal(size=4000)).float()
    candidates = torch.linspace(-3, 3, 601)
    losses = torch.stack(
        [pinball_loss(c.expand(4000, 1), draws, [share]).mean() for c in candidates]
    )
    best = candidates[losses.argmin()].item()
    assert best == pytest.approx(float(torch.quantile(draws, share)), abs=0.011)


def test_gaussian_loss_is_the_likelihood_and_beta_changes_weights_only() -> None:
    raw, truth = torch.tensor([[0.3, -1.0]], requires_grad=True), torch.tensor([1.0])
    normal = torch.distributions.Normal(0.3, math.exp(-0.5))
    expected = -normal.log_prob(truth) - 0.5 * math.log(2 * math.pi)
    assert gaussian_loss(raw, truth, 0.0).item() == pytest.approx(expected.item(), rel=1e-6)
    (plain,) = torch.autograd.grad(gaussian_loss(raw, truth, 0.0).sum(), raw)
    (weighted,) = torch.autograd.grad(gaussian_loss(raw, truth, 1.0).sum(), raw)
    # with beta = 1 the gradient of the mean is that of half the squared error
    assert weighted[0, 0].item() == pytest.approx(0.3 - 1.0, rel=1e-6)
    assert torch.allclose(weighted, plain * math.exp(-1.0))


def test_quantiles_never_cross() -> None:
    raw = 5 * torch.randn(100, 7, generator=torch_generator(1, "raw"))
    assert bool((ordered_quantiles(raw).diff(dim=-1) >= 0).all())  # rounding may make them meet
    assert quantile_shares([0.9, 0.5]) == pytest.approx((0.05, 0.25, 0.5, 0.75, 0.95))
    quantiles = gaussian_quantiles(torch.tensor([2.0, math.log(9.0)]), [0.15866, 0.5, 0.84134])
    assert quantiles.tolist() == pytest.approx([-1.0, 2.0, 5.0], abs=1e-3)


@pytest.mark.parametrize("loss", [{"kind": "quantile"}, {"kind": "gaussian", "beta": 0.5}])
@pytest.mark.parametrize("model", ["compact_vit_100k", "resnet18"])
def test_it_learns_by_every_loss_from_every_backbone(loss: dict[str, Any], model: str) -> None:
    torch.manual_seed(0)
    grid = 4 if "vit" in model else 1
    backbone, objective = make(model=model, loss=loss, map={"min_mass": 1e8})
    cells = objective.head.shape.grid
    batch = a_batch(cells)
    batch.targets[COUNTS] = torch.zeros(6, cells, cells)
    batch.targets[COUNTS][:3] = 1.0
    assert cells == grid
    parameters = [*backbone.parameters(), *objective.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=2e-3)
    first = forward(backbone, objective, batch)
    for _ in range(15):
        optimizer.zero_grad()
        output = forward(backbone, objective, batch)
        output.loss.backward()
        optimizer.step()
    assert set(output.parts) == {"regression", "map", "classification"}
    assert all(output.parts[name] < first.parts[name] for name in output.parts)
    assert output.skill > first.skill
    assert output.logits.shape == (6, 2)


def test_unknown_numbers_do_not_matter() -> None:
    backbone, objective = make()
    backbone.eval()
    batch = a_batch()
    whole = forward(backbone, objective, batch)
    known = torch.tensor([0, 1, 3, 4])
    targets = {name: values[known] for name, values in batch.targets.items()}
    part = forward(
        backbone, objective, Batch(batch.images[known], batch.labels[known], targets=targets)
    )
    assert whole.parts["regression"].item() == pytest.approx(
        part.parts["regression"].item(), rel=1e-5
    )
    none = a_batch(**{NAME: torch.full((6,), math.nan)})
    output = forward(backbone, objective, none)
    assert output.parts["regression"].item() == 0.0
    output.loss.backward()
    assert all(
        bool(torch.isfinite(p.grad).all()) for p in objective.parameters() if p.grad is not None
    )


def test_one_class_has_no_cross_entropy() -> None:
    backbone, objective = make(num_classes=1)
    assert set(forward(backbone, objective, a_batch()).parts) == {"regression"}


def test_skill_is_that_of_the_mean_for_a_constant_answer() -> None:
    backbone, objective = make(loss={"kind": "gaussian"}, classification={"weight": 0})
    for parameter in objective.head.measure.parameters():
        torch.nn.init.zeros_(parameter)
    truth = torch.tensor([-2.5, -1.5, -2.5, -1.5, -2.5, -1.5])  # one deviation off the mean
    assert forward(backbone, objective, a_batch(**{NAME: truth})).skill.item() == pytest.approx(0)


def test_map_loss_balances_and_its_probability_takes_it_back() -> None:
    counts = torch.zeros(1, 5, 5)
    counts[0, 0, 0] = 3.0
    balance = balance_of(1 / 25)
    # the best constant of the balanced loss is even odds, whose probability is the share
    even = map_loss(torch.zeros(1, 5, 5), counts, "presence", balance).item()
    for shift in (-0.1, 0.1):
        assert map_loss(torch.full((1, 5, 5), shift), counts, "presence", balance).item() > even
    assert map_probability(torch.zeros(1), "presence", balance).item() == pytest.approx(0.04)
    rate = torch.full((1, 5, 5), math.log(3 / 25))
    best = map_loss(rate, counts, "counts", 1.0).item()
    assert best < map_loss(rate + 0.1, counts, "counts", 1.0).item()
    assert best < map_loss(rate - 0.1, counts, "counts", 1.0).item()
    unknown = torch.full((1, 5, 5), math.nan)
    assert map_loss(torch.ones(1, 5, 5), unknown, "presence", 1.0).item() == 0.0
    with pytest.raises(ConfigurationError, match="min_mass"):
        balance_of(0.0)


def test_cells_lie_where_their_patch_is() -> None:
    head = MeasurementHead(HeadShape(width=4, grid=3, num_targets=0, num_outputs=1, cells=2))
    tokens = torch.zeros(1, 9, 4)
    quiet = head(tokens).map
    tokens[0, 5] = torch.tensor([1.0, -1.0, 2.0, 0.0])  # row 1, column 2
    changed = (head(tokens).map != quiet)[0]
    assert changed.nonzero().tolist() == [[2, 4], [2, 5], [3, 4], [3, 5]]
    with pytest.raises(ModelError, match="3x3 patches"):
        head(torch.zeros(1, 16, 4))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"targets": {}}, "learns nothing"),
        ({"targets": {NAME: "ln"}}, "log10"),
        ({"levels": [0.9, 0.9]}, "differ"),
        ({"levels": [1.0]}, "less than 1"),
        ({"loss": {"kind": "mse"}}, "quantile"),
    ],
)
def test_what_makes_no_sense_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        Regression.parse({"targets": {NAME: "log10"}, **settings}, "test")


def test_dots_of_a_command_line_make_the_same_targets() -> None:
    nested = Regression.parse({"targets": {"substructure": {"fraction": "log10"}}}, "test")
    assert nested.targets == {NAME: "log10"}


def test_a_head_reads_the_last_patches() -> None:
    backbone = create_model("resnet18", num_classes=2, in_channels=1, image_size=64)
    backbone.train()
    assert measure_features(backbone, 1, 64) == (512, 2)
    assert backbone.training
