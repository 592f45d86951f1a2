"""NVIDIA nnU-Net: fixed figures for the ten Decathlon tasks, collected ones for other data sets.

NVIDIA has no rule for the patch of another data set: there it is sized as by nnU-Net v2, with NVIDIA's topology.
"""

from dataclasses import replace

import numpy as np

from mindvoxel.data.dataset import Dataset
from mindvoxel.data.fingerprint import Fingerprint
from mindvoxel.data.plan import Configuration, Intensity, Plan, Preprocessing
from mindvoxel.data.planning import nnunet_v2, sizing, topology
from mindvoxel.data.planning.nnunet import Demand, configuration
from mindvoxel.data.planning.nvidia_tables import TASKS, Task
from mindvoxel.data.planning.topology import Topology
from mindvoxel.errors import InputError
from mindvoxel.log import LOGGER

NAME = "nvidia"
MAX_FILTERS = {2: 512, 3: 320}
BATCH_SIZE = {2: 64, 3: 2}  # of its training script
MEMORY_GB = 8.0
ANISOTROPIC = 3  # times between the coarsest and the finest axis, from which on the coarsest is made finer


def plan(fingerprint: Fingerprint, dataset: Dataset, memory_gb: float | None, task: str | None = None) -> Plan:
    """2d, which is not resampled, and 3d_fullres.

    task: "01" to "10"; None: the one that the data set's name and channels say, if any. Raises InputError for a task
    that does not exist or whose channels are others, and for memory_gb beside a fixed table.
    """
    number = find_task(dataset, task)
    if number is not None and memory_gb is not None:
        raise InputError(f"--memory_gb does not apply to NVIDIA's fixed table of task {number}; leave it out")
    ways = {dim: _preprocessing(dataset.channels) for dim in (2, 3)}
    intensities, axes = fingerprint.intensities, (0, 1, 2)
    if number is not None:
        LOGGER.info("plan: NVIDIA's fixed figures of task %s, %s", number, TASKS[number].name)
        configurations = _fixed(TASKS[number], fingerprint, ways)
        intensities = _fixed_intensities(TASKS[number], intensities)
    else:
        LOGGER.info("plan: no task of NVIDIA's tables; spacing and intensities from the data, the patch by memory")
        memory_gb = MEMORY_GB if memory_gb is None else memory_gb
        axes, configurations = _collected(fingerprint, dataset, memory_gb / MEMORY_GB, ways)
    return Plan(
        planner=NAME,
        dataset=dataset.name,
        memory_gb=memory_gb,
        channels=dataset.channels,
        labels=dict(dataset.labels),
        axes=axes,
        intensities=intensities,
        configurations=configurations,
    )


def find_task(dataset: Dataset, task: str | None) -> str | None:
    """The number of the table to use; None: none fits the data set's name (Task04_Hippocampus, Hippocampus)."""
    if task is not None:
        number = task.zfill(2)
        if number not in TASKS:
            raise InputError(f"--task {task} is unknown; choose one of {', '.join(TASKS)}")
        if not _same_channels(TASKS[number], dataset):
            kind = "MR" if TASKS[number].ct is None else "CT"
            raise InputError(
                f"--task {number} has {TASKS[number].num_channels} {kind} channel(s), {dataset.name} has "
                f"{len(dataset.channels)} ({', '.join(dataset.channels)}); choose another task, or none"
            )
        return number
    for number, entry in TASKS.items():
        names = {entry.name.casefold(), f"task{number}_{entry.name}".casefold()}
        if dataset.name.casefold() in names and _same_channels(entry, dataset):
            return number
    return None


def _same_channels(task: Task, dataset: Dataset) -> bool:
    is_ct = dataset.channels[:1] == ("CT",)
    return len(dataset.channels) == task.num_channels and is_ct == (task.ct is not None)


def _preprocessing(channels: tuple[str, ...]) -> Preprocessing:
    return Preprocessing(
        tuple("ct" if name == "CT" else "zscore_mask" for name in channels),
        order="resample_normalize",
        crop="positive",
        rounding="floor",
        anisotropy="from_3",
        pad=True,
    )


