"""From an image as stored to what a model sees: a fixed order, replayable with NumPy alone.

1. Crop or pad about the centre; padding takes the median of the image's border.
2. Resize by antialiased bilinear interpolation.
3. Scale: subtract the background (median of the border) and divide by the brightness
   (99.9th percentile above it), so that the sky is near 0 and the arcs near 1.
4. Stretch: an odd, increasing function with 0 -> 0 and 1 -> 1, so that pixels below the
   background, which noise makes negative, are as well defined as those above.
5. Normalize: subtract a mean and divide by a standard deviation.

With ``normalization="per_image"`` the constants of steps 3 and 5 are the image's own, so
that its units do not matter; otherwise they belong to the training images. A model that wants
three channels of a one-channel image repeats them itself.
"""

from __future__ import annotations

import math
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from darkarcs.configuration import Configuration
from darkarcs.data.lens_images import LensImages
from darkarcs.data.resampling import border_median, centre_crop, resize, resize_weights
from darkarcs.data.stretching import Stretch, brightness, stretch
from darkarcs.errors import DataError

#: Images that the constants are fitted on at most; more do not change them in the third digit.
MAX_FITTED = 4096
#: Images taken at a time: large enough for NumPy, small enough for the cache to help.
CHUNK = 64
#: Of a crop much larger than the image nothing but padding would be seen.
MAX_PADDING = 4.0


class Preprocessing(Configuration):
    """What a recipe says about preprocessing; `fit` finds the constants.

    Attributes
    ----------
    crop_pixels : int, optional
        Side of the centre crop (or pad) in pixels.
    crop_arcsec : float, optional
        The same in arcsec; needs images with a pixel scale. Exact to a fraction of a pixel
        when ``size`` is set, rounded to a pixel otherwise.
    size : int, optional
        Side in pixels after resizing; not resized by default.
    stretch : {"linear", "sqrt", "asinh", "log"}
        See `darkarcs.data.stretching.stretch`.
    stretch_softening : float
        In units of the brightness (step 3 of the module's list).
    normalization : {"per_image", "data_set", "none"}
        Whose mean and standard deviation; ``none`` leaves the stretched image.

    Examples
    --------
    >>> Preprocessing(crop_pixels=96, crop_arcsec=5.0)
    Traceback (most recent call last):
        ...
    pydantic_core._pydantic_core.ValidationError: ...
    """

    crop_pixels: int | None = Field(default=None, ge=1)
    crop_arcsec: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    size: int | None = Field(default=None, ge=1)
    stretch: Stretch = "asinh"
    stretch_softening: float = Field(default=0.1, gt=0, allow_inf_nan=False)
    normalization: Literal["per_image", "data_set", "none"] = "data_set"

    @model_validator(mode="after")
    def _one_crop(self) -> Self:
        if self.crop_pixels is not None and self.crop_arcsec is not None:
            raise ValueError("set crop_pixels or crop_arcsec, not both")
        return self

    def fit(self, images: LensImages) -> FittedPreprocessing:
        """Find the constants, from the training images only.

        At most `MAX_FITTED` images are looked at, those first in the order of their identity:
        a random sample that does not depend on the order or the names of the files.

        Parameters
        ----------
        images : LensImages
            The training images.

        Returns
        -------
        FittedPreprocessing
            The settings with their constants.

        Raises
        ------
        DataError
            If there are no images, a crop in arcsec meets images without a pixel scale, or
            images that are not square were to be resized to a square.
        """
        if len(images) == 0:
            raise DataError("preprocessing cannot be fitted: there are no training images")
        order = np.argsort(images.metadata["identity"], kind="stable")[:MAX_FITTED]
        sample = images.images[order]
        crop = self._crop(sample.shape, images.pixel_scale)
        if max(crop[0] / sample.shape[2], crop[1] / sample.shape[3]) > MAX_PADDING:
            raise DataError(
                f"a field of view of {crop[0]:.0f} x {crop[1]:.0f} pixels would pad images of "
                f"{sample.shape[2]} x {sample.shape[3]}: crop less"
            )
        size = self.size
        channels = sample.shape[1]
        fitted = FittedPreprocessing(
            settings=self,
            channels=channels,
            height=round(crop[0]) if size is None else size,
            width=round(crop[1]) if size is None else size,
            input_height=sample.shape[2],
            input_width=sample.shape[3],
            crop_height=crop[0],
            crop_width=crop[1],
            pixel_scale=images.pixel_scale,
            background=(0.0,) * channels,
            scale=(1.0,) * channels,
            mean=(0.0,) * channels,
            std=(1.0,) * channels,
        )
        return fitted._with_constants(sample)

    def _crop(self, shape: tuple[int, ...], pixel_scale: float | None) -> tuple[float, float]:
        height, width = shape[-2:]
        if self.crop_pixels is not None:
            return float(self.crop_pixels), float(self.crop_pixels)
        if self.crop_arcsec is not None:
            if pixel_scale is None:
                raise DataError(
                    f"crop_arcsec = {self.crop_arcsec} needs images with a known pixel scale: "
                    "give the pixel scale or use crop_pixels"
                )
            side = _snap(self.crop_arcsec / pixel_scale)
            side = side if self.size is not None else float(max(1, round(side)))
            return side, side
        if self.size is not None and height != width:
            raise DataError(
                f"images of {height} x {width} pixels are not square and cannot be resized to "
                f"{self.size} x {self.size}: set crop_pixels (for example {min(height, width)})"
            )
        return float(height), float(width)


