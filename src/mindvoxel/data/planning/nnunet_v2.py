"""nnU-Net v2's default planner (`ExperimentPlanner` of 2.8.1): the largest patch that fits into memory twice."""

import math
from dataclasses import replace

import numpy as np

from mindvoxel.data.dataset import Dataset
from mindvoxel.data.fingerprint import Fingerprint
from mindvoxel.data.plan import Configuration, Plan, Preprocessing
from mindvoxel.data.planning import sizing, topology
from mindvoxel.data.planning.topology import Topology

MEMORY_GB = 8.0  # what the references stand for
# By number of dimensions: values in feature maps that the memory holds, and the batch size that they were taken at.
REFERENCE = {2: (85e6, 12), 3: (560e6, 2)}
MAX_FILTERS = {2: 512, 3: 320}
START_EDGE = {2: 2048, 3: 256}  # the patch starts with the volume of this edge
MIN_BATCH = 2
MAX_SHARE = 0.05  # of all voxels of the data set, in one batch
LOWRES_BELOW = 0.25  # share of the median case that the patch covers
LOWRES_STEP = 1.03
LOWRES_GAIN = 2  # times fewer voxels, the least
SCHEMES = {"ct": "ct", "nonorm": "none", "rescale_to_0_1": "rescale", "rgb_to_0_1": "rgb"}  # others: z-score


def plan(fingerprint: Fingerprint, dataset: Dataset, memory_gb: float | None = None) -> Plan:
    """2d always; 3d_fullres where there is more than one slice; 3d_lowres and the cascade where the full-resolution
    patch covers less than a quarter of the median case. memory_gb: of the device, 8 by default.
    """
    memory_gb = MEMORY_GB if memory_gb is None else memory_gb
    grid = sizing.common_grid(fingerprint)
    median = np.median(resampled_shapes(fingerprint, grid.spacing_mm), axis=0)[list(grid.axes)]
    planner = _Planner(fingerprint, dataset, memory_gb)
    configurations = {}
    if median[0] > 1:
        configurations |= _three_dimensional(planner, grid.permuted_mm, median)
    flat = planner.configuration(grid.permuted_mm[1:], median[1:], float(np.prod(median)))
    flat_shape = (grid.median_slices, *flat.median_shape)
    configurations = {"2d": replace(flat, median_shape=flat_shape, batch_dice=True)} | configurations
    return Plan(
        planner="nnunet_v2",
        dataset=dataset.name,
        memory_gb=memory_gb,
        channels=dataset.channels,
        labels=dict(dataset.labels),
        axes=grid.axes,
        intensities=fingerprint.intensities,
        configurations=configurations,
    )


def derive(spacing_mm: tuple[float, ...], patch_size: tuple[int, ...]) -> tuple[Topology, tuple[int, ...]]:
    """Topology and filters of a patch."""
    net = topology.nnunet_v2(spacing_mm, patch_size)
    return net, topology.filters(len(net.strides), 32, MAX_FILTERS[len(patch_size)])


def resampled_shapes(fingerprint: Fingerprint, spacing_mm: np.ndarray) -> np.ndarray:
    """Shapes (cases, 3) of the cropped scans at a spacing, whole voxels, scan axes."""
    spacings, shapes = sizing.cases_of(fingerprint)
    return np.rint(spacings / spacing_mm * shapes)


def _three_dimensional(planner: "_Planner", spacing_mm: np.ndarray, median: np.ndarray) -> dict[str, Configuration]:
    full_voxels = float(np.prod(median))
    full = planner.configuration(spacing_mm, median, full_voxels)
    low, low_mm, low_voxels = full, spacing_mm, full_voxels
    while math.prod(low.patch_size) / low_voxels < LOWRES_BELOW:
        low_mm = sizing.coarser(low_mm, LOWRES_STEP)
        low_median = spacing_mm / low_mm * median
        low_voxels = float(np.prod(low_median))
        low = planner.configuration(low_mm, np.rint(low_median), low_voxels)
    if full_voxels / low_voxels < LOWRES_GAIN:
        return {"3d_fullres": full}
    full = replace(full, batch_dice=True)
    cascade = replace(full, previous_stage="3d_lowres")
    return {"3d_fullres": full, "3d_lowres": low, "3d_cascade_fullres": cascade}


class _Planner:
    """One configuration after the other for the same data and memory."""

    def __init__(self, fingerprint: Fingerprint, dataset: Dataset, memory_gb: float):
        self.num_cases = len(fingerprint.cases)
        self.num_classes = len(set(dataset.labels.values()))
        self.memory_gb = memory_gb
        self.preprocessing = Preprocessing(schemes(dataset.channels, sizing.uses_mask(fingerprint)))

    def configuration(self, spacing_mm: np.ndarray, median: np.ndarray, median_voxels: float) -> Configuration:
        """Patch, batch and network at one spacing; median_voxels: of the whole median case, 3-D also for 2-D."""
        dim = len(spacing_mm)
        reference, reference_batch = REFERENCE[dim]
        reference *= self.memory_gb / MEMORY_GB

        def cost(net: Topology) -> int:
            widths = topology.filters(len(net.strides), 32, MAX_FILTERS[dim])
            return topology.feature_map_voxels(net, widths, self.num_classes)

        net = sizing.shrink_to_fit(
            self._start(spacing_mm, median),
            median,
            lambda patch: topology.nnunet_v2(spacing_mm, patch),
            lambda net: cost(net) / reference_batch * MIN_BATCH <= reference,
        )
        batch = round(reference / cost(net) * reference_batch)
        largest = round(median_voxels * self.num_cases * MAX_SHARE / math.prod(net.patch_size))
        return Configuration(
            patch_size=net.patch_size,
            batch_size=max(min(batch, largest), MIN_BATCH),
            spacing_mm=tuple(map(float, spacing_mm)),
            median_shape=tuple(int(round(n)) for n in median),
            strides=net.strides,
            kernels=net.kernels,
            filters=topology.filters(len(net.strides), 32, MAX_FILTERS[dim]),
            preprocessing=self.preprocessing,
            dummy_2d=dim == 3 and max(net.patch_size) / net.patch_size[0] > sizing.ANISOTROPY,
        )

    @staticmethod
    def _start(spacing_mm: np.ndarray, median: np.ndarray) -> list[float]:
        """A cube in mm (a square in 2-D) of far too many voxels, no longer than the median case."""
        dim = len(spacing_mm)
        density = 1 / spacing_mm
        edges = density * (START_EDGE[dim] ** dim / np.prod(density)) ** (1 / dim)
        return [min(round(edge), n) for edge, n in zip(edges, median, strict=True)]


def schemes(channels: tuple[str, ...], mask: bool) -> tuple[str, ...]:
    """How each channel is normalised, by its name; z-score inside the mask where scans are mostly black."""
    zscore = "zscore_mask" if mask else "zscore"
    return tuple(SCHEMES.get(name.casefold(), zscore) for name in channels)
