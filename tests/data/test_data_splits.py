"""Splits: disjoint, stratified, stable, and never through duplicates or groups."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from darkarcs.data import LensImages, folds, split, split_hashes, subset
from darkarcs.errors import DataError


def lenses(num: int = 200, num_classes: int = 2, seed: int = 0) -> LensImages:
    pixels = np.random.default_rng(seed).normal(size=(num, 1, 4, 4))
    names = ("no_sub", "cdm", "axion", "ring")[:num_classes]
    return LensImages.from_arrays(pixels, np.arange(num) % num_classes, names)


@settings(max_examples=30, deadline=None)
@given(
    num=st.integers(60, 150),
    num_classes=st.integers(1, 4),
    seed=st.integers(0, 5),
    fractions=st.sampled_from([(0.7, 0.1, 0.2), (0.5, 0.25, 0.25), (0.8, 0.2, 0.0)]),
)
def test_splits_are_disjoint_complete_and_stratified(
    num: int, num_classes: int, seed: int, fractions: tuple[float, float, float]
) -> None:
    images = lenses(num, num_classes)
    assert images.labels is not None
    splits = split(images, fractions, seed)
    together = np.concatenate(list(splits.values()))
    assert np.array_equal(np.sort(together), np.arange(num))
    for code in range(num_classes):
        size = int(np.sum(images.labels == code))
        for part, fraction in zip(splits.values(), fractions, strict=True):
            assert abs(np.sum(images.labels[part] == code) - fraction * size) <= 1


def test_splits_do_not_depend_on_order_or_names() -> None:
    images = lenses()
    order = np.random.default_rng(3).permutation(len(images))
    shuffled = images.select(order)
    renamed = LensImages.from_arrays(
        images.images, images.labels, images.class_names, {"name": images.metadata["name"][order]}
    )
    hashes = split_hashes(images, split(images))
    assert split_hashes(shuffled, split(shuffled)) == hashes
    assert split_hashes(renamed, split(renamed)) == hashes
    assert split_hashes(images, split(images, seed=1)) != hashes


def test_split_is_the_same_for_ever() -> None:
    """A change here silently moves test images of old runs into new training sets."""
    pixels = np.arange(20 * 16, dtype=np.float32).reshape(20, 1, 4, 4)
    images = LensImages.from_arrays(pixels, [0, 1] * 10, ("no_sub", "sub"))
    splits = split(images)
    assert splits["validation"].tolist() == [7, 14]
    assert splits["test"].tolist() == [1, 6, 12, 15]


def test_duplicates_and_groups_stay_together() -> None:
    unique = lenses(100)
    doubled = LensImages.from_arrays(
        np.concatenate([unique.images, unique.images]),
        np.concatenate([unique.labels, 1 - unique.labels]),  # type: ignore[operator]
        unique.class_names,
    )
    for part in split(doubled).values():
        assert set(part % 100) == {i % 100 for i in part}
        counts = np.bincount(part % 100, minlength=100)
        assert set(counts.tolist()) <= {0, 2}
    groups = np.array([f"galaxy {i // 5}" for i in range(100)])
    grouped = LensImages.from_arrays(
        unique.images, unique.labels, unique.class_names, {"group": groups}
    )
    sets = [set(groups[part]) for part in split(grouped).values()]
    assert sum(len(part) for part in sets) == len(set(groups))


def test_sharing_through_a_chain_is_never_cut() -> None:
    """a and b share pixels, b and c a group: all three belong together."""
    images = lenses(60)
    pixels = images.images.copy()
    pixels[1] = pixels[0]
    groups = np.array([f"g{i}" for i in range(60)])
    groups[2] = groups[1]
    chained = LensImages.from_arrays(pixels, metadata={"group": groups})
    for seed in range(10):
        parts = split(chained, seed=seed)
        assert sum(bool({0, 1, 2} & set(part.tolist())) for part in parts.values()) == 1


@pytest.mark.parametrize(
    ("fractions", "message"),
    [((0.5, 0.5), "three"), ((0.5, 0.2, 0.2), "sum to 1"), ((1.2, -0.1, -0.1), "negative")],
)
def test_wrong_fractions_are_refused(fractions: tuple[float, ...], message: str) -> None:
    with pytest.raises(DataError, match=message):
        split(lenses(), fractions)


def test_too_few_images_are_refused() -> None:
    with pytest.raises(DataError, match="split would be empty"):
        split(lenses(4))
    with pytest.raises(DataError, match="too few for 5 folds"):
        folds(lenses(4), 5)


def test_folds_divide_everything_evenly() -> None:
    images = lenses(100)
    assert images.labels is not None
    numbers = folds(images, 5)
    for code in range(2):
        assert np.bincount(numbers[images.labels == code]).tolist() == [10] * 5


def test_subsets_are_nested_and_count_duplicates_once() -> None:
    images = lenses(40)
    small, large = subset(images, 5), subset(images, 10)
    assert small.class_counts() == {"no_sub": 5, "cdm": 5}
    assert set(small.metadata["identity"]) < set(large.metadata["identity"])
    doubled = images.select(np.concatenate([np.arange(40), np.arange(40)]))
    assert subset(doubled, 5).content_hash == small.content_hash
    with pytest.raises(DataError, match="there are 20 distinct"):
        subset(doubled, 21)
    with pytest.raises(DataError, match="labelled"):
        subset(LensImages.from_arrays(images.images), 3)
