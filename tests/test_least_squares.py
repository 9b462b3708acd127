"""Batched least squares beside scipy's, one problem at a time and many, with and without bounds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.optimize import least_squares
from torch import Tensor

from darkarcs.least_squares import Problem, Solution, minimize

TIME = torch.linspace(0.0, 3.0, 40, dtype=torch.float64)
Model = Callable[[Tensor], Tensor]


def decay(u: Tensor) -> Tensor:
    """An amplitude and a rate, shape (B, 40)."""
    return 50 * torch.exp(0.3 * u[:, :1]) * torch.exp(-torch.exp(0.5 * u[:, 1:2]) * TIME)


def bump(u: Tensor) -> Tensor:
    """A place, a width and a height, shape (B, 40)."""
    place, width, height = 1.5 + 0.3 * u[:, :1], torch.exp(0.3 * u[:, 1:2] - 1), 30 + 5 * u[:, 2:]
    return height * torch.exp(-0.5 * ((TIME - place) / width) ** 2)


def wave(u: Tensor) -> Tensor:
    """A frequency and a phase, two planes, shape (B, 2, 20)."""
    phase = (3 + 0.2 * u[:, :1]) * TIME + 0.5 * u[:, 1:2]
    return 20 * torch.sin(phase).unflatten(1, (2, 20))


MODELS: dict[str, tuple[Model, int]] = {"decay": (decay, 2), "bump": (bump, 3), "wave": (wave, 2)}


def make(model: Model, num: int, count: int = 6, noise: float = 1.0) -> Problem:
    """Noisy data of known parameters, with exact slopes."""
    random = torch.Generator().manual_seed(num)
    truth = torch.randn(count, num, generator=random, dtype=torch.float64)
    expected = model(truth)
    data = expected + noise * torch.randn(expected.shape, generator=random, dtype=torch.float64)

    def slopes(u: Tensor) -> Tensor:
        jacobian = torch.func.vmap(torch.func.jacfwd(lambda one: model(one[None])[0]))(u)
        return jacobian.movedim(-1, 1)

    return Problem(
        data=data,
        model=model,
        slopes=slopes,
        weight=lambda prediction, _: torch.full_like(prediction, 1 / noise),
        low=torch.full((num,), -6.0, dtype=torch.float64),
        high=torch.full((num,), 6.0, dtype=torch.float64),
    )


def start(problem: Problem) -> Tensor:
    return torch.zeros(len(problem.data), len(problem.low), dtype=torch.float64)


def by_scipy(problem: Problem, index: int, weight: Tensor | float = 1.0) -> tuple[Tensor, float]:
    def misfit(u: np.ndarray) -> np.ndarray:
        parameters = torch.from_numpy(u)[None]
        left = (problem.data[index] - problem.model(parameters)[0]) * weight
        return torch.cat([left.flatten(), problem.prior**0.5 * parameters[0]]).numpy()

    bounds = (problem.low.numpy(), problem.high.numpy())
    found = least_squares(misfit, np.zeros(len(problem.low)), bounds=bounds, xtol=1e-12, ftol=1e-12)
    return torch.from_numpy(found.x), 2 * float(found.cost)


def select(problem: Problem, index: int) -> Problem:
    return replace(problem, data=problem.data[index : index + 1])


@pytest.mark.parametrize(("model", "num"), MODELS.values(), ids=MODELS)
def test_the_minimum_is_scipys(model: Model, num: int) -> None:
    problem = make(model, num)
    solution = minimize(problem, start(problem), max_steps=40, tolerance=1e-9)
    assert solution.converged.all()
    for index in range(6):
        parameters, objective = by_scipy(problem, index)
        assert float(solution.objective[index]) == pytest.approx(objective, abs=1e-5)
        torch.testing.assert_close(solution.parameters[index], parameters, rtol=0, atol=1e-3)


@pytest.mark.parametrize(("model", "num"), MODELS.values(), ids=MODELS)
def test_a_problem_does_not_see_its_neighbours(model: Model, num: int) -> None:
    problem = make(model, num)
    together = minimize(problem, start(problem), max_steps=5, tolerance=0.1)
    for index in range(6):
        alone = select(problem, index)
        one = minimize(alone, start(alone), max_steps=5, tolerance=0.1)
        torch.testing.assert_close(one.parameters[0], together.parameters[index])
        assert bool(one.converged[0]) == bool(together.converged[index])


def test_what_a_solution_says_belongs_together() -> None:
    problem = replace(make(bump, 3), weight=lambda mu, _: (mu.clamp(min=0) + 4) ** -0.5)
    for steps in (0, 1, 30):
        solution = minimize(problem, start(problem), max_steps=steps, tolerance=1e-3)
        prediction = problem.model(solution.parameters)
        torch.testing.assert_close(solution.prediction, prediction)
        weight = problem.weight(prediction, torch.arange(6))
        torch.testing.assert_close(solution.weight, weight)
        chi_square = (((problem.data - prediction) * weight) ** 2).sum(1)
        torch.testing.assert_close(solution.objective, chi_square + (solution.parameters**2).sum(1))
    assert not minimize(problem, start(problem), max_steps=0, tolerance=1.0).converged.any()


def test_noise_may_depend_on_the_prediction() -> None:
    """The end is where weighted least squares, with the weights of the end, ends as well."""
    problem = replace(make(bump, 3), weight=lambda mu, _: (mu.clamp(min=0) + 4) ** -0.5)
    solution = minimize(problem, start(problem), max_steps=60, tolerance=1e-10)
    for index in range(6):
        parameters, _ = by_scipy(problem, index, solution.weight[index])
        torch.testing.assert_close(solution.parameters[index], parameters, rtol=0, atol=1e-3)


def test_weights_are_told_which_problem_they_are_of() -> None:
    problem = make(decay, 2)
    loud = torch.tensor([1.0, 1.0, 100.0, 1.0, 1.0, 1.0], dtype=torch.float64)
    own = replace(problem, weight=lambda mu, which: 1 / loud[which, None].expand_as(mu))
    solution = minimize(own, start(own), max_steps=40, tolerance=1e-9)
    for index in (1, 2, 5):
        parameters, _ = by_scipy(problem, index, 1 / float(loud[index]))
        torch.testing.assert_close(solution.parameters[index], parameters, rtol=0, atol=1e-3)
    # with noise of 100 the prior says more than the data
    assert solution.parameters[2].abs().max() < 0.3


@pytest.mark.parametrize(("model", "num"), MODELS.values(), ids=MODELS)
def test_bounds_are_kept_and_reached(model: Model, num: int) -> None:
    problem = make(model, num)
    free = minimize(problem, start(problem), max_steps=40, tolerance=1e-9)
    limit = 0.3
    problem.low[:], problem.high[:] = -limit, limit
    # from outside: starts are brought in
    held = minimize(problem, start(problem) + 2.0, max_steps=10, tolerance=1e-6)
    assert ((free.parameters.abs() > limit).any(1)).sum() >= 3
    assert (held.parameters.abs() <= limit).all()
    for index in range(6):
        _, objective = by_scipy(problem, index)
        assert float(held.objective[index]) == pytest.approx(objective, rel=1e-4)
    assert held.converged.all()


def test_a_minimum_is_known_for_one() -> None:
    problem = make(bump, 3)
    best = minimize(problem, start(problem), max_steps=40, tolerance=1e-9).parameters
    asked: list[int] = []

    def slopes(u: Tensor) -> Tensor:
        asked.append(len(u))
        return problem.slopes(u)

    again = minimize(replace(problem, slopes=slopes), best, max_steps=40, tolerance=1e-2)
    assert again.converged.all()
    assert len(asked) <= 2
    torch.testing.assert_close(again.parameters, best, rtol=0, atol=1e-3)


def test_what_has_converged_costs_nothing() -> None:
    problem = make(bump, 3)
    best = minimize(problem, start(problem), max_steps=40, tolerance=1e-9).parameters
    begin = best.clone()
    begin[3] += 3.0  # far away, and the only one with work to do
    asked: list[int] = []

    def slopes(u: Tensor) -> Tensor:
        asked.append(len(u))
        return problem.slopes(u)

    solution = minimize(replace(problem, slopes=slopes), begin, max_steps=40, tolerance=1e-3)
    assert solution.converged.all()
    assert asked[0] == 6
    assert len(asked) > 2
    assert asked[-1] == 1


def test_slopes_may_be_rough() -> None:
    problem = make(bump, 3)
    rough = replace(problem, slopes=lambda u: 1.2 * problem.slopes(u))
    exact, found = (minimize(p, start(p), max_steps=60, tolerance=1e-9) for p in (problem, rough))
    torch.testing.assert_close(found.objective, exact.objective, rtol=0, atol=1e-2)


def test_without_data_the_prior_is_the_answer() -> None:
    problem = make(decay, 2)
    flat = replace(
        problem,
        model=lambda u: torch.zeros(len(u), 40, dtype=torch.float64),
        slopes=lambda u: torch.zeros(len(u), 2, 40, dtype=torch.float64),
    )
    solution = minimize(flat, start(flat) + 4.0, max_steps=20, tolerance=1e-9)
    assert solution.converged.all()
    assert solution.parameters.abs().max() < 1e-6


def test_the_prior_can_be_left_away() -> None:
    problem = make(bump, 3, noise=3.0)
    free = replace(problem, prior=0.0)
    solution = minimize(free, start(free), max_steps=40, tolerance=1e-9)
    for index in range(6):
        parameters, objective = by_scipy(free, index, 1 / 3)
        assert float(solution.objective[index]) == pytest.approx(objective, abs=1e-4)
        torch.testing.assert_close(solution.parameters[index], parameters, rtol=0, atol=1e-2)
    with_prior = minimize(problem, start(problem), max_steps=40, tolerance=1e-9)
    assert (with_prior.parameters**2).sum() < (solution.parameters**2).sum()


def test_a_parameter_that_nothing_depends_on_stays() -> None:
    problem = make(decay, 2)
    idle = replace(
        problem,
        model=lambda u: decay(u[:, :2]),
        slopes=lambda u: torch.cat([problem.slopes(u[:, :2]), torch.zeros(len(u), 1, 40)], dim=1),
        low=torch.full((3,), -6.0, dtype=torch.float64),
        high=torch.full((3,), 6.0, dtype=torch.float64),
        prior=0.0,
    )
    solution = minimize(idle, start(idle) + 0.5, max_steps=40, tolerance=1e-9)
    assert solution.converged.all()
    assert (solution.parameters[:, 2] == 0.5).all()
    assert float(solution.objective.max()) < 80


def test_starts_are_left_alone() -> None:
    problem = make(decay, 2)
    begin = start(problem)
    minimize(problem, begin, max_steps=10, tolerance=1e-3)
    assert not begin.any()


def test_improve_takes_only_what_is_better() -> None:
    def solution(objective: list[float], mark: float) -> Solution:
        count = len(objective)
        return Solution(
            parameters=torch.full((count, 2), mark),
            prediction=torch.full((count, 1, 3), mark),
            weight=torch.full((count, 1, 3), mark),
            objective=torch.tensor(objective),
            converged=torch.full((count,), mark > 1),
        )

    best = solution([5.0, 5.0, 5.0, 5.0], 1.0)
    best.improve(torch.tensor([3, 1, 0]), solution([4.0, 6.0, 5.0], 2.0))
    assert best.objective.tolist() == [5.0, 5.0, 5.0, 4.0]
    assert best.converged.tolist() == [False, False, False, True]
    for name in ("parameters", "prediction", "weight"):
        assert getattr(best, name).flatten(1)[:, 0].tolist() == [1.0, 1.0, 1.0, 2.0], name
