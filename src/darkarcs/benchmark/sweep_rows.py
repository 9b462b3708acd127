"""What a sweep measured, and its summary: mean over seeds with a paired interval."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict

from darkarcs.evaluation.files import write_new
from darkarcs.evaluation.intervals import mean_interval
from darkarcs.evaluation.provenance import (
    command_line,
    describe_machine,
    git_commit,
    package_version,
)


class TriedRate(BaseModel):
    """What the validation images of a run said of one learning rate.

    Attributes
    ----------
    learning_rate : float
        Peak.
    validation_auc : float, optional
        Of the best epoch; None where images have no class.
    validation_loss : float
        Of the best epoch.
    selected_by : {"validation_auc", "validation_loss"}
        Which of them chooses: the loss, where no label is learned from.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    learning_rate: float
    validation_auc: float | None
    validation_loss: float
    selected_by: str = "validation_auc"

    @property
    def order(self) -> tuple[float, float]:
        """The larger, the better."""
        if self.selected_by == "validation_loss" or self.validation_auc is None:
            return -self.validation_loss, 0.0
        return self.validation_auc, -self.validation_loss


class SweepRow(BaseModel):
    """One arm, number of labels and seed.

    Attributes
    ----------
    arm : str
        Which.
    num_per_class : int, optional
        Labels a class; None for all.
    seed : int
        Of the run and of the draw of labels.
    learning_rate : float
        The one that the run's own validation images chose.
    tried : tuple of TriedRate
        All that were trained for this row, the chosen one included; empty in results of before
        they were kept.
    auc, auc_interval : float, and tuple of float
        Macro AUC and its 95 % interval over images.
    difference_interval : tuple of float, optional
        Paired 95 % interval, over images, of the difference from the first arm with as many labels
        and the same seed; None for that arm itself, and where it was not measured beside it.
    auc_erasing : float, optional
        Macro AUC where the same model predicts by iterative erasing.
    num_images : int
        Measured on.
    images_seen, token_forwards, optimizer_steps : int
        What the training cost.
    wall_time : float, seconds
        What it took.
    converged : bool
        Whether validation had levelled off.
    model_hash : str
        Of the weights.
    recipe : dict
        As resolved.
    learning_curve : list of dict
        Images seen, validation AUC and loss, epoch by epoch.
    earlier : bool
        Whether it was taken from an earlier result, perhaps of another machine.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    arm: str
    num_per_class: int | None
    seed: int
    learning_rate: float
    tried: tuple[TriedRate, ...] = ()
    auc: float
    auc_interval: tuple[float, float]
    difference_interval: tuple[float, float] | None = None
    auc_erasing: float | None = None
    num_images: int
    images_seen: int
    token_forwards: int
    optimizer_steps: int
    wall_time: float
    converged: bool
    model_hash: str
    recipe: dict[str, Any]
    learning_curve: list[dict[str, Any]]
    earlier: bool = False


def write_sweep(
    rows: list[SweepRow],
    configuration: dict[str, Any],
    data_hash: str,
    path: Path,
    earlier: Sequence[dict[str, Any]] = (),
) -> Path:
    """Write the result of a sweep, once.

    Parameters
    ----------
    rows : list of SweepRow
        What was measured.
    configuration : dict
        The sweep.
    data_hash : str
        Of the data set.
    path : pathlib.Path
        A new file.
    earlier : sequence of dict
        Where rows come from that were measured before.

    Returns
    -------
    pathlib.Path
        The file.
    """
    content = {
        "configuration": configuration,
        "command": command_line(),
        "version": package_version(),
        "commit": git_commit(),
        "machine": describe_machine(),
        "data_hash": data_hash,
        **({"earlier": list(earlier)} if earlier else {}),
        "summary": summarize([row.model_dump(mode="json") for row in rows]),
        "rows": [row.model_dump(mode="json") for row in rows],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    write_new(path, (json.dumps(content, indent=1) + "\n").encode())
    return path


def summarize(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Average over seeds, and compare each arm with the first, seed by seed.

    Parameters
    ----------
    rows : list of dict
        As `SweepRow`.

    Returns
    -------
    list of dict
        For each number of labels and arm: ``auc`` (mean), ``spread`` (standard deviation over
        seeds), ``difference`` (mean difference from the first arm), ``difference_interval`` (95 %,
        Student's t over seeds; of one seed the paired one over images, where it was kept:
        then ``interval_over`` is "images"), ``throughput`` (training images / s;
        None where all runs are of an earlier result, perhaps of another machine); where models
        also predicted by erasing ``erasing_gain`` and ``erasing_gain_interval``, likewise.

    Examples
    --------
    >>> rows = [
    ...     {"arm": arm, "num_per_class": 10, "seed": seed, "auc": auc, "images_seen": 10,
    ...      "wall_time": 2.0, "converged": True}
    ...     for arm, seed, auc in (("plain", 0, 0.8), ("plain", 1, 0.9), ("new", 0, 0.85),
    ...                            ("new", 1, 0.94))
    ... ]
    >>> [(row["arm"], round(row["difference"], 3)) for row in summarize(rows)]
    [('plain', 0.0), ('new', 0.045)]
    """
    summary = []
    arms = list(dict.fromkeys(row["arm"] for row in rows))
    for labels in dict.fromkeys(row["num_per_class"] for row in rows):
        areas = {
            arm: {
                row["seed"]: row["auc"]
                for row in rows
                if row["arm"] == arm and row["num_per_class"] == labels
            }
            for arm in arms
        }
        for arm in arms:
            mine = [r for r in rows if r["arm"] == arm and r["num_per_class"] == labels]
            plain = areas[arms[0]]
            differences = [auc - plain[seed] for seed, auc in areas[arm].items() if seed in plain]
            over_images = mine[0].get("difference_interval") if len(mine) == 1 else None
            summary.append(
                {
                    "num_per_class": labels,
                    "arm": arm,
                    "seeds": len(mine),
                    "auc": float(np.mean([row["auc"] for row in mine])),
                    "spread": float(np.std([r["auc"] for r in mine], ddof=1))
                    if len(mine) > 1
                    else None,
                    "difference": float(np.mean(differences)) if differences else None,
                    "difference_interval": over_images or mean_interval(differences),
                    **({"interval_over": "images"} if over_images else {}),
                    "throughput": _throughput(mine),
                    "converged": sum(row["converged"] for row in mine),
                    **_erasing_gain(mine),
                }
            )
    return summary


def _throughput(rows: list[dict[str, Any]]) -> float | None:
    # times are rounded: a run that took none tells no pace
    timed = [row for row in rows if not row.get("earlier") and row["wall_time"] > 0]
    rates = [row["images_seen"] / row["wall_time"] for row in timed]
    return float(np.median(rates)) if rates else None


def _erasing_gain(rows: list[dict[str, Any]]) -> dict[str, Any]:
    erased = [row for row in rows if row.get("auc_erasing") is not None]
    if not erased:
        return {}
    gains = [row["auc_erasing"] - row["auc"] for row in erased]
    return {"erasing_gain": float(np.mean(gains)), "erasing_gain_interval": mean_interval(gains)}
