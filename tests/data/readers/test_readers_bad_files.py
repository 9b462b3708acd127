"""Everything that can be wrong with files is told at once, by name and reason."""

from __future__ import annotations

import gzip
import io
import os
import pickle
import re
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
from astropy.io import fits
from PIL import Image

from darkarcs import data
from darkarcs.errors import DataError

GOOD = np.random.default_rng(0).random((4, 16, 16))


def npy(array: np.ndarray) -> bytes:  # type: ignore[type-arg]
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def picture(kind: str = "JPEG") -> bytes:
    stream = io.BytesIO()
    Image.fromarray((GOOD[0] * 255).astype(np.uint8)).save(stream, kind)
    return stream.getvalue()


def fits_file() -> bytes:
    stream = io.BytesIO()
    fits.PrimaryHDU(np.repeat(GOOD, 8, axis=2)[0]).writeto(stream)
    return stream.getvalue()


def hdf5_file() -> bytes:
    stream = io.BytesIO()
    with h5py.File(stream, "w") as file:
        file["images"] = GOOD
    return stream.getvalue()


def npz_file() -> bytes:
    stream = io.BytesIO()
    np.savez(stream, wrong=GOOD, other=GOOD)
    return stream.getvalue()


class Bomb:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch fired",)


def bomb() -> bytes:
    array = np.empty(2, dtype=object)
    array[:] = [GOOD[0], Bomb()]
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=True)
    return stream.getvalue()


def with_nan() -> bytes:
    image = GOOD[0].copy()
    image[3, 3:5] = np.nan, np.inf
    return npy(image)


def archive() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as file:
        file.writestr("sub/1.jpg", picture())
    return stream.getvalue()


