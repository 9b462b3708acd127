"""A page about explained predictions, and its pictures, from a folder of maps."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from darkarcs.errors import DataError, OutputExistsError
from darkarcs.evaluation.files import write_new
from darkarcs.explain.explanation import Explanation, read_explanation
from darkarcs.report.explanation_pictures import draw_attention, draw_erasing, draw_maps
from darkarcs.trust import REASONS

EXPLANATIONS_FILE = "explanations.json"
PAGE_FILE = "explanations.html"

#: Pictures of an image, in the order of the page.
KINDS = ("maps", "erasing", "attention")


def write_explanations(directory: Path) -> Path:
    """Draw what ``darkarcs explain`` found, as PNG files and one self-contained page.

    Parameters
    ----------
    directory : pathlib.Path
        A folder with ``explanations.json`` and the files of maps that it names. Each image gets
        ``-maps.png`` and, where the model has attention, ``-erasing.png`` and
        ``-attention.png`` beside them.

    Returns
    -------
    pathlib.Path
        The page, ``explanations.html`` in the same folder. It holds its pictures itself.

    Raises
    ------
    DataError
        If the folder holds no explanations, or a file is damaged.
    OutputExistsError
        If a picture or the page exists.
    """
    directory = Path(directory)
    content = _read(directory / EXPLANATIONS_FILE)
    page = directory / PAGE_FILE
    if page.exists():
        raise OutputExistsError(page)
    sections = []
    for record in content["images"]:
        explanation = read_explanation(directory / record["maps"])
        pictures = _pictures(explanation, record, content["settings"]["measure"])
        stem = Path(record["maps"]).stem
        for kind, picture in pictures.items():
            write_new(directory / f"{stem}-{kind}.png", picture)
        sections.append(_section(record, pictures))
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    text = environment.get_template("explanations.html.jinja").render(
        content=content, sections=sections, erasing=content["settings"]["erasing"]
    )
    write_new(page, text.encode("utf-8", "replace"))
    return page


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        settings, images = content["settings"], content["images"]
        complete = {"measure", "erasing"} <= set(settings) and isinstance(images, list)
    except OSError:
        raise DataError(f"{path}: is not there; make it with 'darkarcs explain'") from None
    except (ValueError, TypeError, KeyError):
        complete = False
    if not complete:
        raise DataError(f"{path}: is damaged; make it again with 'darkarcs explain'")
    loaded: dict[str, Any] = content
    return loaded


def _pictures(explanation: Explanation, record: dict[str, Any], measure: str) -> dict[str, bytes]:
    drawn = {
        "maps": draw_maps(explanation, record["explained_class"], measure),
        "erasing": draw_erasing(explanation, record["erasing"] or []),
        "attention": draw_attention(explanation),
    }
    return {kind: picture for kind, picture in drawn.items() if picture is not None}


def _section(record: dict[str, Any], pictures: dict[str, bytes]) -> dict[str, Any]:
    one_view = record["one_view_probabilities"]
    return {
        "name": Path(record["path"]).name,
        "path": record["path"],
        "called": record["class"],
        "explained": record["explained_class"],
        "strange": _strange(record),
        "rows": [
            {
                "class": name,
                "probability": f"{value:.4f}",
                "one_view": f"{one_view[name]:.4f}",
                "rounds": [f"{said[name]:.3f}" for said in record["erasing"] or []],
            }
            for name, value in record["probabilities"].items()
        ],
        "num_rounds": len(record["erasing"] or []),
        "pictures": {kind: _address(pictures.get(kind)) for kind in KINDS},
    }


def _strange(record: dict[str, Any]) -> str | None:
    """Say why an image is unlike those of training; None where it is not, or nobody checked."""
    if not record.get("unfamiliar"):
        return None
    return f"{REASONS[record['because']]}, p in distribution {record['p_in_distribution']:.4f}"


def _address(picture: bytes | None) -> str | None:
    return (
        None if picture is None else f"data:image/png;base64,{base64.b64encode(picture).decode()}"
    )
