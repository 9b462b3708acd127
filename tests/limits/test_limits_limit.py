"""The measurement as a whole on a small scene: numbers that belong together, sweeps, refits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

import small_scenes
from darkarcs.errors import ConfigurationError
from darkarcs.limits import (
    LimitRequest,
    LimitResult,
    count_draws,
    count_images,
    measure_limits,
    observe_more,
)
from darkarcs.limits.refit import refit
from darkarcs.limits.tangent import macro_tangents
from darkarcs.limits.variants import make_variants
from darkarcs.scenes.smooth import macro_nuisances, smooth_partners


def request(**changes: object) -> LimitRequest:
    values = {
        "fractions": (0.01, 0.05),
        "noise_factors": (1.0, 3.0),
        **{"num": 24, "num_observed": 2, "num_training": 16, "num_test": 8, "num_refitted": 1},
    }
    return LimitRequest.parse(values | changes, "test")


@pytest.fixture(scope="module")
def measured() -> LimitResult:
    seen: list[int] = []
    scene = small_scenes.scene()
    result = measure_limits(scene, request(), progress=seen.append)
    assert sum(seen) == count_images(scene, request())
    return result


def test_rows_by_fraction_and_noise(measured: LimitResult) -> None:
    assert [(row.fraction, row.noise_factor) for row in measured.rows] == [
        *((0.01, 1.0), (0.01, 3.0), (0.05, 1.0), (0.05, 3.0))
    ]
    for quiet, loud in (measured.rows[:2], measured.rows[2:]):
        np.testing.assert_allclose(np.array(quiet.d), 3 * np.array(loud.d))
        np.testing.assert_allclose(np.array(quiet.d_perp), 3 * np.array(loud.d_perp))
        assert quiet.oracle.pooled.value > loud.oracle.pooled.value
        # the prior does not grow with the noise: more is left than of the rest
        assert loud.d_prior[2] > 1.001 * quiet.d_prior[2] / 3
    assert measured.rows[2].d[2] > measured.rows[0].d[2]
    assert measured.scene.startswith("small/1/")
    assert measured.wall_seconds > 0


def test_who_knows_more_sees_more(measured: LimitResult) -> None:
    for row in measured.rows:
        for kind in ("paired", "pooled"):
            areas = [getattr(row, name) for name in ("oracle", "with_prior", "marginalized")]
            values = [getattr(figure, kind).value for figure in areas]
            assert values == sorted(values, reverse=True)
        assert row.marginalized.pooled.value > row.marginalized.paired.value
        assert row.observer is not None
        assert row.num_observed == 2
        assert row.num == 24


def test_bins_hold_every_lens_once(measured: LimitResult) -> None:
    by_column: dict[str, int] = {}
    for part in measured.rows[0].bins:
        by_column[part.column] = by_column.get(part.column, 0) + part.num
        assert part.low <= part.high
    assert by_column == {"substructure.fraction": 24, "substructure.mass": 24}


def test_result_survives_json(measured: LimitResult) -> None:
    assert LimitResult.model_validate_json(measured.model_dump_json()) == measured


def test_lenses_do_not_depend_on_how_many_are_measured(measured: LimitResult) -> None:
    few = request(num=3, num_observed=0, num_refitted=0, fractions=(0.05,), noise_factors=(1.0,))
    row = measure_limits(small_scenes.scene(), few).rows[0]
    assert row.observer is None
    assert row.refit is None
    scene = make_variants(small_scenes.scene(), fractions=[0.05])[0].scene
    pairs = scene.draw(0, 0, 6, part="test", paired=True)
    tangents = macro_tangents(scene, smooth_partners(scene, pairs.select(pairs.labels == 0)))
    found = tangents.strengths(tangents.whiten(scene.render(pairs.select(pairs.labels == 1))))
    assert row.d_perp[2] == pytest.approx(float(np.median(found.d_perp)), rel=1e-4)


def test_pairs_share_all_but_the_substructure() -> None:
    for variant in make_variants(small_scenes.scene(), fractions=[0.01, 0.05]):
        pairs = variant.scene.draw(0, 0, 2, part="test", paired=True)
        partner = smooth_partners(variant.scene, pairs.select(pairs.labels == 1))
        control = pairs.select(pairs.labels == 0)
        torch.testing.assert_close(variant.scene.render(partner), variant.scene.render(control))


def test_variants() -> None:
    scene = small_scenes.scene()
    assert [v.class_name for v in make_variants(scene)] == ["cdm", "axion"]
    assert [v.class_name for v in make_variants(scene, ["axion"])] == ["axion"]
    assert make_variants(scene, fractions=[0.03])[0].scene.classes["cdm"].mass_fraction == 0.03
    with pytest.raises(ConfigurationError, match="no mass_fraction"):
        make_variants(scene, ["axion"], [0.1])
    with pytest.raises(ConfigurationError, match="no class no_sub"):
        make_variants(scene.with_classes(["cdm"]))
    with pytest.raises(ConfigurationError, match="no class to compare"):
        make_variants(scene.with_classes(["no_sub"]))
    with pytest.raises(ConfigurationError, match="no class 'wdm'"):
        make_variants(scene, ["wdm"])


def test_a_request_is_checked() -> None:
    for wrong in ({"num": 1}, {"part": "all"}, {"noise_factors": ()}, {"fraction": (0.1,)}):
        with pytest.raises(ConfigurationError):
            request(**wrong)


def test_a_fit_finds_a_smooth_lens_again() -> None:
    scene = small_scenes.scene()
    names = tuple(macro_nuisances(scene))
    smooth = smooth_partners(scene, scene.draw(1, 0, 1))
    moved = dict(smooth.columns)
    for name, step in (("lens.smooth_einstein_radius", 0.02), ("source.centre_x", 0.02)):
        moved[name] = moved[name] + step
    image = scene.render(replace(smooth, columns=moved), dtype=torch.float64)[0]
    fitted = refit(scene, smooth, image, names)
    assert fitted.d > 3
    assert fitted.remaining < 1e-3 * fitted.d
    for name in ("lens.smooth_einstein_radius", "source.centre_x", "lens.shear"):
        assert fitted.values[name] == pytest.approx(moved[name].item(), abs=1e-3)


def test_a_fit_leaves_what_the_tangent_space_says() -> None:
    classes = small_scenes.values()["classes"]
    classes["cdm"]["mass_fraction"] = 0.002
    scene = small_scenes.scene(classes=classes).with_classes(["no_sub", "cdm"])
    pairs = scene.draw(1, 0, 6, paired=True)
    smooth = smooth_partners(scene, pairs.select(pairs.labels == 0))
    tangents = macro_tangents(scene, smooth, dtype=torch.float64)
    images = scene.render(pairs.select(pairs.labels == 1), dtype=torch.float64)
    linear = tangents.strengths(tangents.whiten(images)).d_perp
    for i in range(3):
        fitted = refit(scene, smooth.select(slice(i, i + 1)), images[i], tangents.names)
        assert fitted.remaining <= fitted.d
        assert fitted.remaining == pytest.approx(linear[i], rel=0.1)


def test_observing_more_lenses_equals_measuring_with_more(measured: LimitResult) -> None:
    scene, seen = small_scenes.scene(), []
    wanted = request(fractions=(0.05,), num_observed=5)
    more = observe_more(scene, measured, wanted, progress=seen.append)
    assert sum(seen) == count_draws(scene, measured, wanted) == 5
    assert more.rows[:2] == measured.rows[:2]  # the other fraction stays
    at_once = measure_limits(scene, request(fractions=(0.05,), num_observed=5)).rows
    for row, other in zip(more.rows[2:], at_once, strict=True):
        assert row.num_observed == other.num_observed == 5
        assert row.observer == other.observer != measured.rows[2].observer
        assert row.observer_command
        assert row.model_copy(update={"observer_command": ""}) == other
    with pytest.raises(ConfigurationError, match=r"hold no row of cdm at 0\.2"):
        observe_more(scene, measured, request(fractions=(0.2,), num_observed=5))