BAD = {
    "bomb.npy": (bomb(), r"is a pickle that asks for posix\.system, which no image needs"),
    "truncated.npy": (npy(GOOD[0])[:-100], r"is truncated: 1948 of 2048 bytes of values"),
    "header.npy": (npy(GOOD[0])[:40], r"has a damaged \.npy header"),
    "structured.npy": (npy(np.zeros(4, "f4,i4")), r"holds a structured array"),
    "words.npy": (npy(np.array([["a", "b"], ["c", "d"]])), r"dtype <U1, not real numbers"),
    "complex.npy": (npy(GOOD[0] * 1j), r"dtype complex128, not real numbers"),
    "vector.npy": (npy(GOOD[0, 0]), r"has shape \(16,\), which is not an image"),
    "five.npy": (npy(GOOD.reshape(2, 2, 4, 4, 16)), r"has shape \(2, 2, 4, 4, 16\)"),
    "other_shape.npy": (
        npy(GOOD[0, :9]),
        r"has shape \(1, 9, 16\), most images have \(1, 16, 16\)",
    ),
    "nan.npy": (with_nan(), r"2 of its 256 values are NaN or infinite"),
    "overflow.npy": (npy(GOOD[0] * 1e300), r"values are NaN or infinite"),
    "constant.npy": (npy(np.full((16, 16), 7.0)), r"is constant: every value is 7"),
    "truncated.jpg": (picture()[:200], r"is a truncated image"),
    "truncated.png": (picture("PNG")[:120], r"is a (truncated|damaged) image"),
    "fake.jpg": (b"\xff\xd8\xff" + b"nonsense" * 9, r"is not a readable image"),
    "text.jpg": (b"I am a text", r"is not an image .* begins with b'I am a t'"),
    "empty.jpg": (b"", r"is empty \(0 bytes\)"),
    "truncated.fits": (fits_file()[:4000], r"is a truncated or damaged FITS file"),
    "empty.fits": (
        fits_file()[:2880].replace(
            b"NAXIS   =                    2", b"NAXIS   =                    0"
        ),
        r"FITS|has no two",
    ),
    "truncated.h5": (hdf5_file()[:3000], r"is a truncated or damaged HDF5 file"),
    "wrong.npz": (npz_file(), r"has no array named images, image, data"),
    "truncated.npz": (npz_file()[:500], r"is a truncated or damaged \.npz"),
    "archive.zip": (archive(), r"is a zip archive inside the set"),
    "truncated.fits.gz": (gzip.compress(fits_file())[:900], r"truncated or damaged gzip"),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for index in range(4):
        np.save(tmp_path / f"good_{index}.npy", GOOD[index])
    return tmp_path


@pytest.mark.parametrize("name", BAD)
def test_each_kind_of_bad_file_gets_its_line(
    folder: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    content, reason = BAD[name]
    monkeypatch.chdir(folder)
    (folder / name).write_bytes(content)
    with pytest.raises(DataError) as caught:
        data.open(folder)
    head, line = str(caught.value).splitlines()
    assert head == f"{folder}: 1 of 5 images cannot be used; go on without them by --skip-bad:"
    assert line.startswith(f"  {name}: ")
    assert re.search(reason, line)
    assert not (folder / "fired").exists()
    lenses = data.open(folder, skip_bad=True)
    assert len(lenses) == 4
    assert [entry["name"] for entry in lenses.manifest["skipped"]] == [name]


def test_all_are_told_at_once_and_the_list_is_capped(folder: Path) -> None:
    for name, (content, _) in BAD.items():
        (folder / name).write_bytes(content)
    with pytest.raises(DataError) as caught:
        data.open(folder)
    lines = str(caught.value).splitlines()
    assert lines[0].endswith(
        f"{len(BAD)} of {len(BAD) + 4} images cannot be used; go on without them by --skip-bad:"
    )
    assert len(lines) == 22
    assert lines[-1] == f"  and {len(BAD) - 20} more"
    assert len(data.open(folder, skip_bad=True).manifest["skipped"]) == len(BAD)


def test_one_bad_image_of_a_stack_is_named(tmp_path: Path) -> None:
    stack = GOOD.copy()
    stack[2] = 0
    np.savez(tmp_path / "stack.npz", images=stack)
    with pytest.raises(DataError, match=r"stack\.npz#2: is constant"):
        data.open(tmp_path / "stack.npz")
    assert len(data.open(tmp_path / "stack.npz", skip_bad=True)) == 3


def test_an_image_beside_the_class_folders_is_told(folder: Path) -> None:
    (folder / "sub").mkdir()
    (folder / "good_0.npy").rename(folder / "sub" / "0.npy")
    with pytest.raises(DataError, match=r"good_1\.npy: lies in no class folder"):
        data.open(folder)
    assert data.open(folder, skip_bad=True).class_counts() == {"sub": 1}


def test_an_unreadable_file_is_told(folder: Path) -> None:
    (folder / "gone.npy").symlink_to(folder / "nowhere")
    with pytest.raises(DataError, match=r"gone\.npy: cannot be read \(No such file"):
        data.open(folder)


def test_nothing_usable_is_an_error_even_when_skipping(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(b"text")
    with pytest.raises(DataError, match=r"none of the 1 images can be used:\n  a\.jpg: is not"):
        data.open(tmp_path, skip_bad=True)


def test_no_images_no_path_no_scheme(tmp_path: Path) -> None:
    (tmp_path / "README").write_text("words")
    with pytest.raises(DataError, match="no images found"):
        data.open(tmp_path)
    with pytest.raises(DataError, match="there is no such file or folder"):
        data.open(tmp_path / "nowhere")
    with pytest.raises(DataError, match="no scheme 'nosuch'"):
        data.open("nosuch:thing")


@pytest.mark.parametrize("suffix", ["tgz", "zip"])
def test_a_truncated_archive_is_told(tmp_path: Path, suffix: str) -> None:
    import tarfile

    path = tmp_path / f"set.{suffix}"
    noise = np.random.default_rng(0)
    contents = {f"sub/{i}.npy": npy(noise.random((16, 16))) for i in range(20)}
    if suffix == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in contents.items():
                archive.writestr(name, content)
    else:
        with tarfile.open(path, "w:gz") as tar:
            for name, content in contents.items():
                member = tarfile.TarInfo(name)
                member.size = len(content)
                tar.addfile(member, io.BytesIO(content))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(DataError, match=rf"set\.{suffix}: is a (truncated|.*damaged)"):
        data.open(path)
    if suffix == "tgz":
        assert 0 < len(data.open(path, skip_bad=True)) < 20


def test_a_damaged_member_of_a_zip_is_told(tmp_path: Path) -> None:
    path = tmp_path / "set.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for index in range(3):
            archive.writestr(f"sub/{index}.npy", npy(GOOD[index]))
    content = bytearray(path.read_bytes())
    content[500] ^= 255
    path.write_bytes(bytes(content))
    with pytest.raises(DataError, match=r"sub/0\.npy: cannot be read from the archive"):
        data.open(path)


def test_a_pickle_that_is_no_npy_is_not_read(folder: Path) -> None:
    (folder / "model.pkl").write_bytes(pickle.dumps(GOOD))
    with pytest.raises(DataError, match=r"model\.pkl: is not an image"):
        data.open(folder)
