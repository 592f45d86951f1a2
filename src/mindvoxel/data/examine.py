"""All that can be wrong with one case, and what it adds to the fingerprint, from one reading of its files."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from difflib import get_close_matches
from math import prod
from pathlib import Path

import numpy as np

from mindvoxel.data.dataset import Case, Dataset, image_header, read_image, read_label
from mindvoxel.data.fingerprint import Measured, count_values, measure
from mindvoxel.data.images import read_information
from mindvoxel.data.workers import Tell
from mindvoxel.errors import InputError
from mindvoxel.volume import Vector, Volume, check_same_grid

# A voxel takes 4 bytes as float32, and again where channels are joined; 8 more for the label, its mask and the
# foreground's values. ITK holds what it reads twice. Seen: 7.8 of 16 bytes a voxel for a CT stored as int16, 16 of 24
# for one of float64, 21 of 24 for a label of float64.
_LEAST_BYTES, _COPIES = 8, 2


@dataclass(frozen=True)
class Examined:
    """What one case adds; shape and spacing are None where its image cannot be read."""

    case: str
    faults: tuple[str, ...]
    warnings: tuple[str, ...]
    label_voxels: dict[int, int] | None
    shape: tuple[int, int, int] | None
    spacing_mm: Vector | None
    measured: Measured | None


def predicted_bytes(dataset: Dataset) -> int:
    """What reading and measuring the largest case takes in one process, by the headers of the five largest files."""
    largest = sorted(dataset.cases, key=lambda case: sum(map(_file_bytes, case.images)))[-5:]
    predicted = []
    for case in largest:
        with suppress(InputError, OSError):  # told when the case is read
            image = image_header(case, dataset.spacing_mm)
            label = read_information(case.label or case.image, dataset.spacing_mm)
            predicted.append(prod(image.shape) * (image.num_channels * _bytes_of(image) + _bytes_of(label)))
    return max(predicted, default=0)


def _bytes_of(header: Volume) -> int:
    """What a voxel takes while it is read and used."""
    return max(_LEAST_BYTES, _COPIES * header.voxels.itemsize)


def _file_bytes(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def examine(case: Case, tell: Tell, *, dataset: Dataset, sample_size: int, allow_empty: bool) -> Examined:
    """All that is wrong with one case."""
    faults: list[str] = []
    warnings: list[str] = []
    tell("reading the image")
    image = _read_channels(case, dataset, faults, warnings)
    tell("reading the label")
    label = _read_label(case, dataset, image, faults)
    tell("measuring")
    counts = None if label is None else count_values(label.voxels)
    if counts is not None:
        faults += _label_faults(case, counts, dataset, allow_empty)
    measured = None
    if not faults:
        measured = measure(case.case, image.voxels, label.voxels, image.spacing_mm, counts, sample_size)
        _check_crop(case, measured, faults, warnings)
    shape, spacing = (None, None) if image is None else (image.shape, image.spacing_mm)
    return Examined(case.case, tuple(faults), tuple(warnings), counts, shape, spacing, None if faults else measured)


@contextmanager
def _noting(faults: list[str], path: Path) -> Iterator[None]:
    """What keeps `path` from being used as one more fault."""
    try:
        yield
    except InputError as error:
        faults.append(str(error))
    except OSError as error:
        faults.append(f"{error.filename or path}: {error.strerror}; make it readable")


def require_file(path: Path) -> None:
    """Raise InputError, with the names beside it that come near, unless `path` is a file."""
    if not path.is_file():
        here = [other.name for other in path.parent.iterdir()] if path.parent.is_dir() else []
        near = get_close_matches(path.name, here, n=2, cutoff=0.5)
        hint = f"found {', '.join(near)}" if near else "no name there comes near" if here else "nor its folder"
        raise InputError(f"{path}: no such file; {hint}")


def _read_channels(case: Case, dataset: Dataset, faults: list[str], warnings: list[str]) -> Volume | None:
    """All channels on one grid, or None where that cannot be; each file is looked at, whatever the others are like.

    A constant channel beside others that are not is a warning: data sets fill sequences that a patient lacks with 0.
    """
    volumes: list[tuple[Path, Volume]] = []
    for path in case.images:
        with _noting(faults, path):
            require_file(path)
            volumes.append((path, read_image(replace(case, images=(path,)), dataset.spacing_mm)))
    flat = [sentence for path, volume in volumes for sentence in _constant_channels(path, volume)]
    (faults if len(flat) == sum(volume.num_channels for _, volume in volumes) else warnings).extend(flat)
    if len(volumes) < len(case.images):
        return None
    num_channels = sum(volume.num_channels for _, volume in volumes)
    if num_channels != len(dataset.channels):
        faults.append(
            f"channels found: {num_channels} ({', '.join(path.name for path in case.images)}); the data set declares "
            f"{len(dataset.channels)} ({', '.join(dataset.channels)})"
        )
    (first_path, first), *others = volumes
    before = len(faults)
    for path, volume in others:
        with _noting(faults, path):
            check_same_grid(first, volume, (str(first_path), str(path)))
    if not others or len(faults) > before:
        return first
    return first.with_voxels(np.concatenate([volume.voxels for _, volume in volumes]))


def _constant_channels(path: Path, volume: Volume) -> Iterator[str]:
    for number, channel in enumerate(volume.voxels):
        if channel.min() == channel.max():
            where = f"{path}, channel {number}" if volume.num_channels > 1 else f"{path}"
            yield f"{where}: constant, every voxel is {channel.flat[0]:g}; nothing is to be learnt from it"


def _read_label(case: Case, dataset: Dataset, image: Volume | None, faults: list[str]) -> Volume | None:
    if case.label is None:
        faults.append("no label file; add one, or take the case out of the training cases")
        return None
    label = None
    with _noting(faults, case.label):
        require_file(case.label)
        label = read_label(case, dataset.spacing_mm)
        if image is not None:
            check_same_grid(image, label, (str(case.image), str(case.label)))
    return label


def _label_faults(case: Case, counts: dict[int, int], dataset: Dataset, allow_empty: bool) -> list[str]:
    faults = []
    declared = sorted(set(dataset.labels.values()))
    unknown = {value: count for value, count in counts.items() if value not in declared}
    if unknown:
        faults.append(
            f"{case.label}: label values that are not declared: {_listed(unknown)}; declared are "
            f"{', '.join(map(str, declared))}"
        )
    if not allow_empty and not any(value > 0 for value in counts):
        faults.append(
            f"{case.label}: empty, all of its {sum(counts.values())} voxels are background; allow it with "
            "--allow_empty where nothing is to be seen"
        )
    return faults


def _listed(counts: dict[int, int], most: int = 10) -> str:
    parts = [f"{value} ({count} voxels)" for value, count in counts.items()]
    return ", ".join(parts[:most]) + (f" and {len(parts) - most} more" if len(parts) > most else "")


def _check_crop(case: Case, measured: Measured, faults: list[str], warnings: list[str]) -> None:
    """Foreground where every channel is 0, at the rim of the scan, is cut away with it."""
    total = sum(count for value, count in measured.label_voxels.items() if value > 0)
    lost = total - measured.channels[0].moments.count
    if lost:
        text = f"{case.label}: {lost} of {total} foreground voxels lie outside the box of non-zero image voxels"
        (faults if lost == total else warnings).append(f"{text} and are cropped away; does it belong to this image?")
