"""What a data set is, whatever layout it came in: cases of channels and labels, and what the label values mean."""

from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np

from mindvoxel.errors import InputError
from mindvoxel.volume import Vector, Volume, check_same_grid, read_volume


@dataclass(frozen=True)
class Case:
    """One scan: its name, the files of its channels in order, and its label or None."""

    case: str
    images: tuple[Path, ...]
    label: Path | None

    @property
    def image(self) -> Path:
        """The file of the first channel."""
        return self.images[0]


@dataclass(frozen=True)
class Dataset:
    """A data set as its folder describes it.

    channels: the name of each channel ("CT" and "MRI" decide how it is normalised).
    labels: name -> value in the label files; the background is 0.
    cases: labelled, for training.  test_cases: without a label.
    spacing_mm: taken for images that know none, (z, y, x); None: such an image is refused.
    """

    name: str
    channels: tuple[str, ...]
    labels: dict[str, int]
    cases: tuple[Case, ...]
    test_cases: tuple[Case, ...] = ()
    spacing_mm: Vector | None = None


def read_image(case: Case, spacing_mm: Vector | None = None) -> Volume:
    """All channels of a case on one grid: voxels (C, D, H, W) float32.

    spacing_mm: for files that know none. Raises InputError where a file cannot be used, or the channels lie apart.
    """
    first, *others = [read_volume(path) for path in case.images]
    for path, other in zip(case.images[1:], others, strict=True):
        check_same_grid(first, other, (str(case.image), str(path)))
    return first.with_voxels(np.stack([v.voxels for v in (first, *others)]).astype(np.float32))


def read_label(case: Case, spacing_mm: Vector | None = None) -> Volume:
    """The label of a case: voxels (D, H, W), whole numbers as int16; raises InputError where it cannot be used."""
    label = read_volume(case.label)
    return label.with_voxels(label.voxels.astype(np.int16))


def dataset_to_json(dataset: Dataset) -> dict:
    """A data set as JSON holds it, for the dataset.json beside preprocessed cases; files by their absolute paths."""

    def listed(cases: tuple[Case, ...]) -> list[dict]:
        return [
            {
                "case": case.case,
                "images": [str(path.absolute()) for path in case.images],
                "label": None if case.label is None else str(case.label.absolute()),
            }
            for case in cases
        ]

    return asdict(dataset) | {"cases": listed(dataset.cases), "test_cases": listed(dataset.test_cases)}


def dataset_from_json(values: dict, where: str) -> Dataset:
    """The data set of what dataset_to_json gave; raises InputError that names its source `where`."""

    def fixed(value):
        if isinstance(value, dict):
            return {name: fixed(part) for name, part in value.items()}
        return tuple(map(fixed, value)) if isinstance(value, list) else value

    def listed(entries: list[dict]) -> tuple[Case, ...]:
        return tuple(
            Case(e["case"], tuple(map(Path, e["images"])), None if e["label"] is None else Path(e["label"]))
            for e in entries
        )

    try:
        cases = {name: listed(values[name]) for name in ("cases", "test_cases")}
        kept = {field.name: fixed(values[field.name]) for field in fields(Dataset) if field.name not in cases}
        if not kept["channels"] or not dict(kept["labels"]):
            raise ValueError("no channels, or no labels")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{where}: not written by mindvoxel preprocess ({error!r}); preprocess anew") from error
    return Dataset(**kept | cases)
