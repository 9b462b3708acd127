"""From images to patch tokens: one convolution, or a small convolutional stem."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from darkarcs.errors import ModelError


class PatchEmbedding(nn.Module):
    """Cut an image into patches and project each to a token.

    Parameters
    ----------
    patch_size : int, pixels
        Side of a patch.
    in_channels : int
        Of the images.
    width : int
        Size of a token.

    Examples
    --------
    >>> import torch
    >>> PatchEmbedding(8, 1, 32)(torch.zeros(2, 1, 32, 48)).shape
    torch.Size([2, 32, 4, 6])
    """

    overlaps = False

    def __init__(self, patch_size: int, in_channels: int, width: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(in_channels, width, kernel_size=patch_size, stride=patch_size)

    def forward(self, images: Tensor) -> Tensor:
        """Embed images (B, C, H, W) as (B, D, H / patch, W / patch)."""
        embedded: Tensor = self.proj(images)
        return embedded


class ConvolutionalStem(nn.Module):
    """A few small strided convolutions in place of one large one.

    Early convolutions make small transformers train well from scratch on few images. The
    strides are the prime factors of the patch size: 8 = 2·2·2, 12 = 2·2·3, 16 = 2·2·2·2.
    Neighbouring patches see some of each other's pixels (``overlaps``).

    Parameters
    ----------
    patch_size : int, pixels
        Total stride.
    in_channels : int
        Of the images.
    width : int
        Size of a token.
    stem_width : int
        Channels after the first convolution; they double at each further one, up to the
        token's size.
    stem_blocks : sequence of int, default ()
        Residual blocks after each strided convolution but the last; the list may be shorter.

    Raises
    ------
    ModelError
        If the patch size has a prime factor above 7.

    References
    ----------
    Xiao et al. 2021, "Early convolutions help transformers see better", arXiv 2106.14881.

    Examples
    --------
    >>> import torch
    >>> ConvolutionalStem(12, 1, 64, 16)(torch.zeros(2, 1, 96, 96)).shape
    torch.Size([2, 64, 8, 8])
    """

    overlaps = True

    def __init__(
        self,
        patch_size: int,
        in_channels: int,
        width: int,
        stem_width: int,
        stem_blocks: Sequence[int] = (),
    ) -> None:
        super().__init__()
        strides = stem_strides(patch_size)
        widths = [min(stem_width * 2**index, width) for index in range(len(strides) - 1)]
        layers: list[nn.Module] = []
        channels = in_channels
        blocks = [*stem_blocks, *[0] * len(widths)]
        for stride, out_channels, num_blocks in zip(strides, widths, blocks, strict=False):
            layers += [
                _reducing_convolution(channels, out_channels, stride, bias=False),
                nn.BatchNorm2d(out_channels),
                nn.GELU(),
                *(ResidualBlock(out_channels) for _ in range(num_blocks)),
            ]
            channels = out_channels
        self.stem = nn.Sequential(*layers)
        self.proj = _reducing_convolution(channels, width, strides[-1], bias=True)

    def forward(self, images: Tensor) -> Tensor:
        """Embed images (B, C, H, W) as (B, D, H / patch, W / patch)."""
        embedded: Tensor = self.proj(self.stem(images))
        return embedded


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions beside the identity.

    Parameters
    ----------
    channels : int
        In and out.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels)

    def forward(self, features: Tensor) -> Tensor:
        """Map (B, C, H, W) to the same shape."""
        hidden = nn.functional.gelu(self.norm1(self.conv1(features)))
        return nn.functional.gelu(features + self.norm2(self.conv2(hidden)))


def stem_strides(patch_size: int) -> Sequence[int]:
    """Factor a patch size into the strides of a stem, small ones first.

    Parameters
    ----------
    patch_size : int, pixels
        Total stride, at least 2.

    Returns
    -------
    sequence of int
        Prime factors, ascending.

    Raises
    ------
    ModelError
        If a prime factor is above 7.

    Examples
    --------
    >>> stem_strides(12), stem_strides(15)
    ([2, 2, 3], [3, 5])
    """
    factors: list[int] = []
    rest = patch_size
    for prime in (2, 3, 5, 7):
        while rest > 1 and rest % prime == 0:
            factors.append(prime)
            rest //= prime
    if rest > 1 or not factors:
        raise ModelError(
            f"a convolutional stem cannot have patch_size {patch_size}: "
            "choose a product of 2, 3, 5 and 7, for example 8, 12 or 16"
        )
    return factors


def _reducing_convolution(
    in_channels: int, out_channels: int, stride: int, *, bias: bool
) -> nn.Conv2d:
    # kernel and padding such that a size that the stride divides is divided exactly
    padding = 1 if stride == 2 else 0
    kernel = max(3, stride)
    return nn.Conv2d(in_channels, out_channels, kernel, stride, padding, bias=bias)
