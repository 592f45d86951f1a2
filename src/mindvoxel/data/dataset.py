"""What a data set is, whatever layout it came in: cases of channels and labels, and what the label values mean."""

from dataclasses import asdict, dataclass, field, fields
from pathlib import Path

import numpy as np

from mindvoxel.data.images import read_channels, read_information
from mindvoxel.errors import InputError
from mindvoxel.volume import Vector, Volume, check_same_grid

LABEL_RANGE = (-32768, 32767)
_WHOLE = 1e-3  # a whole number that a file stores as float or scaled is off by its rounding


@dataclass(frozen=True)
class Case:
    """One scan: its name, the files of its channels in order, and its label or None.

    A file may hold several channels: a 4-D image, or a coloured picture.
    """

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
    regions: name -> the values that make up a region, where the data set declares any; `labels` has every value.
    """

    name: str
    channels: tuple[str, ...]
    labels: dict[str, int]
    cases: tuple[Case, ...]
    test_cases: tuple[Case, ...] = ()
    spacing_mm: Vector | None = None
    regions: dict[str, tuple[int, ...]] = field(default_factory=dict)


def read_image(case: Case, spacing_mm: Vector | None = None) -> Volume:
    """All channels of a case on one grid: voxels (C, D, H, W) float32.

    spacing_mm: for files that know none. Raises InputError where a file cannot be used, or the channels lie apart.
    """
    return _together(case, [read_channels(path, spacing_mm, np.float32) for path in case.images])


def image_header(case: Case, spacing_mm: Vector | None = None) -> Volume:
    """As read_image, without reading the voxels: shape, number of channels, stored type and geometry alone.

    Its voxels are all one 0, which takes no memory.
    """
    return _together(case, [read_information(path, spacing_mm) for path in case.images])


def _together(case: Case, volumes: list[Volume]) -> Volume:
    first, *others = volumes
    for path, other in zip(case.images[1:], others, strict=True):
        check_same_grid(first, other, (str(case.image), str(path)))
    if not others:
        return first
    if first.voxels.strides == (0, 0, 0, 0):
        shape = (sum(v.num_channels for v in volumes), *first.shape)
        return first.with_voxels(np.broadcast_to(first.voxels[0, 0, 0, 0], shape))
    return first.with_voxels(np.concatenate([v.voxels for v in volumes]))


def read_label(case: Case, spacing_mm: Vector | None = None) -> Volume:
    """The label of a case: voxels (D, H, W), whole numbers as int16.

    Raises InputError where the file cannot be used, has several values a voxel, or one that is not whole or not in
    -32768 to 32767.
    """
    volume = read_channels(case.label, spacing_mm)
    if volume.num_channels != 1:
        hint = "; a picture with a colour table counts as coloured" if case.label.suffix.lower() == ".png" else ""
        raise InputError(
            f"{case.label}: {volume.num_channels} values a voxel in a label, which needs one; save the label values "
            f"as a single channel{hint}"
        )
    voxels = volume.voxels[0]
    if voxels.dtype.kind == "f":
        _round(case.label, voxels)
    lowest, highest = voxels.min(), voxels.max()
    if lowest < LABEL_RANGE[0] or highest > LABEL_RANGE[1]:
        raise InputError(
            f"{case.label}: label values from {lowest:g} to {highest:g}; {LABEL_RANGE[0]} to {LABEL_RANGE[1]} is needed"
        )
    return volume.with_voxels(voxels.astype(np.int16, copy=False))


def _round(path: Path, voxels: np.ndarray) -> None:
    """Make floats (D, H, W) whole where they are; raises InputError with what is not."""
    count, values = 0, np.empty(0)
    for plane in voxels:  # a slice at a time: the label of a whole CT as float64 takes much memory as it is
        whole = np.rint(plane)
        odd = plane[np.abs(plane - whole) > _WHOLE]
        count, values = count + odd.size, np.union1d(values, odd)[:6]
        plane[...] = whole
    if count:
        shown = ", ".join(f"{v:g}" for v in values[:5]) + (", …" if len(values) > 5 else "")
        raise InputError(
            f"{path}: {count} of {voxels.size} label voxels are no whole number ({shown}); write the label without "
            "interpolation"
        )


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
        kept = {f.name: fixed(values[f.name]) for f in fields(Dataset) if f.name not in cases}
        if not kept["channels"] or not dict(kept["labels"]):
            raise ValueError("no channels, or no labels")
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"{where}: not written by mindvoxel preprocess ({error!r}); preprocess anew") from error
    return Dataset(**kept | cases)
