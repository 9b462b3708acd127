"""The compiled sums: equal to the torch reference, chosen only where they can do its work."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numba
import pytest
import torch
from torch import Tensor

from darkarcs.errors import ConfigurationError
from darkarcs.kernels import use_kernel
from darkarcs.lensing import image_grid, point_mass, tnfw

#: Asked for, of the peak of the deflection.
TOLERANCE = 1e-5

PROFILES = {"point masses": point_mass.total_deflection, "halos": tnfw.total_deflection}


def uniform(low: float, high: float, *shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return low + (high - low) * torch.rand(shape, generator=generator)


def masses(name: str, batch: int = 3, count: int = 9) -> dict[str, Tensor]:
    """Random masses, one on a pixel's centre, some of them padding."""
    shape = (batch, count)
    centre = {f"centre_{axis}": uniform(-1.5, 1.5, *shape, seed=n) for n, axis in enumerate("xy")}
    theta_x, theta_y = image_grid(20, 0.2)
    centre["centre_x"][:, 0], centre["centre_y"][:, 0] = theta_x[4, 7], theta_y[4, 7]
    if name == "point masses":
        radius = uniform(0.005, 0.1, *shape, seed=2)
        radius[:, 5:7] = 0
        softening = uniform(0, 0.1, *shape, seed=3)
        softening[:, :3] = 0
        return {"einstein_radius": radius, "softening": softening, **centre}
    scale = 10 ** uniform(-2, 0.5, *shape, seed=2)
    deflection = uniform(1e-3, 1e-2, *shape, seed=3)
    deflection[:, 5:7] = 0
    truncation = scale * 10 ** uniform(-0.5, 4, *shape, seed=4)
    return {
        "scale_radius": scale,
        "scale_deflection": deflection,
        "truncation_radius": truncation,
        **centre,
    }


def assert_equal(found: tuple[Tensor, ...], expected: tuple[Tensor, ...]) -> None:
    for ours, exact in zip(found, expected, strict=True):
        assert ours.dtype == torch.float32
        assert ours.shape == exact.shape
        peak = exact.abs().amax(dim=(-2, -1), keepdim=True)
        assert ((ours - exact).abs() <= TOLERANCE * peak).all()


def double(values: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.double() for name, value in values.items()}


@pytest.fixture
def two_threads() -> Iterator[None]:
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(1)


@pytest.mark.parametrize("name", PROFILES)
@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("positions", ["shared", "of each lens"])
def test_equal_to_the_reference(name: str, batch: int, positions: str) -> None:
    total, values = PROFILES[name], masses(name, batch)
    theta = image_grid(20, 0.2)
    if positions == "of each lens":
        theta = tuple(t + uniform(-0.1, 0.1, batch, 1, 1, seed=9) for t in theta)
    found = total(*theta, **values, method="kernel")
    expected = total(theta[0].double(), theta[1].double(), **double(values), method="torch")
    assert_equal(found, expected)


