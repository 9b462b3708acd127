"""Inspection: numbers that can be checked by hand, and a picture."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from darkarcs.data import LensImages
from darkarcs.data.inspection import describe, displayed, draw_panel, find_duplicates, inspect
from darkarcs.errors import OutputExistsError


def lenses() -> LensImages:
    pixels = np.arange(5 * 16, dtype=np.float32).reshape(5, 1, 4, 4)
    pixels = pixels[[0, 1, 1, 2, 3, 3]]  # 1 twice in a class, 3 across classes
    labels = [0, 0, 0, 1, 0, 1]
    return LensImages.from_arrays(pixels, labels, ("no_sub", "sub"), pixel_scale=0.05)


def test_description_is_json_and_counts_right() -> None:
    facts = json.loads(json.dumps(describe(lenses())))
    assert facts["class_counts"] == {"no_sub": 4, "sub": 2}
    assert facts["shape"] == [1, 4, 4]
    assert facts["pixel_scale"] == 0.05
    no_sub = facts["classes"]["no_sub"]
    assert (no_sub["min"], no_sub["max"], no_sub["num_images"]) == (0, 63, 4)
    assert no_sub["p50"] == np.percentile(lenses().images[[0, 1, 2, 4]], 50)
    assert no_sub["mean"] == pytest.approx(lenses().images[[0, 1, 2, 4]].mean())


def test_duplicates_within_and_across_classes() -> None:
    found = find_duplicates(lenses())
    assert (found["num_within_classes"], found["num_across_classes"]) == (1, 1)
    assert found["groups"][0] == {"names": ["000004", "000005"], "classes": ["no_sub", "sub"]}
    assert found["groups"][1] == {"names": ["000001", "000002"], "classes": ["no_sub"]}


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_panel_shows_each_class_brightly(tmp_path: Path, channels: int) -> None:
    pixels = np.random.default_rng(0).gamma(1.0, size=(6, channels, 12, 12))
    images = LensImages.from_arrays(pixels, [0, 0, 1, 1, 1, 1], ("no_sub", "sub"))
    path = draw_panel(images, tmp_path / "out" / "panel.png", per_class=4)
    picture = np.asarray(Image.open(path).convert("L"))
    assert picture.shape[1] > picture.shape[0] > 200
    assert picture[: picture.shape[0] // 2].min() < 20  # dark sky in both rows
    assert picture[picture.shape[0] // 2 :].min() < 20
    with pytest.raises(OutputExistsError):
        draw_panel(images, path)


def test_display_spans_sky_to_bright() -> None:
    image = np.zeros((1, 9, 9), np.float32)
    image[0, 4, 4] = 100
    shown = displayed(image)
    assert shown.shape == (9, 9)
    assert (shown.min(), shown[4, 4]) == (0, pytest.approx(1))


def test_inspect_lists_bad_files(tmp_path: Path) -> None:
    np.save(tmp_path / "good.npy", np.eye(8))
    np.save(tmp_path / "flat.npy", np.ones((8, 8)))
    (tmp_path / "README.md").write_text("about")
    facts = inspect(tmp_path)
    assert facts["num_images"] == 1
    assert facts["skipped"] == [{"name": "flat.npy", "reason": "is constant: every value is 1"}]
    assert facts["ignored"] == 1
    assert facts["classes"]["all"]["num_images"] == 1


@pytest.mark.shared
@pytest.mark.parametrize(
    ("path", "shape", "counts", "scale"),
    [
        (
            "deeplense_samples/test1",
            [1, 150, 150],
            {"no_sub": 3, "cdm": 3, "axion": 3},
            None,
        ),
        ("real_lenses", [1, 99, 99], {}, 0.05),
        ("cosmos/hst_acs_f814w_cutouts.npz", [1, 168, 168], {}, None),
        ("hst_psf/psf_tinytim_ACS.fits", [1, 74, 74], {}, 0.0495),
    ],
)
def test_real_data(
    shared_path: Path, path: str, shape: list[int], counts: dict[str, int], scale: float | None
) -> None:
    facts = inspect(shared_path / "data" / path, skip_bad=False)
    assert facts["shape"] == shape
    assert facts["class_counts"] == counts
    assert facts["pixel_scale"] == (None if scale is None else pytest.approx(scale, rel=1e-3))
