"""Each family measures what it says, on images whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest
from audit_fakes import fair_rings

from darkarcs.audit.annuli import Annuli
from darkarcs.audit.feature_table import FeatureTable, join_columns
from darkarcs.audit.features import FAMILIES, azimuthal_amplitudes, measure, peak_place
from darkarcs.audit.features import radial_profile as profile_of
from darkarcs.audit.noise_statistics import noise_statistics
from darkarcs.errors import DataError


def named(table: FeatureTable, name: str) -> np.ndarray:
    return table.values[:, table.names.index(name)]


def test_radial_profile_is_the_mean_over_each_ring() -> None:
    images, _ = fair_rings(3, size=31)
    table = profile_of(images)
    y, x = np.mgrid[:31, :31] - 15.0
    radius = np.hypot(x, y)
    for column in range(1, 15):
        edges = Annuli(31, 31, 15).edges[[column, column + 1]]
        inside = (radius > edges[0]) & (radius <= edges[1])
        np.testing.assert_allclose(
            table.values[:, column], images[:, 0, inside].mean(axis=1), rtol=1e-5
        )


def test_azimuthal_amplitudes_follow_a_cosine_and_turn_with_nothing() -> None:
    y, x = np.mgrid[:64, :64] - 31.5
    angle = np.arctan2(y, x)
    bright = np.where(np.hypot(x, y) < 28, 1 + 0.6 * np.cos(3 * angle), 0.0)
    images = np.asarray(bright[None, None], dtype=np.float32)
    table = azimuthal_amplitudes(images)
    # <cos^2> is one half: an amplitude of 0.6 gives 0.3 of the light.
    assert named(table, "m = 3, light-weighted")[0] == pytest.approx(0.3, abs=0.01)
    assert named(table, "m = 2, light-weighted")[0] < 0.02
    turned = azimuthal_amplitudes(np.ascontiguousarray(np.rot90(images, axes=(2, 3))))
    np.testing.assert_allclose(turned.values, table.values, atol=1e-5)


def test_peak_place_of_equal_peaks_is_their_mean() -> None:
    image = np.zeros((1, 1, 9, 9), dtype=np.float32)
    image[0, 0, 4, 4] = image[0, 0, 4, 8] = 7
    assert peak_place(image).values.item() == 2.0


def test_noise_statistics_tell_level_scatter_correlation_and_steps() -> None:
    generator = np.random.default_rng(0)
    white = generator.normal(3.0, 0.5, size=(2, 1, 96, 96))
    smooth = (white + np.roll(white, 1, axis=2) + np.roll(white, 1, axis=3)) / 3
    table = noise_statistics(np.concatenate([white, smooth, np.rint(4 * white)]).astype("f4"))
    level, scatter = named(table, "background level"), named(table, "background scatter")
    assert level[:2] == pytest.approx(3.0, abs=0.05)
    assert scatter[:2] == pytest.approx(0.5, rel=0.1)
    correlation = named(table, "background correlation of neighbours")
    assert np.all(np.abs(correlation[:2]) < 0.12)
    assert np.all(correlation[2:4] > 0.25)
    assert named(table, "share of whole numbers").tolist() == [0, 0, 0, 0, 1, 1]
    steps = named(table, "smallest step between background values")
    assert steps[4:].tolist() == [1, 1]
    assert np.all(steps[:4] < 0.01)


def test_a_flat_background_has_no_correlation_and_no_steps() -> None:
    image = np.zeros((1, 1, 32, 32), dtype=np.float32)
    image[0, 0, 16, 16] = 1
    table = noise_statistics(image)
    assert np.isfinite(table.values).all()
    assert named(table, "share of zeros")[0] == 1


def test_measuring_in_parts_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    images, _ = fair_rings(20)
    whole = measure(images)
    monkeypatch.setattr("darkarcs.audit.features._CHUNK", 7)
    parts = measure(images)
    assert set(whole) == set(FAMILIES)
    for name, table in whole.items():
        np.testing.assert_allclose(parts[name].values, table.values, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("shape", [(2, 3, 24, 24), (2, 1, 20, 31), (2, 1, 4, 4), (2, 1, 2, 2)])
def test_channels_oblong_and_tiny_images_are_measured(shape: tuple[int, ...]) -> None:
    images = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    for table in measure(images).values():
        assert len(table) == 2
        assert np.isfinite(table.values).all()
        assert len(table.names) % shape[1] == 0


def test_tables_know_whether_anything_varies() -> None:
    constant = FeatureTable(("a", "b"), np.array([[1.0, np.nan]] * 3))
    assert not constant.varies()
    assert FeatureTable(("a",), np.array([[1.0], [np.nan]])).varies()
    assert join_columns([constant, FeatureTable(("c",), np.arange(3.0)[:, None])]).varies()
    with pytest.raises(DataError, match="2 features"):
        FeatureTable(("a", "b"), np.zeros((3, 1)))
