"""Rendering: precision, cutting, gradients, fluxes, bands, point spread."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from darkarcs.light import sersic
from darkarcs.scenes import Scene, load_scene
from small_scenes import VALUES, scene

SMALL = scene()
LENSES = SMALL.draw(2, 0, 6)
#: A Gaussian source: smooth everywhere, so that finite differences are clean.
SMOOTH = scene(
    source=VALUES["source"] | {"sersic_index": 0.5},
    point_spread_factor={"uniform": [0.9, 1.1]},
    lens=VALUES["lens"] | {"slope": {"uniform": [1.9, 2.1]}},
)
COLUMNS = (
    *("lens.smooth_einstein_radius", "lens.axis_ratio", "lens.position_angle", "lens.slope"),
    *("lens.centre_x", "lens.centre_y", "lens.shear", "lens.shear_angle"),
    *("lens.multipole_3", "lens.multipole_3_angle", "lens.multipole_4"),
    *("source.flux", "source.half_light_radius", "source.sersic_index", "source.axis_ratio"),
    *("source.position_angle", "source.centre_x", "source.centre_y", "point_spread_factor"),
)


def peaks(images: Tensor) -> Tensor:
    return images.abs().amax(dim=(-2, -1), keepdim=True)


@pytest.mark.parametrize("name", ["small", "fair-hst", "deeplense-2", "deeplense-test1"])
def test_single_precision_is_good_to_a_hundred_thousandth(name: str) -> None:
    few = ["classes.cdm.mass_fraction=0.002", "classes.cdm.min_mass=1e9"]
    one = SMALL if name == "small" else load_scene(name, few if "fair" in name else [])
    lenses = one.draw(2, 0, 6 if name in ("small", "deeplense-2") else 3)
    exact = one.render(lenses, dtype=torch.float64)
    assert ((one.render(lenses) - exact).abs() / peaks(exact)).max() < 1e-5
    assert exact.amin() > -1e-6 * exact.amax()


def test_it_does_not_matter_how_a_batch_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    one = scene(point_spread_factor={"uniform": [0.8, 1.5]})
    lenses = one.draw(2, 0, 12)
    whole = one.render(lenses)
    singly = torch.cat([one.render(one.draw(2, i, 1)) for i in range(12)])
    torch.testing.assert_close(singly, whole, rtol=0, atol=1e-6 * float(whole.max()))
    for samples in (1, 3 * 20**2, 2**30):
        monkeypatch.setattr("darkarcs.scenes.scene._SAMPLES_AT_ONCE", samples)
        torch.testing.assert_close(
            one.render(lenses), whole, rtol=0, atol=1e-6 * float(peaks(whole).min())
        )
    some = np.array([7, 2])
    torch.testing.assert_close(
        one.render(lenses.select(some)), whole[some], rtol=0, atol=1e-6 * float(whole.max())
    )


def _with(column: str, step: float) -> Tensor:
    values = SMOOTH.draw(2, 0, 3).tensors(dtype=torch.float64)
    values[column] = values[column] + step
    return SMOOTH.render_values(values)


# forward mode itself makes torch script its decompositions
@pytest.mark.parametrize("column", COLUMNS)
def test_gradients_are_those_of_finite_differences(column: str) -> None:
    values = SMOOTH.draw(2, 0, 3).tensors(dtype=torch.float64)
    step = 1e-5 * max(1e-2, float(values[column].abs().mean()))
    expected = (_with(column, step) - _with(column, -step)) / (2 * step)
    one = torch.ones_like(values[column])

    def rendered(value: Tensor) -> Tensor:
        return SMOOTH.render_values(values | {column: value})

    _, forward = torch.func.jvp(rendered, (values[column],), (one,))
    scale = float(expected.abs().max())
    assert scale > 0
    torch.testing.assert_close(forward, expected, rtol=0, atol=3e-5 * scale)
    leaf = values[column].clone().requires_grad_()
    weights = torch.linspace(-1, 1, 20, dtype=torch.float64)[:, None] * torch.ones(20)
    (rendered(leaf) * weights).sum().backward()
    assert leaf.grad is not None
    backward = (expected * weights).sum(dim=(1, 2, 3))
    torch.testing.assert_close(leaf.grad, backward, rtol=1e-4, atol=1e-5 * scale)


@pytest.mark.parametrize("kind", ["subhalos", "point_masses"])
def test_substructure_has_gradients_too(kind: str) -> None:
    points = {"kind": "published_point_masses", "num_masses": 5}
    halos = VALUES["classes"]["cdm"] | {"min_mass": 3e9}
    one = scene(classes={"cdm": halos if kind == "subhalos" else points}, num_pixels=24)
    values = one.draw(4, 0, 1).tensors(dtype=torch.float64)
    name = f"{kind}.{'scale_deflection' if kind == 'subhalos' else 'einstein_radius'}"

    def total(strength: Tensor) -> Tensor:
        return (one.render_values(values | {name: strength}) ** 2).sum()

    leaf = values[name].clone().requires_grad_()
    total(leaf).backward()
    step = 1e-5 * values[name]
    expected = (total(values[name] + step) - total(values[name] - step)) / 2e-5
    assert leaf.grad is not None
    found = (leaf.grad * values[name]).sum()
    assert found.item() == pytest.approx(expected.item(), rel=1e-3)


def test_supersampling_converges() -> None:
    sharp = VALUES["source"] | {"half_light_radius": 0.3}
    images = {}
    for step in (1, 2, 4, 8):
        one = scene(
            source=sharp,
            supersampling=step,
            instrument=VALUES["instrument"] | {"pixel_scale": 0.1},
            classes={"no_sub": {"kind": "none"}},
        )
        images[step] = one.render(one.draw(1, 0, 4), dtype=torch.float64)
    errors = [((images[s] - images[8]).abs() / peaks(images[8])).max().item() for s in (1, 2, 4)]
    assert errors[0] > 1.8 * errors[1]
    assert errors[1] > 1.8 * errors[2]
    assert errors[2] < 0.02


def unlensed(**changes: Any) -> Scene:
    """A source behind next to nothing."""
    keys: dict[str, Any] = {
        "lens": {"einstein_radius": 1e-9},
        "source": {"kind": "sersic", "magnitude": 22.0, "half_light_radius": 0.4},
        "classes": {"no_sub": {"kind": "none"}},
        "num_pixels": 40,
        "supersampling": 3,
    }
    return scene(**(keys | changes))


def test_an_unlensed_source_has_its_magnitude() -> None:
    one = unlensed()
    image = one.render(one.draw(0, 0, 1), dtype=torch.float64)
    assert image.sum().item() == pytest.approx(10 ** (0.4 * (25.0 - 22.0)), rel=2e-3)
    assert one.instrument.magnitude(image.sum().item() * 2000) == pytest.approx(22.0, abs=2e-3)
    faint = unlensed(source={"kind": "sersic", "magnitude": 23.0, "half_light_radius": 0.4})
    ratio = image / faint.render(faint.draw(0, 0, 1), dtype=torch.float64)
    torch.testing.assert_close(ratio, torch.full_like(ratio, 10**0.4))


def test_an_amplitude_is_a_surface_brightness() -> None:
    source = {"kind": "sersic", "amplitude": 20.0, "half_light_radius": 0.4, "sersic_index": 1.0}
    one = unlensed(source=source)
    image = one.render(one.draw(0, 0, 1), dtype=torch.float64)
    radius, index = torch.tensor(0.4), torch.tensor(1.0)
    flux = 20.0 * sersic.total_flux(half_light_radius=radius, sersic_index=index).item()
    assert image.sum().item() == pytest.approx(flux, rel=2e-3)
    # lenstronomy's b_n: its profile falls by exp(-b_n [(R / R_e)^(1/n) - 1]) with b_n = 1.6721
    linear = unlensed(
        source=source | {"linear_concentration": True},
        supersampling=1,
        instrument=VALUES["instrument"] | {"point_spread": {"kind": "gaussian", "fwhm": 1e-3}},
    )
    drawn = linear.render(linear.draw(0, 0, 1), dtype=torch.float64)[0, 0]
    x = torch.tensor([0.1, 0.5, 1.1], dtype=torch.float64)
    expected = 20 * torch.exp(-1.6721 * (torch.hypot(x, torch.tensor(0.1)) / 0.4 - 1)) * 0.2**2
    torch.testing.assert_close(drawn[20, [20, 22, 25]], expected)


def test_lensing_keeps_surface_brightness() -> None:
    one = scene(
        instrument=VALUES["instrument"] | {"pixel_scale": 0.02},
        num_pixels=200,
        classes={"no_sub": {"kind": "none"}},
        lens={"einstein_radius": 1.2, "axis_ratio": 0.8},
        source={
            "kind": "sersic",
            "amplitude": 5.0,
            "half_light_radius": 0.4,
            "sersic_index": 0.5,
            "centre_x": 0.1,
        },
    )
    lensed = one.render(one.draw(0, 0, 1), dtype=torch.float64)
    peak = 5.0 * np.exp(sersic.concentration(torch.tensor(0.5, dtype=torch.float64)).item())
    assert lensed.max().item() / 0.02**2 == pytest.approx(peak, rel=0.1)
    assert lensed.max().item() / 0.02**2 < peak
    assert lensed.sum().item() > 5 * 5.0 * 0.4**2 * np.pi


def test_lens_light_adds_to_the_source() -> None:
    light = {"magnitude": 20.0, "half_light_radius": 0.5, "sersic_index": 2.0}
    more = {"magnitude": 21.0, "half_light_radius": 0.8, "centre_x": 0.3}
    lensless = SMALL.render(LENSES, dtype=torch.float64)
    one = scene(lens_light=[light])
    lenses = one.draw(2, 0, 6)
    for name in LENSES.columns:
        assert np.array_equal(lenses.columns[name], LENSES.columns[name])
    glow = one.render(lenses, dtype=torch.float64) - lensless
    centre = (glow * torch.arange(20.0)).sum((-2, -1)) / glow.sum((-2, -1))
    offset = (centre[:, 0] - 9.5) * 0.2
    expected = torch.from_numpy(lenses.columns["lens.centre_x"])
    torch.testing.assert_close(offset, expected, rtol=0.3, atol=0.03)
    assert glow.amin() > 0
    both = scene(lens_light=[light, more])
    second = both.render(both.draw(2, 0, 6), dtype=torch.float64) - lensless - glow
    shift = ((second * torch.arange(20.0)).sum((-2, -1)) / second.sum((-2, -1)))[:, 0] - 9.5
    assert (shift * 0.2 - expected - 0.3).abs().max() < 0.1
    assert np.array_equal(
        both.draw(2, 0, 6).columns["lens_light_2.centre_x"],
        0.3 + LENSES.columns["lens.centre_x"],
    )


def test_bands_differ_by_their_fluxes() -> None:
    bands = [
        {"name": "blue", "source": {"uniform": [0.7, 1.2]}, "lens_light": 0.1},
        {"name": "red", "source": 2.0, "lens_light": {"uniform": [0.5, 1.0]}},
    ]
    light = [{"magnitude": 21.0, "half_light_radius": 0.5}]
    one = scene(channels=bands, lens_light=light)
    lenses = one.draw(2, 0, 6)
    images = one.render(lenses, dtype=torch.float64)
    assert images.shape == (6, 2, 20, 20)
    source = SMALL.render(LENSES, dtype=torch.float64)
    grey = scene(lens_light=light)
    glow = grey.render(grey.draw(2, 0, 6), dtype=torch.float64) - source
    blue = torch.from_numpy(lenses.columns["channel.blue.source"])[:, None, None, None]
    red = torch.from_numpy(lenses.columns["channel.red.lens_light"])[:, None, None, None]
    torch.testing.assert_close(images[:, :1], blue * source + 0.1 * glow)
    torch.testing.assert_close(images[:, 1:], 2 * source + red * glow)
    assert len(blue.unique()) == 6


def test_the_point_spread_factor_widens_each_image_by_itself() -> None:
    point = {"kind": "sersic", "magnitude": 22.0, "half_light_radius": 0.01}
    instrument = VALUES["instrument"] | {"point_spread": {"kind": "gaussian", "fwhm": 0.8}}
    one = unlensed(source=point, instrument=instrument, point_spread_factor={"uniform": [0.5, 1.5]})
    lenses = one.draw(3, 0, 6)
    factor = lenses.columns["point_spread_factor"]
    images = one.render(lenses, dtype=torch.float64)[:, 0]
    axis = (torch.arange(40.0, dtype=torch.float64) - 19.5) * 0.2
    second_moment = (images * axis**2).sum((-2, -1)) / images.sum((-2, -1))
    fwhm = (second_moment - 0.2**2 / 12).sqrt() * np.sqrt(8 * np.log(2))
    np.testing.assert_allclose(fwhm, 0.8 * factor, rtol=0.03)
    assert np.ptp(factor) > 0.3
    # a factor of one for all is the instrument's own kernel
    none = unlensed(source=point, instrument=instrument)
    ones = unlensed(source=point, instrument=instrument, point_spread_factor={"choice": [1.0]})
    torch.testing.assert_close(
        ones.render(ones.draw(3, 0, 1)), none.render(none.draw(3, 0, 1)), rtol=0, atol=1e-4
    )


def test_substructure_moves_with_its_lens() -> None:
    still = VALUES["lens"] | {"centre_x": 0.0, "centre_y": 0.0}
    moved = VALUES["lens"] | {"centre_x": 0.2, "centre_y": -0.4}
    source = VALUES["source"]
    classes = {"cdm": VALUES["classes"]["cdm"]}
    images = []
    for lens, x, y in ((still, 0.0, 0.1), (moved, 0.2, -0.3)):
        one = scene(lens=lens, source=source | {"centre_x": x, "centre_y": y}, classes=classes)
        lens_shear = {"lens.shear": np.zeros(2)}  # the shear's origin is the image's centre
        drawn = one.draw(6, 0, 2)
        images.append(
            one.render(type(drawn)(**(vars(drawn) | {"columns": drawn.columns | lens_shear})))
        )
    first = images[0][..., 4:-4, 4:-4]
    second = images[1][..., 2:-6, 5:-3]
    torch.testing.assert_close(second, first, rtol=0, atol=2e-3 * float(first.max()))


def test_columns_may_be_changed_by_hand() -> None:
    """What the information limit does: render one lens at other parameters."""
    values = LENSES.tensors(dtype=torch.float64)
    image = SMALL.render_values(values)
    turned = SMALL.render_values(values | {"source.flux": values["source.flux"] * 2})
    torch.testing.assert_close(turned, 2 * image)
