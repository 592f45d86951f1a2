"""From photos to rows, from rows to shares: how often a classifier is right."""

from collections.abc import Sequence
from math import isnan
from pathlib import Path

import numpy as np

from mindvoxel.metrics.accuracy import ranks_of_truth
from mindvoxel.metrics.report import write_rows, write_summary

_TITLES = {"top1": "top-1", "top5": "top-5", "loss": "loss"}


def score_photos(logits: np.ndarray, labels: np.ndarray, names: Sequence[str], classes: Sequence[str]) -> list[dict]:
    """A row a photo: photo, class (the true one), predicted, rank of the true class (1: it is predicted; of equal
    logits the last), and loss, the cross-entropy. logits (N, K), not NaN; labels (N,) of classes."""
    shifted = logits.astype(np.float64) - logits.max(1, keepdims=True)
    losses = np.log(np.exp(shifted).sum(1)) - np.take_along_axis(shifted, labels[:, None], 1)[:, 0]
    places = ranks_of_truth(logits, labels) + 1
    return [
        {
            "photo": name,
            "class": classes[label],
            "predicted": classes[best],
            "rank": int(place),
            "loss": float(loss),
        }
        for name, label, best, place, loss in zip(names, labels, logits.argmax(1), places, losses, strict=True)
    ]


def sums_of(rows: Sequence[dict]) -> list[float]:
    """[number of photos, of those right at first, of those right among the first five, sum of losses]: of parts of the
    photos to be added up."""
    right = [sum(row["rank"] <= k for row in rows) for k in (1, 5)]
    return [len(rows), *right, sum(row["loss"] for row in rows)]


def shares_of(sums: Sequence[float]) -> dict[str, float]:
    """top1 and top5, from 0 to 1, and loss, the mean over photos; NaN without a photo."""
    num, *figures = sums
    return {name: value / num if num else float("nan") for name, value in zip(_TITLES, figures, strict=True)}


def summarise_photos(rows: Sequence[dict], classes: Sequence[str]) -> dict:
    """num_photos, the shares over all photos, and `classes`: the same of the photos of each class by its name."""
    by_class: dict[str, list] = {name: [] for name in classes}
    for row in rows:
        by_class[row["class"]].append(row)
    parts = {name: {"num_photos": len(part), **shares_of(sums_of(part))} for name, part in by_class.items()}
    return {"num_photos": len(rows), **shares_of(sums_of(rows)), "classes": parts}


def write_photo_report(folder: Path, rows: Sequence[dict], summary: dict, meta: dict) -> None:
    """Rows to folder/metrics.csv, their summary with `meta` to folder/summary.json, each whole or not at all."""
    write_summary(folder / "summary.json", {"meta": meta, **summary})
    write_rows(folder / "metrics.csv", list(rows))


def format_photos(summary: dict, most: int = 10) -> str:
    """The summary as text: the classes that are right least often, `most` of them, and all photos together; without the
    loss where it is not known."""
    shown = [(figure, title) for figure, title in _TITLES.items() if not isnan(summary[figure])]
    known = {name: part for name, part in summary["classes"].items() if part["num_photos"]}
    worst = sorted(known, key=lambda name: known[name]["top1"])[:most]
    width = max(map(len, (*worst, "all classes"))) + 2
    lines = ["".ljust(width) + "".join(title.rjust(10) for title in ("photos", *(title for _, title in shown)))]
    for name, part in (*((name, known[name]) for name in worst), ("all classes", summary)):
        figures = "".join(f"{part[figure]:10.4f}" for figure, _ in shown)
        lines.append(name.ljust(width) + str(part["num_photos"]).rjust(10) + figures)
    if len(known) > most:
        lines.insert(1, f"the {most} of {len(known)} classes with the lowest top-1:")
    return "\n".join(lines)
