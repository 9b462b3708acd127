"""What the arms of a sweep cost: training throughput beside the plain one, in turns."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from typing import Any

import torch

from darkarcs.benchmark.sweep_settings import Sweep, SweepRun
from darkarcs.benchmark.training_speed import noise_images, throughput, timed_recipe
from darkarcs.devices import choose_device
from darkarcs.errors import ConfigurationError
from darkarcs.evaluation.provenance import command_line, describe_machine, package_version
from darkarcs.training.cost import token_forwards_per_image
from darkarcs.training.preparation import prepare


def arm_speed(
    sweep: Sweep,
    *,
    overrides: tuple[str, ...] = (),
    arms: tuple[str, ...] = (),
    num_images: int = 1024,
    channels: int = 1,
    repeats: int = 3,
    device: str = "auto",
    progress: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Measure how many images a second `darkarcs.training.train` takes with each arm.

    All train on the same synthetic images of noise, in turns, each in a process that is warm; the
    first epoch of each run and the forward passes of validation are left out, and so is the time in
    which a teacher stores its answers before the run. Noise is as slow as lenses are.

    Parameters
    ----------
    sweep : Sweep
        Its first arm is the plain one.
    overrides : tuple of str
        More overrides of every arm.
    arms : tuple of str
        Those to measure beside the first; empty for all.
    num_images : int, default 1024
        Training images an epoch.
    channels : int, default 1
        Of the images; residuals of fits have more than one.
    repeats : int, default 3
        Turns.
    device : str, default "auto"
        Where.
    progress : callable, optional
        Told what comes next.

    Returns
    -------
    dict
        Ready for JSON: ``arms`` with for each ``throughput`` (images/s, median), ``ratio`` to the
        first arm (median of the ratios within a turn), ``ratios`` and ``token_forwards`` an image
        (stored answers included, spread over the epochs that the sweep's budget allows here);
        ``sweep``, ``num_images``, ``command``, ``version``, ``machine``.

    Raises
    ------
    ConfigurationError
        If an arm is not of the sweep, or is taught by another arm.
    """
    for arm in arms:
        if arm not in sweep.arms:
            raise ConfigurationError(
                f"{sweep.name}: has no arm '{arm}': choose of {', '.join(sweep.arms)}"
            )
    first = next(iter(sweep.arms))
    chosen = dict.fromkeys((first, *(arms or sweep.arms)))
    epochs = f"training.epochs={max(1, round(sweep.budget_images / num_images))}"
    whole = {arm: SweepRun(sweep, arm, None, 0, overrides, {}).recipe((epochs,)) for arm in chosen}
    recipes = {arm: timed_recipe(recipe) for arm, recipe in whole.items()}
    images = noise_images(recipes[first], num_images, channels)
    found: dict[str, list[float]] = {arm: [] for arm in chosen}
    for turn in range(repeats):
        # who goes first changes: the machine is cooler then
        order = list(chosen) if turn % 2 == 0 else list(chosen)[::-1]
        for arm in order:
            if progress is not None:
                progress(f"turn {turn + 1} of {repeats}: {arm}")
            found[arm].append(throughput(recipes[arm], images, device))
    rows = {}
    for arm, recipe in whole.items():
        ratios = [one / plain for one, plain in zip(found[arm], found[first], strict=True)]
        rows[arm] = {
            "throughput": statistics.median(found[arm]),
            "ratio": statistics.median(ratios),
            "ratios": ratios,
            "token_forwards": token_forwards_per_image(recipe, prepare(images, recipe)),
        }
    return {
        "schema_version": 1,
        "sweep": sweep.name,
        "model": recipes[first].model.name,
        "batch_size": recipes[first].training.batch_size,
        "num_images": num_images,
        "channels": channels,
        "arms": rows,
        "command": command_line(),
        "version": package_version(),
        "machine": describe_machine(torch.get_num_threads(), str(choose_device(device))),
    }