class FittedPreprocessing(Configuration):
    """Preprocessing with its constants: all that inference needs, as plain JSON.

    Attributes
    ----------
    settings : Preprocessing
        What the recipe said.
    channels, height, width : int
        Of the output.
    input_height, input_width : int, pixels
        Of the training images as stored.
    crop_height, crop_width : float, pixels of the training images
        Field of view that is kept.
    pixel_scale : float or None, arcsec per pixel
        Of the training images as stored.
    background, scale : tuple of float, one a channel
        Constants of step 3, in the units of the training images.
    mean, std : tuple of float, one a channel
        Constants of step 5.
    """

    settings: Preprocessing
    channels: int = Field(ge=1)
    height: int = Field(ge=1)
    width: int = Field(ge=1)
    input_height: int = Field(ge=1)
    input_width: int = Field(ge=1)
    crop_height: float = Field(gt=0)
    crop_width: float = Field(gt=0)
    pixel_scale: float | None
    background: tuple[float, ...]
    scale: tuple[float, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def apply(
        self, images: NDArray[np.generic], pixel_scale: float | None = None
    ) -> NDArray[np.float32]:
        """Preprocess images with NumPy alone.

        An image's result does not depend on the images beside it. Images of another pixel
        scale than the training images are brought to the same field of view in arcsec, if
        both scales are known; images of another size are cropped or padded to it.

        Parameters
        ----------
        images : ndarray, shape (N, C, H, W)
            As stored, in the units of the training images, any real dtype.
        pixel_scale : float, optional, arcsec per pixel
            Of these images; that of the training images by default.

        Returns
        -------
        ndarray, shape (N, C, height, width)
            What the model sees, float32.

        Raises
        ------
        DataError
            If the shape or the number of channels does not fit, the size differs and nothing
            says how to crop, or an image holds pixels that are not finite.
        """
        extents = self._extents(images.shape, pixel_scale)
        output = np.empty((len(images), self.channels, self.height, self.width), np.float32)
        finite = np.ones(len(images), dtype=bool)
        # what is not finite is reported below, by number, not warned about
        with _many_small_products(), np.errstate(invalid="ignore", over="ignore"):
            for first in range(0, len(images), CHUNK):
                chunk = slice(first, first + CHUNK)
                output[chunk] = self._normalize(self._stretch(self._place(images[chunk], extents)))
                finite[chunk] = np.isfinite(output[chunk]).all(axis=(1, 2, 3))
        bad = np.flatnonzero(~finite)
        if len(bad):
            listed = ", ".join(map(str, bad[:5])) + (", ..." if len(bad) > 5 else "")
            raise DataError(f"{len(bad)} images hold pixels that are not finite: number {listed}")
        return output

    def _extents(self, shape: tuple[int, ...], pixel_scale: float | None) -> tuple[float, float]:
        """Find the field of view to keep, in pixels of the images at hand."""
        if len(shape) != 4 or 0 in shape[1:]:
            raise DataError(f"images must have shape (N, C, H, W), not {shape}")
        if shape[1] != self.channels:
            raise DataError(
                f"images have {shape[1]} channels; the model was trained on {self.channels}"
            )
        if pixel_scale is not None and not (math.isfinite(pixel_scale) and pixel_scale > 0):
            raise DataError(f"pixel scale {pixel_scale} is not a positive number of arcsec")
        known = pixel_scale is not None and self.pixel_scale is not None
        ratio = self.pixel_scale / pixel_scale if pixel_scale and self.pixel_scale else 1.0
        cropped = self.settings.crop_pixels is not None or self.settings.crop_arcsec is not None
        if not (known or cropped) and shape[2:] != (self.input_height, self.input_width):
            raise DataError(
                f"images have {shape[2]} x {shape[3]} pixels, the model was trained on "
                f"{self.input_height} x {self.input_width}: give the pixel scale of both, or "
                "train with crop_arcsec or crop_pixels"
            )
        extents = _snap(self.crop_height * ratio), _snap(self.crop_width * ratio)
        for extent, length in zip(extents, shape[2:], strict=True):
            if extent > MAX_PADDING * length:
                raise DataError(
                    f"images of {shape[2]} x {shape[3]} pixels would be padded to "
                    f"{extents[0]:.0f} x {extents[1]:.0f}, the field of view that the model was "
                    "trained on: check the pixel scale"
                )
        return extents

    def _place(
        self, images: NDArray[np.generic], extents: tuple[float, float]
    ) -> NDArray[np.float32]:
        """Crop or pad, then resize (steps 1 and 2)."""
        floats = images.astype(np.float32)
        if extents[0] == self.height and extents[1] == self.width:
            return centre_crop(floats, self.height, self.width)
        frame = _frame(extents[0], images.shape[2]), _frame(extents[1], images.shape[3])
        rows, columns = (
            resize_weights(length, new, start=(length - extent) / 2, extent=extent)
            for length, new, extent in zip(frame, (self.height, self.width), extents, strict=True)
        )
        return resize(centre_crop(floats, *frame), rows, columns)

    def _stretch(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Scale to the unit range and stretch (steps 3 and 4)."""
        if self.settings.normalization == "per_image":
            background = border_median(images)
            # one brightness for all channels, so that colours survive
            scale = brightness(images - background).max(axis=1, keepdims=True)[..., None, None]
        else:
            background, scale = _columns(self.background), _columns(self.scale)
        return stretch(
            (images - background) / scale,
            self.settings.stretch,
            self.settings.stretch_softening,
        )

    def _normalize(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        """Subtract the mean and divide by the standard deviation (step 5)."""
        if self.settings.normalization == "none":
            return images
        if self.settings.normalization == "data_set":
            normalized: NDArray[np.float32] = (images - _columns(self.mean)) / _columns(self.std)
            return normalized
        mean = images.mean(axis=(1, 2, 3), keepdims=True, dtype=np.float64)
        std = images.std(axis=(1, 2, 3), keepdims=True, dtype=np.float64)
        own: NDArray[np.float64] = (images - mean) / np.maximum(std, 1e-6)
        return own.astype(np.float32)

    def _with_constants(self, sample: NDArray[np.float32]) -> FittedPreprocessing:
        """Fit the constants of steps 3 and 5 on images as stored."""
        extents = self.crop_height, self.crop_width
        chunks = [slice(first, first + CHUNK) for first in range(0, len(sample), CHUNK)]
        with _many_small_products(), np.errstate(invalid="ignore", over="ignore"):
            placed = np.concatenate([self._place(sample[chunk], extents) for chunk in chunks])
        if not np.isfinite(placed.sum(dtype=np.float64)):
            raise DataError("training images hold pixels that are not finite")
        background = np.median(border_median(placed)[..., 0, 0], axis=0)
        above = placed - background[:, None, None]
        scale = np.median(np.concatenate([brightness(above[chunk]) for chunk in chunks]), axis=0)
        scaled = self.model_copy(
            update={"background": _floats(background), "scale": _floats(scale)}
        )
        sums = np.zeros((2, self.channels))
        for chunk in chunks:
            stretched = scaled._stretch(placed[chunk]).astype(np.float64)
            sums += [stretched.sum(axis=(0, 2, 3)), (stretched**2).sum(axis=(0, 2, 3))]
        mean, square = sums / (placed.size / self.channels)
        std = np.sqrt(np.maximum(square - mean**2, 0.0))
        return scaled.model_copy(
            update={"mean": _floats(mean), "std": _floats(np.maximum(std, 1e-6))}
        )


def _many_small_products() -> threadpool_limits:
    """Keep BLAS to one thread: for products this small, waiting threads cost tenfold."""
    return threadpool_limits(limits=1, user_api="blas")


def _frame(extent: float, length: int) -> int:
    """Whole pixels that hold an extent and share the centre of ``length`` pixels."""
    frame = math.ceil(extent)
    return frame + (frame - length) % 2


def _snap(extent: float) -> float:
    """Undo the rounding of arcsec over arcsec per pixel, lest it cost an interpolation."""
    return float(round(extent)) if abs(extent - round(extent)) < 1e-6 * extent else extent


def _columns(constants: tuple[float, ...]) -> NDArray[np.float32]:
    return np.asarray(constants, dtype=np.float32)[:, None, None]


def _floats(values: NDArray[np.floating]) -> tuple[float, ...]:
    return tuple(float(value) for value in values)
