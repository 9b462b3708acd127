"""The unknown-substructure observer on toys with known answers, and around a lens of a scene."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

import small_scenes
from darkarcs.errors import ConfigurationError, DataError
from darkarcs.limits.observer import QuadraticObserver, draw_residuals, examine, train_observer
from darkarcs.limits.oracle import paired_auc, scores_matrix
from darkarcs.limits.redrawing import redraw_substructure
from darkarcs.limits.tangent import macro_tangents
from darkarcs.scenes.smooth import smooth_partners


def area(residuals: np.ndarray, num_training: int, noise_factor: float = 1.0) -> float:
    observer = train_observer(residuals[:num_training])
    scores = examine(observer, residuals[num_training:], noise_factor=noise_factor)
    return float(scores_matrix(*(side[None] for side in scores)).item())


def test_a_signal_that_never_varies_is_found_as_by_the_oracle() -> None:
    signal = np.random.default_rng(0).normal(size=50)
    signal *= 1.5 / np.linalg.norm(signal)
    residuals = np.tile(signal, (1000, 1))
    assert area(residuals, 40) == pytest.approx(paired_auc(np.array([1.5])), abs=0.02)
    assert area(residuals, 40, 3.0) == pytest.approx(paired_auc(np.array([0.5])), abs=0.02)


def test_a_gaussian_signal_is_found_as_by_its_likelihood() -> None:
    # along one axis the best score is the square of the data, whose AUC has a closed form
    random = np.random.default_rng(1)
    spread = 3.0
    residuals = spread * random.normal(size=(3000, 1)) * np.eye(1, 20)
    best = 2 / np.pi * np.arctan(np.sqrt(1 + spread**2))
    assert area(residuals, 1000) == pytest.approx(best, abs=0.02)


def test_nothing_to_see_and_no_learning_by_heart() -> None:
    random = np.random.default_rng(2)
    assert area(np.zeros((200, 30)), 100) == pytest.approx(0.5, abs=1e-9)
    # weak signals of as many directions as draws: training must not pretend to know them
    weak = 1e-3 * random.normal(size=(300, 400))
    assert area(weak, 100) == pytest.approx(0.5, abs=0.04)


def test_strengths_that_vary_are_taken_nearly_as_the_best_observer_takes_them() -> None:
    random = np.random.default_rng(3)
    draws = np.exp(random.normal(size=(4000, 1)))
    residuals = draws * random.normal(size=(4000, 6))
    observer = train_observer(residuals[:2000])
    assert np.mean(observer.strengths**2) == pytest.approx(1)
    # the same data, by the distribution that they were drawn from
    grid = np.exp(norm.ppf((np.arange(200) + 0.5) / 200))
    best = QuadraticObserver(observer.axes, np.zeros(6), np.ones(6), grid)
    areas = [
        scores_matrix(*(side[None] for side in examine(one, residuals[2000:]))).item()
        for one in (observer, best)
    ]
    assert areas[1] - 0.01 < areas[0] < areas[1] + 0.003
    assert areas[0] > 0.7


def test_few_draws_are_refused() -> None:
    with pytest.raises(DataError, match="too few"):
        train_observer(np.zeros((7, 3)))


def test_around_a_lens() -> None:
    scene = small_scenes.scene()
    lens = smooth_partners(scene, scene.draw(0, 0, 1))
    tangents = macro_tangents(scene, lens)
    residuals = draw_residuals(scene, "cdm", lens, tangents, 30)
    assert residuals.shape == (30, 400)
    # off the tangent space, and different from each other
    inside = residuals @ tangents.basis[0]
    assert np.abs(inside).max() < 1e-8 * np.abs(residuals).max()
    assert len(np.unique(np.linalg.norm(residuals, axis=1))) == 30
    again = draw_residuals(scene, "cdm", lens, tangents, 5)
    np.testing.assert_allclose(again, residuals[:5], rtol=1e-4, atol=1e-6)
    known = paired_auc(np.linalg.norm(residuals[20:], axis=1))
    assert area(residuals, 20) < known + 0.05


def test_redrawn_lenses_differ_in_their_substructure_only() -> None:
    scene = small_scenes.scene()
    lens = scene.draw(0, 2, 1)
    drawn = redraw_substructure(scene, "cdm", lens, 4, seed=1)
    for name, values in drawn.columns.items():
        if not name.startswith("substructure.") and name != "lens.smooth_einstein_radius":
            assert (values == lens.columns[name]).all(), name
    assert len(set(drawn.columns["lens.smooth_einstein_radius"])) == 4
    assert (
        drawn.columns["lens.smooth_einstein_radius"] < lens.columns["lens.einstein_radius"]
    ).all()
    other = redraw_substructure(scene, "cdm", lens, 4, seed=2)
    assert set(other.columns["substructure.mass"]).isdisjoint(drawn.columns["substructure.mass"])
    granules = redraw_substructure(scene, "axion", lens, 2)
    assert granules.fields["granules"].shape[0] == 2
    with pytest.raises(ConfigurationError, match="no class 'warm'"):
        redraw_substructure(scene, "warm", lens, 1)


def test_redrawn_substructure_is_drawn_as_the_scene_draws_it() -> None:
    scene = small_scenes.scene().with_classes(["cdm"])
    own = scene.draw(0, 0, 200).columns["substructure.fraction"]
    lens = scene.draw(0, 0, 1)
    again = redraw_substructure(scene, "cdm", lens, 200).columns["substructure.fraction"]
    error = np.hypot(own.std(), again.std()) / np.sqrt(200)
    assert abs(own.mean() - again.mean()) < 4 * error
