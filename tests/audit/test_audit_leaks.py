"""Planted leaks are found and named; a fair set is not flagged."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from audit_fakes import CLASSES, as_lenses, fair_rings, ring_images
from numpy.typing import NDArray

from darkarcs import data
from darkarcs.audit import SetAudit, audit, audit_images
from darkarcs.audit.boosted_trees import out_of_fold_logits
from darkarcs.audit.features import FAMILIES, measure
from darkarcs.audit.leaks import Leak, choose_folds, find_leaks
from darkarcs.data import LensImages
from darkarcs.errors import DataError

Images = NDArray[np.float32]
Labels = NDArray[np.int64]


def by_family(audited: SetAudit) -> dict[str, Leak]:
    assert audited.reason == ""
    return {leak.family: leak for leak in audited.leaks}


def brighter(images: Images, labels: Labels) -> Images:
    return images * np.where(labels, 1.3, 1.0)[:, None, None, None].astype(np.float32)


def whole_numbers(images: Images, labels: Labels) -> Images:
    return np.where(labels[:, None, None, None] == 1, np.rint(1000 * images) / 1, 1000 * images)


def noisier(images: Images, labels: Labels) -> Images:
    extra = np.random.default_rng(9).normal(size=images.shape) * 0.08
    return np.asarray(images + extra * labels[:, None, None, None], dtype=np.float32)


def lopsided(images: Images, labels: Labels) -> Images:
    x = np.linspace(-1, 1, images.shape[3], dtype=np.float32)
    return np.where(labels[:, None, None, None] == 1, images * (0.5 + x**2), images)


@pytest.mark.parametrize(
    ("leak", "family", "feature", "verdict"),
    [
        (brighter, "total flux", "sum of the pixels", {"carries", "leaks"}),
        (whole_numbers, "noise statistics", "whole numbers", {"leaks"}),
        (noisier, "noise statistics", "scatter", {"leaks"}),
        (lopsided, "azimuthal Fourier", "m = ", {"carries", "leaks"}),
    ],
)
def test_a_planted_leak_is_found(
    leak: Callable[[Images, Labels], Images], family: str, feature: str, verdict: set[str]
) -> None:
    images, labels = fair_rings()
    rows = by_family(audit_images(as_lenses(leak(images, labels), labels)))
    assert rows[family].verdict in verdict
    assert rows[family].measured.interval[0] > 0.5
    assert feature in rows[family].best_feature
    assert rows["all together"].verdict in verdict


def test_larger_rings_are_a_shortcut() -> None:
    generator = np.random.default_rng(3)
    labels = np.arange(400) % 2
    radius = generator.uniform(6, 8, 400) + 2.5 * labels
    rows = by_family(audit_images(as_lenses(ring_images(radius, generator), labels)))
    assert rows["radial profile"].verdict == "leaks"
    assert rows["radial profile"].measured.auc > 0.95
    assert rows["radial profile"].best_feature.startswith("radius ")
    assert rows["noise statistics"].verdict == "clean"


def test_a_fair_set_is_not_flagged() -> None:
    for seed in range(3):
        images, labels = fair_rings(400, seed)
        audited = audit_images(as_lenses(images, labels))
        for leak in audited.leaks:
            low, high = leak.measured.interval
            assert low <= 0.5 <= high, leak.family
        assert audited.verdict == "clean"


def test_more_classes_are_told_in_pairs() -> None:
    generator = np.random.default_rng(5)
    labels = np.arange(300) % 3
    radius = generator.uniform(6, 8, 300) + 2.5 * (labels == 2)
    images = ring_images(radius, generator)
    lenses = LensImages.from_arrays(images, labels, ("no_sub", "cdm", "axion"))
    pairs = by_family(audit_images(lenses))["radial profile"].pairs
    assert set(pairs) == {"no_sub | cdm", "no_sub | axion", "cdm | axion"}
    assert pairs["no_sub | axion"].auc > 0.95
    assert pairs["no_sub | cdm"].interval[0] < 0.5 < pairs["no_sub | cdm"].interval[1]


def test_no_group_is_cut_so_pairs_tell_nothing() -> None:
    images, _ = fair_rings(200)
    # Every lens twice under both labels and faint noise: cut apart, its twin would betray it.
    twice = np.repeat(images, 2, axis=0) + np.random.default_rng(0).normal(size=(400, 1, 32, 32))
    labels = np.arange(400) % 2
    groups = np.repeat([f"pair {index}" for index in range(200)], 2)
    lenses = LensImages.from_arrays(twice, labels, CLASSES, {"group": groups})
    fold = choose_folds(lenses)
    assert np.all(fold[::2] == fold[1::2])
    assert audit_images(lenses).verdict == "clean"


def test_file_size_and_pickled_containers_leak(tmp_path: Path) -> None:
    images, labels = fair_rings(80)
    for index, (image, label) in enumerate(zip(images[:, 0], labels, strict=True)):
        folder = tmp_path / ("axion" if label else "no")
        folder.mkdir(exist_ok=True)
        if label:
            pair = np.empty(2, dtype=object)
            pair[:] = [image, 1e-23]
            np.save(folder / f"{index}.npy", pair, allow_pickle=True)
        else:
            np.save(folder / f"{index}.npy", image)
    report = audit([tmp_path])
    rows = by_family(report.sets[0])
    assert rows["file facts"].verdict == "leaks"
    assert rows["file facts"].measured.auc > 0.99
    assert rows["total flux"].verdict == "clean"
    assert report.sets[0].lens_facts["file_kinds"] == {"npy <f4": 40, "npy |O": 40}
    store = data.save(data.open(tmp_path), tmp_path / "set.h5")
    assert "file facts" not in by_family(audit([store]).sets[0])


def test_sets_that_cannot_be_judged_say_why() -> None:
    images, _ = fair_rings(20)
    unlabelled = audit_images(LensImages.from_arrays(images))
    assert unlabelled.leaks == ()
    assert unlabelled.reason == "there are no labels"
    one_class = audit_images(as_lenses(images, np.zeros(20, dtype=np.int64)))
    assert "two are needed" in one_class.reason
    one_image = audit_images(as_lenses(images[:3], np.array([0, 0, 1])))
    assert "fewer than two" in one_image.reason
    assert audit_images(as_lenses(images[:4], np.array([0, 0, 1, 1]))).reason == ""
    with pytest.raises(DataError, match="two are needed"):
        choose_folds(as_lenses(images, np.ones(20, dtype=np.int64)))


def test_features_that_hold_nothing_give_equal_scores() -> None:
    labels = np.arange(20) % 2
    nothing = np.full((20, 2), np.nan)
    logits = out_of_fold_logits(nothing, labels, np.arange(20) // 2 % 5)
    assert np.ptp(logits) == 0


def test_fewer_images_are_taken_by_whole_groups(tmp_path: Path) -> None:
    images, labels = fair_rings(40)
    groups = np.repeat([f"pair {index}" for index in range(20)], 2)
    lenses = LensImages.from_arrays(images, labels, CLASSES, {"group": groups})
    path = data.save(lenses, tmp_path / "set.h5")
    facts = audit([path], max_images=21).sets[0].lens_facts
    assert facts["num_images"] == 20
    assert audit([path], max_images=21).as_json() == audit([path], max_images=21).as_json()


@pytest.mark.shared
def test_the_two_class_set_is_flagged(shared_path: Path) -> None:
    lenses = data.subset(data.open(shared_path / "data" / "deeplense-test5.tgz"), 2000)
    families = {name: FAMILIES[name] for name in ("flux", "peak", "noise", "radial_profile")}
    tables = measure(lenses.images, families)
    rows = {name: (family.kind, tables[name]) for name, family in families.items()}
    found = {leak.family: leak for leak in find_leaks(lenses, rows)}
    assert found["radial_profile"].measured.auc > 0.98
    assert found["radial_profile"].verdict == "leaks"
    for name in ("flux", "peak", "noise"):
        assert abs(found[name].measured.auc - 0.5) < 0.04
        assert found[name].verdict == "clean"


@pytest.mark.shared
def test_the_samples_are_read(shared_path: Path) -> None:
    samples = shared_path / "data" / "deeplense_samples"
    report = audit([samples / "test1", samples / "deeplensesim"])
    three, loose = report.sets
    assert three.lens_facts["class_counts"] == {"no_sub": 3, "cdm": 3, "axion": 3}
    assert len(three.leaks) > 5
    assert loose.reason == "there are no labels"
    assert loose.lens_facts["num_skipped"] > 0
