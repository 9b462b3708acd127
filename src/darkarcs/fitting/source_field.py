"""Gaussian bumps in the plane of a source, whose sum multiplies its light."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

#: The field reaches so many half-light radii of the fitted source: what it leaves out there looks
#: like subhalos (with 2.5, log evidences of up to 180 for smooth lenses; with 5, of up to 5).
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

    def bumps(self, beta: tuple[Tensor, Tensor]) -> Tensor:
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
        along_x, along_y = (part[0] for part in self._profiles(beta, near))
        rows, columns = self.inside.nonzero(as_tuple=True)
        found = torch.zeros(len(rows), *near.shape)
        found[:, near] = along_y[rows] * along_x[columns]
        return found

    def sum(self, beta: tuple[Tensor, Tensor], amplitudes: Tensor) -> Tensor:
        """Add bumps up.

        Parameters
        ----------
        beta : (beta_x, beta_y), each of shape (B, N, N), arcsec
            Where rays meet the source's plane, of lenses that are nearly alike.
        amplitudes : Tensor, shape (M,)
            Of the bumps.

        Returns
        -------
        Tensor, shape (B, N, N)
            Their field.
        """
        near = self._near(beta)
        along_x, along_y = self._profiles(beta, near)
        grid = torch.zeros(self.inside.shape)
        grid[self.inside] = amplitudes
        found = torch.zeros(beta[0].shape)
        found[:, near] = ((grid @ along_x) * along_y).sum(1)
        return found

    def _near(self, beta: tuple[Tensor, Tensor]) -> Tensor:
        """Rays that meet the field, or its bumps' wings, in any of the lenses; (N, N)."""
        ends = 0.5 * (self.x[0] + self.x[-1]), 0.5 * (self.y[0] + self.y[-1])
        distance = torch.hypot(beta[0] - ends[0], beta[1] - ends[1])
        reach = 0.5 * (self.x[-1] - self.x[0]) + _WINGS * self.width
        return (distance < reach).any(0)

    def _profiles(self, beta: tuple[Tensor, Tensor], near: Tensor) -> tuple[Tensor, Tensor]:
        """Factors of the bumps, which are products of one in x and one in y; (B, S, R)."""
        narrow = -0.5 / self.width**2
        along_x = torch.exp(narrow * (beta[0][:, None, near] - self.x[:, None]) ** 2)
        along_y = torch.exp(narrow * (beta[1][:, None, near] - self.y[:, None]) ** 2)
        return along_x, along_y
