"""nnU-Net v2's default planner (`ExperimentPlanner` of 2.8.1): the largest patch that fits into memory twice."""

import math

import numpy as np

from mindvoxel.data.planning import sizing, topology
from mindvoxel.data.planning.nnunet import BASE_FILTERS, Demand, System
from mindvoxel.data.planning.topology import Derive, Topology

# By number of dimensions: values in feature maps that 8 GB hold, and the batch size that they were taken at.
REFERENCE = {2: (85e6, 12), 3: (560e6, 2)}
MAX_FILTERS = {2: 512, 3: 320}
START_EDGE = {2: 2048, 3: 256}  # the patch starts with the volume of this edge
MIN_BATCH = 2
MAX_SHARE = 0.05  # of all voxels of the data set, in one batch
SCHEMES = {"ct": "ct", "nonorm": "none", "rescale_to_0_1": "rescale", "rgb_to_0_1": "rgb"}


def size(
    spacing_mm: np.ndarray,
    median: np.ndarray,
    voxels: float,
    demand: Demand,
    derive: Derive = topology.nnunet_v2,
) -> tuple[Topology, int]:
    """Patch and batch size: from a cube in mm of far too many voxels, no longer than the median case, down to what fits
    at batch size 2; what memory is left then goes into the batch.
    """
    dim = len(spacing_mm)
    density = 1 / spacing_mm
    edges = density * (START_EDGE[dim] ** dim / np.prod(density)) ** (1 / dim)
    start = [min(round(edge), n) for edge, n in zip(edges, median, strict=True)]
    net = sizing.shrink_to_fit(
        start,
        median,
        lambda patch: derive(spacing_mm, patch),
        lambda net: patches_that_fit(net, demand) >= MIN_BATCH,
    )
    return net, batch_size(patches_that_fit(net, demand), net, voxels, demand)


def patches_that_fit(net: Topology, demand: Demand) -> float:
    """Into the memory, by what their feature maps hold."""
    dim = len(net.patch_size)
    widths = topology.filters(len(net.strides), BASE_FILTERS, MAX_FILTERS[dim])
    reference, reference_batch = REFERENCE[dim]
    maps = topology.feature_map_voxels(net, widths, demand.num_classes)
    return reference * demand.memory / maps * reference_batch


def batch_size(room: float, net: Topology, voxels: float, demand: Demand) -> int:
    """What fits, yet at most 5 % of the data set, and 2 at least."""
    largest = round(voxels * demand.num_cases * MAX_SHARE / math.prod(net.patch_size))
    return max(min(round(room), largest), MIN_BATCH)


def scheme(channel: str, mask: bool) -> str:
    """By the channel's name in small letters; others: z-score, inside the mask where scans are mostly black."""
    return SCHEMES.get(channel.casefold(), "zscore_mask" if mask else "zscore")


SYSTEM = System(
    name="nnunet_v2",
    derive=topology.nnunet_v2,
    max_filters=MAX_FILTERS,
    size=size,
    scheme=scheme,
    order="normalize_resample",
    memory_gb=8.0,
    whole_cases=True,
    flat_median=False,
    low_step=1.03,
    keeps_low=lambda fewer: fewer >= 2,
)
