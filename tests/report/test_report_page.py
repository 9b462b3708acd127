"""The page: complete, self-contained, the same twice, and useful when parts are missing."""

from __future__ import annotations

import csv
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from darkarcs.errors import DataError, OutputExistsError
from darkarcs.evaluation import Predictions, evaluate_predictions, write_predictions
from darkarcs.evaluation.examples import choose_examples, read_examples, write_examples
from darkarcs.report import write_report


def predictions(classes: tuple[str, ...] = ("no_sub", "sub"), separation: float = 1.5, **changes):
    rng = np.random.default_rng(0)
    labels = np.arange(90) % len(classes)
    identities = np.array([f"{k:04d}" for k in range(90)])
    fields = {
        "identities": identities,
        "groups": identities,
        "names": np.array([f"sub/lens_{k}.npy" for k in range(90)]),
        "labels": labels,
        "logits": rng.normal(size=(90, len(classes))) + separation * np.eye(len(classes))[labels],
        "class_names": classes,
        "split": "test",
        "model_hash": "0f3a",
    }
    return Predictions(**(fields | changes))


def write_run(folder: Path, p: Predictions, attention: bool = True, channels: int = 1) -> None:
    write_predictions(p, folder / "predictions.csv")
    evaluation = evaluate_predictions(p, num_bootstrap=20)
    evaluation["warnings"].append("5 of 90 images are ones that the model was trained on")
    evaluation |= {
        "model": "compact <b>model</b>",
        "command": "darkarcs evaluate model data",
        "training": {"seed": 3, "recipe": {"model": {"name": "compact"}}},
    }
    (folder / "evaluation.json").write_text(json.dumps(evaluation))
    with (folder / "history.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["epoch", "images_seen", "train_loss", "validation_auc", "note"])
        writer.writerows([[k, 100 * k, 1 / (k + 1), 1 - 0.5**k, "text"] for k in range(8)])
        writer.writerow([8, 800, "", "", ""])
    chosen = choose_examples(p, mistakes=3, doubtful=2, right=3)
    rng = np.random.default_rng(1)
    images = rng.random((len(chosen), channels, 20, 24)).astype(np.float32)
    maps = rng.random((len(chosen), 4, 4)).astype(np.float32) if attention else None
    write_examples(folder / "examples.npz", p, chosen, images, maps)


class Page(HTMLParser):
    """Collects what tests ask about, and fails on tags that do not match."""

    VOID = frozenset({"meta", "br", "img", "link", "hr", "input"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.tags: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def all(self, name: str) -> list[str]:
        return [value for _, attribute, value in self.attributes if attribute == name]


def render(folder: Path) -> tuple[str, Page]:
    text = write_report(folder).read_text(encoding="utf-8")
    return text, Page(text)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    write_run(folder, predictions())
    return folder


def test_the_page_asks_nothing_of_the_network(run: Path) -> None:
    text, page = render(run)
    assert "script" not in page.tags
    assert "link" not in page.tags
    for name in ("src", "href", "xlink:href", "action", "srcset"):
        assert all(value.startswith(("data:", "#")) for value in page.all(name))
    assert not re.search(r"@import|url\((?!#)", text)
    addresses = set(re.findall(r"https?://[^\"'\s<]+", text))
    assert addresses <= {"http://www.w3.org/1999/xlink"}  # a name space, never fetched


def test_the_page_says_what_it_must(run: Path) -> None:
    text, page = render(run)
    evaluation = json.loads((run / "evaluation.json").read_text())
    assert f"{evaluation['auc']['macro']:.2f}" in text
    for piece in (
        "95 % interval",
        "the model was trained on",
        "darkarcs evaluate model data",
        "Most confident mistakes",
        "How it learned",
        "Whether probabilities mean what they say",
        "training: seed",
        "prefers-color-scheme: dark",
    ):
        assert piece in text
    assert "compact <b>model</b>" not in text
    assert page.tags.count("svg") == 6  # two ROC, scores, reliability, two learning curves
    assert page.tags.count("img") == 2 * len(read_examples(run / "examples.npz"))


def test_the_page_is_accessible(run: Path) -> None:
    _, page = render(run)
    assert page.tags.count("h1") == 1
    assert ("html", "lang", "en") in page.attributes
    assert len(page.all("alt")) == page.tags.count("img")
    assert all(page.all("alt"))
    roles = [value for value in page.all("role") if value == "img"]
    assert len(roles) == page.tags.count("svg")
    assert all(page.all("aria-label"))
    identifiers = page.all("id")
    assert len(set(identifiers)) == len(identifiers)
    targets = {
        value[1:]
        for name in ("href", "xlink:href")
        for value in page.all(name)
        if value.startswith("#")
    }
    assert targets <= set(identifiers)


def test_the_page_is_the_same_twice(run: Path, tmp_path: Path) -> None:
    first = write_report(run, tmp_path / "a.html").read_bytes()
    assert first == write_report(run, tmp_path / "b.html").read_bytes()
    with pytest.raises(OutputExistsError):
        write_report(run, tmp_path / "a.html")


@pytest.mark.parametrize(
    "missing", ["evaluation.json", "predictions.csv", "history.csv", "examples.npz"]
)
def test_a_missing_part_is_named_and_the_rest_shown(run: Path, missing: str) -> None:
    (run / missing).unlink()
    text, _ = render(run)
    assert ("so not on this page" in text) == (missing != "evaluation.json")
    if missing != "evaluation.json":
        assert missing in text
    assert "What is called what" in text


def test_a_learning_curve_alone_is_a_page(run: Path) -> None:
    for name in ("evaluation.json", "predictions.csv", "examples.npz"):
        (run / name).unlink()
    text, _ = render(run)
    assert "not evaluated yet" in text
    assert "How it learned" in text


def test_three_classes_no_attention_colour_images(tmp_path: Path) -> None:
    write_run(tmp_path, predictions(("no_sub", "cdm", "axion")), attention=False, channels=3)
    text, page = render(tmp_path)
    assert "Macro AUC" in text
    assert page.tags.count("img") == len(read_examples(tmp_path / "examples.npz"))
    assert page.tags.count("svg") == 8


def test_perfect_and_strange_runs_are_drawn(tmp_path: Path) -> None:
    strange = ("_$x_1$", "<sub> & “äß”")
    names = np.array([b"\xff=1.npy".decode("utf-8", "surrogateescape")] * 90)
    write_run(tmp_path, predictions(strange, 60.0, names=names))
    text, _ = render(tmp_path)
    assert "every image was called rightly" in text
    assert "&lt;sub&gt; &amp; “äß”" in text
    assert "the bootstrap says nothing here" in text


def test_constant_images_and_attention_are_drawn(tmp_path: Path) -> None:
    p = predictions()
    write_run(tmp_path, p)
    (tmp_path / "examples.npz").unlink()
    chosen = choose_examples(p)[:2]
    images = np.full((2, 1, 8, 8), np.nan, dtype=np.float32)
    images[1] = 3
    write_examples(
        tmp_path / "examples.npz", p, chosen, images, np.zeros((2, 2, 2), dtype=np.float32)
    )
    _, page = render(tmp_path)
    assert page.tags.count("img") == 4


def test_several_runs_are_compared_on_one_page(tmp_path: Path) -> None:
    for name, separation in (("good", 3.0), ("deep/poor", 0.5)):
        write_run(tmp_path / name, predictions(separation=separation))
    text, page = render(tmp_path)
    assert "2 runs" in text
    assert page.tags.count("article") == 2
    assert "deep/poor" in text
    assert len(set(page.all("id"))) == len(page.all("id"))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("evaluation.json", b"{", "not valid JSON"),
        ("evaluation.json", b'{"auc": {}}', "is no evaluation: it has no 'accuracy'"),
        ("examples.npz", b"not a zip", "is no examples file"),
        ("history.csv", b"a,b\n1,2\n", "none of the columns images_seen"),
        ("predictions.csv", b"a,b\n1,2\n", "no column 'identity'"),
    ],
)
def test_a_damaged_part_is_named(run: Path, name: str, content: bytes, message: str) -> None:
    (run / name).write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        write_report(run)
    assert name in str(caught.value)
    assert not (run / "report.html").exists()


def test_nothing_to_report_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds neither"):
        write_report(tmp_path)
    with pytest.raises(DataError, match="not a folder"):
        write_report(tmp_path / "absent")
