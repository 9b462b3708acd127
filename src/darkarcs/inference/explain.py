"""Explain the predictions of images: maps as arrays, a folder that a report is made from."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import track

from darkarcs import data
from darkarcs.data import LensImages
from darkarcs.errors import DataError, ModelError, require_new
from darkarcs.evaluation.files import write_new
from darkarcs.evaluation.provenance import command_line, package_version
from darkarcs.explain import ExplainSettings, explain_images
from darkarcs.explain.explanation import to_npz
from darkarcs.inference.classifier import open_classifier
from darkarcs.inference.classify import classified_path, report_bad
from darkarcs.inference.examining import examine
from darkarcs.inference.predictor import Predictor

#: The list of what was explained, beside one ``.npz`` an image.
EXPLANATIONS_FILE = "explanations.json"


def explain(
    model: Path,
    paths: Sequence[str],
    out: Path,
    *,
    settings: ExplainSettings | None = None,
    skip_bad: bool = False,
    device: str = "cpu",
    progress: bool = False,
) -> list[dict[str, Any]]:
    """Explain what a model says of images.

    Writes into `out` for each image a ``.npz`` file of its maps (see
    `darkarcs.explain.Explanation`) and, last, ``explanations.json``, which
    `darkarcs.report.write_explanations` makes pictures and a page from.

    Parameters
    ----------
    model : pathlib.Path
        A model folder. Without attention (a CNN) the evidence map and the gradient are made,
        and the rest is left out.
    paths : sequence of str
        Images, folders or archives of images; labels are not looked at.
    out : pathlib.Path
        A new folder.
    settings : ExplainSettings, optional
        What to draw.
    skip_bad : bool, default False
        Leave bad files out instead of stopping.
    device : str, default "cpu"
        Where the model runs.
    progress : bool, default False
        Show a progress bar on standard error.

    Returns
    -------
    list of dict
        For each image ``path``, ``identity``, ``class`` and ``probabilities`` as `classify`
        gives them, with ``p_in_distribution``, ``unfamiliar`` and ``because`` where the model ships
        what tells, ``one_view_probabilities`` (what is explained: the image as it lies, whatever
        the model's test-time augmentation), ``explained_class``, ``maps`` (name of the file)
        and ``erasing`` (class probabilities in each round).

    Raises
    ------
    DarkarcsError
        Bad files, all named at once, images or a class that the model cannot take, output that
        exists.
    """
    settings = settings or ExplainSettings()
    out = require_new(Path(out))
    predictor = open_classifier(model, device)
    target = _class_index(predictor, settings.class_name)
    opened, names, bad = _open_all(predictor, paths, skip_bad)
    report_bad(bad, len(paths), skip_bad and bool(names))
    out.mkdir(parents=True, exist_ok=True)
    records = []
    numbers = track(
        range(len(names)),
        "Explaining",
        console=Console(stderr=True),
        disable=not progress,
        transient=True,
    )
    for number in numbers:
        record = _explain_one(predictor, opened[number], settings, target)
        stem = f"{number:03d}-{_slug(names[number])}"
        write_new(out / f"{stem}.npz", record.pop("npz"))
        records.append({"path": names[number], **record, "maps": f"{stem}.npz"})
    description = predictor.folder.description
    content = {
        "schema_version": 1,
        "model": description.name,
        "model_hash": predictor.folder.model_hash,
        "class_names": list(predictor.class_names),
        "temperature": description.temperature,
        "patch_size": getattr(predictor.folder.model, "patch_size", None),
        "supports_attention": bool(getattr(predictor.folder.model, "supports_attention", False)),
        "settings": settings.model_dump(mode="json"),
        "command": command_line(),
        "version": package_version(),
        "images": records,
    }
    text = json.dumps(content, indent=2) + "\n"
    write_new(out / EXPLANATIONS_FILE, text.encode("utf-8", "replace"))
    return records


def _class_index(predictor: Predictor, name: str | None) -> int | None:
    if name is None:
        return None
    if name not in predictor.class_names:
        known = ", ".join(predictor.class_names)
        raise ModelError(f"the model knows no class '{name}': choose from {known}")
    return predictor.class_names.index(name)


def _open_all(
    predictor: Predictor, paths: Sequence[str], skip_bad: bool
) -> tuple[list[tuple[str, LensImages]], list[str], list[str]]:
    """Open every image before anything is written; gather what is wrong."""
    opened: list[tuple[str, LensImages]] = []
    names: list[str] = []
    bad: list[str] = []
    for path in paths:
        try:
            images = data.open(path, skip_bad=skip_bad, labelled=False)
            taken = predictor.as_taken(images)  # smooth lenses are fitted once
            predictor.preprocess(taken)
        except DataError as error:
            message = str(error)
            bad.append(message if message.startswith(path) else f"{path}: {message}")
            continue
        identities = images.metadata["identity"]
        opened += [(str(identities[index]), taken.select([index])) for index in range(len(images))]
        names += [classified_path(path, images, index) for index in range(len(images))]
    return opened, names, bad


def _explain_one(
    predictor: Predictor,
    opened: tuple[str, LensImages],
    settings: ExplainSettings,
    target: int | None,
) -> dict[str, Any]:
    identity, image = opened
    pixels = torch.from_numpy(predictor.preprocess(image)).to(predictor.device)
    temperature = predictor.folder.description.temperature
    [explanation] = explain_images(
        predictor.folder.model, pixels, settings, class_index=target, temperature=temperature
    )
    names = predictor.class_names

    def by_name(logits: np.ndarray[Any, np.dtype[Any]]) -> list[dict[str, float]]:
        rows = predictor.probabilities(np.asarray(logits, dtype=np.float64))
        return [dict(zip(names, map(float, row), strict=True)) for row in rows]

    examination = examine(predictor, image)
    [classified] = by_name(examination.logits)
    [one_view] = by_name(explanation.logits[None])
    erasing = explanation.erasing_logits
    return {
        "identity": identity,
        "class": max(classified, key=lambda name: classified[name]),
        "probabilities": classified,
        **(examination.assessment.records()[0] if examination.assessment is not None else {}),
        "one_view_probabilities": one_view,
        "explained_class": names[int(explanation.class_index)],
        "erasing": None if erasing is None else by_name(erasing),
        "npz": to_npz(explanation),
    }


def _slug(path: str) -> str:
    """Make the end of a path a file name that every system takes."""
    name = re.sub(r"[^A-Za-z0-9_-]+", "-", Path(path).with_suffix("").name).strip("-")
    return name[:60] or "image"
