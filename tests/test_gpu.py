"""What only a CUDA device can show; run by ``make gpu-check``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from darkarcs import data
from darkarcs.benchmark import training_speed
from darkarcs.data import Augmentation
from darkarcs.devices import choose_device, choose_precision
from darkarcs.inference import Predictor
from darkarcs.models import create_model
from darkarcs.seeding import torch_generator
from darkarcs.training import Recipe, load_recipe, train
from rings import ring_lenses

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]


@pytest.mark.parametrize("name", ["vit_ti16", "deit_ti16", "compact_vit_1m", "resnet18", "d4_cnn"])
def test_models_agree_with_the_cpu(name: str) -> None:
    options = {"patch_size": 8} if "it_ti16" in name else {}
    torch.manual_seed(0)
    model = create_model(name, num_classes=2, image_size=64, **options).eval()
    images = torch.randn(4, 1, 64, 64)
    with torch.inference_mode():
        expected = model(images).logits
        found = model.cuda()(images.cuda()).logits.cpu()
    assert torch.allclose(expected, found, atol=2e-3, rtol=1e-3)


def test_fused_and_written_out_attention_agree() -> None:
    logits = []
    for kind in ("fused", "written_out"):
        torch.manual_seed(0)
        model = create_model("vit_ti16", num_classes=2, image_size=64, attention=kind)
        images = torch.randn(4, 1, 64, 64, generator=torch.Generator().manual_seed(1)).cuda()
        with torch.inference_mode():
            logits.append(model.cuda().eval()(images).logits)
    assert torch.allclose(*logits, atol=2e-3, rtol=1e-3)


def test_augmentation_draws_do_not_depend_on_the_device() -> None:
    augmentation = Augmentation(dihedral=True, rotation=True, shift_pixels=0.5, scale=(0.95, 1.05))
    images = torch.rand(8, 1, 32, 32)
    here = augmentation.apply(images, torch_generator(0))
    there = augmentation.apply(images.cuda(), torch_generator(0)).cpu()
    assert torch.allclose(here, there, atol=1e-4)


def test_training_learns_and_the_folder_runs_on_both_devices(tmp_path: Path) -> None:
    data.save(ring_lenses(120, size=32), tmp_path / "lenses.h5")
    recipe = Recipe.parse(
        {
            "name": "gpu",
            "model": {"name": "compact_vit_100k", "options": {"patch_size": 4}},
            "training": {"epochs": 10, "batch_size": 16},
        },
        "test",
    )
    assert choose_precision(recipe.training.precision, choose_device()) == "bf16-mixed"
    run = train(recipe, str(tmp_path / "lenses.h5"), tmp_path / "run", device="cuda")
    assert run.best_auc > 0.9
    images = ring_lenses(8, size=32)
    on_cpu = Predictor(run.model).logits(images)
    on_gpu = Predictor(run.model, "cuda").logits(images)
    assert np.allclose(on_cpu, on_gpu, atol=5e-3)


def test_training_speed_is_measured() -> None:
    overrides = ["training.batch_size=256", "training.epochs=3"]
    result = training_speed(load_recipe("demo", overrides), num_images=4096, repeats=1)
    assert result["ours"] > 0
    assert result["machine"]["device"].startswith("cuda")
