"""Classify the photos of val/ with the C++ program and score them as eval.py does: the kind of infer_310 for photos."""

import csv
import tempfile
from argparse import Namespace
from collections.abc import Callable, Sequence
from pathlib import Path

from mindvoxel.bundle import PREDICTIONS, Bundle
from mindvoxel.cli import common
from mindvoxel.datasets.imagenet import Photo, list_photos
from mindvoxel.errors import InputError, WorkError, naming
from mindvoxel.log import LOGGER
from mindvoxel.metrics.photos import format_photos, summarise_photos, write_photo_report
from mindvoxel.metrics.report import remove_report

TABLE = Path(PREDICTIONS).name
BEYOND = 6  # the rank of a true class that is none of the five in the table


def infer(args: Namespace, bundle: Bundle, flags: list[str], run: Callable[[list], None]) -> None:
    """args: --infer, --data_path, --split_file_path and --output_path.  flags: of the program.  run: runs it."""
    if args.split_file_path != "none":
        raise InputError(
            f"--split_file_path {args.split_file_path}: all photos of val/ are scored; give none in its place"
        )
    classes = tuple(bundle.labels)
    photos, _ = list_photos(args.data_path, "val", classes)
    folder = common.new_folder(args.output_path)
    remove_report(folder)
    (folder / TABLE).unlink(missing_ok=True)
    with tempfile.TemporaryDirectory() as staged:
        for photo in photos:
            link = Path(staged, photo.relative)
            link.parent.mkdir(exist_ok=True)
            link.symlink_to(photo.path.resolve())
        run([args.infer, "--bundle", bundle.folder, "--input", staged, "--output", folder, *flags])
    rows = _rows(folder / TABLE, photos, classes)
    summary = summarise_photos(rows, classes)
    with naming(folder):
        how = {"bundle": str(bundle.folder), "data_path": args.data_path, "flags": flags}
        write_photo_report(folder, rows, summary, how)
    LOGGER.info("%s", format_photos(summary))
    LOGGER.info("%s, metrics.csv and summary.json in %s", TABLE, folder)


def _rows(table: Path, photos: Sequence[Photo], classes: Sequence[str]) -> list[dict]:
    """As metrics.photos.score_photos makes them, without the loss, of which the table holds too little."""
    ranks: dict[str, dict[str, int]] = {}
    with table.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            ranks.setdefault(row["photo"], {})[row["class"]] = int(row["rank"])
    rows = []
    for photo in photos:
        name, true = photo.relative, classes[photo.label]
        if name not in ranks:
            raise WorkError(f"{table}: says nothing of {name}; classify the photos again")
        best = min(ranks[name], key=ranks[name].get)
        place = ranks[name].get(true, BEYOND)
        rows.append({"photo": name, "class": true, "predicted": best, "rank": place, "loss": float("nan")})
    return rows
