"""From volumes to rows, from rows to means, from means to two files."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from mindvoxel.errors import InputError
from mindvoxel.files import write_text
from mindvoxel.metrics.lesions import count_lesions
from mindvoxel.metrics.overlap import Overlap, volume_ml
from mindvoxel.metrics.surface import assd, border_distances, hd95, nsd
from mindvoxel.volume import Vector, Volume, check_same_grid

Value = int | tuple[int, ...]  # of a class, or of all classes that make a region
SHARES = ("dice", "nsd", "iou", "sensitivity", "precision")
SCORES = ("dice", "hd_mm", "hd95_mm", "assd_mm", "nsd", "iou", "sensitivity", "precision")
DIFFERENCES = ("volume_difference_ml", "volume_difference_percent")  # signed: their means show a bias and may cancel
ABSOLUTES = tuple(f"abs_{name}" for name in DIFFERENCES)  # 0 is best, so a miss makes their means worse
LESION_SCORES = ("lesion_f1", "lesion_sensitivity", "lesion_precision")
LESION_COUNTS = ("lesions_truth", "lesions_pred", "lesions_found", "lesions_missed", "lesions_false")


def mask_of(voxels: np.ndarray, value: Value) -> np.ndarray:
    """The voxels of a class, or of any class of a region, as a bool mask."""
    first, *others = value if isinstance(value, tuple) else (value,)
    mask = voxels == first
    for other in others:
        mask |= voxels == other
    return mask


def score_case(
    case: str,
    pred: Volume,
    truth: Volume,
    labels: dict[str, Value],
    nsd_tolerance_mm: float,
    *,
    lesions: bool = False,
    num_threads: int = 1,
) -> list[dict[str, str | float]]:
    """All metrics of one case, a row for each label, by this project's own convention.

    pred, truth: volumes of whole numbers on one grid; labels: name -> value of a class, or values of a region.
    `outcome` of a row is "scored", "missed" (in the truth only), "false" (in the prediction only) or "empty" (in
    neither: every metric is NaN). Distances in mm, volumes in ml. lesions: count them, too. Raises InputError where
    the two grids differ.
    """
    check_same_grid(truth, pred, (f"the truth of {case}", f"the prediction of {case}"))
    rows = []
    for name, value in labels.items():
        masks = mask_of(pred.voxels, value), mask_of(truth.voxels, value)
        kind = "region" if isinstance(value, tuple) else "class"
        row = {"case": case, "label": name, "kind": kind, "convention": "mindvoxel"}
        row |= _score_label(*masks, truth.spacing_mm, nsd_tolerance_mm, num_threads)
        rows.append(row | (_score_lesions(*masks) if lesions else {}))
    return rows


def _score_label(
    pred: np.ndarray, truth: np.ndarray, spacing_mm: Vector, nsd_tolerance_mm: float, num_threads: int
) -> dict:
    distances = border_distances(pred, truth, spacing_mm, num_threads)
    overlap = Overlap.of(pred, truth)
    difference_ml, difference_percent = overlap.volume_difference(spacing_mm)
    outcomes = {(True, True): "scored", (False, True): "missed", (True, False): "false", (False, False): "empty"}
    return {
        "dice": overlap.dice(),
        "hd_mm": distances.hausdorff_mm,
        "hd95_mm": hd95(distances),
        "assd_mm": assd(distances),
        "nsd": nsd(distances, nsd_tolerance_mm),
        "nsd_tolerance_mm": nsd_tolerance_mm,
        "iou": overlap.iou(),
        "sensitivity": overlap.sensitivity(),
        "precision": overlap.precision(),
        "volume_ml": volume_ml(truth, spacing_mm),
        "volume_difference_ml": difference_ml,
        "volume_difference_percent": difference_percent,
        "outcome": outcomes[overlap.num_pred > 0, overlap.num_truth > 0],
    }


def _score_lesions(pred: np.ndarray, truth: np.ndarray) -> dict:
    found = count_lesions(pred, truth)
    counts = (found.num_truth, found.num_pred, found.tp, found.fn, found.fp)
    scores = (found.f1(), found.sensitivity(), found.precision())
    return dict(zip(LESION_COUNTS + LESION_SCORES, counts + scores, strict=True))


def summarise(rows: list[dict[str, str | float]]) -> dict:
    """Means over cases of the rows of `score_case`.

    Returns {"convention", "num_cases", "nsd_tolerance_mm", "labels": {label: counts and "metrics": {metric: {"mean",
    "sd", "n_used"}}}, "mean": {metric: mean of the classes' means}, "mean_regions": the same of the regions, where
    there are any}. A row of neither mask is NaN and left out of the means; a missed or a false one stands in them with
    the worst value. sd has ddof=1, so it is NaN for one row.
    """
    if not rows:
        raise ValueError("rows must hold at least one scored case, got none; evaluate a case first")
    table = pd.DataFrame(rows)
    for signed, absolute in zip(DIFFERENCES, ABSOLUTES, strict=True):
        table[absolute] = table[signed].abs()
    metrics = [m for m in SCORES + DIFFERENCES + ABSOLUTES + LESION_SCORES if m in table]
    labels = {str(name): _summarise_label(part, metrics) for name, part in table.groupby("label", sort=False)}
    summary = {
        "convention": "mindvoxel",
        "num_cases": int(table["case"].nunique()),
        "nsd_tolerance_mm": float(table["nsd_tolerance_mm"].iloc[0]),
        "labels": labels,
    }
    for key, kind in (("mean", "class"), ("mean_regions", "region")):
        chosen = [label["metrics"] for label in labels.values() if label["kind"] == kind]
        if chosen:
            summary[key] = {m: float(pd.Series([label[m]["mean"] for label in chosen]).mean()) for m in metrics}
    return summary


def _summarise_label(part: pd.DataFrame, metrics: list[str]) -> dict:
    count = part["outcome"].value_counts().to_dict()
    summary = {
        "kind": part["kind"].iloc[0],
        "num_cases": len(part),
        "num_scored": count.get("scored", 0),
        "num_empty_truth": count.get("empty", 0) + count.get("false", 0),
        "num_empty": count.get("empty", 0),
        "num_missed": count.get("missed", 0),
        "num_false": count.get("false", 0),
    }
    summary |= {name: int(part[name].sum()) for name in LESION_COUNTS if name in part}
    summary["metrics"] = {
        m: {"mean": float(part[m].mean()), "sd": float(part[m].std(ddof=1)), "n_used": int(part[m].count())}
        for m in metrics
    }
    return summary


def write_report(folder: str | Path, rows: list[dict[str, str | float]], meta: dict) -> None:
    """Write `rows` to folder/metrics.csv, and their summary with `meta` to folder/summary.json.

    Each file is written beside its place, then renamed. Raises OSError where the folder cannot be written.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_summary(folder / "summary.json", {"meta": meta, **summarise(rows)})
    write_rows(folder / "metrics.csv", rows)


def remove_report(folder: Path) -> None:
    """Remove the two files of an earlier evaluation: they must not outlive its masks."""
    for name in ("summary.json", "metrics.csv"):
        (folder / name).unlink(missing_ok=True)


def write_rows(path: str | Path, rows: list[dict]) -> None:
    """Write rows as CSV; NaN is an empty cell."""
    write_text(path, pd.DataFrame(rows).to_csv(index=False))


def write_summary(path: str | Path, summary: dict) -> None:
    """Write a summary as strict JSON; NaN is null."""
    write_text(path, json.dumps(_strict(summary), indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def _strict(value: object) -> object:
    """The same value with every number that JSON cannot hold as None, and what is not a JSON type as text."""
    if isinstance(value, dict):
        return {str(key): _strict(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_strict(item) for item in value]
    if isinstance(value, (float, np.floating)):
        return float(value) if np.isfinite(value) else None
    if isinstance(value, (np.integer, np.bool_)):
        return value.item()
    return value if isinstance(value, (str, int, bool, type(None))) else str(value)


def read_rows(path: str | Path) -> list[dict]:
    """The rows of a metrics.csv that `write_rows` wrote; an empty cell is NaN. Raises InputError."""
    try:
        table = pd.read_csv(
            path,
            dtype={"case": str, "label": str},  # a case may be named 007, a class NA
            keep_default_na=False,
            na_values=dict.fromkeys(SCORES + DIFFERENCES + LESION_SCORES, ""),
            float_precision="round_trip",
        )
    except (OSError, ValueError) as error:  # pandas' own errors are ValueErrors
        raise InputError(f"{path}: not a readable metrics.csv ({error}); evaluate the cases anew") from error
    missing = {"case", "label", "kind", "outcome", "dice"} - set(table)
    if missing:
        raise InputError(f"{path}: has no column {sorted(missing)[0]}; evaluate the cases anew")
    return table.to_dict("records")
