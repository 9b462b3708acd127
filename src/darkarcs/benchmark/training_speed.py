"""How fast training runs, beside a bare loop over the same model on tensors in memory."""

from __future__ import annotations

import csv
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn import functional

from darkarcs.data import LensImages, save
from darkarcs.devices import choose_device, choose_precision
from darkarcs.evaluation.provenance import describe_machine
from darkarcs.seeding import numpy_generator, torch_generator
from darkarcs.training import Recipe, train
from darkarcs.training.building import build_model, make_batches
from darkarcs.training.preparation import prepare

#: One to warm up, the others measured.
NUM_EPOCHS = 3


def training_speed(
    recipe: Recipe, *, num_images: int = 2048, repeats: int = 3, device: str = "auto"
) -> dict[str, Any]:
    """Compare the throughput of `darkarcs.training.train` with that of a bare loop.

    Both train the recipe's model on the same synthetic images of noise, with the same batches,
    precision, optimizer, clipping and augmentation. The bare loop does nothing else; ours also
    selects, averages weights, logs and writes checkpoints, and all of that is counted. Start-up,
    the first epoch and the forward passes of validation are left out. The two take turns.

    Parameters
    ----------
    recipe : Recipe
        Its model, preprocessing and batch size.
    num_images : int, default 2048
        Training images an epoch.
    repeats : int, default 3
        Measurements of each.
    device : str, default "auto"
        Where.

    Returns
    -------
    dict
        ``ours`` and ``bare`` in images/s (medians), ``ratio`` (median of the paired ratios),
        ``ratios``, ``machine``.
    """
    recipe = timed_recipe(recipe)
    images = noise_images(recipe, num_images)
    measure: dict[str, Callable[[], float]] = {
        "ours": lambda: throughput(recipe, images, device),
        "bare": lambda: _bare_loop(recipe, images, device),
    }
    pairs = []
    for repeat in range(repeats):
        # neither side always goes first, on the cooler machine
        order = ("bare", "ours") if repeat % 2 else ("ours", "bare")
        found = {side: measure[side]() for side in order}
        pairs.append((found["ours"], found["bare"]))
    ratios = [ours / bare for ours, bare in pairs]
    return {
        "model": recipe.model.name,
        "batch_size": recipe.training.batch_size,
        "ours": statistics.median(ours for ours, _ in pairs),
        "bare": statistics.median(bare for _, bare in pairs),
        "ratio": statistics.median(ratios),
        "ratios": ratios,
        "machine": describe_machine(torch.get_num_threads(), str(choose_device(device))),
    }


def timed_recipe(recipe: Recipe) -> Recipe:
    """Shorten a recipe to the epochs that are timed.

    Parameters
    ----------
    recipe : Recipe
        Any.

    Returns
    -------
    Recipe
        With all labels, and without early stopping.
    """
    values = recipe.model_dump(mode="json")
    values["training"] = {**values["training"], "epochs": NUM_EPOCHS, "early_stopping": None}
    values["split"] = {**values["split"], "fold": None, "num_per_class": None}
    return Recipe.parse(values, recipe.name)


def noise_images(recipe: Recipe, num_images: int, channels: int = 1) -> LensImages:
    """Make labelled images of noise, as large as a recipe takes them.

    Parameters
    ----------
    recipe : Recipe
        Gives size and split.
    num_images : int
        That are left to train on.
    channels : int, default 1
        Of each image.

    Returns
    -------
    LensImages
        Of two classes.
    """
    side = recipe.preprocessing.crop_pixels or recipe.preprocessing.size or 64
    # the split leaves 0.7 of the images to train on
    count = 2 * round(num_images / recipe.split.train / 2)
    pixels = numpy_generator(0, "training_speed").normal(size=(count, channels, side, side))
    return LensImages.from_arrays(
        pixels.astype(np.float32), np.arange(count) % 2, ("no_sub", "sub")
    )


def throughput(recipe: Recipe, images: LensImages, device: str) -> float:
    """Train and tell how fast it went.

    Parameters
    ----------
    recipe : Recipe
        Of `timed_recipe`.
    images : LensImages
        To train on.
    device : str
        Where.

    Returns
    -------
    float, images/s
        Without the first epoch and the forward passes of validation.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "noise.h5"
        save(images, path)
        train(recipe, str(path), Path(folder) / "run", device=device)
        with (Path(folder) / "run" / "history.csv").open(encoding="utf-8") as file:
            rows = [{k: float(v) for k, v in row.items()} for row in csv.DictReader(file)]
    seen = rows[-1]["images_seen"] - rows[0]["images_seen"]
    validation = sum(row["validation_time"] for row in rows[1:])
    return seen / (rows[-1]["wall_time"] - rows[0]["wall_time"] - validation)


def _bare_loop(recipe: Recipe, images: LensImages, device: str) -> float:
    chosen = choose_device(device)
    prepared = prepare(images, recipe)
    model: Any = build_model(recipe, prepared, len(images.class_names)).to(chosen).train()
    batches, _ = make_batches(recipe, prepared, chosen)
    optimizer = torch.optim.AdamW(model.parameters(), lr=recipe.training.learning_rate, fused=True)
    bfloat16 = choose_precision(recipe.training.precision, chosen) == "bf16-mixed"
    seen, started = 0, 0.0
    for epoch in range(NUM_EPOCHS):
        if epoch == 1:  # the first epoch warms up
            seen, started = 0, time.perf_counter()
        batches.set_epoch(epoch)
        for step, batch in enumerate(batches):
            augmented = recipe.augmentation.apply(batch.images, torch_generator(0, epoch, step))
            with torch.autocast(chosen.type, torch.bfloat16, enabled=bfloat16):
                loss = functional.cross_entropy(model(augmented).logits.float(), batch.labels)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.training.gradient_clip)
            optimizer.step()
            seen += len(augmented)
    if chosen.type == "cuda":
        torch.cuda.synchronize()
    return seen / (time.perf_counter() - started)
