"""Derivatives of noiseless images in the parameters of the smooth lens and of the source.

Forward mode, `torch.func.jvp` mapped over the parameters. An image is made in stages: rays are
traced to the source plane, the light is looked up there, and the result is blurred. Only the
first depends on the lens, only the second on the source, and the last is linear, so that each
stage is differentiated for its own parameters and the chain rule joins them: twice as fast as
forward mode through `Scene.render_values` as one piece, and the same to rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.func import jvp, vmap

from darkarcs.scenes import Scene
from darkarcs.scenes.distributions import largest
from darkarcs.scenes.priors import SersicSource
from darkarcs.scenes.rendering import Galaxies, blur, light, trace


@dataclass(frozen=True)
class Linearization:
    """An image and how it changes.

    Attributes
    ----------
    image : Tensor, shape (C, H, W)
        Noiseless.
    derivatives : Tensor, shape (K, C, H, W)
        In each parameter, per its unit.
    """

    image: Tensor
    derivatives: Tensor


def linearize(
    scene: Scene,
    values: Mapping[str, Tensor],
    names: Sequence[str],
    galaxies: Galaxies | None = None,
) -> Linearization:
    """Compute an image and its derivatives.

    Parameters
    ----------
    scene : Scene
        Of the lens.
    values : mapping of str to Tensor, each of shape (1,)
        One lens, as from `smooth_values`.
    names : sequence of str
        The K parameters, names of columns.
    galaxies : Galaxies, optional
        For scenes whose sources are real galaxies.

    Returns
    -------
    Linearization
        Of this lens.

    Examples
    --------
    >>> from darkarcs.scenes import load_scene
    >>> from darkarcs.scenes.smooth import smooth_values
    >>> scene = load_scene("fair-euclid").with_classes(["no_sub"])
    >>> values = smooth_values(scene.draw(seed=0, start=0, count=1))
    >>> change = linearize(scene, values, ["source.flux"])
    >>> bool(torch.allclose(change.derivatives[0] * values["source.flux"], change.image))
    True
    """
    values = dict(values)
    slopes: dict[str, Tensor] = {}  # of the bands before blurring, each (C, N, N)
    beta, steps = _traced(scene, values, names)
    source, gradient, of_source = _source(scene, values, names, beta, galaxies)
    shares = [values[f"{channel.prefix}.source"] for channel in scene.channels]
    for name, (step_x, step_y) in steps.items():
        change = gradient[0] * step_x + gradient[1] * step_y
        slopes[name] = torch.stack([change * share for share in shares])
    for name, change in of_source.items():
        slopes[name] = torch.stack([change * share for share in shares])
    galaxy, of_galaxy = _lens_light(scene, values, names)
    slopes |= of_galaxy
    bands = galaxy + torch.stack([source * share for share in shares])
    for index, channel in enumerate(scene.channels):
        if f"{channel.prefix}.source" in names:
            slopes[f"{channel.prefix}.source"] = _in_band(source, index, len(shares))
    return _blurred(scene, values, names, bands, slopes)


def _differentiate(
    function: Callable[[dict[str, Tensor]], Tensor], values: dict[str, Tensor], names: Sequence[str]
) -> tuple[Tensor, Tensor]:
    """Compute a function of one lens's values, and its derivative in each of some of them."""
    if not names:
        result = function(values)
        return result, result.new_zeros((0, *result.shape))
    at = torch.cat([values[name] for name in names])

    def moved(point: Tensor) -> Tensor:
        return function(values | {name: point[i : i + 1] for i, name in enumerate(names)})

    def along(tangent: Tensor) -> Any:
        return jvp(moved, (at,), (tangent,))

    # the value is the same for all tangents, so that it has no axis of theirs
    mapped: Any = vmap(along, out_dims=(None, 0))  # type: ignore[arg-type]
    result, slopes = mapped(torch.eye(len(at), dtype=at.dtype))
    return result, slopes


