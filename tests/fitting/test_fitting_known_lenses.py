"""Lenses that are known: those of the table that images were simulated from."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

import small_scenes
from darkarcs.errors import DataError
from darkarcs.fitting import SmoothFitter
from darkarcs.fitting.known_lenses import known_lenses
from darkarcs.scenes.smooth import smooth_partners
from darkarcs.simulation import SimulationRequest, simulate


def test_known_lenses_have_all_the_mass_and_no_substructure() -> None:
    scene = small_scenes.scene().with_classes(["no_sub", "cdm"])
    images = simulate(SimulationRequest(scene=scene, seed=4, num=6))
    known = known_lenses(SmoothFitter(scene), images)
    smooth = scene.render(smooth_partners(scene, scene.draw(seed=4, start=0, count=6)))
    torch.testing.assert_close(known.images, smooth, rtol=1e-3, atol=1e-3 * float(smooth.max()))
    np.testing.assert_allclose(
        known.values["lens.smooth_einstein_radius"],
        images.metadata["lens.einstein_radius"],
        rtol=1e-5,
    )
    assert not known.converged.any()


def test_images_have_to_tell_their_lenses() -> None:
    scene = small_scenes.scene()
    images = simulate(SimulationRequest(scene=scene, seed=4, num=2))
    metadata = {k: v for k, v in images.metadata.items() if k != "lens.einstein_radius"}
    metadata.pop("lens.smooth_einstein_radius", None)
    with pytest.raises(DataError, match=r"does not tell lens\.smooth_einstein_radius"):
        known_lenses(SmoothFitter(scene), replace(images, metadata=metadata))
