"""The axion files are read, and nothing that a pickle could call is ever called."""

from __future__ import annotations

import collections
import io
import math
import os
import pickle
import pickletools
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from darkarcs import data
from darkarcs.data.readers.decoding import BadFileError
from darkarcs.data.readers.restricted_pickle import read_image_and_mass
from darkarcs.errors import DataError

IMAGE = np.random.default_rng(0).gamma(2.0, size=(12, 12))


def object_array(*items: Any) -> np.ndarray[Any, Any]:
    array = np.empty(len(items), dtype=object)
    array[:] = items
    return array


def axion(image: Any = IMAGE, mass: Any = 1.3e-23) -> np.ndarray[Any, Any]:
    return object_array(image, mass)


def as_npy(content: bytes) -> bytes:
    """Put a pickle behind the header that np.save writes for an object array."""
    stream = io.BytesIO()
    header = {"descr": "|O", "fortran_order": False, "shape": (2,)}
    np.lib.format.write_array_header_1_0(stream, header)
    return stream.getvalue() + content


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize(
    "image",
    [
        IMAGE,
        IMAGE.astype(np.float32),
        np.arange(144).reshape(12, 12),
        np.asfortranarray(IMAGE),
        IMAGE.astype(">f8"),
        IMAGE[None],
        np.arange(144, dtype=np.uint8).reshape(12, 12),
    ],
)
def test_every_protocol_and_dtype_is_read_exactly(
    image: np.ndarray[Any, Any], protocol: int
) -> None:
    read, mass = read_image_and_mass(pickle.dumps(axion(image), protocol))
    assert np.array_equal(read, image)
    assert mass == 1.3e-23


@pytest.mark.parametrize(
    "mass", [2.5e-22, np.float64(2.5e-22), np.array(2.5e-22), np.array([2.5e-22])]
)
@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_every_form_of_the_mass_is_read(mass: Any, protocol: int) -> None:
    assert read_image_and_mass(pickle.dumps(axion(mass=mass), protocol))[1] == 2.5e-22


def test_names_of_old_numpy_are_known() -> None:
    modern = pickle.dumps(axion(), protocol=2)
    old = modern.replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
    assert old != modern
    assert np.array_equal(read_image_and_mass(old)[0], IMAGE)


def test_a_set_of_plain_and_pickled_files_opens(tmp_path: Path) -> None:
    for name in ("no_sub", "cdm", "axion"):
        (tmp_path / name).mkdir()
    for index in range(3):
        np.save(tmp_path / "no_sub" / f"{index}.npy", IMAGE + index)
        np.save(tmp_path / "cdm" / f"{index}.npy", IMAGE - 10 * (index + 1))
        np.save(tmp_path / "axion" / f"{index}.npy", axion(IMAGE * (2 + index), 1e-23 * index))
    lenses = data.open(tmp_path)
    assert lenses.class_counts() == {"no_sub": 3, "cdm": 3, "axion": 3}
    assert lenses.metadata["axion_mass"][:3].tolist() == [0.0, 1e-23, 2e-23]
    assert np.isnan(lenses.metadata["axion_mass"][3:]).all()
    assert np.array_equal(lenses.images[1, 0], (IMAGE * 3).astype(np.float32))
    assert lenses.manifest["file_dtypes"] == {"float64": 6, "object[float64]": 3}


