"""Tests of pools of rendered lenses under fresh noise."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from darkarcs.data.augmentation import apply_dihedral
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
    (first, turns), (second, others) = pool.rows(0, 20), pool.rows(20, 20)
    assert sorted(first) == sorted(second) == list(range(20))
    assert first.tolist() != second.tolist()
    assert not turns.any()
    across, turned = pool.rows(15, 10)
    assert across.tolist() == [*first[15:], *second[:5]]
    assert turned.tolist() == [*turns[15:], *others[:5]]


def test_pairs_stay_together_and_are_turned_alike(tmp_path: Path) -> None:
    path = tmp_path / "pairs.h5"
    simulate_to_store(parse_uri(SCENE.format(num=12) + "&noiseless=1&paired=1"), path)
    pairs = open_stream(f"pool:{path}")
    assert isinstance(pairs, PooledLenses)
    rows, turns = pairs.rows(0, 24)
    assert (rows[1::2] == rows[::2] + 1).all()
    assert (rows[::2] % 2 == 0).all()
    assert (turns[1::2] == turns[::2]).all()
    assert set(turns[::2]) > {turns[0]}
    simulate_to_store(parse_uri(SCENE.format(num=3) + "&noiseless=1&paired=1"), tmp_path / "odd.h5")
    with pytest.raises(DataError, match="within a pair"):
        open_stream(f"pool:{tmp_path / 'odd.h5'}")


@pytest.mark.parametrize("factor", [1.0, 25.0])
def test_noise_is_fresh_in_each_pass_and_has_the_variance_asked_for(
    pool_file: Path, factor: float
) -> None:
    change = f"noise.exposure_factor={factor}"
    pool = open_stream(f"pool:{pool_file}?{change}")
    assert isinstance(pool, PooledLenses)
    residuals = []
    for number in range(12):
        images, labels = pool.batch(20 * number, 20, "cpu")
        rows, turns = pool.rows(20 * number, 20)
        assert (labels == pool.pool.labels[rows]).all()
        turned = apply_dihedral(torch.from_numpy(pool.pool.images[rows]), torch.from_numpy(turns))
        # bits 0 and 1 undo themselves, 2 too, but the order is turned round with it
        undone = turns ^ np.where((turns & 4 > 0) & ((turns & 3 == 1) | (turns & 3 == 2)), 3, 0)
        noise = torch.from_numpy(images) - turned
        residuals.append(apply_dihedral(noise, torch.from_numpy(undone)).numpy()[np.argsort(rows)])
    truth = simulate(parse_uri(SCENE.format(num=20) + "&noiseless=1"))
    scene = parse_uri(SCENE.format(num=20) + f"&{change}").scene
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
    assert not set(validation.metadata["identity"]) & set(pool.pool.metadata["identity"])
    assert (validation.images < 0).any()


@pytest.mark.parametrize("change", ["", "&noiseless=1&part=validation"])
def test_only_noiseless_training_lenses_make_a_pool(tmp_path: Path, change: str) -> None:
    path = tmp_path / "wrong.h5"
    simulate_to_store(parse_uri(SCENE.format(num=2) + change), path)
    with pytest.raises(DataError, match="a pool holds noiseless lenses of the training part"):
        open_stream(f"pool:{path}")


def test_wrong_options_are_named(pool_file: Path) -> None:
    for wrong, message in (
        ("sed=1", "no option 'sed'"),
        ("seed=-1", "seed must be a whole number"),
        ("noise.exposure=3", "unknown key"),
    ):
        with pytest.raises(ConfigurationError, match=message):
            open_stream(f"pool:{pool_file}?{wrong}")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nothing\.h5"):
        open_stream(f"pool:{tmp_path / 'nothing.h5'}")


def test_lenses_come_with_their_tables(pool: PooledLenses) -> None:
    lenses = pool.lenses(20, 6, "cpu")
    images, labels = pool.batch(20, 6, "cpu")
    rows, _ = pool.rows(20, 6)
    assert (lenses.images == images).all()
    assert (lenses.labels == labels).all()
    assert (lenses.metadata["index"] == rows).all()
