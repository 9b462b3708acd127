"""What no smooth lens could mimic, beside a fit of finite differences and changes that it can."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import small_scenes
from darkarcs.benchmark import open_pairs
from darkarcs.benchmark.evidence_truth import changed_regions, true_regions, unmimicked_changes
from darkarcs.data import LensImages
from darkarcs.errors import ConfigurationError
from darkarcs.scenes import LensParameters
from darkarcs.scenes.smooth import macro_nuisances, smooth_partners
from darkarcs.simulation import SimulationRequest, parse_uri

OPTIONS = "seed=5&num=6&paired=1&part=validation&classes=no_sub,cdm&classes.cdm.mass_fraction=0.1"


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"scene:{small_scenes.write(tmp_path_factory.mktemp('scene'))}?{OPTIONS}"


def smooth_of(request: SimulationRequest, indices: np.ndarray) -> LensParameters:
    """Draw lens after lens, each alone."""
    parts = [request.scene.draw(5, int(i), 1, part="validation", paired=True) for i in indices]
    assert all(part.labels[0] == 1 for part in parts)
    columns = {name: np.concatenate([p.columns[name] for p in parts]) for name in parts[0].columns}
    return smooth_partners(request.scene, replace(parts[0], columns=columns, indices=indices))


def moved(lenses: LensParameters, name: str, step: float) -> LensParameters:
    names = [name] + (["lens.smooth_einstein_radius"] if name == "lens.einstein_radius" else [])
    changed = {key: lenses.columns[key] + step for key in names}
    return replace(lenses, columns={**lenses.columns, **changed})


def test_what_is_left_is_what_a_linear_fit_leaves(scene: str) -> None:
    request = parse_uri(scene)
    images_with, images_without, _, _ = open_pairs(scene)
    left = unmimicked_changes(scene, images_with)
    smooth = smooth_of(request, images_with.metadata["index"])
    exact = request.scene.render(smooth, dtype=torch.float64)
    np.testing.assert_allclose(exact, images_without.images, atol=2e-5 * float(exact.max()))
    sigma = request.scene.noise_variance(exact, smooth).sqrt().numpy()
    slopes = []
    for name, spread in macro_nuisances(request.scene).items():
        step = 1e-4 * spread
        ends = [
            request.scene.render(moved(smooth, name, s), dtype=torch.float64) for s in (-step, step)
        ]
        slopes.append(((ends[1] - ends[0]).numpy() / 2e-4 / sigma).reshape(3, -1))
    changes = ((images_with.images - exact.numpy()) / sigma).reshape(3, -1)
    for i in range(3):
        design = np.stack([slope[i] for slope in slopes], axis=1)
        fitted = design @ np.linalg.lstsq(design, changes[i], rcond=1e-6)[0]
        rest = (left[i] / sigma[i]).ravel()
        scale = np.abs(changes[i]).max()
        np.testing.assert_allclose(rest, changes[i] - fitted, atol=0.01 * scale)
        assert np.linalg.norm(rest) < 0.8 * np.linalg.norm(changes[i])


def test_another_smooth_lens_is_no_truth(scene: str) -> None:
    request = parse_uri(scene)
    images_with, images_without, _, rms = open_pairs(scene)
    other = moved(smooth_of(request, images_with.metadata["index"]), "lens.einstein_radius", 0.005)
    other = moved(other, "source.centre_x", 0.003)
    images = LensImages.from_arrays(
        request.scene.render(other).numpy(), metadata={"index": images_with.metadata["index"]}
    )
    left = unmimicked_changes(scene, images)
    truth, arc = true_regions(images.images, images_without.images, rms, 0.5)
    assert (truth & arc).mean() > 0.05
    assert not changed_regions(left, rms, 0.5).any()


def test_rows_may_start_anywhere(scene: str) -> None:
    images_with, _, _, _ = open_pairs(scene)
    left = unmimicked_changes(scene, images_with)
    later = scene.replace("num=6", "start=2&num=4")
    part, _, _, _ = open_pairs(later)
    assert part.metadata["index"].tolist() == [3, 5]
    np.testing.assert_allclose(unmimicked_changes(later, part), left[1:], atol=1e-6)
    turned = images_with.select([2, 0])
    np.testing.assert_allclose(unmimicked_changes(scene, turned), left[[2, 0]], atol=1e-6)


@pytest.mark.parametrize(
    "changes",
    [
        {"noise": {"kind": "counting", "background_counts": 4.0}},
        {"storage": {"scaling": "peak"}},
    ],
)
def test_noise_of_no_instrument_is_refused(tmp_path: Path, changes: dict[str, object]) -> None:
    scene = f"scene:{small_scenes.write(tmp_path, **changes)}?{OPTIONS}"
    images_with, _, _, _ = open_pairs(scene)
    with pytest.raises(ConfigurationError, match="as an instrument observes them"):
        unmimicked_changes(scene, images_with)
    with pytest.raises(ConfigurationError, match="is no scene"):
        unmimicked_changes("pairs.h5", images_with)
