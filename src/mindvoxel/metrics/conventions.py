"""The three published ways to count Dice, by name; what one of them says is never compared to another's.

nnunet: nnU-Net v1 and v2, on the scan's own grid: both masks empty is NaN and left out, one of them empty is 0.
nvidia: NVIDIA's nnU-Net (evaluate.py and runtime/metrics.py): a class that is absent in the truth counts 1 where it
    is absent in the prediction, else 0; the background is listed, and the mean is over the foreground.
mlperf: MLPerf's 3D U-Net (model/losses.py, DiceScore): classes 1 and 2 as they stand, Dice smoothed by 1e-6.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from mindvoxel.metrics.overlap import Overlap
from mindvoxel.metrics.report import Value, mask_of
from mindvoxel.volume import Volume, check_same_grid

BACKGROUND = "background"
MLPERF_LABELS = {"kidney": 1, "tumour": 2}
_SMOOTH = 1e-6
_COUNTS = ("tp", "fp", "fn", "tn")


@dataclass(frozen=True)
class Convention:
    """score: the metrics of one case and label.  rule: what the table says of it."""

    score: Callable[[Overlap], dict[str, float]]
    rule: str


def _nnunet(overlap: Overlap) -> dict[str, float]:
    counts = {"FP": overlap.fp, "TP": overlap.tp, "FN": overlap.fn, "TN": overlap.tn}
    counts |= {"n_pred": overlap.num_pred, "n_ref": overlap.num_truth}
    return {"Dice": overlap.dice(), "IoU": overlap.iou()} | counts


def _nvidia(overlap: Overlap) -> dict[str, float]:
    return {"dice": 1.0 if overlap.empty else overlap.dice()}


def _mlperf(overlap: Overlap) -> dict[str, float]:
    return {"dice": (2 * overlap.tp + _SMOOTH) / (overlap.num_pred + overlap.num_truth + _SMOOTH)}


CONVENTIONS = {
    "nnunet": Convention(_nnunet, "empty in both is left out, in one 0; mean of the labels' means"),
    "nvidia": Convention(_nvidia, "empty in both counts 1, in one 0; mean over the foreground"),
    "mlperf": Convention(_mlperf, "classes 1 and 2, smoothed by 1e-6, empty in both counts 1; mean of both"),
}


def labels_for(convention: str, labels: dict[str, Value]) -> dict[str, Value]:
    """The labels that a convention lists, of the foreground classes and regions `labels`, in its order.

    nnunet takes regions instead of classes where there are any. Raises ValueError where the convention does not know
    such labels.
    """
    regions = {name: value for name, value in labels.items() if isinstance(value, tuple)}
    if convention == "nnunet":
        return regions or labels
    if regions:
        raise ValueError(f"the {convention} convention has no regions, got {', '.join(regions)}; leave them out")
    if convention == "nvidia":
        return {BACKGROUND: 0} | labels
    if set(labels.values()) != {1, 2}:
        raise ValueError(f"the mlperf convention is of classes 1 and 2, got {sorted(labels.values())}")
    return labels


def count_case(case: str, pred: Volume, truth: Volume, labels: dict[str, Value]) -> list[dict]:
    """Shared voxels of one case, a row for each label: case, label, value, tp, fp, fn, tn.

    Raises InputError where the two grids differ.
    """
    check_same_grid(truth, pred, (f"the truth of {case}", f"the prediction of {case}"))
    rows = []
    for name, value in labels.items():
        overlap = Overlap.of(mask_of(pred.voxels, value), mask_of(truth.voxels, value))
        rows.append({"case": case, "label": name, "value": value} | {key: getattr(overlap, key) for key in _COUNTS})
    return rows


def overlap_of(row: dict) -> Overlap:
    """What a row of `count_case` counted."""
    return Overlap(*(row[key] for key in _COUNTS))


def score_rows(convention: str, rows: list[dict]) -> list[dict]:
    """Rows of `count_case` with the metrics of the convention: convention, case, label, metrics."""
    score = CONVENTIONS[convention].score
    return [{"convention": convention, "case": r["case"], "label": r["label"]} | score(overlap_of(r)) for r in rows]


def summarise(convention: str, rows: list[dict]) -> dict:
    """Means of a convention over the rows of `count_case`; every case weighs the same.

    Returns {"convention", "rule", "num_cases", "labels": {label: {metric: mean over cases}}, "mean": {metric: mean of
    the foreground labels' means}}, and "mean_with_background" of Dice for nvidia.
    """
    if not rows:
        raise ValueError("rows must hold at least one counted case, got none; evaluate a case first")
    scored = score_rows(convention, rows)
    names = list(dict.fromkeys(row["label"] for row in rows))
    metrics = [key for key in scored[0] if key not in {"convention", "case", "label"}]
    by_label = {name: [row for row in scored if row["label"] == name] for name in names}
    labels = {name: {m: nan_mean([r[m] for r in part]) for m in metrics} for name, part in by_label.items()}
    background = {row["label"] for row in rows if row["value"] == 0}
    foreground = [means for name, means in labels.items() if name not in background]
    summary = {
        "convention": convention,
        "rule": CONVENTIONS[convention].rule,
        "num_cases": len({row["case"] for row in rows}),
        "labels": labels,
        "mean": {m: float(np.mean([means[m] for means in foreground])) for m in metrics},
    }
    if convention == "nvidia":
        summary["mean_with_background"] = float(np.mean([means["dice"] for means in labels.values()]))
    return summary


def nan_mean(values: list[float]) -> float:
    """Mean of the values that are not NaN; NaN where there is none."""
    known = [value for value in values if not np.isnan(value)]
    return float(np.mean(known)) if known else float("nan")
