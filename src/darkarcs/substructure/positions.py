"""Where the subhalos are, in projection on the lens and along the line of sight.

Two distributions with the same face: `UniformDisk`, what the projection of a host halo much
larger than the lens comes to, and `CoredNFW`, which follows the host.

References
----------
.. [1] Gilman et al. 2020, 1908.06983, section 3: subhalos follow the host's NFW profile outside
   half its scale radius and are uniform inside, tides having destroyed the rest.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from darkarcs.configuration import Configuration

Positions = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]

_NODES = 4096


class UniformDisk(Configuration):
    """Uniform in a disk around the lens, and uniform in depth.

    Attributes
    ----------
    kind : "uniform_disk"
        Which distribution this is.
    max_radius : float, Einstein radii
        Radius of the disk.
    half_depth : float, Einstein radii
        Half the length along the line of sight; it matters to the truncation alone.
    """

    kind: Literal["uniform_disk"] = "uniform_disk"
    max_radius: float = Field(3.0, gt=0)
    half_depth: float = Field(0.0, ge=0)

    def draw(
        self,
        num: int,
        random: np.random.Generator,
        *,
        einstein_radius: float,
        kpc_per_arcsec: float,
    ) -> Positions:
        """Draw positions.

        Parameters
        ----------
        num : int
            How many.
        random : numpy.random.Generator
            Source of chance.
        einstein_radius : float, arcsec
            Of the lens.
        kpc_per_arcsec : float
            Not used here; the scale of the lens plane.

        Returns
        -------
        x, y, z : ndarray, shape (num,), arcsec
            Relative to the lens, z along the line of sight.
        """
        radius = self.max_radius * einstein_radius * np.sqrt(random.random(num))
        angle = 2 * np.pi * random.random(num)
        depth = self.half_depth * einstein_radius * (2 * random.random(num) - 1)
        return radius * np.cos(angle), radius * np.sin(angle), depth

    def area(self, einstein_radius: float) -> float:
        """Compute the area that is populated.

        Parameters
        ----------
        einstein_radius : float, arcsec
            Of the lens.

        Returns
        -------
        float, arcsec^2
            That of the disk.
        """
        return float(np.pi * (self.max_radius * einstein_radius) ** 2)


class CoredNFW(Configuration):
    """Following the host halo inside a cylinder along the line of sight.

    Attributes
    ----------
    kind : "cored_nfw"
        Which distribution this is.
    max_radius : float, Einstein radii
        Radius of the cylinder.
    scale_radius : float, kpc
        Of the host.
    core_radius : float, kpc
        Inside it the number density is constant.
    virial_radius : float, kpc
        Beyond it there is nothing.
    """

    kind: Literal["cored_nfw"] = "cored_nfw"
    max_radius: float = Field(3.0, gt=0)
    scale_radius: float = Field(60.0, gt=0)
    core_radius: float = Field(30.0, gt=0)
    virial_radius: float = Field(300.0, gt=0)

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.core_radius >= self.virial_radius:
            raise ValueError("core_radius must lie below virial_radius")
        return self

    def number_density(self, radius: NDArray[np.float64]) -> NDArray[np.float64]:
        """Evaluate the number density, not normalized.

        Parameters
        ----------
        radius : ndarray, kpc
            From the centre, in three dimensions.

        Returns
        -------
        ndarray
            1 / (x (1 + x)^2), x being the radius, or the core radius if that is larger, in
            scale radii.
        """
        x = np.maximum(radius, self.core_radius) / self.scale_radius
        return np.where(radius <= self.virial_radius, 1 / (x * (1 + x) ** 2), 0.0)

    def draw(
        self,
        num: int,
        random: np.random.Generator,
        *,
        einstein_radius: float,
        kpc_per_arcsec: float,
    ) -> Positions:
        """Draw positions by rejection from the density along the axis.

        The density falls outwards, so that on the axis bounds that beside it: nearly all
        proposals are kept, since the cylinder is narrow.

        Parameters
        ----------
        num : int
            How many.
        random : numpy.random.Generator
            Source of chance.
        einstein_radius : float, arcsec
            Of the lens.
        kpc_per_arcsec : float
            The scale of the lens plane.

        Returns
        -------
        x, y, z : ndarray, shape (num,), arcsec
            Relative to the lens, z along the line of sight.
        """
        radius_of_cylinder = self.max_radius * einstein_radius * kpc_per_arcsec
        radius_of_cylinder = min(radius_of_cylinder, self.virial_radius)
        kept = np.zeros((3, 0))
        while kept.shape[1] < num:
            wanted = max(2 * (num - kept.shape[1]), 16)
            radius = radius_of_cylinder * np.sqrt(random.random(wanted))
            angle = 2 * np.pi * random.random(wanted)
            depth = self._depth(random.random(wanted))
            sign = np.where(random.random(wanted) < 0.5, -1.0, 1.0)
            beside = self.number_density(np.hypot(radius, depth))
            keep = random.random(wanted) * self.number_density(depth) < beside
            found = np.stack([radius * np.cos(angle), radius * np.sin(angle), sign * depth])
            kept = np.concatenate([kept, found[:, keep]], axis=1)
        x, y, z = kept[:, :num] / kpc_per_arcsec
        return x, y, z

    def area(self, einstein_radius: float) -> float:
        """Compute the area that is populated.

        Parameters
        ----------
        einstein_radius : float, arcsec
            Of the lens.

        Returns
        -------
        float, arcsec^2
            That of the cylinder's section.
        """
        return float(np.pi * (self.max_radius * einstein_radius) ** 2)

    def _depth(self, share: NDArray[np.float64]) -> NDArray[np.float64]:
        """Invert the distribution of the depth on the axis, exact in the core."""
        core, edge = self.core_radius / self.scale_radius, self.virial_radius / self.scale_radius
        x = np.geomspace(core, edge, _NODES)
        beyond = np.log(x / (1 + x)) + 1 / (1 + x)
        cumulative = 1 / (1 + core) ** 2 + beyond - beyond[0]
        x, cumulative = np.append(0.0, x), np.append(0.0, cumulative)
        return np.asarray(self.scale_radius * np.interp(share * cumulative[-1], cumulative, x))


PositionDistribution = Annotated[UniformDisk | CoredNFW, Field(discriminator="kind")]
