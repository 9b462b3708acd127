"""Convolutions that commute with the eight symmetries of the square (the dihedral group D4).

A feature map has C fields, each with eight channels, one for each element of the group: channel
``g * C + c``. Turning or mirroring the input turns or mirrors the maps and permutes the eight.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

GROUP_ORDER = 8


def transform(images: Tensor, element: int) -> Tensor:
    """Apply an element of D4 to the last two axes.

    Parameters
    ----------
    images : Tensor, shape (..., n, n)
        Anything square in its last two axes.
    element : int
        0 to 7: mirror (if 4 or more), then ``element % 4`` quarter turns.

    Returns
    -------
    Tensor, shape (..., n, n)
        The transformed images.

    Examples
    --------
    >>> transform(torch.tensor([[1, 2], [3, 4]]), 5).tolist()
    [[1, 3], [2, 4]]
    """
    mirrored = images.flip(-1) if element >= 4 else images
    return mirrored.rot90(element % 4, dims=(-2, -1)) if element % 4 else mirrored


def compose(left: int, right: int) -> int:
    """Return the element that equals applying ``right``, then ``left``.

    Parameters
    ----------
    left, right : int
        Elements of the group, 0 to 7.

    Returns
    -------
    int
        Their product.

    Examples
    --------
    >>> compose(1, 1), compose(4, 4), compose(4, 1) == compose(3, 4)
    (2, 0, True)
    """
    turns = left % 4 + (right % 4 if left < 4 else -right % 4)
    return turns % 4 + 4 * ((left >= 4) != (right >= 4))


def inverse(element: int) -> int:
    """Return the element that undoes another.

    Parameters
    ----------
    element : int
        Of the group, 0 to 7.

    Returns
    -------
    int
        Its inverse.

    Examples
    --------
    >>> [inverse(element) for element in range(8)]
    [0, 3, 2, 1, 4, 5, 6, 7]
    """
    return -element % 4 if element < 4 else element


class LiftingConvolution(nn.Module):
    """From images to fields at half the resolution: each kernel in its eight poses.

    Parameters
    ----------
    in_channels, fields : int
        Of the images; number of fields.
    kernel_size : int
        Even, so that the strided grid is symmetric on images of even size.

    References
    ----------
    Cohen and Welling 2016, arXiv 1602.07576, equation 10.
    """

    def __init__(self, in_channels: int, fields: int, kernel_size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(fields, in_channels, kernel_size, kernel_size))
        nn.init.normal_(self.weight, std=math.sqrt(2.0 / (in_channels * kernel_size**2)))

    def forward(self, images: Tensor) -> Tensor:
        """Map images (B, C, H, W) to fields (B, 8 * fields, H / 2, W / 2)."""
        poses = [transform(self.weight, element) for element in range(GROUP_ORDER)]
        kernel = torch.cat(poses)  # (8 * fields, C, k, k)
        return F.conv2d(images, kernel, stride=2, padding=self.weight.shape[-1] // 2 - 1)


class GroupConvolution(nn.Module):
    """From fields to fields, commuting with D4; padded so that the size stays.

    Parameters
    ----------
    in_fields, out_fields : int
        Number of fields.
    kernel_size : int
        Odd.

    References
    ----------
    Cohen and Welling 2016, arXiv 1602.07576, equation 11.
    """

    def __init__(self, in_fields: int, out_fields: int, kernel_size: int = 3) -> None:
        super().__init__()
        shape = (out_fields, GROUP_ORDER, in_fields, kernel_size, kernel_size)
        self.weight = nn.Parameter(torch.empty(shape))
        fan_in = GROUP_ORDER * in_fields * kernel_size**2
        nn.init.normal_(self.weight, std=math.sqrt(2.0 / fan_in))
        # the output at pose g sees the input's pose h through the kernel of g^-1 h
        self._poses = [
            [compose(inverse(g), h) for h in range(GROUP_ORDER)] for g in range(GROUP_ORDER)
        ]

    def expanded_kernel(self) -> Tensor:
        """Return the kernel of an ordinary convolution.

        Returns
        -------
        Tensor, shape (8 * out, 8 * in, k, k)
            Every kernel in its eight poses.
        """
        poses = [
            transform(self.weight[:, order], element) for element, order in enumerate(self._poses)
        ]
        return torch.stack(poses).flatten(0, 1).flatten(1, 2)

    def forward(self, fields: Tensor) -> Tensor:
        """Map fields (B, 8 * in, H, W) to (B, 8 * out, H, W)."""
        return F.conv2d(fields, self.expanded_kernel(), padding=self.weight.shape[-1] // 2)


class FieldNormalization(nn.Module):
    """Batch normalization that treats the eight poses of a field alike.

    Parameters
    ----------
    fields : int
        Number of fields.
    """

    def __init__(self, fields: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(fields)

    def forward(self, fields: Tensor) -> Tensor:
        """Normalize (B, 8 * fields, H, W)."""
        batch, channels, height, width = fields.shape
        # with channels last, poses can be seen as columns without moving any data:
        # (B, H, W, 8 * C) = (B, H, W * 8, C)
        columns = fields.permute(0, 2, 3, 1).reshape(
            batch, height, width * GROUP_ORDER, channels // GROUP_ORDER
        )
        normalized: Tensor = self.norm(columns.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        return normalized.reshape(batch, height, width, channels).permute(0, 3, 1, 2)


def symmetric_pooling(fields: Tensor) -> Tensor:
    """Halve the size by averaging, so that no side of the image is preferred.

    Parameters
    ----------
    fields : Tensor, shape (B, C, H, W)
        Square maps.

    Returns
    -------
    Tensor, shape (B, C, H // 2, W // 2)
        Windows of 2 for even sizes, of 3 for odd ones.
    """
    if min(fields.shape[-2:]) < 2:
        return fields
    return F.avg_pool2d(fields, 2 + fields.shape[-1] % 2, stride=2)
