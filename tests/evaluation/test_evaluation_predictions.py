"""The predictions file: exact, safe, and clear about what is wrong with it."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from darkarcs.errors import DataError, OutputExistsError
from darkarcs.evaluation import (
    Predictions,
    join_predictions,
    read_predictions,
    write_predictions,
)


def make(
    count: int = 6, classes: tuple[str, ...] = ("no_sub", "sub"), prefix: str = "i", **changes
):
    rng = np.random.default_rng(3)
    fields = {
        "identities": [f"{prefix}{k}" for k in range(count)],
        "groups": [f"g{k // 2}" for k in range(count)],
        "names": [f"sub/{k}.npy" for k in range(count)],
        "labels": np.arange(count) % len(classes),
        "logits": rng.normal(size=(count, len(classes))),
        "class_names": classes,
        "split": "test",
        "model_hash": "0f3a",
    }
    return Predictions(**(fields | changes))


def assert_equal(a: Predictions, b: Predictions) -> None:
    for field in ("identities", "groups", "names", "logits"):
        np.testing.assert_array_equal(getattr(a, field), getattr(b, field))
    if a.labels is None:
        assert b.labels is None
    else:
        np.testing.assert_array_equal(a.labels, b.labels)
    assert (a.class_names, a.split, a.model_hash) == (b.class_names, b.split, b.model_hash)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_logits_come_back_to_the_last_bit(tmp_path: Path, dtype: type) -> None:
    extremes = np.array(
        [[np.pi, -1e-30], [np.finfo(dtype).max, np.finfo(dtype).tiny], [1 / 3, -0.0]], dtype=dtype
    )
    original = make(3, logits=extremes, labels=None)
    write_predictions(original, tmp_path / "p.csv")
    back = read_predictions(tmp_path / "p.csv")
    assert back.logits.astype(dtype).tobytes() == extremes.tobytes()
    assert back.labels is None


def test_labels_are_written_by_name(tmp_path: Path) -> None:
    write_predictions(make(classes=("no_sub", "cdm", "axion")), tmp_path / "p.csv")
    with (tmp_path / "p.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["label"] for row in rows] == ["no_sub", "cdm", "axion"] * 2
    assert list(rows[0])[6:] == ["logit_no_sub", "logit_cdm", "logit_axion"]


text = st.text(
    st.characters(blacklist_categories=("Cs",), blacklist_characters="\0"), min_size=0, max_size=12
)


@settings(max_examples=60, deadline=None)
@given(names=st.lists(text, min_size=1, max_size=5))
def test_any_name_comes_back_and_none_is_a_formula(tmp_path_factory, names: list[str]) -> None:
    path = tmp_path_factory.mktemp("csv") / "p.csv"
    count = len(names)
    original = make(count, names=names, groups=names, labels=None)
    write_predictions(original, path)
    assert_equal(original, read_predictions(path))
    with path.open(newline="", encoding="utf-8") as stream:
        for row in csv.DictReader(stream):
            assert not row["name"].startswith(("=", "+", "-", "@", "\t", "\r"))


def test_a_file_name_that_is_no_utf8_comes_back(tmp_path: Path) -> None:
    name = b"lens_\xff.npy".decode("utf-8", "surrogateescape")
    write_predictions(make(1, names=[name], labels=None), tmp_path / "p.csv")
    assert read_predictions(tmp_path / "p.csv").names[0] == name


def test_writing_is_whole_and_refuses_to_replace(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "p.csv"
    write_predictions(make(), path)
    before = path.read_bytes()
    with pytest.raises(OutputExistsError):
        write_predictions(make(4), path)
    assert path.read_bytes() == before
    assert [entry.name for entry in path.parent.iterdir()] == ["p.csv"]


def test_a_folder_that_is_a_file_is_a_data_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(DataError, match="cannot be written"):
        write_predictions(make(), tmp_path / "file" / "p.csv")


GOOD = "identity,group,name,label,split,model_hash,logit_no_sub,logit_sub\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "no column 'identity'"),
        (GOOD.replace("label,", "") + "a,a,n,test,0f,1,2\n", "no column 'label'"),
        (GOOD, "holds no predictions"),
        (GOOD + "a,a,n,sub,test,0f,nan,2\n", "line 2: 'logit_no_sub' is 'nan'"),
        (GOOD + "a,a,n,sub,test,0f,1,inf\n", "line 2: 'logit_sub' is 'inf'"),
        (GOOD + "a,a,n,sub,test,0f,1,2\nb,b,n,sub,test,0f,1,two\n", "line 3: 'logit_sub'"),
        (GOOD + "a,a,n,axion,test,0f,1,2\n", "label 'axion' is none of no_sub, sub"),
        (GOOD + "a,a,n,,test,0f,1,2\nb,b,n,sub,test,0f,1,2\n", "line 2: has no label"),
        (GOOD + "a,a,n,sub,test,0f,1\n", "line 2: has 7 cells, the header 8"),
        (GOOD + "a,a,n,sub,test,0f,1,2\nb,b,n,sub,train,0f,1,2\n", "more than one split"),
        (GOOD + "a,a,n,sub,test,0f,1,2\nb,b,n,sub,test,1f,1,2\n", "more than one model_hash"),
        (GOOD.replace("logit_no_sub,", "") + "a,a,n,sub,test,0f,1\n", "two or more columns"),
        (GOOD.replace("no_sub", "sub") + "a,a,n,sub,test,0f,1,2\n", "two columns 'logit_sub'"),
        (GOOD + 'a,a,"n,sub,test,0f,1,2\n', "is not a CSV file"),
    ],
)
def test_a_malformed_file_is_named_with_what_is_wrong(
    tmp_path: Path, content: str, message: str
) -> None:
    path = tmp_path / "bad.csv"
    path.write_text(content)
    with pytest.raises(DataError, match=message) as caught:
        read_predictions(path)
    assert "bad.csv" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_and_binary_noise_are_data_errors(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="cannot be read"):
        read_predictions(tmp_path / "absent.csv")
    (tmp_path / "noise.csv").write_bytes(np.random.default_rng(0).bytes(4096))
    with pytest.raises(DataError):
        read_predictions(tmp_path / "noise.csv")


def test_a_byte_order_mark_and_further_columns_do_not_matter(tmp_path: Path) -> None:
    content = GOOD.replace("identity", "\ufeffidentity").replace("\n", ",note\n")
    (tmp_path / "p.csv").write_text(content + "a,b,n,sub,test,0f,1,2,hello\n", encoding="utf-8")
    back = read_predictions(tmp_path / "p.csv")
    assert (back.identities[0], back.groups[0], back.labels.tolist()) == ("a", "b", [1])


@pytest.mark.parametrize(
    "changes",
    [
        {"labels": [0, 2, 0, 0, 0, 0]},
        {"labels": [0, 1]},
        {"logits": np.full((6, 2), np.nan)},
        {"logits": np.zeros((6, 3))},
        {"groups": ["a"]},
        {"class_names": ("sub", "sub")},
    ],
)
def test_inconsistent_predictions_cannot_be_made(changes: dict) -> None:
    with pytest.raises(DataError):
        make(**changes)


def test_folds_join_once(tmp_path: Path) -> None:
    whole = join_predictions([make(prefix="a"), make(prefix="b", model_hash="1f")])
    assert (len(whole), whole.split, whole.model_hash) == (12, "out_of_fold", "0f3a+1f")
    write_predictions(whole, tmp_path / "p.csv")
    assert_equal(whole, read_predictions(tmp_path / "p.csv"))
    with pytest.raises(DataError, match="6 images are in two"):
        join_predictions([make(), make()])
    with pytest.raises(DataError, match="without labels"):
        join_predictions([make(labels=None)])
    with pytest.raises(DataError, match="no predictions to join"):
        join_predictions([])


def test_selecting_keeps_rows_together() -> None:
    part = make().select(np.array([4, 1]))
    assert part.identities.tolist() == ["i4", "i1"]
    assert part.labels.tolist() == [0, 1]
    assert make(labels=None).select(np.array([0])).labels is None