@pytest.mark.parametrize("name", PROFILES)
@pytest.mark.parametrize("batch", [1, 5])
@pytest.mark.usefixtures("two_threads")
def test_two_threads_give_the_same(name: str, batch: int) -> None:
    """One image is shared out by its pixels, several as wholes."""
    theta, values = image_grid(50, 0.08), masses(name, batch)
    found = PROFILES[name](*theta, **values, method="kernel")
    assert torch.get_num_threads() == 2
    torch.set_num_threads(1)
    expected = PROFILES[name](*theta, **values, method="kernel")
    for two, one in zip(found, expected, strict=True):
        torch.testing.assert_close(two, one, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("tau", [0.3, 1.0, 3.7, 20.0, 333.0, 1e4])
def test_one_halo_at_all_radii(tau: float) -> None:
    """Against float64 from 1e-4 to 100 scale radii: 1e-5 of itself, so of the peak of any sum."""
    one = torch.ones(1, 1)
    for scale in (0.01, 0.37, 5.0):
        radius = 10 ** uniform(-4, 2, 100, 100, seed=5) * scale
        angle = uniform(0, 6.3, 100, 100, seed=6)
        theta = radius * torch.cos(angle), radius * torch.sin(angle)
        values = {"scale_radius": scale * one, "truncation_radius": tau * scale * one}
        values |= {"scale_deflection": one, "centre_x": 0 * one, "centre_y": 0 * one}
        found = tnfw.total_deflection(*theta, **values, method="kernel")
        halo = {name: value.item() for name, value in double(values).items()}
        exact = tnfw.deflection(theta[0].double(), theta[1].double(), **halo)
        size = torch.hypot(*exact)
        error = torch.hypot(found[0][0] - exact[0], found[1][0] - exact[1])
        assert (error <= 1e-5 * size).all()
        assert (error <= 2e-6 * size.max()).all()


@pytest.mark.parametrize("tau", [2.0**-7, 2.0**20])
def test_edges_of_the_table(tau: float) -> None:
    one, theta = torch.ones(1, 1), torch.logspace(-6, 3, 900).reshape(30, 30)
    values = {"scale_radius": one, "scale_deflection": one, "truncation_radius": tau * one}
    values |= {"centre_x": 0 * one, "centre_y": 0 * one}
    found = tnfw.total_deflection(theta, 0 * theta, **values, method="kernel")
    expected = tnfw.total_deflection(theta.double(), 0 * theta.double(), **double(values))
    assert_equal(found[:1], expected[:1])
    values["truncation_radius"] = 2 * values["truncation_radius"] if tau > 1 else tau / 2 * one
    beyond = tnfw.total_deflection(theta, 0 * theta, **values)
    plain = tnfw.total_deflection(theta, 0 * theta, **values, method="torch")
    assert torch.equal(beyond[0], plain[0])
    with pytest.raises(ConfigurationError, match="table"):
        tnfw.total_deflection(theta, 0 * theta, **values, method="kernel")


@pytest.mark.parametrize("name", PROFILES)
def test_padding_changes_nothing(name: str) -> None:
    theta, values = image_grid(10, 0.3), masses(name)
    kept = {key: value[:, [0, 1, 2, 3, 4, 7, 8]] for key, value in values.items()}
    for padded, alone in zip(
        PROFILES[name](*theta, **values, method="kernel"),
        PROFILES[name](*theta, **kept, method="kernel"),
        strict=True,
    ):
        assert torch.equal(padded, alone)
    nothing = {key: value[:, 5:7] for key, value in values.items()}
    assert not torch.stack(PROFILES[name](*theta, **nothing, method="kernel")).any()
    none = {key: value[:, :0] for key, value in values.items()}
    assert torch.stack(PROFILES[name](*theta, **none)).shape == (2, 3, 10, 10)


@pytest.mark.parametrize("name", PROFILES)
def test_what_is_not_a_number_stays_one(name: str) -> None:
    theta, values = image_grid(10, 0.3), masses(name, 2, 2)
    values["centre_x"][1, 1] = torch.nan
    alpha_x, _ = PROFILES[name](*theta, **values)
    assert alpha_x[0].isfinite().all()
    assert alpha_x[1].isnan().all()


@pytest.mark.parametrize("name", PROFILES)
def test_auto_takes_the_kernel_only_without_derivatives(name: str) -> None:
    theta, values = image_grid(10, 0.3), masses(name)

    def choose(given: dict[str, Tensor]) -> bool:
        return use_kernel("auto", (*theta, *given.values()))

    assert choose(values)
    wanting = {key: value.clone().requires_grad_() for key, value in values.items()}
    assert not choose(wanting)
    with torch.no_grad():
        assert choose(wanting)
    assert not choose(double(values))
    with pytest.raises(ConfigurationError, match="gradient"):
        PROFILES[name](*theta, **wanting, method="kernel")
    with pytest.raises(ConfigurationError, match="float32"):
        PROFILES[name](*theta, **double(values), method="kernel")
    method: Any = "fast"
    with pytest.raises(ConfigurationError, match="auto, torch, kernel"):
        PROFILES[name](*theta, **values, method=method)


@pytest.mark.parametrize("name", PROFILES)
def test_derivatives_go_through_auto(name: str) -> None:
    """Reverse, forward and both transforms give what plain torch gives."""
    theta, values = image_grid(10, 0.3), masses(name)
    keys, tensors = tuple(values), tuple(values.values())

    def bend(method: Any, *given: Tensor) -> Tensor:
        return torch.stack(
            PROFILES[name](*theta, **dict(zip(keys, given, strict=True)), method=method)
        )

    auto, plain = partial(bend, "auto"), partial(bend, "torch")
    leaves = tuple(value.clone().requires_grad_() for value in tensors)
    for found, expected in zip(
        torch.autograd.grad(auto(*leaves).square().sum(), leaves),
        torch.autograd.grad(plain(*leaves).square().sum(), leaves),
        strict=True,
    ):
        assert torch.equal(found, expected)
        assert found.any()
    tangents = tuple(torch.ones_like(value) for value in tensors)
    ours, exact = torch.func.jvp(auto, tensors, tangents), torch.func.jvp(plain, tensors, tangents)
    assert torch.equal(ours[1], exact[1])
    assert ours[1].any()
    with torch.autograd.forward_ad.dual_level():
        dual = tuple(
            torch.autograd.forward_ad.make_dual(value, tangent)
            for value, tangent in zip(tensors, tangents, strict=True)
        )
        unpacked = torch.autograd.forward_ad.unpack_dual(auto(*dual))
        assert unpacked.tangent is not None
        torch.testing.assert_close(unpacked.tangent, exact[1])
    first = torch.func.grad(lambda value: auto(value, *tensors[1:]).square().sum())(tensors[0])
    assert first.any()
    rows = torch.func.vmap(lambda *row: auto(*(value[None] for value in row)))(*tensors)
    torch.testing.assert_close(rows[:, :, 0].transpose(0, 1), plain(*tensors))


def test_nothing_is_compiled_or_imported_with_the_package() -> None:
    rooms = "darkarcs.lensing, darkarcs.light, darkarcs.instrument"
    code = f"import sys, {rooms}; assert 'numba' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


FIRST_CALL = """
import os, sys, time, torch, numba
from darkarcs.lensing import point_mass, tnfw
one = torch.ones(1, 1)
start = time.process_time()
alpha, _ = point_mass.total_deflection(
    one, one, einstein_radius=one, centre_x=0 * one, centre_y=0 * one, method="kernel")
bend, _ = tnfw.total_deflection(
    one, one, scale_radius=one, scale_deflection=one, truncation_radius=one, centre_x=0 * one,
    centre_y=0 * one, method="kernel")
print(alpha.item(), bend.item(), time.process_time() - start)
"""


def test_the_first_call_compiles_within_seconds(tmp_path: Path) -> None:
    """In a process whose cache is empty; other load on the machine is not counted."""
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", FIRST_CALL]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    alpha, bend, seconds = map(float, done.stdout.split())
    assert alpha == pytest.approx(0.5)
    exact, _ = tnfw.deflection(
        *torch.ones(2, 1, dtype=torch.float64),
        scale_radius=1.0,
        scale_deflection=1.0,
        truncation_radius=1.0,
    )
    assert bend == pytest.approx(exact.item(), rel=1e-5)
    assert seconds < 10
    assert list(tmp_path.rglob("*.nbc"))


@pytest.mark.parametrize("error", [RuntimeError("no locator available"), OSError("disk full")])
def test_it_runs_where_nothing_can_be_kept(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As numba ends where neither the installation nor the user's folder can be written to."""
    compilation: Any = import_module("darkarcs.kernels.compilation")
    njit, asked = numba.njit, []

    def refuse(*arguments: Any, **options: Any) -> Any:
        asked.append(options.get("cache", False))
        if options.get("cache"):
            raise error
        return njit(*arguments, **options)

    compilation._compile.cache_clear()
    monkeypatch.setattr(numba, "njit", refuse)
    theta, values = image_grid(10, 0.3), masses("point masses")
    found = point_mass.total_deflection(*theta, **values, method="kernel")
    assert asked == [True, False]
    assert_equal(found, point_mass.total_deflection(*theta, **values, method="torch"))
    compilation._compile.cache_clear()
