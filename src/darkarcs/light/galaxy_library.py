"""Sets of real galaxies, prepared to serve as sources."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from darkarcs.errors import DataError
from darkarcs.light.galaxy_files import Cutout, galaxy_files, read_cutouts
from darkarcs.light.galaxy_preparation import PreparedGalaxy, Rejection, prepare_galaxy

Part = Literal["train", "validation", "test", "all"]

PARTS = ("train", "validation", "test")

#: Above so many galaxies, preparing them takes seconds and shows its progress.
_MANY = 80


@dataclass(frozen=True, eq=False)
class GalaxyLibrary:
    """Galaxies without background, neighbours and noise, each of unit flux.

    Parameters
    ----------
    images : ndarray of float32, shape (G, P, P)
        Surface brightness: not negative, zero along the border, each of unit sum; P is even and
        the centroid lies within half a pixel of the middle.
    pixel_scale : float, arcsec per pixel
        Of all images.
    identity : tuple of str
        16 hexadecimal digits for each galaxy: SHA-256 of its shape and pixels as they were
        stored (float32). Galaxies are in the order of their identities, so neither the order of
        a file nor the names in a folder matter.
    half_light_radius : ndarray of float64, shape (G,), arcsec
        Circularised, as observed: broadened by the PSF.
    snr : ndarray of float64, shape (G,)
        As the file states it; else flux in a circle of ten pixels radius over its noise.
    peak_to_noise : ndarray of float64, shape (G,)
        Brightest pixel over the noise of a pixel.
    rejected : dict of str to int
        How many cutouts were left out, and why.
    """

    images: NDArray[np.float32]
    pixel_scale: float
    identity: tuple[str, ...]
    half_light_radius: NDArray[np.float64]
    snr: NDArray[np.float64]
    peak_to_noise: NDArray[np.float64]
    rejected: dict[str, int] = field(default_factory=dict)

    def __len__(self) -> int:
        """Count the galaxies."""
        return len(self.identity)

    def subset(self, part: Part, fractions: Sequence[float] = (0.7, 0.1, 0.2)) -> GalaxyLibrary:
        """Choose the galaxies of one part of a split.

        A hash of its identity alone decides where a galaxy falls. So it falls there whatever
        else is in the library, whichever options the library was read with: a source seen in
        training is not met again in a test through another scene. The price is that the
        fractions are met on average only. Two cutouts of one galaxy that differ in a pixel are
        two galaxies here: a library should hold each once.

        Parameters
        ----------
        part : {"train", "validation", "test", "all"}
            Which part.
        fractions : sequence of 3 float, default (0.7, 0.1, 0.2)
            Of train, validation and test; they sum to 1.

        Returns
        -------
        GalaxyLibrary
            In the same order; parts are disjoint and together everything.

        Raises
        ------
        DataError
            If the part is unknown or has no galaxy, or the fractions are not three that sum to 1.
        """
        if len(fractions) != 3 or min(fractions) < 0 or abs(sum(fractions) - 1) > 1e-6:
            raise DataError(
                f"fractions {tuple(fractions)} of galaxies must be three (train, validation, "
                "test), none negative, that sum to 1"
            )
        if part == "all":
            return self
        if part not in PARTS:
            raise DataError(f"there is no part '{part}' of galaxies: {', '.join(PARTS)} or all")
        edges = np.cumsum(fractions)[:2]
        parts = np.searchsorted(edges, [_position(name) for name in self.identity], side="right")
        chosen = np.flatnonzero(parts == PARTS.index(part))
        if not len(chosen):
            counts = np.bincount(parts, minlength=3).tolist()
            raise DataError(
                f"no galaxy falls into the part '{part}': the {len(self)} divide into {counts} "
                f"(train, validation, test) by fractions {tuple(fractions)}; give more galaxies "
                "or a larger fraction"
            )
        return replace(
            self,
            images=self.images[chosen],
            identity=tuple(self.identity[i] for i in chosen),
            half_light_radius=self.half_light_radius[chosen],
            snr=self.snr[chosen],
            peak_to_noise=self.peak_to_noise[chosen],
        )


def load_galaxies(
    path: str | Path,
    *,
    pixel_scale: float | None = None,
    min_snr: float | None = None,
    max_galaxies: int | None = None,
) -> GalaxyLibrary:
    """Read cutouts of galaxies and prepare them.

    Each is prepared as `darkarcs.light.galaxy_preparation` describes. The result is kept for the
    process, and made anew only if a file changes.

    Parameters
    ----------
    path : str or pathlib.Path
        ``.npz`` with an array ``image`` or ``images`` of shape (galaxies, rows, columns), or the
        only one of three dimensions, and if known ``snr`` and ``pixel_scale``; FITS with one
        image, a cube or several extensions; or a folder of such files.
    pixel_scale : float, optional, arcsec per pixel
        What the file states by default.
    min_snr : float, optional
        Galaxies below are left out.
    max_galaxies : int, optional
        Keep the first so many in the order of identities, a choice that is as good as random.

    Returns
    -------
    GalaxyLibrary
        At least one galaxy.

    Raises
    ------
    DataError
        If the file cannot be read, states no pixel scale, or no galaxy can be used.
    """
    path = Path(path)
    if pixel_scale is not None and not 1e-4 < pixel_scale < 60:
        raise DataError(f"a pixel scale of {pixel_scale} arcsec is not one of a telescope")
    if max_galaxies is not None and max_galaxies < 1:
        raise DataError(f"max_galaxies {max_galaxies}: must be at least 1")
    if not path.exists():
        raise DataError(f"{path}: there is no such file or folder of galaxies")
    stamps = tuple(
        (file.name, file.stat().st_mtime_ns, file.stat().st_size) for file in galaxy_files(path)
    )
    return _load(path.resolve(), stamps, pixel_scale, min_snr, max_galaxies)


@lru_cache(maxsize=8)
def _load(
    path: Path,
    stamps: tuple[tuple[str, int, int], ...],  # the key of the cache, not used here
    pixel_scale: float | None,
    min_snr: float | None,
    max_galaxies: int | None,
) -> GalaxyLibrary:
    cutouts = read_cutouts(path)
    scale = pixel_scale if pixel_scale is not None else _stated_scale(path, cutouts)
    by_identity: dict[str, Cutout] = {}
    rejected: Counter[str] = Counter()
    for cutout in cutouts:
        if by_identity.setdefault(_identity(cutout.pixels), cutout) is not cutout:
            rejected["duplicate"] += 1
    chosen: list[tuple[str, PreparedGalaxy, float]] = []
    for name in track(
        sorted(by_identity),
        description="Preparing galaxies",
        console=Console(stderr=True),
        disable=len(by_identity) < _MANY,
        transient=True,
    ):
        if max_galaxies is not None and len(chosen) == max_galaxies:
            break
        galaxy = prepare_galaxy(by_identity[name].pixels)
        if isinstance(galaxy, Rejection):
            rejected[galaxy.value] += 1
            continue
        stated = by_identity[name].snr
        snr = galaxy.snr if stated is None else stated
        if min_snr is not None and not snr >= min_snr:
            rejected["below min_snr"] += 1
            continue
        chosen.append((name, galaxy, snr))
    if not chosen:
        raise DataError(f"{path}: none of {len(cutouts)} cutouts can be used: {dict(rejected)}")
    longest = max(max(galaxy.image.shape) for _, galaxy, _ in chosen)
    side = longest + longest % 2
    return GalaxyLibrary(
        images=np.stack([_centred(galaxy.image, side) for _, galaxy, _ in chosen]),
        pixel_scale=scale,
        identity=tuple(name for name, _, _ in chosen),
        half_light_radius=scale * np.array([galaxy.half_light_radius for _, galaxy, _ in chosen]),
        snr=np.array([snr for _, _, snr in chosen]),
        peak_to_noise=np.array([galaxy.peak_to_noise for _, galaxy, _ in chosen]),
        rejected=dict(rejected),
    )


def _stated_scale(path: Path, cutouts: list[Cutout]) -> float:
    scales = {cutout.pixel_scale for cutout in cutouts}
    known = sorted(scale for scale in scales if scale is not None)
    if not known or None in scales:
        raise DataError(f"{path}: does not state the pixel scale: give pixel_scale in arcsec")
    if known[-1] > 1.001 * known[0]:
        raise DataError(
            f"{path}: pixel scales from {known[0]:g} to {known[-1]:g} arcsec cannot be one set: "
            "separate them"
        )
    return known[0]


def _identity(pixels: NDArray[np.float32]) -> str:
    stored = np.ascontiguousarray(pixels, dtype="<f4")
    digest = hashlib.sha256(f"float32{stored.shape}".encode())
    digest.update(stored.tobytes())
    return digest.hexdigest()[:16]


def _position(identity: str) -> float:
    """Place an identity on [0, 1), by a hash of its own."""
    digest = hashlib.sha256(f"galaxy part {identity}".encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48


def _centred(image: NDArray[np.float64], side: int) -> NDArray[np.float32]:
    """Move by whole pixels until the centroid is in the middle of a square of zeros."""
    centred = np.zeros((side, side))
    source, target = [], []
    for axis in (0, 1):
        profile = image.sum(axis=1 - axis)
        centroid = float(np.arange(len(profile)) @ profile)
        shift = round((side - 1) / 2 - centroid)
        source.append(slice(max(0, -shift), min(len(profile), side - shift)))
        target.append(slice(source[-1].start + shift, source[-1].stop + shift))
    centred[tuple(target)] = image[tuple(source)]
    return np.asarray(centred / centred.sum(), dtype=np.float32)
