"""Distances against hand-made cases and brute force."""

from __future__ import annotations

import numpy as np

from darkarcs.trust.densities import (
    GaussianClasses,
    energy,
    halve,
    neighbour_distance,
    unit_length,
)


def test_mahalanobis_distance_of_a_known_covariance() -> None:
    generator = np.random.default_rng(0)
    mixing = np.array([[2.0, 0.0], [1.0, 0.5]])
    values = generator.normal(size=(20_000, 2)) @ mixing.T + [5.0, -3.0]
    gaussian = GaussianClasses.fit(values)
    point = np.array([[8.0, -1.0]])
    centred = point - [5.0, -3.0]
    exact = np.sqrt(centred @ np.linalg.inv(mixing @ mixing.T) @ centred.T).item()
    assert np.isclose(gaussian.distance(point).item(), exact, rtol=0.03)


def test_distance_is_to_the_nearest_class_about_its_own_mean() -> None:
    generator = np.random.default_rng(1)
    labels = np.repeat([0, 2], 500)  # class 1 has no images
    values = generator.normal(size=(1000, 3)) + 20.0 * labels[:, None]
    gaussian = GaussianClasses.fit(values, labels)
    at_means = gaussian.distance(np.array([[0.0] * 3, [40.0] * 3, [20.0] * 3]))
    assert (at_means[:2] < 0.3).all()
    assert at_means[2] > 20


def test_leaving_a_direction_in_which_nothing_varies_is_strange_but_finite() -> None:
    values = np.random.default_rng(2).normal(size=(100, 2))
    values = np.column_stack([values, np.full(100, 7.0)])
    gaussian = GaussianClasses.fit(values)
    inside, outside = gaussian.distance(np.array([[0, 0, 7.0], [0, 0, 8.0]]))
    assert inside < 1
    assert 100 < outside < np.inf


def test_references_are_what_their_file_holds() -> None:
    gaussian = GaussianClasses.fit(np.random.default_rng(3).normal(size=(50, 4)))
    halves, scale = halve(gaussian.whitening)
    assert np.array_equal(halves.astype(float) * scale.astype(np.float32), gaussian.whitening)


def test_neighbours_against_brute_force() -> None:
    generator = np.random.default_rng(4)
    values, reference = generator.normal(size=(7, 5)) + 1e3, generator.normal(size=(40, 5)) + 1e3
    brute = np.sort(np.linalg.norm(values[:, None] - reference, axis=2), axis=1)
    for neighbour in (1, 10):
        found = neighbour_distance(values, reference, neighbour)
        assert np.allclose(found, brute[:, neighbour - 1], atol=1e-6)
    assert np.allclose(neighbour_distance(values, reference[:3], 10), neighbour_distance(
        values, reference[:3], 3
    ))  # fmt: skip


def test_unit_length_keeps_zeros() -> None:
    assert unit_length(np.array([[3.0, 4.0], [0.0, 0.0]])).tolist() == [[0.6, 0.8], [0.0, 0.0]]


def test_energy_does_not_overflow_and_falls_with_claims() -> None:
    found = energy(np.array([[1e4, 0.0], [1.0, 1.0], [-1e4, -1e4]]))
    assert np.allclose(found, [-1e4, -1.0 - np.log(2), 1e4 - np.log(2)])
