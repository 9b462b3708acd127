r"""Sums over rings around the centre of an image, as sparse matrix products.

The centre is that of the pixel grid, ((H - 1) / 2, (W - 1) / 2); pixels beyond the largest
circle that fits into the image are left out, so that every ring is whole.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array, vstack

Floats = NDArray[np.float64]

#: Most rings of a radial profile: wider than a pixel beyond a side of 100 pixels.
MAX_RINGS = 50


@dataclass(frozen=True)
class Annuli:
    """Rings of equal width around the centre.

    Parameters
    ----------
    height, width : int, pixels
        Of the image.
    num_rings : int
        How many rings share the radius of the largest circle inside.

    Examples
    --------
    >>> rings = Annuli(8, 8, 4)
    >>> rings.edges.tolist(), int(rings.num_pixels.sum())
    ([0.0, 1.0, 2.0, 3.0, 4.0], 52)
    """

    height: int
    width: int
    num_rings: int

    @property
    def edges(self) -> Floats:
        """Radii between rings, shape (num_rings + 1,), pixels."""
        return np.linspace(0.0, min(self.height, self.width) / 2, self.num_rings + 1)

    def _polar(self) -> tuple[Floats, Floats]:
        y = np.arange(self.height) - (self.height - 1) / 2
        x = np.arange(self.width) - (self.width - 1) / 2
        radius = np.hypot(x[None, :], y[:, None]).ravel()
        return radius, np.arctan2(y[:, None], x[None, :]).ravel()

    @property
    def ring_of_pixel(self) -> NDArray[np.int64]:
        """Number of the ring of each pixel, shape (H * W,); `num_rings` outside of all."""
        radius, _ = self._polar()
        return np.asarray(np.searchsorted(self.edges[1:], radius, side="left"), dtype=np.int64)

    @property
    def num_pixels(self) -> NDArray[np.int64]:
        """How many pixels lie in each ring, shape (num_rings,)."""
        counts = np.bincount(self.ring_of_pixel, minlength=self.num_rings)[: self.num_rings]
        return np.asarray(counts, dtype=np.int64)

    def summing(self, order: int = 0) -> csr_array:
        r"""Make the matrix whose product with an image's pixels sums over each ring.

        Parameters
        ----------
        order : int, default 0
            Of the harmonic. Zero sums the pixels; from one on, the first `num_rings` rows sum
            :math:`I \cos m\phi` and the others :math:`I \sin m\phi`.

        Returns
        -------
        csr_array of float32, shape (num_rings or 2 * num_rings, H * W)
            Sparse: each pixel lies in one ring.
        """
        ring = self.ring_of_pixel
        inside = np.flatnonzero(ring < self.num_rings)
        shape = (self.num_rings, self.height * self.width)
        if order == 0:
            ones = np.ones(len(inside), dtype=np.float32)
            return csr_array((ones, (ring[inside], inside)), shape=shape)
        _, angle = self._polar()
        parts = [
            csr_array((wave[inside].astype(np.float32), (ring[inside], inside)), shape=shape)
            for wave in (np.cos(order * angle), np.sin(order * angle))
        ]
        return csr_array(vstack(parts, format="csr"))

    def describe(self) -> list[str]:
        """Name the rings.

        Returns
        -------
        list of str
            ``"radius 3-4 pixels"``.
        """
        edges = [f"{edge:.4g}" for edge in self.edges]
        return [f"radius {low}-{high} pixels" for low, high in pairwise(edges)]
