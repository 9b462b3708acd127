"""Rows of an earlier result, so that more seeds or arms do not train again what was measured."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from darkarcs.benchmark.sweep_rows import SweepRow
from darkarcs.benchmark.sweep_settings import Sweep
from darkarcs.errors import ConfigurationError, DataError
from darkarcs.training import Recipe

#: What of a result's configuration its rows depend on beside their recipes.
_SAME = ("name", "learning_rates", "tuned_with", "measured_on", "erasing")


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
            The row of the same arm whose recipe is the same in all but its description.
        """
        for row in self.rows:
            wanted = recipe.model_dump(mode="json")
            wanted["training"]["learning_rate"] = row.learning_rate
            same = {**row.recipe, "description": ""} == {**wanted, "description": ""}
            if row.arm == arm and row.num_per_class == labels and same:
                taken = row.model_copy(update={"earlier": True})
                return taken if row.learning_rate in rates else None
        return None


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
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"{path}: is not the result of a sweep ({reason})") from None
    if content["data_hash"] != data_hash:
        raise DataError(f"{path}: is of other images: measure these anew, without --measured")
    now = sweep.model_dump(mode="json")
    for key in _SAME:
        if before[key] != now[key]:
            raise ConfigurationError(
                f"{path}: was measured with {key} {before[key]}, not {now[key]}: "
                "measure anew, without --measured"
            )
    if any("{model:" in text for texts in sweep.arms.values() for text in texts):
        raise ConfigurationError(
            f"{sweep.name}: an arm is taught by another, whose model is not in {path}: "
            "measure anew, without --measured"
        )
    origin = {key: content[key] for key in ("command", "commit", "version", "machine")}
    return EarlierRows((*content.get("earlier", ()), origin), rows)
