"""The contract of lens images."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from darkarcs.data import LensImages
from darkarcs.data.lens_images import pixel_identity
from darkarcs.errors import DataError


def lenses(num: int = 6, labelled: bool = True) -> LensImages:
    pixels = np.random.default_rng(0).normal(size=(num, 1, 5, 4))
    labels = np.arange(num) % 2 if labelled else None
    return LensImages.from_arrays(pixels, labels, ("no_sub", "sub") if labelled else ())


def test_identity_is_the_hash_of_shape_and_float32_pixels() -> None:
    image = np.arange(6, dtype=np.float32).reshape(1, 2, 3)
    expected = hashlib.sha256(b"float32(1, 2, 3)" + image.tobytes()).hexdigest()
    assert pixel_identity(image) == expected
    assert pixel_identity(image.astype(">f8")) == expected
    assert pixel_identity(np.asfortranarray(image)) == expected
    assert pixel_identity(image + 1) != expected


def test_content_hash_is_blind_to_order_and_names_but_not_to_labels() -> None:
    original = lenses()
    shuffled = original.select([3, 1, 5, 0, 2, 4])
    renamed = LensImages.from_arrays(
        original.images, original.labels, original.class_names, {"name": list("zyxwvu")}
    )
    relabelled = LensImages.from_arrays(original.images, [1, 1, 0, 1, 0, 1], original.class_names)
    assert original.content_hash == shuffled.content_hash == renamed.content_hash
    assert relabelled.content_hash != original.content_hash
    assert original.manifest["content_hash"] == original.content_hash


def test_select_takes_all_columns_and_updates_the_manifest() -> None:
    original = lenses()
    part = original.select([4, 1])
    assert np.array_equal(part.images, original.images[[4, 1]])
    assert part.labels is not None
    assert part.labels.tolist() == [0, 1]
    assert part.metadata["name"].tolist() == ["000004", "000001"]
    assert part.manifest["num_images"] == 2
    assert part.manifest["content_hash"] == part.content_hash != original.content_hash
    assert part.manifest["selected_from"] == original.content_hash
    assert original.manifest["num_images"] == 6
    mask = np.array([False, True, False, False, True, False])
    assert original.select(mask).metadata["name"].tolist() == ["000001", "000004"]


def test_unlabelled_images_have_no_classes() -> None:
    unlabelled = lenses(labelled=False)
    assert unlabelled.class_counts() == {}
    assert unlabelled.label_names.tolist() == [""] * 6


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": np.zeros((2, 5, 4), np.float32)}, "shape \\(N, C, H, W\\)"),
        ({"images": np.zeros((6, 1, 5, 4))}, "must be float32"),
        ({"labels": np.array([0, 1, 2, 0, 1, 0])}, "labels run from 0 to 2"),
        ({"labels": np.zeros(3, np.int64)}, "labels must be int64"),
        ({"labels": None}, "without labels"),
        ({"metadata": {}}, "column 'identity'"),
    ],
)
def test_a_broken_contract_is_refused(change: dict[str, object], message: str) -> None:
    good = lenses()
    fields = {
        "images": good.images,
        "labels": good.labels,
        "class_names": good.class_names,
        "metadata": good.metadata,
    }
    with pytest.raises(DataError, match=message):
        LensImages(**{**fields, **change})  # type: ignore[arg-type]


def test_a_metadata_column_of_another_length_is_refused() -> None:
    with pytest.raises(DataError, match="'mass' has shape"):
        LensImages.from_arrays(np.ones((2, 1, 4, 4)), metadata={"mass": [1.0]})