def _fixed(task: Task, fingerprint: Fingerprint, ways: dict[int, Preprocessing]) -> dict[str, Configuration]:
    flat_net = topology.nvidia((1.0, 1.0), task.patch_2d)
    full_net = topology.nvidia(task.spacing_mm, task.patch_3d)
    median = _median_shape(fingerprint, task.spacing_mm)
    return {
        "2d": _flat(flat_net, BATCH_SIZE[2], fingerprint, (0, 1, 2), ways[2]),
        "3d_fullres": _full(full_net, BATCH_SIZE[3], np.array(task.spacing_mm), median, ways[3]),
    }


def _fixed_intensities(task: Task, intensities: tuple[Intensity, ...]) -> tuple[Intensity, ...]:
    if task.ct is None:
        return intensities
    low, high, mean, sd = task.ct
    return (replace(intensities[0], mean=mean, sd=sd, percentile_00_5=low, percentile_99_5=high),)


def _collected(
    fingerprint: Fingerprint, dataset: Dataset, memory: float, ways: dict[int, Preprocessing]
) -> tuple[tuple[int, int, int], dict[str, Configuration]]:
    grid = sizing.common_grid(fingerprint)
    is_flat = grid.median_slices <= 1
    axes = grid.axes if is_flat else (0, 1, 2)  # NVIDIA does not change the order
    spacing_mm = target_spacing(fingerprint)[list(axes)]
    median = _median_shape(fingerprint, target_spacing(fingerprint))[list(axes)]
    demand = Demand(len(dataset.channels), len(set(dataset.labels.values())), len(fingerprint.cases), memory)
    voxels = float(np.prod(median))
    net, batch_size = _covering(fingerprint, axes, voxels, demand)
    configurations = {"2d": _flat(net, batch_size, fingerprint, axes, ways[2])}
    if not is_flat:
        net, batch_size = nnunet_v2.size(spacing_mm, median, voxels, demand, topology.nvidia)
        configurations["3d_fullres"] = _full(net, batch_size, spacing_mm, median, ways[3])
    return axes, configurations


def target_spacing(fingerprint: Fingerprint) -> np.ndarray:
    """Median spacing, scan axes; where the coarsest axis is 3 times the finest or more, its 10th percentile.

    NVIDIA's code takes that of the finest axis, which makes fine axes finer still and leaves the coarse one; not here.
    """
    spacings, _ = sizing.cases_of(fingerprint)
    spacing_mm = np.median(spacings, axis=0)
    if spacing_mm.max() / spacing_mm.min() >= ANISOTROPIC:
        worst = int(np.argmax(spacing_mm))
        spacing_mm[worst] = np.percentile(spacings[:, worst], 10)
    return spacing_mm


def _median_shape(fingerprint: Fingerprint, spacing_mm) -> np.ndarray:
    spacings, shapes = sizing.cases_of(fingerprint)
    return np.median(np.maximum(np.floor(spacings / np.array(spacing_mm) * shapes), 1), axis=0)


def _covering(fingerprint: Fingerprint, axes, voxels: float, demand: Demand) -> tuple[Topology, int]:
    """A 2-D patch as large as the largest slice: what is larger than the patch would be cut off."""
    _, shapes = sizing.cases_of(fingerprint)
    largest = [int(shapes[:, axis].max()) for axis in axes[1:]]
    net = topology.nvidia((1.0, 1.0), largest)
    room = nnunet_v2.patches_that_fit(net, demand)
    if room < nnunet_v2.MIN_BATCH:
        shown = ",".join(map(str, net.patch_size))
        raise InputError(
            f"--memory_gb {demand.memory * MEMORY_GB:g} is too small for whole slices of {shown} voxels; give more"
        )
    return net, nnunet_v2.batch_size(room, net, voxels, demand)


def _flat(net: Topology, batch_size: int, fingerprint: Fingerprint, axes, way: Preprocessing) -> Configuration:
    _, shapes = sizing.cases_of(fingerprint)
    config = configuration(net, batch_size, None, np.median(shapes, axis=0)[list(axes)], MAX_FILTERS, way)
    return replace(config, batch_dice=True)


def _full(net: Topology, batch_size: int, spacing_mm, median: np.ndarray, way: Preprocessing) -> Configuration:
    config = configuration(net, batch_size, spacing_mm, median, MAX_FILTERS, way)
    return replace(config, batch_dice=True, dummy_2d=False)
