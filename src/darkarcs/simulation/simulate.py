"""Simulate images of a scene into memory, block by block."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from darkarcs.data.joining import join
from darkarcs.data.lens_images import LensImages
from darkarcs.data.ragged import from_padded
from darkarcs.errors import ConfigurationError
from darkarcs.instrument import EmpiricalPointSpread
from darkarcs.scenes import BLOCK, LensParameters
from darkarcs.seeding import torch_generator
from darkarcs.simulation.request import SimulationRequest


@dataclass(frozen=True)
class SimulatedBlock:
    """Images of one block, or of the part of it that was asked for.

    Attributes
    ----------
    images : Tensor, shape (B, C, H, W), float32
        On the device where they were made.
    parameters : LensParameters
        What they are made of.
    """

    images: Tensor
    parameters: LensParameters


def simulate_block(
    request: SimulationRequest, block: int, *, device: torch.device | str = "cpu"
) -> SimulatedBlock:
    """Simulate the images with indices from ``BLOCK * block`` up to the next block.

    The noise of a block comes from one stream, so blocks are always made whole: an image does
    not depend on how many others are asked for.

    Parameters
    ----------
    request : SimulationRequest
        Scene, seed and options; its start and number do not matter here.
    block : int
        Which.
    device : torch.device or str, default "cpu"
        Where. Parameters are the same on every device, noise is not.

    Returns
    -------
    SimulatedBlock
        Of `BLOCK` images.
    """
    scene = request.scene
    parameters = scene.draw(
        request.seed,
        block * BLOCK,
        BLOCK,
        part=request.part,
        paired=request.paired,
        null=request.null,
    )
    with torch.no_grad():
        images = scene.render(parameters, device=device)
        if not request.noiseless:
            address = (scene.name, str(scene.version), request.part, "noise", block)
            generator = torch_generator(request.seed, *address, device=device)
            images = scene.observe(images, parameters, generator)
    return SimulatedBlock(images, parameters)


def simulate(
    request: SimulationRequest,
    *,
    device: torch.device | str = "cpu",
    progress: Callable[[int], None] | None = None,
) -> LensImages:
    """Simulate a set of lenses into memory.

    Parameters
    ----------
    request : SimulationRequest
        What.
    device : torch.device or str, default "cpu"
        Where the images are made; the result is NumPy.
    progress : callable, optional
        Called with the number of images that were just made.

    Returns
    -------
    LensImages
        Every parameter of every image in the metadata, masses of substructure in the lists.

    Raises
    ------
    ConfigurationError
        If no number of images was given.

    Examples
    --------
    >>> from darkarcs.simulation import parse_uri, simulate
    >>> lenses = simulate(parse_uri("scene:deeplense-2?seed=1&num=3"))
    >>> lenses.images.shape, lenses.class_counts(), len(lenses.lists["point_masses"][1]["mass"])
    ((3, 1, 64, 64), {'no_sub': 1, 'cdm': 1, 'axion': 1}, 25)
    """
    parts = []
    for simulated in blocks(request, device=device):
        parts.append(to_lens_images(simulated, request))
        if progress is not None:
            progress(len(parts[-1]))
    return join(parts, manifest_of(request))


def blocks(
    request: SimulationRequest, *, device: torch.device | str = "cpu"
) -> Iterator[SimulatedBlock]:
    """Simulate block after block, cut to what the request asks for.

    Parameters
    ----------
    request : SimulationRequest
        With a number of images.
    device : torch.device or str, default "cpu"
        Where.

    Yields
    ------
    SimulatedBlock
        Of at most `BLOCK` images.
    """
    if request.num is None:
        raise ConfigurationError(f"{request.source}: say how many images, as in num=5000")
    stop = request.start + request.num
    for block in range(request.start // BLOCK, -(-stop // BLOCK)):
        simulated = simulate_block(request, block, device=device)
        first = max(0, request.start - block * BLOCK)
        last = min(BLOCK, stop - block * BLOCK)
        if (first, last) != (0, BLOCK):
            cut = slice(first, last)
            simulated = SimulatedBlock(simulated.images[cut], simulated.parameters.select(cut))
        yield simulated


def to_lens_images(simulated: SimulatedBlock, request: SimulationRequest) -> LensImages:
    """Turn a block into the contract of all data.

    Parameters
    ----------
    simulated : SimulatedBlock
        Images and parameters.
    request : SimulationRequest
        What they are.

    Returns
    -------
    LensImages
        With metadata and lists.
    """
    parameters = simulated.parameters
    names = np.asarray(parameters.class_names)[parameters.labels]
    index = parameters.indices
    metadata: dict[str, NDArray[np.generic]] = {
        "identity": _identities(parameters, request),
        "group": parameters.groups,
        "name": np.array([f"{c}/{i:09d}" for c, i in zip(names, index, strict=True)], dtype=str),
        "index": index,
        **parameters.columns,
    }
    lists = {
        kind: from_padded(table, table["mass"] > 0) for kind, table in parameters.masses.items()
    }
    return LensImages.from_arrays(
        simulated.images.cpu().numpy(),
        labels=parameters.labels,
        class_names=parameters.class_names,
        metadata=metadata,
        pixel_scale=request.scene.instrument.pixel_scale,
        manifest=manifest_of(request),
        lists=lists,
    )


def manifest_of(request: SimulationRequest) -> dict[str, object]:
    """Say where simulated images come from, so that anyone can make them again.

    Parameters
    ----------
    request : SimulationRequest
        What was simulated.

    Returns
    -------
    dict
        JSON-able.
    """
    spread = request.scene.instrument.point_spread
    fwhm = None if isinstance(spread, EmpiricalPointSpread) else spread.fwhm
    return {
        "source": request.source,
        "format": "simulation",
        "psf_fwhm": fwhm,
        "scene": request.scene.model_dump(mode="json", exclude={"folder"}),
        "scene_identity": request.scene.identity,
        "request": request.model_dump(mode="json", exclude={"scene"}),
    }


def request_of(manifest: Mapping[str, Any], index: int | None = None) -> SimulationRequest:
    """Read back what was simulated from the manifest of a set.

    Parameters
    ----------
    manifest : mapping
        From `manifest_of`, as a file keeps it.
    index : int, optional
        Ask for one image only, by the metadata column ``index``.

    Returns
    -------
    SimulationRequest
        `simulate` makes the same images of it, bit for bit on the same kind of device. A
        relative path to source galaxies then starts in the working folder.

    Raises
    ------
    ConfigurationError
        If the manifest is not that of a simulation.

    Examples
    --------
    >>> from darkarcs.simulation import parse_uri, request_of, simulate
    >>> lenses = simulate(parse_uri("scene:deeplense-2?seed=1&num=3"))
    >>> again = simulate(request_of(lenses.manifest, index=2))
    >>> bool((again.images[0] == lenses.images[2]).all())
    True
    """
    source = str(manifest.get("source"))
    if not isinstance(manifest.get("request"), Mapping) or "scene" not in manifest:
        raise ConfigurationError(f"{source}: its manifest is not that of a simulation")
    one = {} if index is None else {"start": index, "num": 1}
    return SimulationRequest.parse(
        {**manifest["request"], "scene": manifest["scene"], **one}, source
    )


def _identities(parameters: LensParameters, request: SimulationRequest) -> NDArray[np.str_]:
    """Of the images: those of the lenses, and what was done to them."""
    marks = [request.paired and "paired", request.noiseless and "noiseless", request.null]
    mark = "".join(f"/{text}" for text in marks if text)
    return np.array([f"{identity}{mark}" for identity in parameters.identities], dtype=str)
