"""NumPy's ``.npz``: a stack of images with columns, or a single image."""

from __future__ import annotations

import io
import zipfile
import zlib
from typing import BinaryIO

from darkarcs.data.readers.containers import MAX_MEMBER_BYTES
from darkarcs.data.readers.decoding import FORMATS, BadFileError, Decoded, Format
from darkarcs.data.readers.numpy_array import read_array
from darkarcs.data.readers.tables import IMAGE_KEYS, decode_table


def _decode(stream: BinaryIO) -> Decoded:
    try:
        with zipfile.ZipFile(stream) as archive:
            members = {
                name.removesuffix(".npy"): archive.getinfo(name)
                for name in archive.namelist()
                if name.endswith(".npy")
            }
            if not members:
                raise BadFileError("is a zip archive inside the set: open it by itself")
            if sum(member.file_size for member in members.values()) > MAX_MEMBER_BYTES:
                raise BadFileError("is too large")
            arrays = {
                name: read_array(io.BytesIO(archive.read(member)))
                for name, member in members.items()
            }
    except (zipfile.BadZipFile, OSError, EOFError, zlib.error, NotImplementedError) as error:
        raise BadFileError(f"is a truncated or damaged .npz ({error})") from None
    except RuntimeError:
        raise BadFileError("is encrypted") from None
    if len(arrays) == 1 and not set(arrays) & set(IMAGE_KEYS):
        arrays = {"image": next(iter(arrays.values()))}
    return decode_table(arrays)


FORMATS.register("npz")(Format("npz", lambda head: head.startswith(b"PK\x03\x04"), _decode))
