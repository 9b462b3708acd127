"""Every layout opens to the same contract, told apart by its content."""

from __future__ import annotations

import gzip
import io
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from astropy.io import fits
from PIL import Image

from darkarcs import data
from darkarcs.data import LensImages
from darkarcs.data.readers.containers import container_kind
from darkarcs.data.readers.fits import pixel_scale_of
from darkarcs.errors import DataError

PIXELS = np.random.default_rng(0).integers(0, 255, size=(6, 20, 20)).astype(np.uint8)


def jpeg(image: np.ndarray[Any, Any], kind: str = "JPEG") -> bytes:
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, kind)
    return stream.getvalue()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The layout of the DeepLense test: lenses/sub and lenses/no_sub."""
    for index, image in enumerate(PIXELS):
        name = ("no_sub", "sub")[index % 2]
        path = tmp_path / "set" / "lenses" / name / f"image_{index}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(jpeg(image))
    (tmp_path / "set" / "lenses" / ".DS_Store").write_bytes(b"\x00\x01")
    (tmp_path / "set" / "README.txt").write_text("words")
    return tmp_path / "set"


def packed(folder: Path, suffix: str) -> Path:
    path = folder.parent / f"set{suffix}"
    if suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for file in folder.rglob("*"):
                archive.write(file, file.relative_to(folder))
    else:
        mode = {".tar": "w", ".tgz": "w:gz", ".tar.bz2": "w:bz2", ".misnamed.jpg": "w:xz"}[suffix]
        with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
            for file in sorted(folder.rglob("*"), reverse=True):
                archive.add(file, f"./{file.relative_to(folder)}", recursive=False)
    return path


def test_a_folder_of_pictures_keeps_values_and_names(folder: Path) -> None:
    lenses = data.open(folder)
    assert lenses.images.shape == (6, 1, 20, 20)
    assert lenses.class_names == ("no_sub", "sub")
    assert lenses.metadata["name"][0] == "lenses/no_sub/image_0.jpg"
    with Image.open(folder / "lenses/no_sub/image_0.jpg") as picture:
        assert np.array_equal(lenses.images[0, 0], np.asarray(picture, dtype=np.float32))
    assert lenses.images.max() > 1
    assert lenses.manifest["ignored"] == 2
    assert lenses.manifest["skipped"] == []


@pytest.mark.parametrize("suffix", [".tar", ".tgz", ".tar.bz2", ".misnamed.jpg", ".zip"])
def test_an_archive_opens_like_the_folder(folder: Path, suffix: str) -> None:
    inside = data.open(packed(folder, suffix))
    outside = data.open(folder)
    assert np.array_equal(inside.images, outside.images)
    assert inside.metadata["name"].tolist() == outside.metadata["name"].tolist()
    assert inside.content_hash == outside.content_hash
    assert inside.class_counts() == {"no_sub": 3, "sub": 3}


def test_nothing_of_an_archive_touches_the_disk(tmp_path: Path) -> None:
    path = tmp_path / "evil.tar"
    with tarfile.open(path, "w") as archive:
        for name in ("../../escaped.jpg", "/tmp/escaped.jpg"):
            content = jpeg(PIXELS[len(name) % 6])
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        link = tarfile.TarInfo("link.jpg")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    assert len(data.open(path)) == 2
    assert [file.name for file in tmp_path.iterdir()] == ["evil.tar"]


@pytest.mark.parametrize(
    ("array", "shape"),
    [
        (np.random.default_rng(0).random((1, 15, 15)), (1, 15, 15)),
        (np.random.default_rng(0).poisson(9, (15, 15)), (1, 15, 15)),
        (np.random.default_rng(0).random((15, 15, 3)), (3, 15, 15)),
        (np.random.default_rng(0).random((3, 15, 15)), (3, 15, 15)),
        (np.asfortranarray(np.random.default_rng(0).random((15, 13))), (1, 15, 13)),
        (np.random.default_rng(0).random((15, 15)).astype(">f4"), (1, 15, 15)),
    ],
)
def test_arrays_become_channels_first(
    tmp_path: Path, array: np.ndarray[Any, Any], shape: tuple[int, ...]
) -> None:
    np.save(tmp_path / "a.npy", array)
    lenses = data.open(tmp_path / "a.npy")
    assert lenses.images.shape == (1, *shape)
    assert lenses.labels is None
    channels_first = np.moveaxis(array, 2, 0) if array.shape[-1] == 3 else array
    assert np.array_equal(lenses.images[0], channels_first.reshape(shape).astype(np.float32))


def test_the_content_decides_not_the_suffix(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", PIXELS[0])
    (tmp_path / "x.npy").rename(tmp_path / "array.jpg")
    (tmp_path / "picture.npy").write_bytes(jpeg(PIXELS[1], "PNG"))
    (tmp_path / "notes.txt").write_bytes(jpeg(PIXELS[2], "PNG"))
    lenses = data.open(tmp_path)
    assert np.array_equal(lenses.images[:, 0], PIXELS[[0, 2, 1]].astype(np.float32))
    assert lenses.manifest["file_formats"] == {"npy": 1, "picture": 2}


@pytest.mark.parametrize(
    ("mode", "channels"),
    [("L", 1), ("RGB", 3), ("RGBA", 3), ("P", 3), ("LA", 1), ("I;16", 1), ("1", 1)],
)
def test_modes_of_pictures(tmp_path: Path, mode: str, channels: int) -> None:
    if mode == "I;16":
        picture = Image.fromarray(PIXELS[0].astype(np.uint16) * 200)
    else:
        picture = Image.fromarray(PIXELS[0]).convert(mode)
    picture.save(tmp_path / "a.png")
    lenses = data.open(tmp_path)
    assert lenses.num_channels == channels
    if mode in ("L", "RGB", "RGBA", "LA"):
        assert np.array_equal(lenses.images[0, 0], PIXELS[0].astype(np.float32))
    if mode == "I;16":
        assert lenses.images.max() == int(PIXELS[0].max()) * 200


def test_npz_stacks_with_columns(tmp_path: Path) -> None:
    stack, snr = PIXELS.astype(np.float32), np.arange(6.0)
    np.savez(tmp_path / "a.npz", image=stack, snr=snr, pixel_scale=np.full(6, 0.03))
    lenses = data.open(tmp_path / "a.npz")
    assert np.array_equal(lenses.images[:, 0], stack)
    assert lenses.metadata["snr"].tolist() == snr.tolist()
    assert lenses.pixel_scale == 0.03
    assert lenses.metadata["name"].tolist() == [f"a.npz#{i}" for i in range(6)]
    labels = np.array(["vortex", "sphere", "no", "no", "vortex", "no"])
    np.savez_compressed(tmp_path / "b.npz", images=stack[:3], labels=labels[:3])
    labelled = data.open(tmp_path / "b.npz")  # three images, not three channels
    assert labelled.class_counts() == {"no_sub": 1, "cdm": 1, "axion": 1}


def test_a_short_stack_is_told_from_channels_by_a_plural(tmp_path: Path) -> None:
    np.savez(tmp_path / "plural.npz", images=PIXELS[:3])
    np.savez(tmp_path / "singular.npz", image=PIXELS[:3])
    assert data.open(tmp_path / "plural.npz").images.shape == (3, 1, 20, 20)
    assert data.open(tmp_path / "singular.npz").images.shape == (1, 3, 20, 20)


def test_a_folder_of_single_npz(tmp_path: Path) -> None:
    for index, image in enumerate(PIXELS):
        np.savez(tmp_path / f"{index}.npz", lens=image)
    assert data.open(tmp_path).images.shape == (6, 1, 20, 20)


def test_galaxy10_layout(tmp_path: Path) -> None:
    colour = np.random.default_rng(0).integers(0, 255, (12, 8, 8, 3)).astype(np.uint8)
    with h5py.File(tmp_path / "Galaxy10.h5", "w") as file:
        file["images"] = colour
        file["ans"] = np.array([0, 1, 2, 10] * 3, dtype=np.uint8)
        file["ra"] = np.linspace(0, 1, 12)
        file["pxscale"] = np.full(12, 0.262)
    lenses = data.open(tmp_path / "Galaxy10.h5")
    assert lenses.images.shape == (12, 3, 8, 8)
    assert np.array_equal(lenses.images[5], np.moveaxis(colour[5], 2, 0).astype(np.float32))
    assert lenses.class_names == ("class_00", "class_01", "class_02", "class_10")
    assert lenses.pixel_scale == 0.262
    assert lenses.metadata["ra"][-1] == 1


def test_fits_in_any_extension_and_compressed(tmp_path: Path) -> None:
    image = PIXELS[0].astype(">f4")
    hdus = fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(image, name="SCI")])
    hdus[1].header["CD1_1"], hdus[1].header["CD2_2"] = -0.05 / 3600, 0.05 / 3600
    hdus.writeto(tmp_path / "a.fits")
    (tmp_path / "b.fits.gz").write_bytes(gzip.compress((tmp_path / "a.fits").read_bytes()))
    lenses = data.open(tmp_path)
    assert np.array_equal(lenses.images[1, 0], PIXELS[0].astype(np.float32))
    assert lenses.pixel_scale == pytest.approx(0.05)
    assert lenses.manifest["num_distinct"] == 1


@pytest.mark.parametrize(
    ("cards", "scale"),
    [
        ({"PIXSCALE": 0.0495}, 0.0495),
        ({"CD1_1": 3e-5, "CD1_2": 4e-5, "CD2_1": -4e-5, "CD2_2": 3e-5}, 0.18),
        ({"CTYPE1": "RA---TAN", "CDELT1": -1e-5, "CDELT2": 1e-5}, 0.036),
        ({"CDELT1": 1.0, "CDELT2": 1.0}, None),
        ({"PIXSCALE": "unknown"}, None),
        ({}, None),
    ],
)
def test_pixel_scales(cards: dict[str, Any], scale: float | None) -> None:
    assert pixel_scale_of(fits.Header(cards)) == (None if scale is None else pytest.approx(scale))


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("WHT", "SCI"), 1.0),
        (("", "SCI"), 1.0),
        (("WHT", ""), 1.0),
        (("", "ERR"), 0.0),
        (("WHT",), 0.0),
        (("VIS", "NIR"), None),
    ],
)
def test_the_science_image_of_several_extensions(
    names: tuple[str, ...], expected: float | None, tmp_path: Path
) -> None:
    hdus = [fits.PrimaryHDU()]
    ramp = np.arange(64.0).reshape(8, 8)
    hdus += [fits.ImageHDU(ramp + 100 * i, name=name) for i, name in enumerate(names)]
    fits.HDUList(hdus).writeto(tmp_path / "several.fits")
    if expected is None:
        with pytest.raises(DataError, match=r"2 images of one shape \(VIS, NIR\): name .* SCI"):
            data.open(tmp_path)
    else:
        assert data.open(tmp_path).images[0, 0, 0, 0] == 100 * expected


def test_differing_pixel_scales_become_a_column(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for index, scale in enumerate((0.05, 0.1)):
        hdu = fits.PrimaryHDU(PIXELS[index].astype(np.float32))
        hdu.header["PIXSCALE"] = scale
        hdu.writeto(tmp_path / f"{index}.fits")
    lenses = data.open(tmp_path)
    assert lenses.pixel_scale is None
    assert lenses.metadata["pixel_scale"].tolist() == [0.05, 0.1]
    assert "pixel scales differ, 0.05 to 0.1 arcsec: predictions bring each" in caplog.text


@pytest.mark.parametrize(
    ("folders", "labels"),
    [
        (("sphere", "vort", "no"), ("cdm", "axion", "no_sub")),
        (("train/Subhalo", "val/no-sub", "val/vortex/night 1"), ("cdm", "no_sub", "axion")),
        (("ring", "arc"), ("ring", "arc")),
        (("train/ring", "train/arc", "val/ring"), ("ring", "arc", "ring")),
        (("train", "val"), ("", "")),
        (("only",), ("",)),
        (("",), ("",)),
    ],
)
def test_folders_tell_the_classes(
    tmp_path: Path, folders: tuple[str, ...], labels: tuple[str, ...]
) -> None:
    for index, name in enumerate(folders):
        (tmp_path / name).mkdir(parents=True, exist_ok=True)
        np.save(tmp_path / name / f"{index}.npy", PIXELS[index])
    lenses = data.open(tmp_path)
    found = {
        int(Path(n).stem): label
        for n, label in zip(lenses.metadata["name"], lenses.label_names, strict=True)
    }
    assert tuple(found[i] for i in range(len(folders))) == labels
    assert (lenses.labels is None) == (set(labels) == {""})


def test_file_names_never_tell_the_class(tmp_path: Path) -> None:
    np.save(tmp_path / "Model_II_cdm_1.npy", PIXELS[0])
    np.save(tmp_path / "Model_II_axion_2.npy", PIXELS[1])
    assert data.open(tmp_path).labels is None


def test_labels_can_be_demanded_or_thrown_away(folder: Path) -> None:
    assert data.open(folder, labelled=True).labels is not None
    without = data.open(folder, labelled=False)
    assert (without.labels, without.class_names) == (None, ())
    with pytest.raises(DataError, match="no classes found"):
        data.open(folder / "lenses" / "sub", labelled=True)


def test_links_that_lead_back_up_end(folder: Path) -> None:
    (folder / "lenses" / "again").symlink_to(folder)
    assert len(data.open(folder)) == 6


def test_a_zip_of_arrays_is_an_archive_and_an_npz_is_not(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", image=PIXELS[0])
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        for index in range(2):
            stream = io.BytesIO()
            np.save(stream, PIXELS[index])
            archive.writestr(f"sub/{index}.npy", stream.getvalue())
    assert container_kind(tmp_path / "a.npz") == "file"
    assert container_kind(tmp_path / "b.zip") == "zip"
    assert data.open(tmp_path / "b.zip").class_counts() == {"sub": 2}


def test_a_registered_scheme_is_found() -> None:
    made = LensImages.from_arrays(PIXELS[:, None])

    @data.register_scheme("test-made")
    def opener(uri: str) -> LensImages:
        assert uri == "test-made:x?seed=1"
        return made

    assert data.open("test-made:x?seed=1") is made
    with pytest.raises(DataError, match="did you mean 'test-made'"):
        data.open("test-mode:x")


@pytest.mark.shared
def test_the_deeplense_samples(shared_path: Path) -> None:
    samples = shared_path / "data" / "deeplense_samples" / "deeplensesim"
    for file in sorted(samples.glob("*.npy")):
        array = np.load(file)
        lenses = data.open(file)
        expected = np.moveaxis(array, 2, 0) if array.ndim == 3 else array[None]
        assert np.array_equal(lenses.images[0], expected.astype(np.float32))


@pytest.mark.shared
@pytest.mark.slow
def test_the_deeplense_archive(shared_path: Path) -> None:
    lenses = data.open(shared_path / "data" / "deeplense-test5.tgz")
    assert lenses.images.shape == (8000, 1, 150, 150)
    assert lenses.class_counts() == {"no_sub": 4000, "sub": 4000}
    assert lenses.images.max() == 255
