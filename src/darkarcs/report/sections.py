"""What the page says of one run, as plain values for the template."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from darkarcs.evaluation.examples import KINDS, Examples
from darkarcs.evaluation.predictions import Predictions
from darkarcs.evaluation.tables import format_with_interval
from darkarcs.report.contents import RunContents
from darkarcs.report.curves import (
    reliability_figure,
    roc_corner_figure,
    roc_figure,
    score_figure,
    shown_classes,
)
from darkarcs.report.learning import learning_figures
from darkarcs.report.pictures import attention_picture, image_picture

#: Keys of ``evaluation.json`` that the page shows elsewhere than under provenance.
_SHOWN = {
    "schema",
    "n",
    "classes",
    "class_counts",
    "auc",
    "accuracy",
    "accuracy_interval",
    "accuracy_interval_method",
    "balanced_accuracy",
    "confusion",
    "calibration",
    "thresholds",
    "warnings",
    "model",
}

_METHODS = {
    "delong_logit_t": "DeLong's interval on the logit scale, with Student's quantile for the"
    " number of images that the errors rest on",
    "cluster_logit_t": "the interval for clustered images (Obuchowski) on the logit scale, with"
    " Student's quantile for the number of groups that the errors rest on",
    "exact_pairs": "the exact bound after no error among the pairs of images (Clopper-Pearson)",
    "distribution_free": "Hoeffding's distribution-free interval",
}

_KIND_TITLES = {
    "mistake": "Most confident mistakes",
    "doubtful": "Right, but least sure",
    "right": "Typical right ones",
}


def run_section(anchor: str, run: RunContents) -> dict[str, Any]:
    """Prepare all that the template shows of a run.

    Parameters
    ----------
    anchor : str
        Unique within the page.
    run : RunContents
        What is there of it.

    Returns
    -------
    dict
        Text, figures and pictures by the names that ``run.html.jinja`` uses.
    """
    evaluation = run.evaluation
    predictions = run.predictions
    labelled = predictions if predictions is not None and predictions.labels is not None else None
    return {
        "anchor": anchor,
        "name": run.name,
        "title": str((evaluation or {}).get("model", run.name)),
        "summary": None if evaluation is None else _summary(evaluation),
        "warnings": [] if evaluation is None else list(evaluation.get("warnings", [])),
        "classes": [] if evaluation is None else _class_rows(evaluation),
        "confusion": None if evaluation is None else _confusion(evaluation),
        "ranking": [] if labelled is None else _ranking_figures(anchor, labelled),
        "calibration": None if evaluation is None else _calibration(anchor, evaluation),
        "scores": [] if labelled is None else _score_figures(anchor, labelled),
        "learning": [] if run.history is None else learning_figures(anchor, run.history),
        "galleries": [] if run.examples is None else _galleries(run.examples),
        "no_mistakes": run.examples is not None and "mistake" not in run.examples.kind,
        "has_attention": run.examples is not None and run.examples.attention is not None,
        "provenance": [] if evaluation is None else _provenance(evaluation),
        "missing": _missing(run),
    }


def _summary(evaluation: Mapping[str, Any]) -> dict[str, Any]:
    area = evaluation["auc"]
    accuracy = evaluation["accuracy"]
    interval = evaluation.get("accuracy_interval", [accuracy, accuracy])
    auc_text, _, auc_range = format_with_interval(area["macro"], area["interval"]).partition(" ")
    accuracy_text, _, accuracy_range = format_with_interval(accuracy, interval).partition(" ")
    wrong = round((1 - accuracy) * evaluation["n"])
    bootstrap = area.get("bootstrap", {}).get("interval")
    return {
        "auc": auc_text,
        "auc_range": auc_range,
        "level": f"{100 * area.get('interval_level', 0.95):g} %",
        "method": _METHODS.get(area.get("interval_method", ""), "the interval of the result file"),
        "bootstrap": None
        if bootstrap is None
        else format_with_interval(area["macro"], bootstrap).partition(" ")[2],
        "averaged": len(evaluation["classes"]) > 2,
        "accuracy": accuracy_text,
        "accuracy_range": accuracy_range,
        "n": evaluation["n"],
        "wrong": wrong,
        "split": evaluation.get("split", ""),
        "ece": f"{evaluation['calibration']['ece']:.4f}",
    }


def _class_rows(evaluation: Mapping[str, Any]) -> list[dict[str, Any]]:
    rows = []
    area = evaluation["auc"]
    for name in evaluation["classes"]:
        value = area["per_class"].get(name)
        interval = area.get("per_class_interval", {}).get(name)
        rows.append(
            {
                "name": name,
                "count": evaluation.get("class_counts", {}).get(name, ""),
                "auc": "undefined"
                if value is None
                else format_with_interval(value, interval or [value, value]),
                "thresholds": [
                    {
                        "target": f"{100 * row['target_false_positive_rate']:g} %",
                        "found": f"{100 * row['true_positive_rate']:.1f} %",
                        "threshold": _threshold(row),
                    }
                    for row in evaluation["thresholds"].get(name, [])
                ],
            }
        )
    return rows


def _threshold(row: Mapping[str, Any]) -> str:
    if row["threshold"] is None:
        return "none reaches it"
    value = float(row["threshold"])
    return (
        f"{value:.4f}" if 1e-4 <= value <= 0.9999 else f"log-odds {row['threshold_log_odds']:.2f}"
    )


def _confusion(evaluation: Mapping[str, Any]) -> dict[str, Any]:
    rows = []
    for name, counts in zip(evaluation["classes"], evaluation["confusion"], strict=True):
        total = sum(counts)
        shares = [count / total if total else 0.0 for count in counts]
        cells = [
            {"count": count, "share": f"{100 * share:.2f} %", "strength": round(100 * share)}
            for count, share in zip(counts, shares, strict=True)
        ]
        rows.append({"name": name, "cells": cells, "total": total})
    return {"classes": list(evaluation["classes"]), "rows": rows}


def _ranking_figures(anchor: str, predictions: Predictions) -> list[dict[str, str]]:
    names = ", ".join(predictions.class_names[k] for k in shown_classes(predictions))
    return [
        {
            "svg": roc_figure(f"{anchor}-roc", predictions),
            "alt": f"ROC curves of {names}: true-positive against false-positive rate.",
            "caption": "One class against the others. The dotted diagonal is chance.",
        },
        {
            "svg": roc_corner_figure(f"{anchor}-corner", predictions),
            "alt": f"The same ROC curves of {names}, false-positive rate on a logarithmic scale.",
            "caption": "The same on a logarithmic false-positive rate, cut to where the curves"
            " run. Left of the dotted line one false positive is already too many.",
        },
    ]


def _score_figures(anchor: str, predictions: Predictions) -> list[dict[str, str]]:
    return [
        {
            "svg": score_figure(f"{anchor}-score{k}", predictions, k),
            "alt": f"Histogram of the log-odds of {predictions.class_names[k]} by true class.",
            "caption": f"Log-odds of {predictions.class_names[k]} by true class, counts on a"
            " logarithmic scale. Right of the dotted line its probability is above one half.",
        }
        for k in shown_classes(predictions)
    ]


def _calibration(anchor: str, evaluation: Mapping[str, Any]) -> dict[str, Any]:
    calibration = evaluation["calibration"]
    keys = ("ece", "ece_equal_mass", "brier", "nll", "mean_confidence")
    table = calibration.get("reliability", [])
    return {
        "figure": reliability_figure(f"{anchor}-reliability", table) if table else None,
        "values": {key: f"{calibration[key]:.4f}" for key in keys if key in calibration},
        "accuracy": f"{evaluation['accuracy']:.4f}",
    }


def _galleries(examples: Examples) -> list[dict[str, Any]]:
    galleries = []
    for kind in KINDS:
        cards = []
        for index in [i for i in range(len(examples)) if examples.kind[i] == kind]:
            attention = None if examples.attention is None else examples.attention[index]
            image = examples.images[index]
            cards.append(
                {
                    "name": str(examples.name[index]).encode("utf-8", "replace").decode(),
                    "label": str(examples.label[index]),
                    "predicted": str(examples.predicted[index]),
                    "probability": _percentage(float(examples.probability[index])),
                    "image": image_picture(image),
                    "attention": None if attention is None else attention_picture(image, attention),
                }
            )
        if cards:
            galleries.append({"kind": kind, "title": _KIND_TITLES[kind], "cards": cards})
    return galleries


def _percentage(probability: float) -> str:
    return "> 99.99 %" if 0.9999 < probability < 1 else f"{100 * probability:.2f} %"


def _provenance(evaluation: Mapping[str, Any]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for key, value in evaluation.items():
        if key in _SHOWN:
            continue
        for name, leaf in _flatten(key, value):
            is_long = isinstance(leaf, dict | list)
            text = json.dumps(leaf, indent=1, ensure_ascii=False) if is_long else str(leaf)
            rows.append({"name": name.replace("_", " "), "text": text, "long": is_long})
    return rows


def _flatten(name: str, value: Any) -> list[tuple[str, Any]]:
    """Split a mapping one level deep; what lies deeper stays together."""
    if isinstance(value, dict):
        return [(f"{name}: {key}", leaf) for key, leaf in value.items() if leaf not in ({}, [], "")]
    return [] if value in (None, "", []) else [(name, value)]


def _missing(run: RunContents) -> list[str]:
    parts = {
        "evaluation.json": run.evaluation,
        "predictions.csv": run.predictions,
        "history.csv": run.history,
        "examples.npz": run.examples,
    }
    return [name for name, part in parts.items() if part is None]
