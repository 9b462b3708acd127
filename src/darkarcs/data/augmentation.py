"""Random changes of training images that leave their class as it is.

Whole batches at a time, on the device where they are, each image with its own draw, all
determined by a generator: nothing is remembered from call to call. A change is made of images
that are preprocessed already, so lengths are pixels of what the model sees and brightness is
in normalised units.
"""

from __future__ import annotations

import math

import torch
from pydantic import Field, field_validator
from torch import Tensor
from torch.nn import functional

from darkarcs.configuration import Configuration
from darkarcs.errors import DataError

#: What ``scale: true`` means: narrow, since it changes the apparent Einstein radius.
NARROW_SCALE = (0.95, 1.05)
#: Half-width of the blurring kernel in its largest standard deviations.
TRUNCATION = 3.0


class Augmentation(Configuration):
    """Which random changes are made; all off but the dihedral group.

    The steps are made in this order: dihedral, then rotation, scaling and shift in one
    interpolation, then blur, then noise, which the blur must not correlate.

    Attributes
    ----------
    dihedral : bool
        One of the eight flips and quarter turns, exact to the bit (the four that keep the
        shape, if images are not square).
    rotation : bool
        Turn by an angle uniform over the circle. Interpolating correlates neighbouring pixels'
        noise; what comes from outside the image repeats its border.
    scale : (float, float) or None
        Magnify about the centre by a log-uniform factor between the two; ``true`` means
        `NARROW_SCALE`. A factor s multiplies the apparent Einstein radius, the source's size and
        the width of the PSF by s at an unchanged pixel scale: a different lens, seen by a
        different instrument. Where the size of the ring carries information, keep it narrow.
    shift_pixels : float
        Move by up to this many pixels on each axis, uniform, fractions included.
    psf_blur_pixels : float
        Blur by a Gaussian whose standard deviation is uniform between 0 and this.
    noise : float
        Standard deviation of white Gaussian noise, in normalised units.

    Examples
    --------
    >>> images = torch.arange(32.0).reshape(2, 1, 4, 4)
    >>> generator = torch.Generator().manual_seed(0)
    >>> changed = Augmentation().apply(images, generator)
    >>> bool((changed.flatten(1).sort().values == images.flatten(1)).all())
    True
    """

    dihedral: bool = True
    rotation: bool = False
    scale: tuple[float, float] | None = None
    shift_pixels: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    psf_blur_pixels: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    noise: float = Field(default=0.0, ge=0, allow_inf_nan=False)

    @field_validator("scale", mode="before")
    @classmethod
    def _narrow(cls, value: object) -> object:
        if isinstance(value, bool):
            return NARROW_SCALE if value else None
        return value

    @field_validator("scale")
    @classmethod
    def _ordered(cls, value: tuple[float, float] | None) -> tuple[float, float] | None:
        if value is not None and not 0 < value[0] <= value[1] < math.inf:
            raise ValueError("must be two factors above 0, the smaller first")
        return value

    def apply(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """Change a batch of images.

        Parameters
        ----------
        images : Tensor, shape (B, C, H, W)
            Preprocessed images, floating point, on any device; not changed.
        generator : torch.Generator
            Determines every draw. On any device: numbers are drawn there and moved.

        Returns
        -------
        Tensor, shape (B, C, H, W)
            The changed images, of the same dtype and on the same device.

        Raises
        ------
        DataError
            If the tensor is not a batch of floating-point images.
        """
        if images.ndim != 4 or not images.is_floating_point():
            raise DataError(
                "augmentation takes floating-point images (B, C, H, W), not "
                f"{images.dtype} {tuple(images.shape)}"
            )
        if self.dihedral:
            square = images.shape[-1] == images.shape[-2]
            element = self.dihedral_elements(len(images), square, generator)
            images = apply_dihedral(images, element)
        if self.rotation or self.scale is not None or self.shift_pixels:
            images = self._move(images, generator)
        if self.psf_blur_pixels:
            sigma = self.psf_blur_pixels * _uniform(len(images), generator)
            images = blur(images, sigma.to(images.device), self.psf_blur_pixels)
        if self.noise:
            noise = torch.randn(images.shape, generator=generator, device=generator.device)
            images = images + self.noise * noise.to(images)
        return images

    def dihedral_elements(self, count: int, square: bool, generator: torch.Generator) -> Tensor:
        """Draw the elements of the dihedral group, the first thing that `apply` draws.

        Parameters
        ----------
        count : int
            Images of the batch.
        square : bool
            Whether they are; others are not transposed.
        generator : torch.Generator
            Determines the draw.

        Returns
        -------
        Tensor, shape (count,), int64
            For `apply_dihedral`, of whatever lies on the same images.
        """
        return torch.randint(
            8 if square else 4, (count,), generator=generator, device=generator.device
        )

    def _move(self, images: Tensor, generator: torch.Generator) -> Tensor:
        batch, device = len(images), images.device
        angle = torch.zeros(batch)
        log_factor = torch.zeros(batch)
        shift = torch.zeros(batch, 2)
        if self.rotation:
            angle = 2 * math.pi * _uniform(batch, generator)
        if self.scale is not None:
            low, high = math.log(self.scale[0]), math.log(self.scale[1])
            log_factor = low + (high - low) * _uniform(batch, generator)
        if self.shift_pixels:
            shift = self.shift_pixels * (2 * _uniform(2 * batch, generator).reshape(batch, 2) - 1)
        return move(images, angle.to(device), log_factor.exp().to(device), shift.to(device))


def apply_dihedral(images: Tensor, element: Tensor) -> Tensor:
    """Apply to each image its element of the dihedral group of the square, exactly.

    Parameters
    ----------
    images : Tensor, shape (B, C, H, W)
        Images.
    element : Tensor, shape (B,), on any device
        Integers 0-7: bit 0 flips left-right, bit 1 flips up-down, then bit 2 transposes;
        0 is the identity. Images that are not square admit 0-3.

    Returns
    -------
    Tensor, shape (B, C, H, W)
        The images, bit for bit but for their order of pixels.

    Examples
    --------
    >>> image = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
    >>> apply_dihedral(image, torch.tensor([5]))[0, 0].tolist()
    [[2.0, 4.0], [1.0, 3.0]]
    """
    changed = torch.empty_like(images)
    # grouped by element: half the time of eight masked copies of the batch
    chosen = element.cpu()
    for bits in range(8):
        index = (chosen == bits).nonzero()[:, 0].to(images.device)
        if len(index) == 0:
            continue
        group = images[index]
        flipped = [axis for axis, bit in ((-1, 1), (-2, 2)) if bits & bit]
        group = group.flip(flipped) if flipped else group
        changed[index] = group.transpose(-1, -2) if bits & 4 else group
    return changed


def move(images: Tensor, angle: Tensor, factor: Tensor, shift: Tensor) -> Tensor:
    """Rotate, magnify and shift each image in one bilinear interpolation.

    Parameters
    ----------
    images : Tensor, shape (B, C, H, W)
        Images; beyond their border it repeats.
    angle : Tensor, shape (B,), radians
        Turn from the x axis (to the right) towards the y axis (down the rows).
    factor : Tensor, shape (B,)
        Magnification about the centre.
    shift : Tensor, shape (B, 2), pixels
        Of x and y, made last.

    Returns
    -------
    Tensor, shape (B, C, H, W)
        The moved images.

    Examples
    --------
    >>> image = torch.eye(3)[None, None]
    >>> one = torch.ones(1)
    >>> move(image, 0 * one, one, torch.tensor([[1.0, 0.0]]))[0, 0].round().tolist()
    [[1.0, 1.0, 0.0], [0.0, 0.0, 1.0], [0.0, 0.0, 0.0]]
    """
    height, width = images.shape[-2:]
    # grid_sample asks where an output pixel comes from, so this is the inverse movement,
    # in coordinates that run from -1 to 1 along each axis
    cos, sin = torch.cos(angle) / factor, torch.sin(angle) / factor
    x, y = shift.unbind(-1)
    rows = (
        torch.stack([cos, sin * height / width, -2 * (cos * x + sin * y) / width], dim=-1),
        torch.stack([-sin * width / height, cos, 2 * (sin * x - cos * y) / height], dim=-1),
    )
    inverse = torch.stack(rows, dim=-2).to(images.dtype)  # (B, 2, 3)
    grid = functional.affine_grid(inverse, list(images.shape), align_corners=False)
    return functional.grid_sample(
        images, grid, mode="bilinear", padding_mode="border", align_corners=False
    )


def blur(images: Tensor, sigma: Tensor, max_sigma: float) -> Tensor:
    """Convolve each image with its own Gaussian.

    Parameters
    ----------
    images : Tensor, shape (B, C, H, W)
        Images; beyond their border it repeats.
    sigma : Tensor, shape (B,), pixels
        Standard deviations.
    max_sigma : float, pixels
        The largest that can occur; it sets the size of the kernel.

    Returns
    -------
    Tensor, shape (B, C, H, W)
        The blurred images; a constant image is unchanged up to rounding.

    Examples
    --------
    >>> images = torch.zeros(1, 1, 5, 5)
    >>> images[0, 0, 2, 2] = 1.0
    >>> blurred = blur(images, torch.tensor([0.5]), 0.5)
    >>> round(blurred[0, 0, 2, 2].item(), 2)
    0.62
    """
    batch, channels, height, width = images.shape
    radius = max(1, math.ceil(TRUNCATION * max_sigma))
    offsets = torch.arange(-radius, radius + 1, device=images.device)
    # a standard deviation of zero leaves the centre alone without dividing by zero
    kernel = torch.exp(-0.5 * (offsets / sigma.clamp(min=1e-3)[:, None]) ** 2)
    kernel = (kernel / kernel.sum(dim=1, keepdim=True)).to(images.dtype)
    kernel = kernel.repeat_interleave(channels, dim=0)  # (B * C, 2 radius + 1)
    one_batch = images.reshape(1, batch * channels, height, width)
    padded = functional.pad(one_batch, (radius,) * 4, mode="replicate")
    groups = batch * channels
    rows = functional.conv2d(padded, kernel[:, None, :, None], groups=groups)
    blurred = functional.conv2d(rows, kernel[:, None, None, :], groups=groups)
    return blurred.reshape(images.shape)


def _uniform(count: int, generator: torch.Generator) -> Tensor:
    return torch.rand(count, generator=generator, device=generator.device)
