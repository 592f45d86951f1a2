"""Means as text for the screen; every table says by which convention they were made."""

import numpy as np

from mindvoxel.metrics.report import SHARES

# metric: (its title, its width)
_COLUMNS = {"dice": ("Dice", 7), "hd_mm": ("HD mm", 8), "hd95_mm": ("HD95 mm", 8), "assd_mm": ("ASSD mm", 8)}
_COLUMNS |= {"nsd": ("NSD", 7), "abs_volume_difference_percent": ("|dV| %", 7)}
_COLUMNS |= {"iou": ("IoU", 7), "sensitivity": ("Sens.", 7), "precision": ("Prec.", 7)}


def format_table(summary: dict) -> str:
    """The means of `report.summarise` as text: for each label a line of means, of standard deviations, of counts."""
    names = {"mean": "mean", "mean_regions": "regions"}
    width = max(len(name) for name in (*summary["labels"], "regions")) + 1
    titles = "".join(title.rjust(space) for title, space in _COLUMNS.values())
    lines = ["label".ljust(width) + "    " + titles]
    for name, label in summary["labels"].items():
        for title, statistic in ((name, "mean"), ("", "sd")):
            values = {metric: label["metrics"][metric][statistic] for metric in _COLUMNS}
            lines.append(f"{title:{width}}{statistic:4}" + _numbers(values))
        lines.append(" " * width + _counts(label))
        if "lesions_truth" in label:
            lines.append(" " * width + _lesions(label))
    lines += [f"{names[key]:{width}}{'all':4}" + _numbers(summary[key]) for key in names if key in summary]
    lines.append(
        "convention mindvoxel; missed: in the truth only, false: in the prediction only (both count as the worst: "
        "shares 0, distances the image diagonal); empty: in neither, left out of the means; dV: volume difference; "
        f"NSD at {summary['nsd_tolerance_mm']:g} mm"
    )
    return "\n".join(lines)


def _counts(label: dict) -> str:
    return (
        f"{label['num_cases']} cases: {label['num_scored']} scored, {label['num_missed']} missed, "
        f"{label['num_false']} false, {label['num_empty']} empty ({label['num_empty_truth']} empty in the truth)"
    )


def _lesions(label: dict) -> str:
    f1 = label["metrics"]["lesion_f1"]["mean"]
    return (
        f"{label['lesions_truth']} lesions: {label['lesions_found']} found, {label['lesions_missed']} missed, "
        f"{label['lesions_false']} false; mean F1 {'-' if np.isnan(f1) else format(f1, '.3f')}"
    )


def _numbers(values: dict[str, float]) -> str:
    return "".join(_number(metric, values[metric]).rjust(space) for metric, (_, space) in _COLUMNS.items())


def _number(metric: str, value: float) -> str:
    if np.isnan(value):
        return "-"
    return f"{value:.3f}" if metric in SHARES else f"{value:.2f}"


def format_published(summary: dict) -> str:
    """The means of `conventions.summarise` as text, a line for each label."""
    width = max(len(name) for name in (*summary["labels"], "mean")) + 2
    metrics = list(summary["mean"])
    lines = ["label".ljust(width) + "".join(metric.rjust(12) for metric in metrics)]
    for name, values in (*summary["labels"].items(), ("mean", summary["mean"])):
        lines.append(name.ljust(width) + "".join(_plain(values[metric]).rjust(12) for metric in metrics))
    for key, value in summary.items():
        if key.startswith("mean_"):
            lines.append(f"{key.replace('_', ' ')}: {_plain(value)}")
    lines.append(f"convention {summary['convention']}, {summary['num_cases']} cases: {summary['rule']}")
    return "\n".join(lines)


def _plain(value: float) -> str:
    if np.isnan(value):
        return "-"
    return f"{value:.4f}" if abs(value) <= 1 else f"{value:.1f}"


def format_folds(name: str, folds: dict[int, dict], together: dict) -> str:
    """Dice by fold of `name` as text, a line for each label and their mean.

    folds: number -> the summary of its cases; together: the summary of all cases. mean and sd (ddof=1) are over folds.
    """
    rows = {label: [_dice_of(s, label) for s in (*folds.values(), together)] for label in together["labels"]}
    rows["mean"] = [summary["mean"]["dice"] for summary in (*folds.values(), together)]
    width = max(map(len, (name, *rows))) + 2
    titles = [*(f"fold {number}" for number in folds), "mean", "sd", "all cases"]
    lines = [name.ljust(width) + "".join(title.rjust(10) for title in titles)]
    for label, (*by_fold, all_cases) in rows.items():
        known = np.array(by_fold)[~np.isnan(by_fold)]
        mean = known.mean() if len(known) else float("nan")
        sd = known.std(ddof=1) if len(known) > 1 else float("nan")
        values = (*by_fold, mean, sd, all_cases)
        lines.append(label.ljust(width) + "".join(_number("dice", value).rjust(10) for value in values))
    return "\n".join(lines)


def _dice_of(summary: dict, label: str) -> float:
    return summary["labels"][label]["metrics"]["dice"]["mean"]
