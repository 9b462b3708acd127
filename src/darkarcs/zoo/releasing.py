"""From a run's model folder to a released one: smaller, hashed, named, with a card."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from safetensors.numpy import save_file

from darkarcs.errors import ModelError, require_new
from darkarcs.measurement.files import MEASUREMENT_FILES
from darkarcs.model_folder import SEEN, read_description
from darkarcs.released import (
    MODEL_FILE,
    TRUST_FILE,
    WEIGHTS_FILE,
    ReleasedModel,
    read_released,
)
from darkarcs.zoo.cards import write_card
from darkarcs.zoo.weights_file import halve, read_weights

#: A released weights file is at most this large, so that a repository can carry it.
MAX_BYTES = 16 * 2**20

_NAME = re.compile(r"darkarcs(-[a-z0-9]+)+")


def release(
    model_folder: Path,
    name: str,
    results: Sequence[Path],
    out: Path,
    *,
    half: bool = True,
) -> ReleasedModel:
    """Write the model folder that is released, with its card.

    What is evaluated is the stored file: release first, evaluate the released folder, then write
    the card from the result files with `darkarcs.zoo.write_card`. A result that was measured on
    anything but the very files that are written here is refused.

    Parameters
    ----------
    model_folder : pathlib.Path
        The folder that training wrote.
    name : str
        Name of the release: ``darkarcs-<task>-<variant>``, lower case.
    results : sequence of pathlib.Path
        Result files of the released folder, where it was written before; else empty.
    out : pathlib.Path
        The new folder; its name should be ``name``.
    half : bool, default True
        Store 32-bit floating-point numbers in 16 bits.

    Returns
    -------
    ReleasedModel
        The record of what was written.

    Raises
    ------
    ModelError
        If the folder holds no model, the name is not valid, a weight does not fit into half
        precision or is not finite, or the weights file is larger than 16 MiB.
    OutputExistsError
        If ``out`` exists and is not empty.
    """
    if not _NAME.fullmatch(name):
        raise ModelError(f"'{name}': a released name reads darkarcs-<task>-<variant>, lower case")
    model_folder, out = Path(model_folder), Path(out)
    description = read_description(model_folder).model_copy(update={"name": name})
    require_new(out)
    weights, metadata = read_weights(model_folder / WEIGHTS_FILE)
    if half:
        weights = halve(weights)
    size = sum(tensor.nbytes for tensor in weights.values())
    if size > MAX_BYTES:
        raise ModelError(
            f"{model_folder}: {size / 2**20:.1f} MiB of weights are more than the"
            f" {MAX_BYTES // 2**20} MiB of a released file"
            + ("" if half else "; store half precision")
        )
    out.mkdir(parents=True, exist_ok=True)
    try:
        save_file(weights, out / WEIGHTS_FILE, metadata=metadata)
        (out / WEIGHTS_FILE).chmod(0o644)  # safetensors makes private files
        text = json.dumps(description.model_dump(mode="json"), indent=2) + "\n"
        (out / MODEL_FILE).write_text(text, encoding="utf-8")
        if (model_folder / SEEN).is_file():
            shutil.copyfile(model_folder / SEEN, out / SEEN)
        for extra in (TRUST_FILE, *MEASUREMENT_FILES):
            if (model_folder / extra).is_file():
                shutil.copyfile(model_folder / extra, out / extra)
        write_card(out, results, name=name)
    except BaseException:
        shutil.rmtree(out)
        raise
    return read_released(out)
