"""What the planners of nnU-Net v1 and v2 have in common: which configurations there are, and what each holds."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from mindvoxel.data.dataset import Dataset
from mindvoxel.data.fingerprint import Fingerprint
from mindvoxel.data.plan import Configuration, Plan, Preprocessing
from mindvoxel.data.planning import sizing
from mindvoxel.data.planning.topology import Derive, Topology, filters

LOW_BELOW = 1 / 4  # share of the median case that a patch covers, below which there is a low resolution
BASE_FILTERS = 32


@dataclass(frozen=True)
class Demand:
    """What sizes a network beside spacing and shape. memory: a multiple of what the system's references stand for."""

    num_channels: int
    num_classes: int
    num_cases: int
    memory: float


@dataclass(frozen=True)
class System:
    """One version of nnU-Net.

    derive: its topology rule.  max_filters: by number of dimensions.
    size: (spacing, median shape, voxels of the median case, demand) -> topology and batch size.
    scheme: (channel name, whether scans are mostly black) -> normalisation.
    memory_gb: what its references stand for.
    whole_cases: resampled shapes are rounded case by case; else their median is.
    flat_median: 2-D counts the voxels of the data set at the median spacing, also where that of 3-D is finer.
    low_step: factor by which spacing grows, step by step, to the low resolution.
    keeps_low: whether a low resolution with so many times fewer voxels is worth while.
    """

    name: str
    derive: Derive
    max_filters: dict[int, int]
    size: Callable[[np.ndarray, np.ndarray, float, Demand], tuple[Topology, int]]
    scheme: Callable[[str, bool], str]
    order: str
    memory_gb: float
    whole_cases: bool
    flat_median: bool
    low_step: float
    keeps_low: Callable[[float], bool]


def plan(system: System, fingerprint: Fingerprint, dataset: Dataset, memory_gb: float | None) -> Plan:
    """2d always; 3d_fullres where there is more than one slice; 3d_lowres and the cascade where a patch covers less
    than a quarter of the median case.
    """
    memory_gb = system.memory_gb if memory_gb is None else memory_gb
    num_classes = len(set(dataset.labels.values()))
    demand = Demand(len(dataset.channels), num_classes, len(fingerprint.cases), memory_gb / system.memory_gb)
    schemes = tuple(system.scheme(name, sizing.uses_mask(fingerprint)) for name in dataset.channels)
    preprocessing = Preprocessing(schemes, order=system.order)

    def configure(spacing_mm: np.ndarray, median: np.ndarray, voxels: float) -> Configuration:
        net, batch_size = system.size(spacing_mm, median, voxels, demand)
        return configuration(net, batch_size, spacing_mm, median, system.max_filters, preprocessing)

    grid = sizing.common_grid(fingerprint)

    def median_at(spacing_mm: np.ndarray) -> np.ndarray:
        return np.median(resampled_shapes(fingerprint, spacing_mm, system.whole_cases), axis=0)[list(grid.axes)]

    return Plan(
        planner=system.name,
        dataset=dataset.name,
        memory_gb=memory_gb,
        channels=dataset.channels,
        labels=dict(dataset.labels),
        axes=grid.axes,
        intensities=fingerprint.intensities,
        configurations=_configurations(system, grid, median_at, configure),
    )


def resampled_shapes(fingerprint: Fingerprint, spacing_mm: np.ndarray, whole: bool) -> np.ndarray:
    """Shapes (cases, 3) of the cropped scans at a spacing, scan axes."""
    spacings, shapes = sizing.cases_of(fingerprint)
    resampled = spacings / spacing_mm * shapes
    return whole_voxels(resampled) if whole else resampled


def whole_voxels(shape: np.ndarray) -> np.ndarray:
    """Rounded, one voxel at least."""
    return np.maximum(np.rint(shape), 1)


def _configurations(system: System, grid: sizing.Grid, median_at, configure) -> dict[str, Configuration]:
    whole = (lambda shape: shape) if system.whole_cases else whole_voxels
    spacing_mm, median = grid.permuted_mm, median_at(grid.spacing_mm)
    shape = whole(median)
    voxels = float(np.prod(shape))
    flat_voxels = float(np.prod(whole(median_at(grid.median_mm)))) if system.flat_median else voxels
    flat = configure(spacing_mm[1:], shape[1:], flat_voxels)
    flat = replace(flat, median_shape=(grid.median_slices, *flat.median_shape), batch_dice=True)
    if shape[0] <= 1:
        return {"2d": flat}
    full = configure(spacing_mm, shape, voxels)
    low, low_mm, low_median = full, spacing_mm, median
    while math.prod(low.patch_size) / float(np.prod(low_median)) < LOW_BELOW:
        low_mm = sizing.coarser(low_mm, system.low_step)
        low_median = spacing_mm / low_mm * median
        low = configure(low_mm, whole_voxels(low_median), float(np.prod(whole(low_median))))
    if low is full or not system.keeps_low(voxels / float(np.prod(whole(low_median)))):
        return {"2d": flat, "3d_fullres": full}
    full = replace(full, batch_dice=True)
    cascade = replace(full, previous_stage="3d_lowres")
    return {"2d": flat, "3d_fullres": full, "3d_lowres": low, "3d_cascade_fullres": cascade}


def configuration(
    net: Topology,
    batch_size: int,
    spacing_mm: np.ndarray | None,
    median: np.ndarray,
    max_filters: dict[int, int],
    preprocessing: Preprocessing,
) -> Configuration:
    """A configuration as the plan holds it; slices are augmented one by one where the patch is far longer than deep."""
    dim = len(net.patch_size)
    return Configuration(
        patch_size=net.patch_size,
        batch_size=batch_size,
        spacing_mm=None if spacing_mm is None else tuple(map(float, spacing_mm)),
        median_shape=tuple(int(round(n)) for n in median),
        strides=net.strides,
        kernels=net.kernels,
        filters=filters(len(net.strides), BASE_FILTERS, max_filters[dim]),
        preprocessing=preprocessing,
        dummy_2d=dim == 3 and sizing.is_shallow(net.patch_size),
    )
