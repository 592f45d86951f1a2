"""nnU-Net v1's planner v2.1, which UNet++ uses, too (`ExperimentPlanner3D_v21`, `ExperimentPlanner2D_v21`)."""

import math

import numpy as np

from mindvoxel.data.planning import sizing, topology
from mindvoxel.data.planning.nnunet import BASE_FILTERS, Demand, System
from mindvoxel.data.planning.topology import Topology

REFERENCE_3D = 520e6 * BASE_FILTERS / 30  # of the VRAM proxy, for a batch of 2
REFERENCE_2D = 19_739_648 * 50 / 2
START_EDGE = 512  # voxels along the coarsest axis
PLANNED_CAP = {2: 512, 3: 320}  # filters that the proxy reckons with
MAX_FILTERS = {2: 480, 3: 320}  # of the network itself
PLANNED_BASE_2D = 30  # filters that the first estimate in 2-D reckons with
MAX_SHARE = 0.05
SCHEMES = {"CT": "ct", "ct": "ct", "noNorm": "none"}


def size(spacing_mm: np.ndarray, median: np.ndarray, voxels: float, demand: Demand) -> tuple[Topology, int]:
    """Patch and batch size: from the same extent along each axis (2-D: the whole slice), no longer than the median
    case, down to what fits at batch size 2.
    """
    flat = len(spacing_mm) == 2
    density = 1 / spacing_mm
    edges = median if flat else np.rint(density / density.min() * START_EDGE)
    reference = (REFERENCE_2D if flat else REFERENCE_3D) * demand.memory
    start = [int(min(edge, n)) for edge, n in zip(edges, median, strict=True)]
    net = topology.nnunet_v1(spacing_mm, start)
    proxy = cost(net, demand, PLANNED_BASE_2D if flat else BASE_FILTERS)
    if proxy > reference:
        net = sizing.shrink_to_fit(
            start,
            median,
            lambda patch: topology.nnunet_v1(spacing_mm, patch),
            lambda net: cost(net, demand, BASE_FILTERS) <= reference,
        )
        proxy = cost(net, demand, BASE_FILTERS)
    room = math.floor(reference / proxy) * 2 if flat else math.floor(reference / proxy * 2)
    largest = round(MAX_SHARE * voxels * demand.num_cases / math.prod(net.patch_size))
    return net, max(1, min(room, largest if flat else max(largest, 2)))


def cost(net: Topology, demand: Demand, base_filters: int) -> int:
    """The VRAM proxy of one patch."""
    widths = topology.filters(len(net.strides), base_filters, PLANNED_CAP[len(net.patch_size)])
    return topology.vram_proxy(net, widths, demand.num_channels, demand.num_classes)


def scheme(channel: str, mask: bool) -> str:
    """By the channel's exact name; z-score for any other, inside the mask where scans are mostly black, unless its name
    has CT in it.
    """
    return SCHEMES.get(channel, "zscore_mask" if mask and "CT" not in channel else "zscore")


SYSTEM = System(
    name="nnunet_v1",
    derive=topology.nnunet_v1,
    max_filters=MAX_FILTERS,
    size=size,
    scheme=scheme,
    order="resample_normalize",
    memory_gb=8.0,  # v2 set its own references at 8 GB so as to come out where v1 does
    whole_cases=False,
    flat_median=True,
    low_step=1.01,
    keeps_low=lambda fewer: fewer > 2,
)
