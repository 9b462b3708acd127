"""Measure any number of models on a suite."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from darkarcs.benchmark.suite import Suite, SuiteSet, parameters_hash
from darkarcs.benchmark.suite_results import ModelRow, Score, SetRow, SuiteResult
from darkarcs.benchmark.suite_scores import compare_conditions, compare_models, folded, score_set
from darkarcs.benchmark.suite_sets import Contender, images_hash, pieces
from darkarcs.errors import ConfigurationError, DarkarcsError, OutputExistsError
from darkarcs.evaluation import Predictions, join_predictions
from darkarcs.inference import Predictor, SharedImages
from darkarcs.inference.filing import log_evaluation
from darkarcs.model_folder import TestTimeAugmentation

#: Told how far a suite is: what is being done, images done, images in all.
Progress = Callable[[str, int, int], None]


@dataclass
class _Measured:
    """What is kept of a set: by model its folded predictions, and the set's labels."""

    row: SetRow
    labels: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    folded: dict[str, Predictions] = field(default_factory=dict)


def run_suite(
    suite: Suite,
    models: Sequence[Path],
    out: Path,
    *,
    num: int | None = None,
    cache: Path | None = None,
    test_time_augmentation: TestTimeAugmentation | None = None,
    test_log: Path | None = None,
    device: str = "cpu",
    progress: Progress | None = None,
) -> SuiteResult:
    """Measure models on the sets of a suite, each of which is simulated once for all of them.

    Images and predictions are kept in the cache as soon as they are there, so a run that was
    cut off goes on where it was, and a second model costs its predictions only.

    Parameters
    ----------
    suite : Suite
        What to measure on.
    models : sequence of pathlib.Path
        Model folders, of different names.
    out : pathlib.Path
        Folder that gets ``SUITE.json``; it may hold a cache, but no such file.
    num : int, optional
        Use only so many images of each set (rounded down to whole sets of classes); the result
        says so.
    cache : pathlib.Path, optional
        Where images and predictions are kept; ``cache`` in ``out`` by default.
    test_time_augmentation : {"none", "dihedral"}, optional
        Each model folder's choice by default.
    test_log : pathlib.Path, optional
        Log that gets a line for each model and set.
    device : str, default "cpu"
        Where the models run. Images are always made on the CPU, whose noise is the same
        everywhere.
    progress : callable, optional
        Told what is being done.

    Returns
    -------
    SuiteResult
        As written to ``SUITE.json``. What a model cannot read, and a set that cannot be made,
        are told in it.

    Raises
    ------
    DarkarcsError
        If the output exists, two models have one name, or ``num`` leaves too few images.
    """
    started = time.monotonic()
    target = Path(out) / f"{suite.name}.json"
    if target.exists():
        raise OutputExistsError(target)
    contenders = _contenders(models, device, test_time_augmentation)
    runner = _Runner(suite, contenders, num, cache or Path(out) / "cache", test_log, progress)
    runner.run()
    result = runner.result(time.monotonic() - started)
    result.write(target)
    return result


def _contenders(
    models: Sequence[Path], device: str, augmentation: TestTimeAugmentation | None
) -> list[Contender]:
    found: dict[str, Contender] = {}
    for path in models:
        predictor = Predictor(path, device)
        description = predictor.folder.description
        if description.name in found:
            raise ConfigurationError(
                f"{path}: a model named '{description.name}' is measured already; set 'name' in "
                "its model.json to tell them apart"
            )
        chosen = augmentation or description.test_time_augmentation
        found[description.name] = Contender(predictor, chosen)
    if not found:
        raise ConfigurationError("name at least one model")
    return list(found.values())


