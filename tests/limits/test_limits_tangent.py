"""Derivatives beside finite differences and torch's own, and closed forms of the projection."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import small_scenes
from darkarcs.errors import ConfigurationError
from darkarcs.limits.derivatives import linearize
from darkarcs.limits.tangent import MacroTangents, macro_tangents, tangent_basis
from darkarcs.scenes import LensParameters, Scene
from darkarcs.scenes.smooth import macro_nuisances, smooth_partners, smooth_values

COLOURS: dict[str, Any] = {
    "lens_light": [
        {"magnitude": {"uniform": [21.0, 22.0]}, "half_light_radius": {"uniform": [0.4, 0.6]}}
    ],
    "channels": [
        {"name": "g", "source": {"uniform": [0.5, 1.0]}, "lens_light": {"uniform": [0.2, 0.4]}},
        {"name": "i"},
    ],
    "point_spread_factor": {"uniform": [0.9, 1.1]},
}


def smooth_lenses(scene: Scene, count: int = 2) -> LensParameters:
    return smooth_partners(scene, scene.with_classes(["no_sub"]).draw(3, 0, count))


@pytest.mark.parametrize("changes", [{}, COLOURS], ids=["plain", "colours"])
def test_derivatives(changes: dict[str, Any]) -> None:
    scene = small_scenes.scene(**changes)
    names = tuple(macro_nuisances(scene))
    values = smooth_values(smooth_lenses(scene, 1))
    found = linearize(scene, values, names)
    torch.testing.assert_close(found.image, scene.render_values(values)[0])
    at = torch.cat([values[name] for name in names])

    def image(point: Tensor) -> Tensor:
        moved = dict(zip(names, point.split(1), strict=True))
        return scene.render_values(values | moved)[0]

    for index, name in enumerate(names):
        step = torch.zeros_like(at)
        step[index] = 1.0
        whole = torch.func.jvp(image, (at,), (step,))[1]
        torch.testing.assert_close(found.derivatives[index], whole, msg=name)
        small = 1e-5 * step
        numeric = (image(at + small) - image(at - small)) / 2e-5
        error = (found.derivatives[index] - numeric).abs().max() / numeric.abs().max()
        assert error < 1e-5, name


def test_nuisances_are_what_the_scene_draws() -> None:
    names = set(macro_nuisances(small_scenes.scene(**COLOURS)))
    assert {"lens.smooth_einstein_radius", "lens.multipole_3_angle", "source.flux"} <= names
    assert {"point_spread_factor", "channel.g.source", "lens_light_1.flux"} <= names
    # constant, or without a trace in the image
    assert not {"lens.multipole_4_angle", "lens.slope", "z_lens", "source.magnitude"} & names
    fixed = small_scenes.values()["lens"] | {"multipole_3": 0.0, "shear": 0.05}
    fewer = set(macro_nuisances(small_scenes.scene(lens=fixed)))
    assert "lens.shear" not in fewer
    assert "lens.shear_angle" in fewer
    assert not any(name.startswith("lens.multipole_3") for name in fewer)


def test_linear_toy_with_a_known_answer() -> None:
    random = np.random.default_rng(0)
    tangents, signal = random.normal(size=(40, 3)), random.normal(size=40)
    prior = np.array([0.1, 1.0, 30.0])
    basis, widths = tangent_basis(tangents, prior)
    space = MacroTangents(
        names=("a", "b", "c"),
        images=torch.zeros(1, 1, 5, 8, dtype=torch.float64),
        scale=torch.full((1, 1, 5, 8), 2.0, dtype=torch.float64),
        basis=basis[None],
        widths=widths[None],
    )
    data = space.whiten(torch.from_numpy(signal).reshape(1, 1, 1, 5, 8))
    np.testing.assert_allclose(data[0, 0], 2 * signal)
    found = space.strengths(data)
    louder = replace(space, scale=space.scale / 3, widths=space.widths / 3)
    for name in ("d", "d_perp", "d_prior"):
        expected = getattr(louder.strengths(data / 3), name)
        np.testing.assert_allclose(getattr(space.strengths(data, 3.0), name), expected)
    coefficients = np.linalg.lstsq(tangents, 2 * signal, rcond=None)[0]
    left = 2 * signal - tangents @ coefficients
    covariance = np.eye(40) + (tangents * prior**2) @ tangents.T
    assert found.d.item() == pytest.approx(np.linalg.norm(2 * signal))
    assert found.d_perp.item() == pytest.approx(np.linalg.norm(left))
    known = 2 * signal @ np.linalg.solve(covariance, 2 * signal)
    assert found.d_prior.item() == pytest.approx(known**0.5)
    np.testing.assert_allclose(space.project(data)[0, 0], left, atol=1e-10)


def test_degenerate_directions_are_counted_once() -> None:
    random = np.random.default_rng(1)
    one, other = random.normal(size=(2, 50))
    tangents = np.stack([one, 1e-6 * other, 3 * one, 0 * one, one + 1e-9 * other], axis=1)
    basis, widths = tangent_basis(tangents, np.ones(5))
    np.testing.assert_allclose(np.linalg.norm(basis, axis=0), [1, 1, 0, 0, 0], atol=1e-12)
    assert widths[0] > widths[1] > 0 == widths[2:].max()
    for signal in (one, other):  # the weak direction is spanned like the strong one
        np.testing.assert_allclose(basis @ (basis.T @ signal), signal, atol=1e-6)


def test_what_a_smooth_lens_does_leaves_nothing() -> None:
    scene = small_scenes.scene()
    smooth = smooth_lenses(scene)
    tangents = macro_tangents(scene, smooth, dtype=torch.float64)
    for name, step in (("lens.smooth_einstein_radius", 1e-4), ("lens.shear", 1e-4)):
        columns = smooth.columns | {name: smooth.columns[name] + step}
        images = scene.render(replace(smooth, columns=columns), dtype=torch.float64)
        found = tangents.strengths(tangents.whiten(images))
        assert (found.d > 0.01).all()
        assert (found.d_perp < 0.01 * found.d).all(), name
        assert (found.d_prior < 0.3 * found.d).all(), name


def test_single_precision_will_do() -> None:
    scene = small_scenes.scene().with_classes(["no_sub", "cdm"])
    pairs = scene.draw(5, 0, 8, paired=True)
    smooth = smooth_partners(scene, pairs.select(pairs.labels == 0))
    nuisances = macro_nuisances(scene)
    found = []
    for dtype in (torch.float32, torch.float64):
        tangents = macro_tangents(scene, smooth, nuisances, dtype=dtype)
        images = scene.render(pairs.select(pairs.labels == 1), dtype=dtype)
        found.append(tangents.strengths(tangents.whiten(images)))
    np.testing.assert_allclose(found[0].d_perp, found[1].d_perp, rtol=2e-3)
    single = found[0]
    assert (single.d_perp <= single.d_prior).all()
    assert (single.d_prior <= single.d).all()


def test_more_mass_and_less_noise_are_seen_better() -> None:
    def strengths(factor: float, fraction: float) -> tuple[float, float]:
        classes = small_scenes.values()["classes"]
        classes["cdm"]["mass_fraction"] = fraction
        noise = {"kind": "instrument", "exposure_factor": factor}
        scene = small_scenes.scene(classes=classes, noise=noise).with_classes(["no_sub", "cdm"])
        pairs = scene.draw(5, 0, 12, paired=True)
        tangents = macro_tangents(scene, smooth_partners(scene, pairs.select(pairs.labels == 0)))
        found = tangents.strengths(tangents.whiten(scene.render(pairs.select(pairs.labels == 1))))
        return float(np.median(found.d)), float(np.median(found.d_perp))

    base, heavy, deep = strengths(1.0, 0.005), strengths(1.0, 0.05), strengths(4.0, 0.005)
    assert heavy[0] > base[0]
    assert heavy[1] > base[1]
    assert deep[0] > base[0]
    assert deep[1] > base[1]


def test_whitening_is_by_the_noise() -> None:
    scene = small_scenes.scene()
    smooth = smooth_lenses(scene, 1)
    tangents = macro_tangents(scene, smooth)
    generator = torch.Generator().manual_seed(0)
    noiseless = tangents.images.float().expand(400, -1, -1, -1)
    many = smooth.select(np.zeros(400, dtype=np.int64))
    noisy = scene.observe(noiseless, many, generator)
    data = tangents.whiten(noisy[None])[0]
    assert data.mean() == pytest.approx(0, abs=0.01)
    assert data.std() == pytest.approx(1, abs=0.01)


def test_scenes_without_independent_noise_are_refused() -> None:
    silent = small_scenes.scene(noise={"kind": "none"})
    with pytest.raises(ConfigurationError, match="has no noise"):
        macro_tangents(silent, smooth_lenses(silent, 1))
    smeared = small_scenes.scene(noise={"kind": "counting", "background": 1.0, "smoothing": 1.0})
    with pytest.raises(ConfigurationError, match="correlated"):
        macro_tangents(smeared, smooth_lenses(smeared, 1))


def test_counting_noise_is_in_units_of_counts() -> None:
    noise = {"kind": "counting", "log10_exposure": 3.0, "background": 2.0}
    scene = small_scenes.scene(noise=noise)
    tangents = macro_tangents(scene, smooth_lenses(scene, 1))
    expected = 1000 / torch.sqrt(1000 * tangents.images + 2000)
    torch.testing.assert_close(tangents.scale, expected)


@pytest.mark.shared
def test_real_galaxies(shared_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DARKARCS_SHARED", str(shared_path))
    source = {
        "kind": "galaxies",
        "path": "$DARKARCS_SHARED/data/cosmos/hst_acs_f814w_cutouts.npz",
        "pixel_scale": 0.03,
        "half_light_radius": {"log_uniform": [0.1, 0.3]},
        "magnitude": {"uniform": [22.0, 24.0]},
        "rotation": {"uniform": [0.0, 6.28]},
        "centre_x": {"normal": [0.0, 0.1]},
    }
    scene = small_scenes.scene(source=source)
    nuisances = macro_nuisances(scene)
    of_source = {name for name in nuisances if name.startswith("source.")}
    assert of_source == {
        *("source.centre_x", "source.flux", "source.rotation", "source.size_scale"),
    }
    smooth = smooth_lenses(scene, 1)
    tangents = macro_tangents(scene, smooth, nuisances, dtype=torch.float64)
    columns = smooth.columns | {"source.flux": 1.1 * smooth.columns["source.flux"]}
    images = scene.render(replace(smooth, columns=columns), dtype=torch.float64)
    found = tangents.strengths(tangents.whiten(images))
    assert found.d_perp.item() < 1e-6 * found.d.item()
