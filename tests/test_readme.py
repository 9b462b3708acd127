"""The README's own code, executed as a reader would."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pytest
from PIL import Image

REPOSITORY = Path(__file__).resolve().parents[1]
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
PYTHON = re.findall(r"^```python\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)


#: The README asks for as many lenses as it takes to learn; to see the code run, few do.
AS_WRITTEN, IN_THE_TEST = "num=3000", "num=48"


@pytest.mark.slow
def test_the_code_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    mpl.use("Agg")
    names: dict[str, Any] = {"__name__": "__main__"}
    assert len(PYTHON) == 2
    assert PYTHON[0].count(AS_WRITTEN) == 1
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        for code in PYTHON:
            exec(compile(code.replace(AS_WRITTEN, IN_THE_TEST), "README.md", "exec"), names)
    assert re.match(r"(0\.\d+|1\.0) \[(0|1)\.", printed.getvalue())
    assert "('no_sub', 'sub')" in printed.getvalue()
    assert (tmp_path / "runs" / "first" / "model" / "model.safetensors").is_file()
    with Image.open(tmp_path / "attention.png") as figure:
        figure.verify()


def test_the_python_is_about_twelve_lines() -> None:
    assert len([line for line in PYTHON[0].splitlines() if line]) <= 12
