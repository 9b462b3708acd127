r"""Many small least-squares problems at once, each with a damping and a course of its own.

Levenberg's and Marquardt's method for B data sets and K parameters with a normal prior of weight p:
minimized is :math:`\chi^2 = |w\,(y - \mu(u))|^2 + p\,|u|^2`. A step solves

.. math:: (J^T J + p + \lambda\,\mathrm{diag}\,J^T J)\,\delta = J^T r - p\,u,

with :math:`r = w (y - \mu)` and J its slopes. Problems that have converged cost nothing any more.

References
----------
.. [1] Marquardt 1963, Journal of SIAM 11, 431.
.. [2] Moré 1978, Lecture Notes in Mathematics 630, 105, for the scaling by diag J^T J.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

#: Longest step in each parameter, in standard deviations of the prior.
_LONGEST = 1.5
#: Dampings that are tried with the same slopes.
_TRIES = 3
_FEWER, _MORE = 0.2, 8.0
#: Dampings stay above the first; a problem that no step improves at the second is solved.
_LEAST, _MOST = 1e-5, 1e4
#: Share of the largest curvature that every direction has.
_DEGENERATE = 1e-12


@dataclass(eq=False)
class Problem:
    """What is minimized.

    Attributes
    ----------
    data : Tensor, shape (B, ...)
        y.
    model : callable
        Parameters (B', K) to predictions (B', ...).
    slopes : callable
        Parameters (B', K) to their derivatives (B', K, ...); may be approximate, since every
        step is checked.
    weight : callable
        Predictions (B', ...) and which problems they are of, shape (B',), to w: one over the
        standard deviation of the data.
    low, high : Tensor, shape (K,)
        Bounds of the parameters.
    prior : float, default 1.0
        p; 0 where nothing is known of the parameters.
    """

    data: Tensor
    model: Callable[[Tensor], Tensor]
    slopes: Callable[[Tensor], Tensor]
    weight: Callable[[Tensor, Tensor], Tensor]
    low: Tensor
    high: Tensor
    prior: float = 1.0


@dataclass(eq=False)
class Solution:
    """Where the problems ended.

    Attributes
    ----------
    parameters : Tensor, shape (B, K)
        u.
    prediction : Tensor, shape (B, ...)
        Of the model there.
    weight : Tensor, shape (B, ...)
        w there.
    objective : Tensor, shape (B,)
        Chi-squared with the prior.
    converged : Tensor of bool, shape (B,)
        Whether the last step changed next to nothing.
    """

    parameters: Tensor
    prediction: Tensor
    weight: Tensor
    objective: Tensor
    converged: Tensor

    def improve(self, places: Tensor, other: Solution) -> None:
        """Take over what another solution did better.

        Parameters
        ----------
        places : Tensor of int64, shape (P,)
            Problems that the other is of.
        other : Solution
            Of these P problems.
        """
        better = other.objective < self.objective[places]
        for name in ("parameters", "prediction", "weight", "objective", "converged"):
            getattr(self, name)[places[better]] = getattr(other, name)[better]


def minimize(
    problem: Problem,
    start: Tensor,
    *,
    max_steps: int,
    tolerance: float,
    damping: float = 1e-2,
) -> Solution:
    r"""Minimize from given starts.

    Parameters
    ----------
    problem : Problem
        Of B data sets.
    start : Tensor, shape (B, K)
        Where each begins.
    max_steps : int
        At most this many pairs of steps; each pair has new slopes.
    tolerance : float
        A problem has converged when a step lowers its objective by less than this.
    damping : float, default 1e-2
        The first :math:`\lambda`; larger is more careful.

    Returns
    -------
    Solution
        The best point that each problem came to.

    Examples
    --------
    >>> line = torch.linspace(0, 1, 20)
    >>> problem = Problem(
    ...     data=(100 * 0.5 * line)[None],
    ...     model=lambda u: 100 * u * line,
    ...     slopes=lambda u: 100 * line.expand(len(u), 1, 20),
    ...     weight=lambda prediction, which: torch.ones_like(prediction),
    ...     low=torch.tensor([-5.0]),
    ...     high=torch.tensor([5.0]),
    ... )
    >>> solution = minimize(problem, torch.zeros(1, 1), max_steps=20, tolerance=1e-6)
    >>> bool(solution.converged), round(solution.parameters.item(), 3)
    (True, 0.5)
    """
    state = _evaluate(problem, start.clamp(problem.low, problem.high), torch.arange(len(start)))
    dampings = torch.full((len(start),), damping, dtype=start.dtype)
    for step in range(2 * max_steps):
        open_ones = torch.nonzero(~state.converged)[:, 0]
        if not len(open_ones):
            break
        if step % 2 == 0:  # slopes serve two steps: the second costs next to nothing
            slopes, place = problem.slopes(state.parameters[open_ones]), torch.zeros(len(start))
            place = place.long().scatter(0, open_ones, torch.arange(len(open_ones)))
        before = state.objective[open_ones].clone()
        moved = _step(problem, state, dampings, open_ones, slopes[place[open_ones]])
        # the noise depends on the prediction: weigh anew, and compare like with like
        again = _evaluate(problem, state.parameters[open_ones[moved]], open_ones[moved], state)
        state.objective[open_ones[moved]] = again.objective
        state.weight[open_ones[moved]] = again.weight
        gain = before - state.objective[open_ones]
        stuck = ~moved & (dampings[open_ones] > _MOST)
        state.converged[open_ones] = stuck | (moved & (gain.abs() < tolerance))
    return state


def _evaluate(
    problem: Problem, parameters: Tensor, which: Tensor, known: Solution | None = None
) -> Solution:
    """Compute a solution's parts at given points; predictions that are known are not made again."""
    prediction = problem.model(parameters) if known is None else known.prediction[which]
    weight = problem.weight(prediction, which).clone()  # states are changed in place
    objective = _objective(problem, parameters, prediction, weight, which)
    return Solution(parameters, prediction, weight, objective, torch.zeros(len(which)) > 0)


