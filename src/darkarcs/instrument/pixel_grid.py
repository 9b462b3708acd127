"""The pixels of an image: where their centres are, finer when asked, and averaging down."""

from __future__ import annotations

from functools import reduce

import torch
from pydantic import Field
from torch import Tensor

from darkarcs.configuration import Configuration
from darkarcs.errors import DataError


class PixelGrid(Configuration):
    """Square pixels around the origin, each divided for supersampling.

    Attributes
    ----------
    num_pixels : int
        Side of the image.
    pixel_scale : float, arcsec per pixel
        Side of a pixel.
    supersampling : int
        Number of samples along the side of a pixel, at the centres of equal squares.

    Examples
    --------
    >>> grid = PixelGrid(num_pixels=1, pixel_scale=0.4, supersampling=2)
    >>> theta_x, theta_y = grid.coordinates()
    >>> theta_x[0].tolist(), theta_y[0].tolist()
    ([-0.10000000149011612, 0.10000000149011612], [-0.10000000149011612, -0.10000000149011612])
    >>> grid.average(theta_x).item()
    0.0
    """

    num_pixels: int = Field(gt=0)
    pixel_scale: float = Field(gt=0)
    supersampling: int = Field(1, gt=0)

    @property
    def field_of_view(self) -> float:
        """The side of the image.

        Returns
        -------
        float, arcsec
            Pixels times their scale.
        """
        return self.num_pixels * self.pixel_scale

    @property
    def num_samples(self) -> int:
        """The side of the supersampled image.

        Returns
        -------
        int
            Samples.
        """
        return self.num_pixels * self.supersampling

    @property
    def sample_scale(self) -> float:
        """The distance of neighbouring samples: the pixel scale of a supersampled kernel.

        Returns
        -------
        float, arcsec
            Pixel scale over supersampling.
        """
        return self.pixel_scale / self.supersampling

    def coordinates(
        self, *, dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu"
    ) -> tuple[Tensor, Tensor]:
        """Make the positions of the samples.

        Parameters
        ----------
        dtype : torch.dtype, default float32
            Of the coordinates.
        device : torch.device or str, default "cpu"
            Where they are.

        Returns
        -------
        theta_x, theta_y : Tensor, shape (num_samples, num_samples), arcsec
            x grows with the column (right), y with the row: draw images with the first row at
            the bottom (up). The origin is the centre of the image.
        """
        axis = torch.arange(self.num_samples, dtype=dtype, device=device)
        axis = (axis - (self.num_samples - 1) / 2) * self.sample_scale
        theta_y, theta_x = torch.meshgrid(axis, axis, indexing="ij")
        return theta_x, theta_y

    def average(self, images: Tensor) -> Tensor:
        """Average the samples of each pixel.

        Parameters
        ----------
        images : Tensor, shape (..., num_samples, num_samples)
            Surface brightness at the samples.

        Returns
        -------
        Tensor, shape (..., num_pixels, num_pixels)
            Mean surface brightness of the pixels.

        Raises
        ------
        DataError
            If the images are not of this grid.
        """
        if tuple(images.shape[-2:]) != (self.num_samples, self.num_samples):
            raise DataError(
                f"images of {tuple(images.shape[-2:])} samples do not fit a grid of "
                f"{self.num_samples} x {self.num_samples}"
            )
        if self.supersampling == 1:
            return images
        # sums of slices: a mean over the axes of a view is several times slower
        step = self.supersampling
        rows = reduce(torch.add, [images[..., i::step, :] for i in range(step)])
        return reduce(torch.add, [rows[..., i::step] for i in range(step)]) / step**2
