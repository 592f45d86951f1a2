"""What a data set is, whatever layout it came in: cases of channels and labels, and what the label values mean."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

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
