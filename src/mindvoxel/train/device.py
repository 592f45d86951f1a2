"""The one place that chooses a device target, before MindSpore is imported and before any tensor is made."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mindvoxel.errors import InputError

TARGETS = ("Ascend", "GPU", "CPU")
_NEEDS = {
    "GPU": "this MindSpore finds no CUDA 11.1/11.6 runtime with cuDNN 8 and a card",
    "Ascend": "this MindSpore finds no Ascend driver and CANN toolkit, or no card",
}


@dataclass(frozen=True)
class Device:
    """The device of this process, and its place among the processes of the run."""

    target: str
    device_id: int
    rank: int = 0
    num_ranks: int = 1

    @property
    def is_main(self) -> bool:
        """Rank 0: it alone saves and prints."""
        return self.rank == 0


# Read when MindSpore is imported; the user's own settings win.
CPU_SETTINGS = {
    # above AVX2 MindSpore 2.10's oneDNN has no fast f32 convolution and takes its reference loop
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    # threads that wait spin otherwise, and take the cores from the kernel that runs beside them
    "OMP_WAIT_POLICY": "PASSIVE",
}


def prepare_cpu() -> None:
    """Set what makes MindSpore 2.10 fast on a CPU; without effect once MindSpore is imported."""
    if "mindspore" in sys.modules:
        return
    for name, value in CPU_SETTINGS.items():
        os.environ.setdefault(name, value)


def prepare(
    target: str,
    device_id: int = 0,
    *,
    distributed: bool = False,
    deterministic: bool = False,
) -> Device:
    """Make `target` the device of this process, in graph mode; join the other processes where `distributed`.

    deterministic: operators whose result depends on the order of threads are replaced or ordered (Ascend, GPU).

    Raises InputError, in one sentence, where the target is not there.
    """
    if target not in TARGETS:
        raise InputError(f"device_target must be one of {', '.join(TARGETS)}, got {target!r}")
    if target == "CPU":
        prepare_cpu()
        if distributed:
            _take_mpi_place()
    elif distributed:  # Open MPI's ranks of a server number its cards; the other launchers give --device_id
        device_id = int(os.environ.get("OMPI_COMM_WORLD_LOCAL_RANK", device_id))
    os.environ.setdefault("GLOG_v", "3")  # MindSpore's own warnings speak of deprecations inside itself
    import mindspore

    try:
        if target == "CPU":
            mindspore.set_device("CPU")
        else:
            mindspore.set_device(target, device_id)
        mindspore.set_context(mode=mindspore.GRAPH_MODE)
        if deterministic and mindspore.get_context("deterministic") != "ON":  # MindSpore refuses it a second time
            mindspore.set_deterministic(True)
    except (RuntimeError, ValueError) as error:
        need = _NEEDS.get(target, "this MindSpore cannot use it")
        raise InputError(f"{target}: {need} ({_reason(error)}); install it, or choose --device_target CPU") from error
    if not distributed:
        return Device(target, device_id)
    try:
        return _join(mindspore, target, device_id)
    except (RuntimeError, ValueError) as error:
        raise InputError(
            f"--run_distribute: the processes of the run did not find each other ({_reason(error)}); start them by "
            "scripts/train_distribute.sh or scripts/train_distribute_gpu.sh"
        ) from error


def first_from_cache(call: Callable, folder: Path) -> Callable:
    """`call`, whose first use takes its compiled graph from `folder`, or leaves it there.

    MindSpore 2.10 tells graphs apart by the order in which they are compiled, and by the sources, not by sizes or other
    numbers: `folder` has to be of this one graph, and nothing else is compiled under it.
    """
    first = True

    def use(*args):
        nonlocal first
        if not first:
            return call(*args)
        os.environ.update(MS_COMPILER_CACHE_ENABLE="1", MS_COMPILER_CACHE_PATH=str(folder.resolve()))
        try:
            return call(*args)
        finally:
            first = False
            del os.environ["MS_COMPILER_CACHE_ENABLE"]

    return use


def of_a_cluster() -> bool:
    """Whether a launcher (msrun, mpirun, a rank table) started this process beside others."""
    return any(name in os.environ for name in ("MS_ROLE", "OMPI_COMM_WORLD_RANK", "RANK_TABLE_FILE"))


def _take_mpi_place() -> None:
    """Give a CPU process that mpirun started its place in a cluster of MindSpore's scheduler, which rank 0 starts.

    MindSpore's CPU collectives know no MPI, and take its variables for a GPU run. Before MindSpore is imported.
    """
    rank, size = (os.environ.get(f"OMPI_COMM_WORLD_{name}") for name in ("RANK", "SIZE"))
    if rank is None or "MS_ROLE" in os.environ:
        return
    for name in [name for name in os.environ if name.startswith(("OMPI_", "PMIX_"))]:
        del os.environ[name]
    os.environ.update(MS_ROLE="MS_WORKER", MS_WORKER_NUM=size, MS_NODE_ID=rank)
    os.environ.setdefault("MS_SCHED_HOST", "127.0.0.1")
    os.environ.setdefault("MS_SCHED_PORT", "8118")
    if rank == "0":
        scheduler = [sys.executable, "-m", "mindvoxel.train.device"]
        subprocess.Popen(scheduler, env=os.environ | {"MS_ROLE": "MS_SCHED"}, stdin=subprocess.DEVNULL)


def _reason(error: Exception) -> str:
    """MindSpore's first sentence."""
    return " ".join(str(error).split("\n")[0].split()).partition(". ")[0]


def set_cpu_precision(target: str, precision: str) -> None:
    """The precision in which this project's CPU operator multiplies: f32, bf16 or auto; other targets ignore it.

    What was picked is logged. Raises InputError where bf16 is asked for and cannot be had.
    """
    if target != "CPU":
        return
    from mindvoxel import ops

    try:
        ops.set_cpu_precision(precision)
    except ValueError as error:
        raise InputError(str(error)) from error


def _join(mindspore, target: str, device_id: int) -> Device:
    from mindspore import communication

    if os.environ.get("MS_ROLE") == "MS_SCHED":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)  # it ends when the ranks have
    else:
        # Of a worker: how long a CPU collective waits, 30 s by default, while another rank may validate for longer. The
        # scheduler keeps its 30 s, after which it misses a process that ended.
        os.environ.setdefault("MS_NODE_TIMEOUT", "86400")
    communication.init()
    rank, num_ranks = communication.get_rank(), communication.get_group_size()
    mindspore.set_auto_parallel_context(
        parallel_mode=mindspore.ParallelMode.DATA_PARALLEL, gradients_mean=True, device_num=num_ranks
    )
    return Device(target, device_id, rank, num_ranks)


if __name__ == "__main__":  # MindSpore's scheduler, as rank 0 of an mpirun starts it
    prepare("CPU", distributed=True)
