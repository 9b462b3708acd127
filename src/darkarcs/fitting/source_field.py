"""Gaussian bumps in the plane of a source, whose sum multiplies its light."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

Rays = tuple[Tensor, Tensor]

#: The field reaches so many half-light radii of the fitted source: what it leaves out there looks
#: like subhalos, and with half as many it often did.
_REACH = 5.0
#: Bumps end this many widths from their middles: at a thousandth of a per cent.
_WINGS = 5.0
#: Bumps in a row at most.
_LONGEST_ROW = 21
#: A grid of Gaussians, a width apart, of unit amplitudes has this rms.
OVERLAP = math.sqrt(math.pi)


@dataclass(frozen=True, eq=False)
class SourceField:
    """Bumps in the plane of one source.

    Attributes
    ----------
    x, y : Tensor, shape (S,), arcsec
        Columns and rows of the grid.
    width : float, arcsec
        Of each bump, and their distance.
    inside : Tensor of bool, shape (S, S)
        Which of them there are, M in number: a disc.
    """

    x: Tensor
    y: Tensor
    width: float
    inside: Tensor

    @classmethod
    def around(
        cls, centre: tuple[float, float], half_light_radius: float, finest: float
    ) -> SourceField:
        """Lay bumps over a galaxy.

        Parameters
        ----------
        centre : tuple of float, arcsec
            Of the galaxy.
        half_light_radius : float, arcsec
            Of the galaxy.
        finest : float, arcsec
            Distance of bumps, at least.

        Returns
        -------
        SourceField
            At most 21 a row.

        Examples
        --------
        >>> field = SourceField.around((0.1, 0.0), 0.2, 0.05)
        >>> len(field.x), round(field.width, 3), int(field.inside.sum())
        (21, 0.1, 349)
        """
        reach = _REACH * half_light_radius
        width = max(finest, 2 * reach / (_LONGEST_ROW - 1))
        number = math.ceil(2 * reach / width - 1e-6) + 1
        axis = (torch.arange(number) - (number - 1) / 2) * width
        inside = torch.hypot(axis[None, :], axis[:, None]) <= reach + width / 2
        return cls(axis + centre[0], axis + centre[1], width, inside)

    def bumps(self, beta: Rays) -> Tensor:
        """Give each bump by itself.

        Parameters
        ----------
        beta : (beta_x, beta_y), each of shape (1, N, N), arcsec
            Where rays of one lens meet the source's plane.

        Returns
        -------
        Tensor, shape (M, N, N)
            1 in the middle of a bump.
        """
        near = self._near(beta)
        along_x, along_y = (bump for bump, _ in self._profiles(beta, near))
        rows, columns = self.inside.nonzero(as_tuple=True)
        found = torch.zeros(len(rows), *near.shape)
        found[:, near] = along_y[rows] * along_x[columns]
        return found

    def sum(self, beta: Rays, amplitudes: Tensor) -> Tensor:
        """Add bumps up.

        Parameters
        ----------
        beta : (beta_x, beta_y), each of shape (1, N, N), arcsec
            Where rays of one lens meet the source's plane.
        amplitudes : Tensor, shape (M,)
            Of the bumps.

        Returns
        -------
        Tensor, shape (1, N, N)
            Their field.
        """
        near = self._near(beta)
        along_x, along_y = (bump for bump, _ in self._profiles(beta, near))
        return self._spread(((self._grid(amplitudes) @ along_x) * along_y).sum(0), near)

    def slopes(self, beta: Rays, amplitudes: Tensor) -> tuple[Tensor, Tensor]:
        """Differentiate the field in the rays' places.

        Parameters
        ----------
        beta : (beta_x, beta_y), each of shape (1, N, N), arcsec
            As for `sum`.
        amplitudes : Tensor, shape (M,)
            Of the bumps.

        Returns
        -------
        along_x, along_y : Tensor, shape (1, N, N), 1 / arcsec
            Derivatives.
        """
        near, grid = self._near(beta), self._grid(amplitudes)
        (bump_x, slope_x), (bump_y, slope_y) = self._profiles(beta, near)
        along_x = ((grid @ slope_x) * bump_y).sum(0)
        along_y = ((grid @ bump_x) * slope_y).sum(0)
        return self._spread(along_x, near), self._spread(along_y, near)

    def _grid(self, amplitudes: Tensor) -> Tensor:
        grid = torch.zeros(self.inside.shape)
        grid[self.inside] = amplitudes
        return grid

    def _spread(self, values: Tensor, near: Tensor) -> Tensor:
        found = torch.zeros(1, *near.shape)
        found[0, near] = values
        return found

    def _near(self, beta: Rays) -> Tensor:
        """Rays that meet the field, or its bumps' wings; (N, N)."""
        middle = 0.5 * (self.x[0] + self.x[-1]), 0.5 * (self.y[0] + self.y[-1])
        distance = torch.hypot(beta[0][0] - middle[0], beta[1][0] - middle[1])
        return distance < 0.5 * (self.x[-1] - self.x[0]) + _WINGS * self.width

    def _profiles(self, beta: Rays, near: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Factors of bumps and of their slopes, in x, then in y: a bump is a product; (S, R)."""
        found = []
        for rays, axis in zip(beta, (self.x, self.y), strict=True):
            distance = (rays[0, near] - axis[:, None]) / self.width
            bump = torch.exp(-0.5 * distance**2)
            found.append((bump, bump * distance / -self.width))
        return found
