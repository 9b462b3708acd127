"""The card of a released model, generated from its description and its result files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from darkarcs.data import FittedPreprocessing
from darkarcs.errors import ModelError
from darkarcs.measurement import MEASUREMENT_FILES, has_measurement, measures_only, read_measurement
from darkarcs.model_folder import ModelDescription, hash_model_folder, read_description
from darkarcs.released import (
    CARD_FILE,
    MODEL_FILE,
    TRUST_FILE,
    WEIGHTS_FILE,
    file_sha256,
    read_front_matter,
)
from darkarcs.zoo.card_results import read_measured, results_section
from darkarcs.zoo.weights_file import count_parameters, stored_type

LICENSE = "Apache-2.0"

#: What of data and provenance stands in the card, and how; all of it is in ``model.json``.
_SHOWN_DATA = {"uri": "data", "content_hash": "content hash", "num_images": "images in the set"}
_SHOWN_PROVENANCE = {
    "pretrained": "started from",
    "seed": "seed",
    "images_seen": "images seen",
    "wall_time": "wall time, seconds",
    "converged": "converged",
    "version": "darkarcs version",
}

_COUNT_WORDS = {2: "two", 3: "three", 4: "four", 5: "five", 6: "six"}

_LIMITS = """\
- It was trained on simulated lenses. On images from a telescope, with another noise, another
  point-spread function or the lens galaxy's light still in, its probabilities mean little until
  it is evaluated, and better fine-tuned, on images like them.
- It always answers with one of its classes, also for an image that is no lens; `classify` flags
  such images where the folder holds `trust.safetensors`.
- Its probabilities assume the class proportions of its training images.
"""

#: Of models that tell no classes apart.
_MEASURING_LIMITS = """\
- It was trained on simulated lenses of one scene, and its intervals hold for lenses of that scene:
  on images from a telescope, with another noise, another point-spread function or the lens galaxy's
  light still in, they mean little.
- It measures every image, also one that is no lens or holds no such substructure; `measure` flags
  images unlike those of training where the folder holds `trust.safetensors`.
"""

_RING_SIZE = """\
- On the published two-class set a gradient-boosted tree on nothing but the azimuthally averaged
  radial profile reaches an AUC of 0.993: the size of the ring nearly gives the label away. A high
  AUC there does not show by itself that substructure was seen.
"""


def write_card(model_folder: Path, results: Sequence[Path], *, name: str | None = None) -> Path:
    """Write ``card.md`` of a model folder from result files, replacing an earlier card.

    Parameters
    ----------
    model_folder : pathlib.Path
        The folder that is released.
    results : sequence of pathlib.Path
        Result files of ``evaluate`` and ``measure`` with this very folder; may be empty.
    name : str, optional
        Name of the release; by default the one in the earlier card, else in ``model.json``.

    Returns
    -------
    pathlib.Path
        The card.

    Raises
    ------
    ModelError
        If it is no model folder, or a result was measured on other weights.
    """
    folder = Path(model_folder)
    description = read_description(folder)
    card = folder / CARD_FILE
    if name is None:
        name = str(read_front_matter(card)["name"]) if card.is_file() else description.name
    model_hash = hash_model_folder(folder)
    measuring_hash = ""  # of the weights, and of the head that measures
    if has_measurement(folder):
        measuring_hash = f"{model_hash}+{read_measurement(folder).head_hash[:16]}"
    measured = [read_measured(path) for path in results]
    for path, result in zip(results, measured, strict=True):
        own = model_hash if result.measurement is None else measuring_hash
        if result.model_hash != own:
            raise ModelError(
                f"{path}: was measured on another model ({result.model_hash or 'unknown'}, not"
                f" {own or 'one that measures'}): evaluate {folder} itself"
            )
    text = _front_matter(folder, name, description) + "\n" + _body(folder, name, description)
    text = text.replace("<!-- results -->", results_section(measured))
    card.write_text(text, encoding="utf-8")
    return card


def read_card(model_folder: Path) -> str:
    """Read the card of a released model.

    Parameters
    ----------
    model_folder : pathlib.Path
        Its folder.

    Returns
    -------
    str
        Markdown, front matter included.

    Raises
    ------
    ModelError
        If there is no card.
    """
    card = Path(model_folder) / CARD_FILE
    if not card.is_file():
        raise ModelError(f"{model_folder}: has no {CARD_FILE}; it is not a released model")
    return card.read_text(encoding="utf-8")


def task_name(class_names: Sequence[str]) -> str:
    """Name the task by its number of classes.

    Parameters
    ----------
    class_names : sequence of str
        The classes.

    Returns
    -------
    str
        As in names of releases.

    Examples
    --------
    >>> task_name(["no_sub", "cdm", "axion"])
    'three-class'
    """
    count = len(class_names)
    return f"{_COUNT_WORDS.get(count, count)}-class"


def _measures_only(description: ModelDescription) -> bool:
    return measures_only(description.class_names, description.provenance.get("recipe", {}))


def _front_matter(folder: Path, name: str, description: ModelDescription) -> str:
    values = {
        "name": name,
        "task": "measuring" if _measures_only(description) else task_name(description.class_names),
        "classes": list(description.class_names),
        "parameters": count_parameters(folder / WEIGHTS_FILE),
        "license": LICENSE,
        "files": {
            file: file_sha256(folder / file)
            for file in (WEIGHTS_FILE, MODEL_FILE, TRUST_FILE, *MEASUREMENT_FILES)
            if file in (WEIGHTS_FILE, MODEL_FILE) or (folder / file).is_file()
        },
    }
    return f"---\n{yaml.safe_dump(values, sort_keys=False)}---\n"


def _body(folder: Path, name: str, description: ModelDescription) -> str:
    parameters = count_parameters(folder / WEIGHTS_FILE)
    size = (folder / WEIGHTS_FILE).stat().st_size / 2**20
    measures = _measures_only(description)
    limits = (
        _MEASURING_LIMITS
        if measures
        else _LIMITS + (_RING_SIZE if description.class_names == ("no_sub", "sub") else "")
    )
    does = (
        "Measures substructure" if measures else f"Tells {' from '.join(description.class_names)}"
    )
    return f"""\
