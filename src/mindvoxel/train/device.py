"""The one place that chooses a device target, before MindSpore is imported and before any tensor is made."""

import os
import sys
from dataclasses import dataclass

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
_CPU_SETTINGS = {
    # above AVX2 MindSpore 2.10's oneDNN has no fast f32 convolution and takes its reference loop
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    # threads that wait spin otherwise, and take the cores from the kernel that runs beside them
    "OMP_WAIT_POLICY": "PASSIVE",
}


def prepare_cpu() -> None:
    """Set what makes MindSpore 2.10 fast on a CPU; without effect once MindSpore is imported."""
    if "mindspore" in sys.modules:
        return
    for name, value in _CPU_SETTINGS.items():
        os.environ.setdefault(name, value)


def prepare(
    target: str,
    device_id: int = 0,
    *,
    distributed: bool = False,
    deterministic: bool = False,
    compile_cache: str | None = None,
) -> Device:
    """Make `target` the device of this process, in graph mode; join the other processes where `distributed`.

    compile_cache: folder of compiled graphs, to take them from and keep them in; each rank has its own below it.
    deterministic: operators whose result depends on the order of threads are replaced or ordered (Ascend, GPU).

    Raises InputError, in one sentence, where the target is not there.
    """
    if target not in TARGETS:
        raise InputError(f"device_target must be one of {', '.join(TARGETS)}, got {target!r}")
    if target == "CPU":
        prepare_cpu()
    _keep_compiled(compile_cache)
    os.environ.setdefault("GLOG_v", "3")  # MindSpore's own warnings speak of deprecations inside itself
    import mindspore

    try:
        if target == "CPU":
            mindspore.set_device("CPU")
        else:
            mindspore.set_device(target, device_id)
        mindspore.set_context(mode=mindspore.GRAPH_MODE)
        if deterministic:
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


def _keep_compiled(folder: str | None) -> None:
    if folder is not None:
        os.environ["MS_COMPILER_CACHE_ENABLE"] = "1"
        os.environ["MS_COMPILER_CACHE_PATH"] = os.path.abspath(folder)


def of_a_cluster() -> bool:
    """Whether MindSpore's scheduler (msrun) started this process beside others."""
    return "MS_ROLE" in os.environ


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

    if os.environ.get("MS_ROLE") != "MS_SCHED":
        # Of a worker: how long a CPU collective waits, 30 s by default, while rank 0 alone may validate for longer. The
        # scheduler keeps its 30 s, after which it misses a process that ended.
        os.environ.setdefault("MS_NODE_TIMEOUT", "86400")
    communication.init()
    rank, num_ranks = communication.get_rank(), communication.get_group_size()
    mindspore.set_auto_parallel_context(
        parallel_mode=mindspore.ParallelMode.DATA_PARALLEL, gradients_mean=True, device_num=num_ranks
    )
    return Device(target, device_id, rank, num_ranks)