def _traced(
    scene: Scene, values: dict[str, Tensor], names: Sequence[str]
) -> tuple[Tensor, dict[str, Tensor]]:
    """Positions in the source plane, shape (2, N, N), and their derivatives.

    Parameters that meet in one part of the lens are taken together, so that no part is
    differentiated for those it does not have: half of the time.
    """
    groups: dict[str, list[str]] = {}
    for name in names:
        if name.startswith("lens.") or name == "deflection_factor":
            part = name.removeprefix("lens.").split("_")[0]
            groups.setdefault(part if part in ("shear", "multipole") else "", []).append(name)
    groups = groups or {"": []}
    steps: dict[str, Tensor] = {}
    for group in groups.values():
        beta, changes = _differentiate(
            lambda some: torch.stack(trace(some, scene.lens, scene.grid)[1])[:, 0], values, group
        )
        steps |= dict(zip(group, changes, strict=True))
    return beta, steps


def _source(
    scene: Scene,
    values: dict[str, Tensor],
    names: Sequence[str],
    beta: Tensor,
    galaxies: Galaxies | None,
) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    """Source in the image plane, its gradient in the source plane, its parameters' derivatives."""
    of_source = [name for name in names if name.startswith("source.")]
    zero = torch.zeros(1, dtype=beta.dtype)

    def shine(some: dict[str, Tensor]) -> Tensor:
        x, y = beta[0] + some["beta_x"], beta[1] + some["beta_y"]
        return light(x[None], y[None], some, "source", scene.source, galaxies)[0]

    shifts = ["beta_x", "beta_y"]
    source, changes = _differentiate(
        shine, values | dict.fromkeys(shifts, zero), [*shifts, *of_source]
    )
    return source, changes[:2], dict(zip(of_source, changes[2:], strict=True))


def _lens_light(
    scene: Scene, values: dict[str, Tensor], names: Sequence[str]
) -> tuple[Tensor, dict[str, Tensor]]:
    """Bands of the lens galaxy's own light, and their derivatives."""
    num = len(scene.channels)
    theta_x, theta_y = scene.grid.coordinates(dtype=values["lens.smooth_einstein_radius"].dtype)
    total = theta_x.new_zeros((num, *theta_x.shape))
    slopes: dict[str, Tensor] = {}
    if not scene.lens_light:
        return total, slopes
    shares = [values[f"{channel.prefix}.lens_light"] for channel in scene.channels]
    for number, prior in enumerate(scene.lens_light, start=1):
        prefix = f"lens_light_{number}"
        own = [name for name in names if name.startswith(f"{prefix}.")]

        def shine(
            some: dict[str, Tensor], prefix: str = prefix, prior: SersicSource = prior
        ) -> Tensor:
            return light(theta_x[None], theta_y[None], some, prefix, prior, None)[0]

        galaxy, changes = _differentiate(shine, values, own)
        total = total + torch.stack([galaxy * share for share in shares])
        for name, change in zip(own, changes, strict=True):
            slopes[name] = torch.stack([change * share for share in shares])
    for index, channel in enumerate(scene.channels):
        if f"{channel.prefix}.lens_light" in names:
            whole = total[index] / shares[index]
            slopes[f"{channel.prefix}.lens_light"] = _in_band(whole, index, num)
    return total, slopes


def _in_band(image: Tensor, index: int, num: int) -> Tensor:
    bands = image.new_zeros((num, *image.shape))
    bands[index] = image
    return bands


def _blurred(
    scene: Scene,
    values: dict[str, Tensor],
    names: Sequence[str],
    bands: Tensor,
    slopes: dict[str, Tensor],
) -> Linearization:
    """Blur the image and its derivatives, and add the derivative in the blur itself."""
    factor = largest(scene.point_spread_factor)

    def blurred(images: Tensor, some: dict[str, Tensor]) -> Tensor:
        done = blur(images[None], some, scene.instrument, scene.grid, largest_factor=factor)[0]
        return done * scene.grid.pixel_scale**2

    ordered = [name for name in names if name in slopes]
    stack = torch.cat([bands, *(slopes[name] for name in ordered)])
    done = blurred(stack, values).reshape(1 + len(ordered), len(bands), scene.num_pixels, -1)
    found = dict(zip(ordered, done[1:], strict=True))
    if "point_spread_factor" in names:
        _, change = _differentiate(
            lambda some: blurred(bands, some), values, ["point_spread_factor"]
        )
        found["point_spread_factor"] = change[0]
    return Linearization(done[0], torch.stack([found[name] for name in names]))
