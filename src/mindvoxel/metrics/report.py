"""From volumes to rows, from rows to means, from means to a table and two files."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from mindvoxel.files import write_text
from mindvoxel.metrics.overlap import dice, volume_difference, volume_ml
from mindvoxel.metrics.surface import assd, border_distances, hausdorff, hd95, nsd
from mindvoxel.volume import Vector, Volume, check_same_grid

SCORES = ("dice", "hd_mm", "hd95_mm", "assd_mm", "nsd")
DIFFERENCES = ("volume_difference_ml", "volume_difference_percent")  # signed: their means show a bias and may cancel
ABSOLUTES = tuple(f"abs_{name}" for name in DIFFERENCES)  # 0 is best, so a miss makes their means worse
_COLUMNS = {"dice": "Dice", "hd_mm": "HD mm", "hd95_mm": "HD95 mm", "assd_mm": "ASSD mm", "nsd": "NSD"}
_COLUMNS |= {"abs_volume_difference_percent": "|dV| %"}


def score_case(
    case: str, pred: Volume, truth: Volume, labels: dict[str, int], nsd_tolerance_mm: float
) -> list[dict[str, str | float]]:
    """All metrics of one case, a row for each label.

    pred, truth: volumes of whole numbers on one grid; labels: name -> value. `outcome` of a row is "scored", "missed"
    (in the truth only), "false" (in the prediction only) or "empty" (in neither: every metric is NaN). Distances
    in mm, volumes in ml. Raises InputError where the two grids differ.
    """
    check_same_grid(truth, pred, (f"the truth of {case}", f"the prediction of {case}"))
    rows = []
    for name, value in labels.items():
        scores = _score_label(pred.voxels == value, truth.voxels == value, truth.spacing_mm, nsd_tolerance_mm)
        rows.append({"case": case, "label": name, **scores})
    return rows


def _score_label(pred: np.ndarray, truth: np.ndarray, spacing_mm: Vector, nsd_tolerance_mm: float) -> dict:
    distances = border_distances(pred, truth, spacing_mm)
    difference_ml, difference_percent = volume_difference(pred, truth, spacing_mm)
    outcomes = {(True, True): "scored", (False, True): "missed", (True, False): "false", (False, False): "empty"}
    return {
        "dice": dice(pred, truth),
        "hd_mm": hausdorff(pred, truth, spacing_mm),
        "hd95_mm": hd95(distances),
        "assd_mm": assd(distances),
        "nsd": nsd(distances, nsd_tolerance_mm),
        "nsd_tolerance_mm": nsd_tolerance_mm,
        "volume_ml": volume_ml(truth, spacing_mm),
        "volume_difference_ml": difference_ml,
        "volume_difference_percent": difference_percent,
        "outcome": outcomes[bool(pred.any()), bool(truth.any())],
    }


def summarise(rows: list[dict[str, str | float]]) -> dict:
    """Means over cases of the rows of `score_case`.

    Returns {"num_cases", "nsd_tolerance_mm", "labels": {label: counts and "metrics": {metric: {"mean", "sd",
    "n_used"}}}, "mean": {metric: mean of the labels' means}}. A row of neither mask is NaN and left out of the means;
    a missed or a false one stands in them with the worst value. sd has ddof=1, so it is NaN for one row.
    """
    if not rows:
        raise ValueError("rows must hold at least one scored case, got none; evaluate a case first")
    table = pd.DataFrame(rows)
    for signed, absolute in zip(DIFFERENCES, ABSOLUTES, strict=True):
        table[absolute] = table[signed].abs()
    labels = {str(name): _summarise_label(part) for name, part in table.groupby("label", sort=False)}
    means = {m: pd.Series([label["metrics"][m]["mean"] for label in labels.values()]).mean() for m in _metrics()}
    return {
        "num_cases": int(table["case"].nunique()),
        "nsd_tolerance_mm": float(table["nsd_tolerance_mm"].iloc[0]),
        "labels": labels,
        "mean": {metric: float(mean) for metric, mean in means.items()},
    }


def _metrics() -> tuple[str, ...]:
    return SCORES + DIFFERENCES + ABSOLUTES


def _summarise_label(part: pd.DataFrame) -> dict:
    count = part["outcome"].value_counts().to_dict()
    return {
        "num_cases": len(part),
        "num_scored": count.get("scored", 0),
        "num_empty_truth": count.get("empty", 0) + count.get("false", 0),
        "num_empty": count.get("empty", 0),
        "num_missed": count.get("missed", 0),
        "num_false": count.get("false", 0),
        "metrics": {
            m: {"mean": float(part[m].mean()), "sd": float(part[m].std(ddof=1)), "n_used": int(part[m].count())}
            for m in _metrics()
        },
    }


def format_table(summary: dict) -> str:
    """The means of `summarise` as text: for each label a line of means, one of standard deviations, one of counts."""
    width = max(len(name) for name in (*summary["labels"], "label")) + 2
    lines = ["label".ljust(width) + "    " + "".join(title.rjust(9) for title in _COLUMNS.values())]
    for name, label in summary["labels"].items():
        for title, statistic in ((name, "mean"), ("", "sd")):
            numbers = [_number(metric, label["metrics"][metric][statistic]) for metric in _COLUMNS]
            lines.append(f"{title:{width}}{statistic:4}" + "".join(numbers))
        lines.append(
            f"{'':{width}}{label['num_cases']} cases: {label['num_scored']} scored, {label['num_missed']} missed, "
            f"{label['num_false']} false, {label['num_empty']} empty ({label['num_empty_truth']} empty in the truth)"
        )
    lines.append(
        "missed: in the truth only, false: in the prediction only (both count as the worst: Dice and NSD 0, distances "
        "the image diagonal); empty: in neither, left out of the means; dV: volume difference; "
        f"NSD at {summary['nsd_tolerance_mm']:g} mm"
    )
    return "\n".join(lines)


def _number(metric: str, value: float) -> str:
    if np.isnan(value):
        return "-".rjust(9)
    return f"{value:9.3f}" if metric in {"dice", "nsd"} else f"{value:9.2f}"


def write_report(folder: str | Path, rows: list[dict[str, str | float]], meta: dict) -> None:
    """Write `rows` to folder/metrics.csv, and their summary with `meta` to folder/summary.json (NaN as null).

    Each file is written beside its place, then renamed. Raises OSError where the folder cannot be written.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    summary = {"meta": meta, **summarise(rows)}
    text = json.dumps(_strict(summary), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    write_text(folder / "summary.json", text)
    write_text(folder / "metrics.csv", pd.DataFrame(rows).to_csv(index=False))


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
