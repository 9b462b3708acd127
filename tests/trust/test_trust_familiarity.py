"""Familiar images pass, strange ones are flagged, and the file keeps every bit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from darkarcs.data import LensImages, Preprocessing
from darkarcs.errors import DataError, ModelError
from darkarcs.models import create_model
from darkarcs.trust import REASONS, TRUST_FILE, Familiarity, Observed, Trust, fit_trust, read_trust
from darkarcs.trust.familiarity import fit_familiarity
from rings import ring_lenses


def observed(count: int, seed: int, shift: float = 0.0) -> Observed:
    generator = np.random.default_rng(seed)
    return Observed(
        {"texture": generator.normal(size=(count, 4)) + shift},
        generator.normal(size=(count, 6)),
        generator.normal(size=(count, 2)),
    )


@pytest.fixture(scope="module")
def known() -> Familiarity:
    labels = np.arange(600) % 2
    return fit_familiarity(observed(600, 0), labels, observed(1000, 1), np.random.default_rng(0))


def test_own_images_are_flagged_as_seldom_as_promised(known: Familiarity) -> None:
    flagged = known.assess(observed(20_000, 2)).flagged.mean()
    assert 0.0005 < flagged <= known.guaranteed_rate + 0.003


def test_strange_images_are_flagged_for_the_right_reason(known: Familiarity) -> None:
    found = known.assess(observed(200, 3, shift=6.0))
    assert found.flagged.all()
    assert set(found.strangest()) == {"texture"}
    assert (found.p_values == 1 / 1001).all()
    assert set(found.surprises) <= set(REASONS)


def test_threshold_moves_the_flag_and_not_the_p_value(known: Familiarity) -> None:
    images = observed(2000, 4)
    plain, strict = known.assess(images), known.assess(images, threshold=0.2)
    assert np.array_equal(plain.p_values, strict.p_values)
    assert np.isclose(strict.flagged.mean(), 0.2, atol=0.05)
    assert not known.assess(images, threshold=0.0).flagged.any()
    # the default flags what is stranger than all but the rank-th strangest, exactly
    assert np.array_equal(plain.flagged, plain.p_values * 1001 < known.rank + 0.5)


def test_odd_in_two_ways_is_stranger_than_in_one(known: Familiarity) -> None:
    own = observed(500, 5)
    texture, features = own.statistics["texture"] + 1.7, own.features + 1.4
    one = Observed({"texture": texture}, own.features, own.logits)
    other = Observed(own.statistics, features, own.logits)
    both = Observed({"texture": texture}, features, own.logits)
    shares = [known.assess(images).flagged.mean() for images in (one, other, both)]
    assert shares[2] > shares[0] + shares[1] + 0.1
    # an older file counts the largest alone
    largest = np.stack(list(known.assess(observed(1000, 1)).surprises.values())).max(axis=0)
    older = replace(known, combination="max", calibration=np.sort(largest))
    assert older.assess(both).flagged.mean() < shares[2]
    assert older.assess(observed(20_000, 2)).flagged.mean() <= older.guaranteed_rate + 0.003


def test_of_residuals_the_image_counts_instead_of_the_channels() -> None:
    def residuals(count: int, seed: int) -> Observed:
        draws = np.random.default_rng(seed).normal(size=(5, count, 3))
        names = ("texture", "fit", "image_texture")
        return Observed(dict(zip(names, draws, strict=False)), draws[3], draws[4])

    labels = np.arange(200) % 2
    found = fit_familiarity(residuals(200, 0), labels, residuals(200, 1), np.random.default_rng(0))
    assert {"fit", "image_texture"} <= set(found.gaussians)
    assert "texture" not in found.gaussians


@pytest.fixture(scope="module")
def trust() -> Trust:
    lenses = ring_lenses(count=200, size=32)
    train, validation = lenses.select(np.arange(100)), lenses.select(np.arange(100, 200))
    model = create_model("d4_cnn", num_classes=2, in_channels=1, image_size=32).eval()
    logits = np.random.default_rng(0).normal(size=(100, 2))
    return fit_trust(model, Preprocessing().fit(train), train, validation, logits, "none")


def test_file_keeps_everything(trust: Trust, tmp_path: Path) -> None:
    (tmp_path / TRUST_FILE).write_bytes(trust.to_bytes())
    again = read_trust(tmp_path)
    assert again is not None
    assert again.to_bytes() == trust.to_bytes()
    assert again.familiarity.combination == "sum"
    assert np.array_equal(again.logits, trust.logits)
    generator = np.random.default_rng(1)
    strange = Observed(
        {
            name: generator.normal(size=(9, gaussian.means.shape[1]))
            for name, gaussian in trust.familiarity.gaussians.items()
            if name != "features"
        },
        generator.normal(size=(9, trust.familiarity.neighbours.shape[1])),
        generator.normal(size=(9, 2)),
    )
    first, second = (t.familiarity.assess(strange) for t in (trust, again))
    assert list(first.surprises) == list(second.surprises)
    for name, values in first.surprises.items():
        assert np.array_equal(values, second.surprises[name]), name


def test_no_file_is_no_trust_and_a_damaged_one_an_error(trust: Trust, tmp_path: Path) -> None:
    assert read_trust(tmp_path) is None
    path = tmp_path / TRUST_FILE
    for content in (b"", b"no safetensors", trust.to_bytes()[:1000]):
        path.write_bytes(content)
        with pytest.raises(ModelError, match="darkarcs trust"):
            read_trust(tmp_path)
    save_file({"neighbours": np.zeros((1, 1), np.float16)}, path)
    with pytest.raises(ModelError, match="cannot be read"):
        read_trust(tmp_path)


def test_too_few_or_unlabelled_images_are_refused() -> None:
    lenses = ring_lenses(count=20)
    model = create_model("d4_cnn", num_classes=2, in_channels=1, image_size=16).eval()
    preprocessing, logits = Preprocessing().fit(lenses), np.zeros((4, 2))
    with pytest.raises(DataError, match="at least 8"):
        fit_trust(model, preprocessing, lenses, lenses.select(np.arange(4)), logits, "none")
    unlabelled = LensImages.from_arrays(lenses.images)
    with pytest.raises(DataError, match="labelled"):
        fit_trust(model, preprocessing, unlabelled, lenses, logits, "none")
