"""One subhalo of a chosen mass at a chosen place: what detection limits are measured with."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike
from pydantic import Field

from darkarcs.configuration import Configuration
from darkarcs.scenes.distributions import Distribution, NotNegative, quantile
from darkarcs.scenes.hosts import Drawn, Host
from darkarcs.scenes.physical_kinds import Table, table_of
from darkarcs.substructure import DuffyConcentration
from darkarcs.substructure.population import with_structure


class SingleSubhalo(Configuration):
    """One truncated NFW subhalo near the arc, of the same structure as those of `Subhalos`.

    A source close to the optical axis is seen as a ring of nearly the Einstein radius, so that
    the distance from the arc is drawn as a distance from that circle, inside or outside alike
    likely, at an angle drawn uniformly. Where the source is off the axis parts of the ring are
    dark; how far the subhalo is from light that is seen depends on the source, which substructure
    must not know, and is measured on the image afterwards (`darkarcs.benchmark.detection`).

    Attributes
    ----------
    kind : "single_subhalo"
        Which substructure this is.
    log10_mass : Distribution, log10 solar masses
        m_200 at infall.
    distance_to_arc : Distribution, arcsec
        From the circle of the Einstein radius around the lens; a subhalo that would pass the
        lens's centre is put outside instead.
    half_depth : float, Einstein radii
        Half of the depth over which it may lie: it sets how far tides cut it.
    concentration : DuffyConcentration
        Mass-concentration relation.
    """

    kind: Literal["single_subhalo"] = "single_subhalo"
    log10_mass: Distribution
    distance_to_arc: NotNegative = 0.0
    half_depth: float = Field(10.0, ge=0)
    concentration: DuffyConcentration = DuffyConcentration()

    def draw_for(self, random: np.random.Generator, host: Host) -> Drawn:
        """Draw the subhalo of one lens.

        Whatever the distributions are, the same random numbers are used up, so that scenes which
        differ by the mass alone put their subhalos at the same places.

        Parameters
        ----------
        random : numpy.random.Generator
            Source of chance.
        host : Host
            The lens.

        Returns
        -------
        Drawn
            ``subhalos`` of length one; its mass, position (arcsec, relative to the lens) and
            distance from the ring (arcsec, negative inside).
        """
        shares = random.random(5)
        log10_mass = quantile(self.log10_mass, shares[0:1])
        distance = quantile(self.distance_to_arc, shares[1:2]).item()
        inside = shares[2] < 0.5 and distance < host.einstein_radius
        signed = -distance if inside else distance
        radius, angle = host.einstein_radius + signed, 2 * np.pi * shares[3]
        x, y = radius * np.cos(angle), radius * np.sin(angle)
        depth = self.half_depth * host.einstein_radius * (2 * shares[4] - 1)
        table = self._table(random, host, 10**log10_mass, [x], [y], [depth], self.concentration)
        columns = {
            "substructure.log10_mass": log10_mass.item(),
            "substructure.x": float(x),
            "substructure.y": float(y),
            "substructure.ring_distance": signed,
        }
        return Drawn(masses={"subhalos": table}, columns=columns)

    def typical_at(self, host: Host, log10_mass: ArrayLike, x: ArrayLike, y: ArrayLike) -> Table:
        """Describe subhalos at given places, with nothing left to chance.

        Parameters
        ----------
        host : Host
            The lens.
        log10_mass : array_like, shape (S,), log10 solar masses
            m_200 at infall.
        x, y : array_like, shape (S,), arcsec
            Relative to the lens.

        Returns
        -------
        dict of str to ndarray of shape (S,)
            As `draw_for` gives, each of the median concentration and half of ``half_depth``, the
            median depth, away from the plane of the lens.
        """
        mass = 10 ** np.atleast_1d(np.asarray(log10_mass, dtype=np.float64))
        depth = np.full(mass.shape, self.half_depth * host.einstein_radius / 2)
        median = self.concentration.model_copy(update={"scatter": 0.0})
        return self._table(np.random.default_rng(0), host, mass, x, y, depth, median)

    @staticmethod
    def _table(
        random: np.random.Generator,
        host: Host,
        mass: ArrayLike,
        x: ArrayLike,
        y: ArrayLike,
        z: ArrayLike,
        concentration: DuffyConcentration,
    ) -> Table:
        halos = with_structure(
            np.asarray(mass, dtype=np.float64),
            np.asarray(x, dtype=np.float64),
            np.asarray(y, dtype=np.float64),
            np.asarray(z, dtype=np.float64),
            random,
            concentration=concentration,
            kpc_per_arcsec=host.kpc_per_arcsec,
            redshift=host.redshift,
            hubble=host.hubble,
            critical_density=host.critical_density,
        )
        return table_of(halos, host)