class _Runner:
    """One run: sets one after another, and what was found."""

    def __init__(
        self,
        suite: Suite,
        contenders: list[Contender],
        num: int | None,
        cache: Path,
        test_log: Path | None,
        progress: Progress | None,
    ) -> None:
        self.suite, self.contenders, self.cache = suite, contenders, cache
        self.test_log, self.progress = test_log, progress
        self.nums = {name: _number(name, one, num) for name, one in suite.sets.items()}
        self.shrunk = any(n < (suite.sets[k].request.num or 0) for k, n in self.nums.items())
        self.total = sum(self.nums.values()) * (1 + len(contenders))
        self.done = 0
        self.sets: dict[str, _Measured] = {}
        self.scores: list[Score] = []
        self.warnings: list[str] = []

    def run(self) -> None:
        for name, one in self.suite.sets.items():
            measured = self.sets[name] = self._measure(name, one)
            if measured.row.problem:
                self.warnings.append(f"set '{name}' was left out: {measured.row.problem}")
                continue
            if not measured.row.as_pinned:
                self.warnings.append(
                    f"set '{name}': the scene draws other lenses than the suite states (parameters "
                    f"{measured.row.parameters[:16]}, not {one.parameters[:16] or 'stated'}): "
                    "its numbers cannot be compared with others'"
                )
            for contender in self.contenders:
                self.scores.append(self._score(name, one, contender))

    def _tell(self, what: str, count: int) -> None:
        self.done += count
        if self.progress is not None:
            self.progress(what, self.done, self.total)

    def _measure(self, name: str, one: SuiteSet) -> _Measured:
        """Simulate and predict, piece by piece."""
        request, num = one.request, self.nums[name]
        row: dict[str, Any] = one.model_dump(exclude={"needs", "parameters"})
        row |= {"name": name, "num": num, "class_names": request.scene.class_names}
        identities, labels = [], []
        try:
            parameters = parameters_hash(request)
            for contender in self.contenders:
                contender.begin()
            for piece in pieces(request, num, self.cache):
                images = piece.images()
                self._tell(f"{self.suite.name}: {name}", len(images))
                identities.append(images.metadata["identity"])
                labels.append(images.labels)
                shared = SharedImages(images)
                for contender in self.contenders:
                    contender.predict(piece, shared, self.cache)
                    self._tell(f"{self.suite.name}: {name}, {contender.name}", len(images))
                if all(contender.problem for contender in self.contenders):
                    break  # nobody will look at the others
        except DarkarcsError as error:
            needs = f" (it needs {one.needs})" if one.needs else ""
            return _Measured(SetRow(**row, problem=f"{error}{needs}"))
        truth = np.concatenate([part for part in labels if part is not None])
        names = np.asarray(request.scene.class_names, dtype=str)[truth]
        if len(truth) == num:
            row["images_hash"] = images_hash(np.concatenate(identities), names)
        row |= {
            "parameters": parameters,
            "as_pinned": parameters == one.parameters,
        }
        return _Measured(SetRow(**row), truth)

    def _score(self, name: str, one: SuiteSet, contender: Contender) -> Score:
        model = contender.name
        if contender.problem:
            return Score(model=model, set=name, problem=contender.problem)
        measured = self.sets[name]
        predictions = _join(contender.parts)
        try:
            binary = folded(predictions, measured.labels)
            classes = measured.row.class_names
            score = score_set(model, name, predictions, measured.labels, classes)
        except DarkarcsError as error:
            return Score(model=model, set=name, problem=f"cannot read: {error}")
        measured.folded[model] = binary
        notes = list(contender.notes)
        if contender.overlap:
            notes.append(f"trained or selected on {contender.overlap} of these images")
        earlier = self.sets[one.reference].folded if one.reference in self.sets else {}
        changes = compare_conditions(binary, earlier[model]) if model in earlier else None
        if self.test_log is not None:
            summary = {"images_hash": measured.row.images_hash, "auc": {"macro": score.auc}}
            label = f"{model} (suite {self.suite.name} v{self.suite.version}: {name})"
            log_evaluation(self.test_log, label, summary, binary)
        return score.model_copy(
            update={
                "notes": tuple(notes),
                "to_reference": changes,
                "overlap": contender.overlap,
            }
        )

    def result(self, seconds: float) -> SuiteResult:
        return SuiteResult(
            suite=self.suite.name,
            suite_version=self.suite.version,
            suite_hash=self.suite.content_hash,
            question=self.suite.question,
            axis=None if self.suite.axis is None else self.suite.axis.model_dump(),
            shrunk=self.shrunk,
            models=tuple(_row(contender) for contender in self.contenders),
            sets=tuple(measured.row for measured in self.sets.values()),
            scores=tuple(self.scores),
            comparisons=tuple(
                compare_models({name: one.folded for name, one in self.sets.items()})
            ),
            warnings=tuple(self.warnings),
            seconds=seconds,
        )


def _number(name: str, one: SuiteSet, num: int | None) -> int:
    request = one.request
    full, classes = request.num or 0, len(request.scene.class_names)
    chosen = full if num is None else min(full, num // classes * classes)
    if chosen < 2 * classes:
        raise ConfigurationError(f"set '{name}': {num} images are too few for {classes} classes")
    return chosen


def _join(parts: Sequence[Predictions]) -> Predictions:
    """Put pieces together; unlabelled ones get labels that nobody looks at."""
    if parts[0].labels is not None:
        joined = join_predictions(parts, parts[0].split)
    else:
        joined = Predictions(
            np.concatenate([part.identities for part in parts]),
            np.concatenate([part.groups for part in parts]),
            np.concatenate([part.names for part in parts]),
            None,
            np.concatenate([part.logits for part in parts]),
            parts[0].class_names,
            parts[0].split,
            "",
        )
    return Predictions(
        joined.identities,
        joined.groups,
        joined.names,
        joined.labels,
        joined.logits,
        joined.class_names,
        joined.split,
        parts[0].model_hash,
    )


def _row(contender: Contender) -> ModelRow:
    folder = contender.predictor.folder
    description, provenance = folder.description, folder.description.provenance
    data = description.data
    source = str(data.get("uri") or data.get("source") or data.get("content_hash") or "")
    return ModelRow(
        name=description.name,
        model_hash=folder.model_hash,
        architecture=description.architecture.name,
        parameters=provenance.get("num_parameters"),
        class_names=description.class_names,
        # a file's place on somebody's machine tells nobody anything
        trained_on=source if source.startswith("scene:") else Path(source).name,
        images_seen=provenance.get("images_seen"),
        converged=provenance.get("converged"),
        test_time_augmentation=contender.augmentation,
    )
