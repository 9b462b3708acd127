"""Rows of an earlier result, so that more seeds or arms do not train again what was measured."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from darkarcs.benchmark.sweep_rows import SweepRow
from darkarcs.benchmark.sweep_settings import Sweep
from darkarcs.errors import ConfigurationError, DataError
from darkarcs.training import Recipe

logger = logging.getLogger(__name__)

#: What of a result's configuration its rows depend on beside their recipes.
_SAME = ("name", "learning_rates", "tuned_with", "measured_on", "erasing")


#: Keys of recipes that change no weights but in the last digit.
_IRRELEVANT = ("description", "training.threads", "training.loggers")


@dataclass(frozen=True)
class EarlierRows:
    """What an earlier sweep measured.

    Attributes
    ----------
    origins : tuple of dict
        ``command``, ``commit``, ``version`` and ``machine`` of each result that they come from.
    rows : tuple of SweepRow
        Of that result.
    """

    origins: tuple[dict[str, Any], ...]
    rows: tuple[SweepRow, ...]

    def find(
        self, arm: str, labels: int | None, recipe: Recipe, rates: tuple[float, ...]
    ) -> SweepRow | None:
        """Look for a run that needs no training any more.

        Parameters
        ----------
        arm : str
            Which.
        labels : int or None
            Labels a class.
        recipe : Recipe
            As it would be trained now; its seed is the run's.
        rates : tuple of float
            Learning rates that it would be trained with.

        Returns
        -------
        SweepRow or None
            The row of the same arm whose recipe is the same in all but its description and its
            number of threads. A warning tells what differs.
        """
        for row in self.rows:
            if (row.arm, row.num_per_class, row.seed) != (arm, labels, recipe.seed):
                continue
            wanted = recipe.model_dump(mode="json")
            wanted["training"]["learning_rate"] = row.learning_rate
            before, now = (_flat(values) for values in (row.recipe, wanted))
            other = changed_keys(row.recipe, wanted)
            if not other and row.learning_rate in rates:
                return row.model_copy(update={"earlier": True})
            key = other[0] if other else "training.learning_rate"
            logger.warning(
                "%s, seed %s: trained anew: %s is %s now and was %s",
                *(arm, recipe.seed, key, now.get(key), before.get(key)),
            )
        return None


def changed_keys(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Name the keys in which two recipes differ and that change weights.

    Parameters
    ----------
    before, now : dict
        Recipes as plain data.

    Returns
    -------
    list of str
        As ``training.epochs``.

    Examples
    --------
    >>> changed_keys({"seed": 0, "training": {"threads": 1}}, {"seed": 1, "training": {}})
    ['seed']
    """
    first, second = _flat(before), _flat(now)
    return [key for key in first | second if first.get(key) != second.get(key)]


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Write nested keys as ``a.b``, without those that change no weights."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        name = f"{prefix}{key}"
        if name == "teacher.models":  # where on a disk a teacher lies changes nothing
            value = [Path(model).name for model in value]
        flat |= _flat(value, f"{name}.") if isinstance(value, dict) else {name: value}
    return {key: value for key, value in flat.items() if key not in _IRRELEVANT}


def read_earlier(path: Path, sweep: Sweep, data_hash: str) -> EarlierRows:
    """Read the rows of an earlier result of the same comparison.

    Code may have changed since: the result keeps which commit measured what. A teacher that
    has other weights under the same name is not noticed.

    Parameters
    ----------
    path : pathlib.Path
        ``results/sweeps/NAME.json``.
    sweep : Sweep
        As it is now, with other seeds or arms.
    data_hash : str
        Of the data set as it is now.

    Returns
    -------
    EarlierRows
        All of them.

    Raises
    ------
    DataError
        If the file is no result of a sweep, or one of other images.
    ConfigurationError
        If the sweep measures otherwise by now, or has arms that are taught by others.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        rows = tuple(SweepRow.model_validate(row) for row in content["rows"])
        before = Sweep.parse(content["configuration"], str(path)).model_dump(mode="json")
        origin = {key: content[key] for key in ("command", "commit", "version", "machine")}
        images = content["data_hash"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"{path}: is not the result of a sweep ({reason})") from None
    if images != data_hash:
        raise DataError(f"{path}: is of other images: measure these anew, without --measured")
    now = sweep.model_dump(mode="json")
    same = {key: (before[key], now[key]) for key in _SAME}
    if sweep.tuned_with == "first seed":
        same["first seed"] = (before["seeds"][0], now["seeds"][0])
    for key, (old, new) in same.items():
        if old != new:
            raise ConfigurationError(
                f"{path}: was measured with {key} {old}, not {new}: "
                "measure anew, without --measured"
            )
    if any("{model:" in text for texts in sweep.arms.values() for text in texts):
        raise ConfigurationError(
            f"{sweep.name}: an arm is taught by another, whose model is not in {path}: "
            "measure anew, without --measured"
        )
    return EarlierRows((*content.get("earlier", ()), origin), rows)
