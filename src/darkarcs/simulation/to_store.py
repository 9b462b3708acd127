"""Simulate into an HDF5 file, in shards that survive an interruption."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import torch

from darkarcs.data.joining import join
from darkarcs.data.store import load, save
from darkarcs.errors import ConfigurationError, OutputExistsError
from darkarcs.scenes import BLOCK
from darkarcs.simulation.request import SimulationRequest
from darkarcs.simulation.simulate import manifest_of, simulate

#: Images of a shard: what an interruption loses at most.
SHARD = 16 * BLOCK


def simulate_to_store(
    request: SimulationRequest,
    out: Path,
    *,
    device: torch.device | str = "cpu",
    progress: Callable[[int], None] | None = None,
) -> Path:
    """Simulate a set of lenses into a new HDF5 store, or go on where a run was cut off.

    Finished shards lie in ``.NAME.partial/`` beside the file until all are there; the same
    request finds them again.

    Parameters
    ----------
    request : SimulationRequest
        What.
    out : pathlib.Path
        The file to make.
    device : torch.device or str, default "cpu"
        Where the images are made.
    progress : callable, optional
        Called with the number of images that were just made, or found.

    Returns
    -------
    pathlib.Path
        ``out``.

    Raises
    ------
    OutputExistsError
        If the file is there.
    ConfigurationError
        If shards of another request are there.
    """
    out = Path(out)
    if out.exists():
        raise OutputExistsError(out)
    if request.num is None:
        raise ConfigurationError(f"{request.source}: say how many images, as in --num 5000")
    folder = out.with_name(f".{out.name}.partial")
    _claim(folder, request, device)
    shards = []
    for first in range(request.start, request.start + request.num, SHARD):
        num = min(SHARD, request.start + request.num - first)
        shard = folder / f"{first:012d}.h5"
        if shard.exists():
            if progress is not None:
                progress(num)
        else:
            piece = request.model_copy(update={"start": first, "num": num})
            save(simulate(piece, device=device, progress=progress), shard)
        shards.append(shard)
    save(join([load(shard) for shard in shards], manifest_of(request)), out)
    shutil.rmtree(folder)
    return out


def _claim(folder: Path, request: SimulationRequest, device: torch.device | str) -> None:
    """Write down what the shards are of, or check it."""
    values = request.model_dump(mode="json", exclude={"scene"})
    values |= {"scene": request.scene.identity, "device": torch.device(device).type}
    text = json.dumps(values, sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()
    note = folder / "request.json"
    if not note.exists():
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(values | {"sha256": digest}, indent=2)
        partial = folder / f".request.{os.getpid()}.partial"
        partial.write_text(text, encoding="utf-8")
        partial.replace(note)  # a kill leaves all of the note or none
        return
    try:
        told = json.loads(note.read_text(encoding="utf-8"))["sha256"]
    except (ValueError, KeyError, TypeError):
        told = None
    if told != digest:
        raise ConfigurationError(
            f"{folder}: holds the beginning of another simulation; repeat that one to finish it, "
            "or remove the folder"
        )