# {name}

{does} in an image of a strong gravitational lens:
`{description.architecture.name}`, {parameters:,} parameters, stored as \
{stored_type(folder / WEIGHTS_FILE)} ({size:.1f} MiB).{_describe_measuring(folder)}

## Use

```shell
{_use(folder, name, measures)}
```

## Input

{_describe_fit(description)}{describe_input(description.preprocessing)}

## Results

<!-- results -->

## Training data

{_training_data(description)}

## Limits

{limits}
## Licence

{LICENSE}. The images it was trained on keep their own licence.
"""


def _describe_measuring(folder: Path) -> str:
    """Say what a model with a measuring head measures."""
    if not has_measurement(folder):
        return ""
    described = read_measurement(folder).description
    names = ", ".join(f"`{target.name}`" for target in described.targets)
    found = f"\n\nIt measures {names}, with intervals" if names else "\n\nIt"
    if described.map is not None:
        link = ", and maps" if names else " maps"
        found += f"{link} where subhalos of {described.map.min_mass:.0e} solar masses or more sit"
    return f"{found}."


def _use(folder: Path, name: str, measures: bool) -> str:
    lines = []
    if has_measurement(folder):
        lines.append(f"darkarcs measure {name} DATA --out measured")
    if not measures:
        lines.append(f"darkarcs classify {name} image.jpg --json")
        lines.append(f"darkarcs evaluate {name} DATA --out evaluation")
    lines.append(f"darkarcs zoo card {name}")
    return "\n".join(lines)


#: What is told of sources, by whether they are free.
_SOURCES = {
    False: "Sources that are not a Sersic profile leave residuals of their own, and it takes them "
    "for substructure.",
    True: "Sources may differ from Sersic profiles; detail beyond five half-light radii, or finer "
    "than half of one, may still be taken for substructure.",
}


def _describe_fit(description: ModelDescription) -> str:
    """What has to be known of images before their residuals are, where a model looks at those."""
    if description.smooth_fit is None:
        return ""
    scene = description.smooth_fit["scene"]
    side, scale = scene["num_pixels"], scene["instrument"]["pixel_scale"]
    searched = description.smooth_fit["version"] > 1
    free = description.smooth_fit.get("source") == "free"
    maps = ", and at maps of where subhalos could be" if searched else ""
    return (
        f"It fits a smooth lens of scene `{scene['name']}` to each image and looks at what the fit "
        f"leaves{maps}, so it takes {side} x {side} pixels of {scale:g} arcsec in electrons / s, "
        "sky subtracted, blurred and noisy as that scene's instrument makes them, or residuals of "
        f"`darkarcs fit`. {_SOURCES[free]}\n\nOf the residuals: "
    )


def describe_input(preprocessing: FittedPreprocessing) -> str:
    """Describe in sentences what images a model expects.

    Parameters
    ----------
    preprocessing : FittedPreprocessing
        The model's own.

    Returns
    -------
    str
        Markdown.
    """
    settings = preprocessing.settings
    channels = (
        "one channel" if preprocessing.channels == 1 else f"{preprocessing.channels} channels"
    )
    scale = (
        "of unknown pixel scale"
        if preprocessing.pixel_scale is None
        else f"at {preprocessing.pixel_scale:g} arcsec per pixel"
    )
    constants = settings.normalization.replace("_", " ")
    field = f"{preprocessing.crop_height:g} x {preprocessing.crop_width:g}"
    return (
        f"Images with {channels}; it was trained on {preprocessing.input_height} x"
        f" {preprocessing.input_width} pixels {scale}. The central {field} of those pixels are"
        f" resized to {preprocessing.height} x {preprocessing.width}, stretched"
        f" ({settings.stretch}) and normalized (constants: {constants}); `model.json` holds the"
        " constants and the package applies them. The lens should be centred."
    )


def _training_data(description: ModelDescription) -> str:
    provenance = description.provenance
    rows = [(label, description.data.get(key)) for key, label in _SHOWN_DATA.items()]
    rows += [("recipe", _recipe_name(provenance))]
    rows += [(label, provenance.get(key)) for key, label in _SHOWN_PROVENANCE.items()]
    lines = [f"| {label} | `{value}` |" for label, value in rows if value is not None]
    return "\n".join(["| what | value |", "| --- | --- |", *lines])


def _recipe_name(provenance: dict[str, Any]) -> str | None:
    recipe = provenance.get("recipe")
    if isinstance(recipe, dict):
        return str(recipe.get("name"))
    return None if recipe is None else str(recipe)
