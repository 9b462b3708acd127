"""The same images as `darkarcs.benchmark.simulation_speed`, by lenstronomy, in processes.

As one who knows lenstronomy would do it: the model, the lists of profiles and the PSF are made
once, and only the keyword arguments change from image to image (they are made beforehand and
not timed). Its own numba functions are on, as it sets them when numba is installed.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ProcessPoolExecutor
from importlib.util import find_spec
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from darkarcs.errors import MissingExtraError
from darkarcs.light import sersic

#: Our names of a subhalo's parameters beside lenstronomy's profile and names.
_SUBHALOS = {
    "point": (
        "POINT_MASS",
        {"theta_E": "einstein_radius", "center_x": "centre_x", "center_y": "centre_y"},
    ),
    "tnfw": (
        "TNFW",
        {
            "Rs": "scale_radius",
            "alpha_Rs": "scale_deflection",
            "r_trunc": "truncation_radius",
            "center_x": "centre_x",
            "center_y": "centre_y",
        },
    ),
}

_render: Callable[[int], NDArray[np.float64]]
_num_images: int


def require_lenstronomy() -> None:
    """Ask for lenstronomy.

    Raises
    ------
    MissingExtraError
        If it is not installed.
    """
    if find_spec("lenstronomy") is None:
        raise MissingExtraError("comparing with lenstronomy", "test")


class LenstronomyProcesses:
    """Processes that each render the same lenses, one image at a time.

    Parameters
    ----------
    num_processes : int
        How many; each on one thread.

    Raises
    ------
    MissingExtraError
        If lenstronomy is not installed.
    """

    def __init__(self, num_processes: int) -> None:
        require_lenstronomy()
        # a fork would copy the threads' locks of torch
        context = multiprocessing.get_context("spawn")
        self._pools = [ProcessPoolExecutor(1, mp_context=context) for _ in range(num_processes)]

    def __enter__(self) -> LenstronomyProcesses:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for pool in self._pools:
            pool.shutdown(cancel_futures=True)

    def prepare(
        self,
        parameters: Mapping[str, NDArray[np.float64]],
        num_pixels: int,
        pixel_scale: float,
        fwhm: float,
    ) -> None:
        """Make the model and all keyword arguments in each process.

        Parameters
        ----------
        parameters : mapping of str to ndarray
            Of the lenses, as `darkarcs.benchmark.simulated_lenses.draw_lenses` draws them.
        num_pixels : int
            Side of the image.
        pixel_scale, fwhm : float, arcsec
            Side of a pixel, and width of the Gaussian PSF.
        """
        waiting = [
            pool.submit(_prepare, dict(parameters), num_pixels, pixel_scale, fwhm)
            for pool in self._pools
        ]
        for one in waiting:
            one.result()

    def image(self, index: int) -> NDArray[np.float64]:
        """Render one lens.

        Parameters
        ----------
        index : int
            Which.

        Returns
        -------
        ndarray, shape (num_pixels, num_pixels)
            The image.
        """
        return self._pools[0].submit(_one, index).result()

    def measure(self, num_images: int, num_processes: int) -> tuple[float, float]:
        """Time several processes that render side by side.

        Parameters
        ----------
        num_images : int
            By each process.
        num_processes : int
            How many of the processes take part.

        Returns
        -------
        wall_time, processor_time : float, seconds
            From the start of the first to the end of the last, and summed over all.
        """
        start = time.perf_counter()
        spent: list[Future[float]] = [
            pool.submit(_many, num_images) for pool in self._pools[:num_processes]
        ]
        processor_time = sum(one.result() for one in spent)
        return time.perf_counter() - start, processor_time


def _prepare(
    parameters: dict[str, NDArray[np.float64]], num_pixels: int, pixel_scale: float, fwhm: float
) -> None:
    """Make the model and all keyword arguments, once in each process."""
    global _render, _num_images
    threadpool_limits(1)
    from lenstronomy.Data.imaging_data import ImageData
    from lenstronomy.Data.psf import PSF
    from lenstronomy.ImSim.image_model import ImageModel
    from lenstronomy.LensModel.lens_model import LensModel
    from lenstronomy.LightModel.light_model import LightModel

    lens, source, profiles = _arguments(parameters)
    first = -(num_pixels - 1) / 2 * pixel_scale
    data = ImageData(
        image_data=np.zeros((num_pixels, num_pixels)),
        ra_at_xy_0=first,
        dec_at_xy_0=first,
        transform_pix2angle=np.eye(2) * pixel_scale,
    )
    model = ImageModel(
        data,
        PSF(psf_type="GAUSSIAN", fwhm=fwhm, pixel_size=pixel_scale, truncation=4),
        LensModel(profiles),
        LightModel(["SERSIC_ELLIPSE"]),
        kwargs_numerics={"supersampling_factor": 1},
    )
    _num_images = len(lens)

    def render(index: int) -> NDArray[np.float64]:
        image: NDArray[np.float64] = model.image(lens[index], source[index])
        return image

    _render = render
    _render(0)  # compiles what lenstronomy compiles


def _arguments(
    parameters: dict[str, NDArray[np.float64]],
) -> tuple[list[list[dict[str, Any]]], list[list[dict[str, Any]]], list[str]]:
    """Phrase the parameters as lenstronomy's keyword arguments of lens and source."""
    from lenstronomy.Util.param_util import phi_q2_ellipticity

    lenses, sources = [], []
    kind = next((kind for kind in _SUBHALOS if f"{kind}_centre_x" in parameters), None)
    profile, names = _SUBHALOS[kind] if kind else ("", {})
    subhalos = {theirs: parameters[f"{kind}_{ours}"] for theirs, ours in names.items()}
    num_subhalos = parameters[f"{kind}_centre_x"].shape[1] if kind else 0
    for i in range(len(parameters["einstein_radius"])):
        one = {name: column[i] for name, column in parameters.items()}
        e1, e2 = phi_q2_ellipticity(one["position_angle"], one["axis_ratio"])
        centre = {"center_x": one["centre_x"], "center_y": one["centre_y"]}
        lens = [
            {"theta_E": one["einstein_radius"], "e1": e1, "e2": e2, **centre},
            {"gamma1": one["shear_1"], "gamma2": one["shear_2"]},
        ]
        lens += [
            {name: float(values[i, s]) for name, values in subhalos.items()}
            for s in range(num_subhalos)
        ]
        e1, e2 = phi_q2_ellipticity(one["source_position_angle"], one["source_axis_ratio"])
        # lenstronomy's line for b_n is up to 0.4 % off ours: the same light in its parameters
        n = one["sersic_index"]
        ours, theirs = float(sersic.concentration(n)), 1.9992 * n - 0.3271
        source = {
            "amp": np.exp(ours - theirs),
            "R_sersic": one["half_light_radius"] * (theirs / ours) ** n,
            "n_sersic": n,
            **{"e1": e1, "e2": e2, "center_x": one["source_x"], "center_y": one["source_y"]},
        }
        lenses.append(lens)
        sources.append([source])
    return lenses, sources, ["SIE", "SHEAR"] + [profile] * num_subhalos


def _one(index: int) -> NDArray[np.float64]:
    return _render(index)


def _many(num_images: int) -> float:
    before = time.process_time()
    for index in range(num_images):
        _render(index % _num_images)
    return time.process_time() - before