def test_an_image_without_mass_has_mass_nan(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", object_array(IMAGE))
    assert math.isnan(data.open(tmp_path).metadata["axion_mass"][0])


class _Bomb:
    def __init__(self, function: Any, *arguments: Any) -> None:
        self.function, self.arguments = function, arguments

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return self.function, self.arguments


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize(
    ("function", "name"),
    [
        (os.system, "system"),
        (eval, "eval"),
        (getattr, "getattr"),
        (np.load, "load"),
        (np.memmap, "memmap"),
        (np.fromfile, "fromfile"),
        (collections.OrderedDict, "OrderedDict"),
    ],
)
def test_a_bomb_is_refused_by_name_and_does_not_fire(
    tmp_path: Path, protocol: int, function: Any, name: str
) -> None:
    mark = tmp_path / "fired"
    bomb = _Bomb(function, f"touch {mark}")
    (tmp_path / "set").mkdir()
    path = tmp_path / "set" / "bomb.npy"
    path.write_bytes(as_npy(pickle.dumps(axion(mass=bomb), protocol)))
    with pytest.raises(DataError, match=rf"bomb\.npy: is a pickle that asks for \S*\.{name},"):
        data.open(tmp_path / "set")
    assert not mark.exists()


def forged_dtype(order: str, flags: int) -> bytes:
    """A pickle of an object array whose dtype state claims other flags, its items raw bytes."""
    dtype = f"cnumpy\ndtype\n(S'O8'\nI0\nI1\ntR(I3\nS'{order}'\nNNNI-1\nI-1\nI{flags}\ntb"
    array = "cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR"
    return f"{array}(I1\n(I1\nt{dtype}I00\nS'AAAAAAAA'\ntb.".encode()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"cos\nsystem\n(S'true'\ntR.", "asks for os.system"),
        (b"(S'true'\nios\nsystem\n.", "opcode INST"),
        (b"\x80\x02\x8c\x02os\x8c\x06system\x93\x8c\x04true\x85R.", "asks for os.system"),
        (b"\x80\x02Pouter\n.", "opcode PERSID"),
        (b"\x80\x02K\x01Q.", "opcode BINPERSID"),
        (b"\x80\x02\x82\x01.", "opcode EXT1"),
        (b"\x80\x02cnumpy\ndtype\nX\x02\x00\x00\x00f8\x85\x81.", "opcode NEWOBJ"),
        (b"\x80\x05\x97.", "opcode NEXT_BUFFER"),
        (b"\x80\x02]r\xff\xff\xff\x7f.", "forged memo index"),
        (b"cnumpy\nndarray\n(I99\ntR.", "calls numpy.ndarray"),
        (b"cnumpy\nndarray\n}S'_call'\nI1\nsb.", "tries to change"),
        (b"cnumpy\nndarray\n(N}S'_call'\nI1\nstb.", "tries to change"),
        (b"cnumpy\ndtype\n(S'V8'\ntR.", "not a number's"),
        (b"cnumpy.core.multiarray\nscalar\n(cnumpy\ndtype\n(S'O8'\ntRI1\ntR.", "raw bytes"),
        (
            b"cnumpy.core.multiarray\nscalar\n(cnumpy\ndtype\n(S'O'\ntRS'AAAAAAAA'\ntR.",
            "Python obj",
        ),
        (b"c_codecs\nencode\n(S'x'\nS'rot13'\ntR.", "not raw bytes"),
        (b"", "truncated or damaged"),
        (b"garbage", "truncated or damaged"),
        (pickle.dumps(axion(), 4)[:200], "truncated or damaged"),
        (b"L" + b"9" * 4000 + b"L\n.", "truncated or damaged"),
    ],
)
def test_forged_pickles_are_refused(content: bytes, reason: str) -> None:
    with pytest.raises(BadFileError, match=reason):
        read_image_and_mass(content)


def test_raw_bytes_never_become_objects() -> None:
    """A dtype whose flags claim that an object array holds plain bytes is refused."""
    content = forged_dtype("|", flags=0)
    assert "BUILD" in [opcode.name for opcode, _, _ in pickletools.genops(content)]
    with pytest.raises(BadFileError, match="items do not fit"):
        read_image_and_mass(content)


@pytest.mark.parametrize(
    "items",
    [
        (),
        (1.0, 2.0),
        ("words", "more"),
        (IMAGE, IMAGE),
        (IMAGE, 1.0, 2.0),
        (IMAGE, "heavy"),
        (IMAGE, {"mass": 1.0}),
        (IMAGE, 10**400),
        ([[1.0, 2.0], [3.0, 4.0]], 1.0),
    ],
)
def test_other_object_arrays_are_refused(items: tuple[Any, ...]) -> None:
    with pytest.raises(BadFileError, match=r"something else|damaged"):
        read_image_and_mass(pickle.dumps(object_array(*items), 4))


def test_random_damage_is_refused_or_harmless() -> None:
    """Whatever bytes flip, the answer is an image or a BadFileError, nothing else."""
    generator = np.random.default_rng(5)
    refused = 0
    for protocol in (0, 2, 4, 5):
        content = pickle.dumps(axion(IMAGE[:4, :4]), protocol)
        for _ in range(300):
            forged = bytearray(content)
            for position in generator.integers(0, len(forged), 3):
                forged[position] = generator.integers(0, 256)
            try:
                image, mass = read_image_and_mass(bytes(forged))
            except BadFileError:
                refused += 1
            else:
                assert isinstance(image, np.ndarray)
                assert image.dtype.kind in "biuf"
                assert isinstance(mass, float)
    assert refused > 300


def test_sizes_in_a_pickle_reserve_no_memory() -> None:
    content = b"\x80\x04\x8e" + struct.pack("<Q", 2**40) + b"."
    with pytest.raises(BadFileError, match="truncated or damaged"):
        read_image_and_mass(content)
