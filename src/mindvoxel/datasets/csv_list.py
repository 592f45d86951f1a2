"""A CSV with one line a case, `case,CHANNEL…,label`, and a JSON beside it that names the label values.

Paths count from the folder of the CSV, or are absolute. A line without a label is a test case. CASES.json beside
CASES.csv holds {"labels": {name: value}}, and may hold "channels", "name" and "regions". It is needed because a value
found in a file proves nothing: a stray one would become a class.
"""

import csv
import json
from contextlib import suppress
from pathlib import Path

from mindvoxel.data.dataset import Case, Dataset
from mindvoxel.data.images import read_information
from mindvoxel.datasets import listing
from mindvoxel.errors import InputError
from mindvoxel.files import replacing, write_text
from mindvoxel.volume import Vector

FILE = "cases.csv"


def open_csv(path: str | Path, spacing_mm: Vector | None = None, check_files: bool = True) -> Dataset:
    """The data set that the CSV at `path`, or path/cases.csv, lists."""
    path = Path(path)
    path = path / FILE if path.is_dir() else path
    columns, rows = _table(path)
    cases = listing.check_cases((_case(path, line, columns, row) for line, row in rows), path)
    if not cases:
        raise InputError(f"{path}: no case in it; one line a case is needed below the header")
    if check_files:
        listed = [file for case in cases for file in (*case.images, case.label) if file]
        listing.require_files(listed, f"paths in {path.name} count from its folder")
    labelled = tuple(case for case in cases if case.label)
    about = path.with_suffix(".json")
    if labelled and not about.is_file():
        raise InputError(
            f"{about}: no such file; beside {path.name} it names the label values, for instance "
            '{"labels": {"background": 0, "prostate": 1}}'
        )
    values = listing.read_json(about) if about.is_file() else {"labels": {"background": 0}}
    labels = {
        name: listing.whole(v, f"label {name}", about)
        for name, v in listing.entry(values, "labels", dict, about).items()
    }
    if "channels" in values:
        channels = tuple(map(str, listing.entry(values, "channels", list, about)))
    else:
        channels = _channels(cases, columns, spacing_mm)
    labels = listing.with_background(labels, about)
    return Dataset(
        str(values.get("name") or path.resolve().parent.name),
        channels,
        labels,
        labelled,
        tuple(case for case in cases if not case.label),
        spacing_mm,
        _regions(values, labels, about),
    )


def _table(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Columns between case and label, and the lines with their numbers."""
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file)
            rows = [(reader.line_num, [cell.strip() for cell in row]) for row in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: not a CSV in UTF-8 ({error}); save it as one") from error
    rows = [(line, row) for line, row in rows if any(row)]
    header = rows[0][1] if rows else []
    if len(header) < 3 or header[0] != "case" or header[-1] != "label" or len(set(header)) < len(header):
        raise InputError(
            f"{path}: its first line is {','.join(header)!r}; case, the name of each channel, and label are needed, "
            "such as case,T2,label"
        )
    return header[1:-1], rows[1:]


def _case(path: Path, line: int, columns: list[str], row: list[str]) -> Case:
    if len(row) != len(columns) + 2 or not all(row[:-1]):
        raise InputError(
            f"{path}, line {line}: {len(row)} cells, the last alone of which may be empty; {len(columns) + 2} are "
            f"needed: case, {', '.join(columns)}, label"
        )
    return Case(row[0], tuple(path.parent / cell for cell in row[1:-1]), path.parent / row[-1] if row[-1] else None)


def _channels(cases: tuple[Case, ...], columns: list[str], spacing_mm: Vector | None) -> tuple[str, ...]:
    """The columns; one whose file holds several channels counts them: NAME_0, NAME_1, …

    By the first case whose files can be read; whoever reads the others tells why they cannot be.
    """
    for case in cases:
        with suppress(InputError):
            counts = [read_information(file, spacing_mm).num_channels for file in case.images]
            break
    else:
        return tuple(columns)
    names = []
    for column, count in zip(columns, counts, strict=True):
        names += [column] if count == 1 else [f"{column}_{k}" for k in range(count)]
    return tuple(names)


def _regions(values: dict, labels: dict[str, int], where: Path) -> dict[str, tuple[int, ...]]:
    if "regions" not in values:
        return {}
    regions = listing.entry(values, "regions", dict, where)
    if not all(isinstance(group, list) and group for group in regions.values()):
        raise InputError(f"{where}: a region needs a list of label values under 'regions', got {regions}")
    groups = {n: tuple(listing.whole(v, f"a value of region {n}", where) for v in g) for n, g in regions.items()}
    for name, group in groups.items():
        if not set(group) <= set(labels.values()):
            raise InputError(f"{where}: region {name} has the values {group}; 'labels' must name all of them")
    return groups


def write_index(root: Path, dataset: Dataset) -> None:
    """root/cases.csv and cases.json for `dataset`, whose files lie below `root` already."""
    cases = (*dataset.cases, *dataset.test_cases)
    num_files = len(cases[0].images)
    header = ["case", *dataset.channels, "label"]
    if num_files != len(dataset.channels) or len(set(header)) < len(header) or not all(map(str.strip, header)):
        header = ["case", *([f"image_{i}" for i in range(num_files)] if num_files > 1 else ["image"]), "label"]
    with replacing(root / FILE) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        for case in cases:
            files = [path.relative_to(root).as_posix() if path else "" for path in (*case.images, case.label)]
            writer.writerow([case.case, *files])
    values = {"name": dataset.name, "channels": dataset.channels, "labels": dataset.labels}
    if dataset.regions:
        values["regions"] = dataset.regions
    write_text(root / Path(FILE).with_suffix(".json"), json.dumps(values, indent=1, ensure_ascii=False) + "\n")
