"""Exact and near duplicates are found wherever they are; similar lenses are not."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from audit_fakes import CLASSES, as_lenses, fair_rings
from PIL import Image

from darkarcs import data
from darkarcs.audit import find_duplicates
from darkarcs.audit.fingerprints import (
    THRESHOLD,
    contrast,
    correlations,
    fingerprints,
    near_pairs,
    orientations,
)
from darkarcs.data import LensImages


def test_a_fair_set_has_none() -> None:
    images, labels = fair_rings(200)
    report = find_duplicates([as_lenses(images, labels)])
    assert report.sets == ()
    assert report.num_images == 200


def test_turned_mirrored_and_scaled_copies_are_found_across_splits_and_classes() -> None:
    images, labels = fair_rings(120)
    copies = np.stack([turned[0] for turned in orientations(images[5:6, 0])])
    images = np.concatenate([images, 3 + 200 * copies[:, None]])
    labels = np.concatenate([labels, np.arange(8) % 2])
    report = find_duplicates([as_lenses(images, labels)])
    assert len(report.sets) == 1
    (found,) = report.sets
    assert [copy.name for copy in found.copies] == ["000005", *[f"{120 + i:06}" for i in range(8)]]
    assert not found.exact
    assert found.correlation >= THRESHOLD
    assert found.across_classes
    assert found.across_splits
    assert (report.count("exact"), report.count("across_splits")) == (0, 1)


def test_exact_copies_never_lie_in_two_splits() -> None:
    images, labels = fair_rings(60)
    images[40] = images[3]
    labels[[3, 40]] = 0, 1
    (found,) = find_duplicates([as_lenses(images, labels)]).sets
    assert found.exact
    assert found.correlation == 1
    assert found.across_classes
    assert not found.across_splits


def test_copies_between_sets_and_shared_groups_are_found() -> None:
    images, labels = fair_rings(40)
    # The other set is in other units and stored upside down.
    scaled = 7 * images[:10, :, ::-1]
    names = np.array([f"galaxy {index % 20}" for index in range(40)])
    train = LensImages.from_arrays(
        images[4:], labels[4:], CLASSES, {"group": names[4:]}, manifest={"source": "train"}
    )
    test = LensImages.from_arrays(
        scaled[:6], labels[:6], CLASSES, {"group": names[10:16]}, manifest={"source": "test"}
    )
    report = find_duplicates([train, test])
    assert report.count("across_sources") == 2
    for found in report.sets:
        assert {copy.source for copy in found.copies} == {"train", "test"}
    assert report.num_groups_across_sources == 6
    facts = report.as_json()
    assert facts["num_across_sources"] == 2
    assert facts["sets"][0]["copies"][0]["name"].isdigit()


def test_a_set_given_twice_is_all_duplicates() -> None:
    images, labels = fair_rings(30)
    lenses = as_lenses(images, labels)
    report = find_duplicates([lenses, lenses])
    assert report.count("exact") == report.count("across_sources") == 30
    assert report.num_groups_across_sources == 0


def test_pairs_of_one_group_are_alike_by_design() -> None:
    images, labels = fair_rings(60)
    images[1::2] = images[::2, :, ::-1]
    groups = np.repeat([f"pair {index}" for index in range(30)], 2)
    report = find_duplicates([LensImages.from_arrays(images, labels, CLASSES, {"group": groups})])
    assert report.sets == ()
    assert report.num_within_groups == 30


@pytest.mark.parametrize("number", [1, 2, 3])
def test_few_images_are_compared(number: int) -> None:
    images, labels = fair_rings(number)
    assert find_duplicates([as_lenses(images, labels)]).sets == ()
    assert near_pairs(contrast(fingerprints(images[:1]))) == []


def _compress(image: np.ndarray, quality: int, turns: int) -> np.ndarray:
    stream = io.BytesIO()
    turned = np.ascontiguousarray(np.rot90(image, turns)).astype(np.uint8)
    Image.fromarray(turned).save(stream, "JPEG", quality=quality)
    return np.asarray(Image.open(stream), dtype=np.float32)


@pytest.mark.shared
def test_the_threshold_divides_alike_from_same(shared_path: Path) -> None:
    lenses = data.open(shared_path / "data" / "deeplense-test5.tgz")
    images = lenses.images[::2]
    squares = fingerprints(images)
    chosen = np.arange(0, len(images), 40)
    again = np.stack([_compress(images[i, 0], 90, i // 40 % 4) for i in chosen])[:, None]
    joined = contrast(np.concatenate([squares, fingerprints(again)]))
    found = {(first, second) for first, second, _ in near_pairs(joined)}
    planted = {(int(i), len(images) + n) for n, i in enumerate(chosen)}
    assert found <= planted
    assert len(found) >= 0.97 * len(planted)
    same = correlations(joined[len(images) :], joined[chosen])
    assert np.median(same) > 0.9997
