"""The fingerprint of a data set: shapes, spacings and foreground intensities, gathered a case at a time."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from math import prod, sqrt
from pathlib import Path
from zlib import crc32

import numpy as np

from mindvoxel.data.crop import Shape, nonzero_box
from mindvoxel.data.dataset import Case, Dataset, read_image, read_label
from mindvoxel.data.plan import Intensity
from mindvoxel.data.workers import Tell, run_cases
from mindvoxel.errors import InputError
from mindvoxel.files import read_json, write_text
from mindvoxel.volume import Vector

VERSION = 1
# Foreground voxels that are kept for the percentiles, each channel over all cases (16 MB), and at least of each case.
SAMPLE, SAMPLE_OF_CASE = 4_000_000, 1000
_CHUNK = 1 << 20


@dataclass(frozen=True)
class CaseFingerprint:
    """One case on the scan's own axes. shape: (D, H, W) of its non-zero box, source_shape: of the scan."""

    case: str
    shape: Shape
    spacing_mm: Vector
    source_shape: Shape


@dataclass(frozen=True)
class Fingerprint:
    """What planning needs to know of a data set.

    intensities: of the foreground (label above 0), one a channel. All voxels of all cases weigh the same (nnU-Net v2
        gives all cases the same weight); mean, deviation, min and max are exact, median and percentiles are of at most
        SAMPLE voxels, and exact where there are no more.
    size_after_crop: median over the cases of the share of voxels that the non-zero box keeps.
    label_voxels: value -> voxels over all labels.
    """

    cases: tuple[CaseFingerprint, ...]
    intensities: tuple[Intensity, ...]
    size_after_crop: float
    label_voxels: dict[int, int]


@dataclass(frozen=True)
class Moments:
    """count, mean and sum of squared deviations of some values."""

    count: int = 0
    mean: float = 0.0
    squares: float = 0.0

    @classmethod
    def of(cls, values: np.ndarray) -> "Moments":
        """In double precision, without a copy of all values."""
        total = cls()
        for start in range(0, values.size, _CHUNK):
            part = values[start : start + _CHUNK].astype(np.float64)
            mean = part.mean()
            total = total.merge(cls(part.size, float(mean), float(np.square(part - mean).sum())))
        return total

    def merge(self, other: "Moments") -> "Moments":
        """Of both together (Chan, Golub and LeVeque 1979, the pairwise update)."""
        count = self.count + other.count
        if count == 0:
            return self
        apart = other.mean - self.mean
        squares = self.squares + other.squares + apart**2 * self.count * other.count / count
        return Moments(count, self.mean + apart * other.count / count, squares)


@dataclass(frozen=True)
class Foreground:
    """Intensities of one channel of one case under its label; sample: all of them, or as many as were asked for."""

    moments: Moments
    low: float
    high: float
    sample: np.ndarray

    @classmethod
    def of(cls, values: np.ndarray, sample_size: int, rng: np.random.Generator) -> "Foreground":
        if values.size == 0:
            return cls(Moments(), np.inf, -np.inf, values)
        sample = values if values.size <= sample_size else values[rng.integers(values.size, size=sample_size)]
        return cls(Moments.of(values), float(values.min()), float(values.max()), sample)


@dataclass(frozen=True)
class Measured:
    """What one case adds to the fingerprint."""

    case: CaseFingerprint
    channels: tuple[Foreground, ...]
    label_voxels: dict[int, int]


