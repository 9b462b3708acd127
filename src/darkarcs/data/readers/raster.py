"""Pictures: JPEG, PNG, TIFF and the like, through Pillow."""

from __future__ import annotations

from typing import BinaryIO

import numpy as np
from PIL import Image, UnidentifiedImageError

from darkarcs.data.readers.decoding import FORMATS, BadFileError, Decoded, Format, as_stack

_MAGICS = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8", b"BM", b"II*\x00", b"MM\x00*")
_MAX_PIXELS = 2**26

# Pillow's modes to the ones kept; what is missing here (transparency, palettes, CMYK) becomes RGB.
_KEPT_MODES = {"L", "RGB", "I", "F", "I;16", "I;16B", "I;16L"}
_GREY_MODES = {"1": "L", "LA": "L", "La": "L"}


def _recognises(head: bytes) -> bool:
    return head.startswith(_MAGICS) or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")


def _decode(stream: BinaryIO) -> Decoded:
    """Decode a picture; grey stays one channel, colour is RGB, values are unchanged."""
    try:
        with Image.open(stream) as picture:
            if picture.width * picture.height > _MAX_PIXELS:
                raise BadFileError(f"has {picture.width}x{picture.height} pixels, too many")
            picture.load()
            mode = picture.mode
            if mode not in _KEPT_MODES:
                pixels = np.asarray(picture.convert(_GREY_MODES.get(mode, "RGB")))
            else:
                pixels = np.asarray(picture)
    except UnidentifiedImageError:
        raise BadFileError("is not a readable image (only its first bytes look like one)") from None
    except BadFileError:
        raise
    except Exception as error:  # Pillow's plug-ins raise many kinds on damaged files
        reason = "truncated" if "truncated" in str(error).lower() else "damaged"
        raise BadFileError(f"is a {reason} image ({str(error).splitlines()[0]})") from None
    return Decoded(as_stack(pixels), dtype=str(pixels.dtype))


FORMATS.register("picture")(Format("picture", _recognises, _decode))
