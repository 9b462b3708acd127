"""Images and attention maps as small PNG pictures inside a page."""

from __future__ import annotations

import base64
import io

import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray
from PIL import Image

#: Side of a picture in pixels; the page may show it smaller.
PICTURE_SIZE = 176

_PERCENTILES = (0.5, 99.7)


def image_picture(image: NDArray[np.float32]) -> str:
    """Draw an image: three channels in colour, else the first channel in a perceptual map.

    Parameters
    ----------
    image : NDArray of float32, shape (C, H, W)
        Any range; stretched between two percentiles of its own.

    Returns
    -------
    str
        A ``data:`` address of a PNG.
    """
    return _png(_coloured(image))


def attention_picture(image: NDArray[np.float32], attention: NDArray[np.float32]) -> str:
    """Draw an attention map over its image, which is drawn in grey.

    Parameters
    ----------
    image : NDArray of float32, shape (C, H, W)
        Any range.
    attention : NDArray of float32, shape (g, g)
        Any range; stretched to its own.

    Returns
    -------
    str
        A ``data:`` address of a PNG.
    """
    grey = np.asarray(_resized(_coloured(image)).convert("L"), dtype=np.float64) / 255
    low, high = float(np.nanmin(attention)), float(np.nanmax(attention))
    level = np.nan_to_num((attention - low) / (high - low) if high > low else attention * 0)
    mask = Image.fromarray((255 * level).astype(np.uint8))
    smooth = mask.resize((PICTURE_SIZE, PICTURE_SIZE), Image.Resampling.BILINEAR)
    strength = np.asarray(smooth, dtype=np.float64) / 255
    heat = mpl.colormaps["inferno"](strength)[..., :3]
    # Where the model does not look, the image shows dimly; where it looks, the heat covers it.
    opacity = (0.15 + 0.55 * strength)[..., None]
    mixed = (1 - opacity) * (0.8 * grey[..., None]) + opacity * heat
    return _png(Image.fromarray((255 * mixed).round().astype(np.uint8)))


def _coloured(image: NDArray[np.float32]) -> Image.Image:
    shown = image[:3] if len(image) >= 3 else image[:1]
    finite = shown[np.isfinite(shown)]
    low, high = np.percentile(finite, _PERCENTILES) if finite.size else (0.0, 1.0)
    span = high - low if high > low else 1.0
    level = np.clip(np.nan_to_num((shown - low) / span), 0, 1)
    if len(level) == 3:
        return Image.fromarray((255 * level.transpose(1, 2, 0)).round().astype(np.uint8))
    mapped = mpl.colormaps["cividis"](level[0])[..., :3]
    return Image.fromarray((255 * mapped).round().astype(np.uint8))


def _resized(picture: Image.Image) -> Image.Image:
    size = (PICTURE_SIZE, PICTURE_SIZE)
    return picture.resize(size, Image.Resampling.BICUBIC)


def _png(picture: Image.Image) -> str:
    stream = io.BytesIO()
    # 128 colours are enough for a thumbnail and a third of the bytes.
    reduced = _resized(picture).quantize(128, dither=Image.Dither.NONE)
    reduced.save(stream, format="PNG", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(stream.getvalue()).decode()}"
