"""Tests of pools of rendered lenses under fresh noise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from darkarcs.data.streams import open_stream
from darkarcs.errors import ConfigurationError, DataError
from darkarcs.simulation import parse_uri, simulate, simulate_to_store
from darkarcs.simulation.pool import PooledLenses

SCENE = "scene:fair-euclid?seed=3&num={num}&classes=no_sub,cdm&num_pixels=32&supersampling=1"


@pytest.fixture(scope="module")
def pool_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pool") / "pool.h5"
    simulate_to_store(parse_uri(SCENE.format(num=20) + "&noiseless=1"), path)
    return path


@pytest.fixture
def pool(pool_file: Path) -> PooledLenses:
    stream = open_stream(f"pool:{pool_file}?seed=5")
    assert isinstance(stream, PooledLenses)
    return stream


def test_a_pass_shows_each_lens_once_and_the_next_in_another_order(pool: PooledLenses) -> None:
    first, second = pool.rows(0, 20), pool.rows(20, 20)
    assert sorted(first) == sorted(second) == list(range(20))
    assert first.tolist() != second.tolist()
    across = pool.rows(15, 10)
    assert across.tolist() == [*first[15:], *second[:5]]


def test_noise_is_fresh_in_each_pass_and_has_the_instruments_variance(pool: PooledLenses) -> None:
    scene = pool.request.scene
    residuals = []
    for number in range(12):
        images, labels = pool.batch(20 * number, 20, "cpu")
        rows = pool.rows(20 * number, 20)
        assert (labels == pool.lenses.labels[rows]).all()
        residuals.append((images - pool.lenses.images[rows])[np.argsort(rows)])
    truth = simulate(parse_uri(SCENE.format(num=20) + "&noiseless=1"))
    parameters = scene.draw(3, 0, 20)
    variance = scene.noise_variance(torch.from_numpy(truth.images), parameters).numpy()
    ratio = np.var(np.stack(residuals), axis=0) / variance * 12 / 11
    assert ratio.mean() == pytest.approx(1, abs=0.02)
    assert not np.allclose(residuals[0], residuals[1])


def test_a_batch_does_not_depend_on_what_came_before(pool: PooledLenses, pool_file: Path) -> None:
    fresh = open_stream(f"pool:{pool_file}?seed=5")
    assert fresh is not None
    pool.batch(0, 8, "cpu")
    images, labels = pool.batch(40, 8, "cpu")
    again, same = fresh.batch(40, 8, "cpu")
    assert (images == again).all()
    assert (labels == same).all()
    assert fresh.identity == pool.identity
    assert open_stream(f"pool:{pool_file}?seed=6").identity != pool.identity  # type: ignore[union-attr]


def test_validation_is_of_fresh_noisy_lenses(pool: PooledLenses) -> None:
    validation = pool.images("validation", 4)
    assert validation.class_names == pool.class_names
    assert not set(validation.metadata["identity"]) & set(pool.lenses.metadata["identity"])
    assert (validation.images < 0).any()


@pytest.mark.parametrize("change", ["", "&noiseless=1&part=validation"])
def test_only_noiseless_training_lenses_make_a_pool(tmp_path: Path, change: str) -> None:
    path = tmp_path / "wrong.h5"
    simulate_to_store(parse_uri(SCENE.format(num=2) + change), path)
    with pytest.raises(DataError, match="a pool holds noiseless lenses of the training part"):
        open_stream(f"pool:{path}")


def test_wrong_options_are_named(pool_file: Path) -> None:
    with pytest.raises(ConfigurationError, match="must read pool:FILE"):
        open_stream(f"pool:{pool_file}?sed=1")
    with pytest.raises(ConfigurationError, match="must read pool:FILE"):
        open_stream(f"pool:{pool_file}?seed=-1")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nothing\.h5"):
        open_stream(f"pool:{tmp_path / 'nothing.h5'}")
