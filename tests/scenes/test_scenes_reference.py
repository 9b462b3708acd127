"""The reference of scenes is that of the YAML files and of the code."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
import yaml

from darkarcs.scenes import list_scenes, load_scene

REPOSITORY = Path(__file__).resolve().parents[2]


def test_the_reference_is_up_to_date() -> None:
    specification = importlib.util.spec_from_file_location(
        "generate", REPOSITORY / "docs" / "generate.py"
    )
    assert specification is not None
    assert specification.loader is not None
    generate = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(generate)
    page = REPOSITORY / "docs" / "reference" / "scenes.md"
    text = page.read_text(encoding="utf-8")
    assert text == generate.describe_scenes(), "run: make docs-tables"
    for name in list_scenes():
        assert f"\n### {name}\n" in text


def test_scenes_in_the_documents_are_valid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = (REPOSITORY / "docs" / "how-to" / "write-a-scene.md").read_text(encoding="utf-8")
    blocks = [part.split("```")[0] for part in text.split("```yaml\n")[1:]]
    assert len(blocks) == 3
    for block in blocks:
        path = tmp_path / f"{yaml.safe_load(block)['name']}.yaml"
        path.write_text(block, encoding="utf-8")
        scene = load_scene(path)
        assert scene.name == path.stem
        if scene.source.kind == "sersic":
            assert len(scene.draw(0, 0, 3)) == 3
