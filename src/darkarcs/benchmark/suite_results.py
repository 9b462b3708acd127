"""What a suite measured: one strict JSON, from which the page and the leaderboard are made."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import ConfigDict, Field, ValidationError

from darkarcs.configuration import Configuration
from darkarcs.errors import DataError
from darkarcs.evaluation.files import write_new
from darkarcs.evaluation.provenance import (
    command_line,
    describe_machine,
    git_commit,
    package_version,
)

Interval = tuple[float, float]


class StrictResult(Configuration):
    """Base of what is written: every number is finite."""

    model_config = ConfigDict(allow_inf_nan=False)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a file.

        Parameters
        ----------
        path : pathlib.Path
            JSON.

        Returns
        -------
        StrictResult
            Validated.

        Raises
        ------
        DataError
            If it is missing, not JSON, or of another layout.
        """
        try:
            content = json.loads(Path(path).read_text(encoding="utf-8"))
            return cls.model_validate(content)
        except OSError as error:
            raise DataError(f"{path}: cannot be read ({error.strerror})") from None
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            key = ".".join(str(part) for part in first["loc"])
            raise DataError(f"{path}: '{key}': {first['msg']}") from None
        except ValueError:
            raise DataError(f"{path}: is not valid JSON; it may be cut short") from None

    def write(self, path: Path) -> Path:
        """Write a new file.

        Parameters
        ----------
        path : pathlib.Path
            Must not exist.

        Returns
        -------
        pathlib.Path
            The path.

        Raises
        ------
        OutputExistsError
            If it exists.
        """
        values = self.model_dump(mode="json")
        text = json.dumps(values, indent=1, ensure_ascii=False, allow_nan=False)
        write_new(Path(path), f"{text}\n".encode())
        return Path(path)


class ModelRow(StrictResult):
    """A model that was measured.

    Attributes
    ----------
    name : str
        As its folder says.
    model_hash : str
        Of weights and description.
    architecture : str
        Registered name.
    parameters : int, optional
        Number of its parameters.
    class_names : tuple of str
        What it tells apart.
    trained_on : str
        Source of its training images: a scene, or the content hash of a set.
    images_seen : int, optional
        Images shown in training.
    converged : bool, optional
        Whether training had converged when its budget ended.
    test_time_augmentation : {"none", "dihedral"}
        How it predicted.
    """

    name: str
    model_hash: str
    architecture: str
    parameters: int | None = None
    class_names: tuple[str, ...]
    trained_on: str = ""
    images_seen: int | None = None
    converged: bool | None = None
    test_time_augmentation: Literal["none", "dihedral"]


class SetRow(StrictResult):
    """A set that was measured on.

    Attributes
    ----------
    name, title, line, uri : str
        As the suite says.
    at : float, optional
        Where on the suite's axis.
    reference : str, optional
        The set that this one is a change of.
    is_null : bool
        No substructure acts in it.
    num : int
        Images used, the first of the set.
    class_names : tuple of str
        As many images of each.
    images_hash : str
        SHA-256 of the sorted ``identity class`` lines of the images used; empty where no model
        can read them.
    parameters : str
        Hash of the parameters that were drawn.
    as_pinned : bool
        Whether it is the one that the suite states.
    problem : str
        Why there are no images; empty otherwise.
    """

    name: str
    title: str
    line: str = ""
    uri: str
    at: float | None = None
    reference: str | None = None
    is_null: bool = False
    num: int
    class_names: tuple[str, ...]
    images_hash: str = ""
    parameters: str = ""
    as_pinned: bool = False
    problem: str = ""


class Rate(StrictResult):
    """How much is found at a false-positive rate.

    Attributes
    ----------
    false_positive_rate : float
        At most this share of the images without substructure is called one with it.
    true_positive_rate : float
        Share of the images with substructure that is.
    interval : tuple of float
        Of 95 %, with what few images without substructure leave open of the threshold.
    """

    false_positive_rate: float
    true_positive_rate: float
    interval: Interval


class Curve(StrictResult):
    """A ROC curve, thinned out to be drawn.

    Attributes
    ----------
    false_positive_rate, true_positive_rate : tuple of float
        Of equal length.
    """

    false_positive_rate: tuple[float, ...]
    true_positive_rate: tuple[float, ...]


class Difference(StrictResult):
    """Of two AUCs, tested on images that belong together.

    Attributes
    ----------
    difference : float
        First minus second.
    interval : tuple of float, optional
        95 %; None where nothing differs.
    p_value : float
        Two-sided, uncorrected.
    """

    difference: float
    interval: Interval | None
    p_value: float


class Score(StrictResult):
    """What a model reached on a set.

    Attributes
    ----------
    model, set : str
        Which.
    problem : str
        ``cannot read: ...``; then there are no numbers.
    auc, interval : float, tuple of float, optional
        Substructure of any kind against none, ranked by 1 - P(no_sub): defined for every model.
    macro, macro_interval : float, tuple of float, optional
        Unweighted mean of the one-against-rest AUCs, where the model tells apart the very
        classes of the set.
    by_class : dict of str to (float, float, float)
        AUC of each kind of substructure against none, and its interval.
    rates : tuple of Rate
        At false-positive rates of 1 and 10 %.
    to_reference : Difference, optional
        To the AUC on the set of reference.
    roc : Curve, optional
        Of substructure against none.
    overlap : int
        Images of the set that the model was trained or selected on.
    notes : tuple of str
        What a reader of the number must know.
    """

    model: str
    set: str
    problem: str = ""
    auc: float | None = None
    interval: Interval | None = None
    macro: float | None = None
    macro_interval: Interval | None = None
    by_class: dict[str, tuple[float, float, float]] = {}
    rates: tuple[Rate, ...] = ()
    to_reference: Difference | None = None
    roc: Curve | None = None
    overlap: int = 0
    notes: tuple[str, ...] = ()


class Comparison(Difference):
    """Two models on the same images of a set.

    Attributes
    ----------
    set, first, second : str
        Which.
    p_holm : float
        Corrected by Holm for all comparisons of the file.
    """

    set: str
    first: str
    second: str
    p_holm: float


class SuiteResult(StrictResult):
    """All that a suite measured.

    Attributes
    ----------
    schema_version : 1
        Of this layout.
    suite, question : str
        Which suite.
    suite_version : int
        Its version.
    suite_hash : str
        `Suite.content_hash`.
    axis : dict, optional
        What changes along the lines.
    shrunk : bool
        Fewer images than the suite asks for: not for the leaderboard.
    models, sets, scores, comparisons : tuples
        See their classes.
    warnings : tuple of str
        What is wrong with the whole.
    seconds : float
        Wall time of this run; what was found in the cache cost nothing.
    command, version, git_commit, machine, date
        How and when.
    """

    schema_version: Literal[1] = 1
    suite: str
    suite_version: int
    suite_hash: str
    question: str
    axis: dict[str, str] | None = None
    shrunk: bool
    models: tuple[ModelRow, ...]
    sets: tuple[SetRow, ...]
    scores: tuple[Score, ...]
    comparisons: tuple[Comparison, ...]
    warnings: tuple[str, ...] = ()
    seconds: float = 0.0
    command: str = Field(default_factory=command_line)
    version: str = Field(default_factory=package_version)
    git_commit: str | None = Field(default_factory=git_commit)
    machine: dict[str, Any] = Field(default_factory=describe_machine)
    date: str = Field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
