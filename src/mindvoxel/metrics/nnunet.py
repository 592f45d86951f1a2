"""nnU-Net's own summary.json, in the form of version 1 and of version 2; NaN stands there as its readers expect it."""

import hashlib
import json
from datetime import datetime

from mindvoxel.metrics.conventions import nan_mean, overlap_of, score_rows, summarise
from mindvoxel.metrics.overlap import Overlap

_NAN = float("nan")
Files = dict[str, tuple[str, str]]  # case -> paths of its prediction and of its truth


def summary_v2(rows: list[dict], files: Files) -> dict:
    """The form of nnU-Net v2's compute_metrics_on_folder: each case's files and metrics, means, foreground mean.

    rows: of conventions.count_case, labels of the foreground only.
    """
    means = summarise("nnunet", rows)
    keys = {row["label"]: _key(row["value"]) for row in rows}
    cases = {case: {} for case in files}
    for row in score_rows("nnunet", rows):
        metrics = {name: value for name, value in row.items() if name not in {"convention", "case", "label"}}
        cases[row["case"]][keys[row["label"]]] = metrics
    per_case = [
        {"reference_file": files[case][1], "prediction_file": files[case][0], "metrics": metrics}
        for case, metrics in cases.items()
    ]
    return {
        "convention": "nnunet",
        "foreground_mean": means["mean"],
        "mean": {keys[name]: values for name, values in means["labels"].items()},
        "metric_per_case": per_case,
    }


def summary_v1(rows: list[dict], files: Files, task: str) -> dict:
    """The form of nnU-Net v1's aggregate_scores: 13 metrics a label, each case's and their means.

    rows: of conventions.count_case, with the background, as v1's validation has it.
    """
    cases = {case: {} for case in files}
    for row in rows:
        cases[row["case"]][_key(row["value"])] = metrics_v1(overlap_of(row))
    labels = list(dict.fromkeys(_key(row["value"]) for row in rows))
    mean = {
        label: {
            name: nan_mean([case[label][name] for case in cases.values()]) for name in next(iter(cases.values()))[label]
        }
        for label in labels
    }
    results = [metrics | {"test": files[case][0], "reference": files[case][1]} for case, metrics in cases.items()]
    summary = {
        "name": "summary",
        "description": "convention nnunet",
        "timestamp": str(datetime.now()),
        "task": task,
        "author": "mindvoxel",
        "results": {"all": results, "mean": mean},
    }
    text = json.dumps(summary).encode("utf-8")
    return summary | {"id": hashlib.md5(text, usedforsecurity=False).hexdigest()[:12]}


def metrics_v1(overlap: Overlap) -> dict[str, float]:
    """nnU-Net v1's 13 metrics of one label; a share of nothing is NaN."""
    size = overlap.tp + overlap.fp + overlap.fn + overlap.tn
    precision = _share(overlap.tp, overlap.num_pred)
    recall = _share(overlap.tp, overlap.num_truth)
    specificity = _share(overlap.tn, overlap.tn + overlap.fp)
    omission = _share(overlap.fn, overlap.fn + overlap.tn)
    return {
        "Accuracy": (overlap.tp + overlap.tn) / size,
        "Dice": overlap.dice(),
        "False Discovery Rate": 1 - precision,
        "False Negative Rate": 1 - recall,
        "False Omission Rate": omission,
        "False Positive Rate": 1 - specificity,
        "Jaccard": overlap.iou(),
        "Negative Predictive Value": 1 - omission,
        "Precision": precision,
        "Recall": recall,
        "Total Positives Reference": overlap.num_truth,
        "Total Positives Test": overlap.num_pred,
        "True Negative Rate": specificity,
    }


def _share(part: int, whole: int) -> float:
    return part / whole if whole else _NAN


def _key(value: int | tuple[int, ...]) -> str:
    """As nnU-Net names a label or a region."""
    return str(value)
