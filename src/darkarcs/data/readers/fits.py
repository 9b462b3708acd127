"""FITS: the science image of a file, with its pixel scale."""

from __future__ import annotations

import math
import threading
import warnings
from typing import BinaryIO

import numpy as np
from astropy.io import fits
from astropy.utils.exceptions import AstropyWarning

from darkarcs.data.readers.decoding import FORMATS, BadFileError, Decoded, Format, as_stack

_SCALE_KEYWORDS = ("PIXSCALE", "PIXSCAL", "PIXELSCL", "PIXSCAL1", "D001SCAL", "SECPIX")
_ARCSEC_PER_DEGREE = 3600.0
#: Names of extensions that say how good pixels are, and not how bright.
_NO_SCIENCE = {"WHT", "WEIGHT", "ERR", "ERROR", "RMS", "SIGMA", "VAR", "VARIANCE", "IVAR", "IVM"}
_NO_SCIENCE |= {"DQ", "MASK", "FLAGS", "CTX", "CON", "EXP", "PSF"}
_FILTERS = threading.Lock()


def pixel_scale_of(header: fits.Header) -> float | None:
    """Read the pixel scale off a header.

    A keyword that states it comes first; else it is the square root of the determinant of the
    celestial part of the CD matrix, or of CDELT (times PC), which is the side of a square of
    a pixel's area.

    Parameters
    ----------
    header : astropy.io.fits.Header
        Of the image.

    Returns
    -------
    float or None
        Arcsec per pixel; None if the header does not tell, or tells a scale between 1e-4 and
        60 arcsec nowhere.

    References
    ----------
    Greisen & Calabretta 2002, A&A 395, 1061, equations 1 and 3.
    """
    for keyword in _SCALE_KEYWORDS:
        scale = _plausible(header.get(keyword))
        if scale is not None:
            return scale
    if "CD1_1" in header or "CD2_2" in header or "CD1_2" in header:
        cd = [float(header.get(f"CD{i}_{j}", 0.0)) for i in (1, 2) for j in (1, 2)]
        return _plausible(math.sqrt(abs(cd[0] * cd[3] - cd[1] * cd[2])) * _ARCSEC_PER_DEGREE)
    if "CDELT1" in header and "CDELT2" in header and "CTYPE1" in header:
        pc = [float(header.get(f"PC{i}_{j}", float(i == j))) for i in (1, 2) for j in (1, 2)]
        area = header["CDELT1"] * header["CDELT2"] * (pc[0] * pc[3] - pc[1] * pc[2])
        return _plausible(math.sqrt(abs(area)) * _ARCSEC_PER_DEGREE)
    return None


def _plausible(value: object) -> float | None:
    if isinstance(value, int | float) and 1e-4 < float(value) < 60:
        return round(float(value), 9)  # the determinant's last digits are noise
    return None


def _decode(stream: BinaryIO) -> Decoded:
    try:
        # Filters of warnings belong to the process, not to a thread: one thread at a time.
        with _FILTERS, warnings.catch_warnings():
            # Headers in the wild are full of trifles; what matters is whether pixels come out.
            warnings.simplefilter("ignore", AstropyWarning)
            return _image(stream)
    except BadFileError:
        raise
    except Exception as error:  # astropy raises many kinds on damaged files
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise BadFileError(f"is a truncated or damaged FITS file ({reason})") from None


def _image(stream: BinaryIO) -> Decoded:
    """Take the science image: the one that is named so, or the only one that is no weight map."""
    with fits.open(stream, memmap=False) as hdus:
        found = [
            hdu
            for hdu in hdus
            if hdu.is_image and hdu.header.get("NAXIS", 0) in (2, 3) and hdu.data is not None
        ]
        if not found:
            raise BadFileError("has no two- or three-dimensional image")
        named = [hdu for hdu in found if hdu.name.upper() == "SCI"]
        others = [hdu for hdu in found if hdu.name.upper() not in _NO_SCIENCE]
        chosen = (named or others or found)[0]
        alike = [hdu for hdu in others if hdu.data.shape == chosen.data.shape]
        if not named and len(alike) > 1:
            names = ", ".join(hdu.name or "without a name" for hdu in alike)
            raise BadFileError(
                f"holds {len(alike)} images of one shape ({names}): name the one that is meant "
                "SCI, or keep it alone"
            )
        pixels = np.asarray(chosen.data)
        native = pixels.astype(pixels.dtype.newbyteorder("="), copy=False)
        scale = pixel_scale_of(chosen.header) or pixel_scale_of(hdus[0].header)
        return Decoded(as_stack(native), str(native.dtype), pixel_scale=scale)


FORMATS.register("fits")(Format("fits", lambda head: head.startswith(b"SIMPLE  ="), _decode))
