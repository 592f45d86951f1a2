"""From a fingerprint to a plan, by the rules of nnU-Net v2, nnU-Net v1 or NVIDIA nnU-Net."""

from mindvoxel.data.dataset import Dataset
from mindvoxel.data.fingerprint import Fingerprint
from mindvoxel.data.plan import Plan, plan_to_json
from mindvoxel.data.plan_check import PLANNERS, check_plan
from mindvoxel.data.planning import nnunet, nnunet_v1, nnunet_v2, nvidia
from mindvoxel.errors import InputError

SYSTEMS = {system.name: system for system in (nnunet_v2.SYSTEM, nnunet_v1.SYSTEM)}


def make_plan(
    fingerprint: Fingerprint,
    dataset: Dataset,
    planner: str = "nnunet_v2",
    memory_gb: float | None = None,
    task: str | None = None,
) -> Plan:
    """The plan of a data set.

    memory_gb: of the device to train on; None: what the planner was made for.
    task: of NVIDIA's fixed tables; None: by the data set's name.
    Raises InputError for an unknown planner, a fingerprint of other data, or memory that holds no network.
    """
    check_request(planner, memory_gb, task)
    if not fingerprint.cases:
        raise InputError(f"{dataset.name}: no labelled case; a plan needs one or more")
    if len(fingerprint.intensities) != len(dataset.channels):
        raise InputError(
            f"{dataset.name}: the fingerprint is of {len(fingerprint.intensities)} channels, the data set has "
            f"{len(dataset.channels)}; take the fingerprint anew"
        )
    if planner == nvidia.NAME:
        plan = nvidia.plan(fingerprint, dataset, memory_gb, task)
    else:
        plan = nnunet.plan(SYSTEMS[planner], fingerprint, dataset, memory_gb)
    check_plan(plan_to_json(plan), f"plan of {dataset.name}")
    return plan


def check_request(planner: str, memory_gb: float | None, task: str | None) -> None:
    """Raise InputError for what no data set could be planned by."""
    if planner not in PLANNERS:
        raise InputError(f"--planner {planner} is unknown; choose one of {', '.join(PLANNERS)}")
    if memory_gb is not None and not 0 < memory_gb < float("inf"):
        raise InputError(f"--memory_gb must be above 0, got {memory_gb:g}")
    if task is not None and planner != nvidia.NAME:
        raise InputError(f"--task {task} chooses one of NVIDIA's tables; it needs --planner nvidia")