def sample_size_of(dataset: Dataset) -> int:
    """Foreground voxels that each case contributes to the percentiles."""
    return max(SAMPLE // max(len(dataset.cases), 1), SAMPLE_OF_CASE)


def count_values(label: np.ndarray) -> dict[int, int]:
    """Value -> voxels of an int16 label, smallest value first."""
    flat = label.reshape(-1)
    low = int(flat.min())
    counts = np.zeros(int(flat.max()) - low + 1, np.int64)
    for start in range(0, flat.size, _CHUNK):
        counts += np.bincount(flat[start : start + _CHUNK].astype(np.int32) - low, minlength=counts.size)
    return {int(i) + low: int(counts[i]) for i in np.flatnonzero(counts)}


def measure(
    case: str, image: np.ndarray, label: np.ndarray, spacing_mm: Vector, label_voxels: dict[int, int], sample_size: int
) -> Measured:
    """What a case adds: image (C, D, H, W), label (D, H, W); the same on every run and machine."""
    box = nonzero_box(image)
    foreground = label[box.slices] > 0
    rng = np.random.default_rng(crc32(case.encode()))
    channels = tuple(Foreground.of(channel[box.slices][foreground], sample_size, rng) for channel in image)
    return Measured(CaseFingerprint(case, box.shape, spacing_mm, box.full), channels, label_voxels)


def combine(measured: Iterable[Measured]) -> Fingerprint:
    """The fingerprint of all cases; raises InputError where no label has any foreground."""
    cases, label_voxels = [], Counter()
    channels: list[list[Foreground]] = []
    for one in measured:
        cases.append(one.case)
        label_voxels.update(one.label_voxels)
        channels = channels or [[] for _ in one.channels]
        for parts, part in zip(channels, one.channels, strict=True):
            parts.append(part)
    if not any(part.moments.count for parts in channels for part in parts):
        raise InputError("no label has a voxel above 0, so there is nothing to learn; check the label files")
    kept = [prod(case.shape) / prod(case.source_shape) for case in cases]
    return Fingerprint(
        tuple(cases), tuple(map(_intensity, channels)), float(np.median(kept)), dict(sorted(label_voxels.items()))
    )


def _intensity(parts: list[Foreground]) -> Intensity:
    total = Moments()
    for part in parts:
        total = total.merge(part.moments)
    parts = [part for part in parts if part.moments.count]
    weights = [np.full(part.sample.size, part.moments.count / part.sample.size) for part in parts]
    low, median, high = _percentiles(
        np.concatenate([part.sample for part in parts]), np.concatenate(weights), (0.5, 50, 99.5)
    )
    return Intensity(
        total.mean,
        sqrt(total.squares / total.count),
        median,
        min(part.low for part in parts),
        max(part.high for part in parts),
        low,
        high,
    )


def _percentiles(values: np.ndarray, weights: np.ndarray, wanted: tuple[float, ...]) -> list[float]:
    """Of weighted values, linear between them; NumPy's own where all weigh the same."""
    order = np.argsort(values, kind="stable")
    values, weights = values[order], weights[order]
    middle = np.cumsum(weights) - weights / 2
    span = middle[-1] - middle[0]
    places = (middle - middle[0]) / span * 100 if span else np.zeros(1)
    return [float(np.interp(percent, places, values)) for percent in wanted]


def take_fingerprint(dataset: Dataset, *, num_workers: int) -> Fingerprint:
    """Read every labelled case once; raises InputError where one cannot be used, see data.verify for all faults."""
    return combine(_measured(dataset, num_workers))


def _measured(dataset: Dataset, num_workers: int) -> Iterator[Measured]:
    task = partial(_measure_case, spacing_mm=dataset.spacing_mm, sample_size=sample_size_of(dataset))
    return run_cases(task, dataset.cases, num_workers=num_workers, what="fingerprint")


def _measure_case(case: Case, tell: Tell, *, spacing_mm: Vector | None, sample_size: int) -> Measured:
    tell("reading")
    image, label = read_image(case, spacing_mm), read_label(case, spacing_mm)
    tell("measuring")
    values = count_values(label.voxels)
    return measure(case.case, image.voxels, label.voxels, image.spacing_mm, values, sample_size)


def write_fingerprint(path: str | Path, fingerprint: Fingerprint) -> None:
    """Write fingerprint.json whole or not at all."""
    write_text(path, json.dumps({"version": VERSION, **asdict(fingerprint)}, indent=1) + "\n")


def read_fingerprint(path: str | Path) -> Fingerprint:
    """Read fingerprint.json; raises InputError where it is absent or not one."""
    path = Path(path)
    values = read_json(path, "take a fingerprint with mindvoxel preprocess")
    try:
        if values.pop("version") != VERSION:
            raise ValueError(f"its version is not {VERSION}")
        cases = tuple(CaseFingerprint(**{k: _fixed(v) for k, v in case.items()}) for case in values["cases"])
        intensities = tuple(Intensity(**entry) for entry in values["intensities"])
        label_voxels = {int(value): int(count) for value, count in values["label_voxels"].items()}
        return Fingerprint(**values | {"cases": cases, "intensities": intensities, "label_voxels": label_voxels})
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(f"{path}: not a fingerprint ({error}); remove it, and take it anew") from error


def _fixed(value):
    return tuple(value) if isinstance(value, list) else value