def _objective(
    problem: Problem, parameters: Tensor, prediction: Tensor, weight: Tensor, which: Tensor
) -> Tensor:
    misfit = ((problem.data[which] - prediction) * weight).flatten(1)
    return (misfit**2).sum(1) + problem.prior * (parameters**2).sum(1)


def _step(
    problem: Problem, state: Solution, dampings: Tensor, which: Tensor, slopes: Tensor
) -> Tensor:
    """Move those of some problems that a damping is found for; tell which of them moved."""
    weight = state.weight[which]
    slopes = slopes.flatten(2) * weight.flatten(1)[:, None]
    residual = ((problem.data[which] - state.prediction[which]) * weight).flatten(1)
    parameters = state.parameters[which]
    gradient = (slopes @ residual[..., None])[..., 0] - problem.prior * parameters
    # what is at a bound and would leave it is fixed, so that the others step as if it were
    held = ((parameters <= problem.low) & (gradient < 0)) | (
        (parameters >= problem.high) & (gradient > 0)
    )
    gradient, slopes = gradient.masked_fill(held, 0.0), slopes.masked_fill(held[..., None], 0.0)
    normal = slopes @ slopes.mT
    diagonal = torch.diag_embed(torch.diagonal(normal, dim1=1, dim2=2))
    # what the data do not depend on must not make the matrix singular
    least = _DEGENERATE * torch.diagonal(normal, dim1=1, dim2=2).amax(1).clamp(min=_DEGENERATE)
    floor = (problem.prior + least)[:, None, None] * torch.eye(normal.shape[1]).to(normal)
    moved = torch.zeros(len(which), dtype=torch.bool)
    for _ in range(_TRIES):
        rest = torch.nonzero(~moved)[:, 0]
        if not len(rest):
            break
        now = which[rest]
        matrix = normal[rest] + floor[rest] + dampings[now, None, None] * diagonal[rest]
        step = torch.linalg.solve(matrix, gradient[rest]).clamp(-_LONGEST, _LONGEST)
        trial = (state.parameters[now] + step).clamp(problem.low, problem.high)
        prediction = problem.model(trial)
        objective = _objective(problem, trial, prediction, state.weight[now], now)
        lower = objective < state.objective[now]
        taken = now[lower]
        state.parameters[taken], state.prediction[taken] = trial[lower], prediction[lower]
        state.objective[taken] = objective[lower]
        dampings[now] = (dampings[now] * torch.where(lower, _FEWER, _MORE)).clamp(min=_LEAST)
        moved[rest[lower]] = True
    return moved
