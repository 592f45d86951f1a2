"""From a fingerprint to a plan, by the rules of nnU-Net v2, nnU-Net v1 or NVIDIA nnU-Net."""

from mindvoxel.data.dataset import Dataset
from mindvoxel.data.fingerprint import Fingerprint
from mindvoxel.data.plan import Plan
from mindvoxel.data.planning import nnunet_v2
from mindvoxel.errors import InputError

PLANNERS = {"nnunet_v2": nnunet_v2.plan}


def make_plan(
    fingerprint: Fingerprint, dataset: Dataset, planner: str = "nnunet_v2", memory_gb: float | None = None
) -> Plan:
    """The plan of a data set. memory_gb: of the device to train on; None: what the planner was made for.

    Raises InputError for an unknown planner, or memory that holds no network.
    """
    if planner not in PLANNERS:
        raise InputError(f"--planner {planner} is unknown; choose one of {', '.join(PLANNERS)}")
    if memory_gb is not None and not memory_gb > 0:
        raise InputError(f"--memory_gb must be above 0, got {memory_gb:g}")
    return PLANNERS[planner](fingerprint, dataset, memory_gb)
