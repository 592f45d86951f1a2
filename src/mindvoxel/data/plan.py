"""The plan: what the data decided, as plan.json; readable, editable, and checked when it is read."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from mindvoxel.data.plan_check import SCHEMES as SCHEMES  # part of the plan's own vocabulary
from mindvoxel.data.plan_check import VERSION, check_plan
from mindvoxel.files import laid_out, read_json, write_text

_CT_USES = ("mean", "sd", "percentile_00_5", "percentile_99_5")
_ABSENT = "absent"


@dataclass(frozen=True)
class Intensity:
    """Foreground intensities of one channel over the training cases."""

    mean: float
    sd: float
    median: float
    min: float
    max: float
    percentile_00_5: float
    percentile_99_5: float


@dataclass(frozen=True)
class Preprocessing:
    """How a scan becomes what the network sees; with spacing, axes, label values and intensities all that decides it.

    normalization: one scheme a channel: ct (clip to the 0.5 and 99.5 foreground percentiles, subtract their mean,
        divide by their deviation), zscore (over all voxels), zscore_mask (over the non-zero mask, where the
        crop is positive over the channel's own non-zero voxels; 0 outside), rescale
        (to [0, 1]), rgb (by 255), none.
    order: normalize_resample (nnU-Net v2) or resample_normalize (nnU-Net v1, NVIDIA).
    crop: the box of voxels that are nonzero (holes filled) or positive in any channel.
    rounding: of the new shape: round (nnU-Net) or floor (NVIDIA).
    anisotropy: over 3 between an axis and the next (above_3, nnU-Net) or from 3 on, of scan or target (from_3, NVIDIA)
        resamples the worst axis apart.
    pad: training cases are padded with 0 to the patch, and 2-D ones cut to it in their middle (NVIDIA).
    """

    normalization: tuple[str, ...]
    order: str = "normalize_resample"
    crop: str = "nonzero"
    rounding: str = "round"
    anisotropy: str = "above_3"
    pad: bool = False


@dataclass(frozen=True)
class Configuration:
    """One network and its data: 2d, 3d_fullres, 3d_lowres or 3d_cascade_fullres.

    All tuples are along the network's axes, slowest first; a 2-D configuration has two values where a 3-D one has
    three. spacing_mm: what scans are resampled to; 2-D leaves the first axis as it is; None: nothing is resampled.
    median_shape: (D, H, W) of the median case at that spacing.
    strides, kernels, filters: one entry a stage, the full-resolution stage first, its strides all 1.
    batch_dice: Dice over the whole batch.  dummy_2d: augmentation turns and scales slices only.
    previous_stage: the configuration whose prediction is a further input (cascade).
    """

    patch_size: tuple[int, ...]
    batch_size: int
    spacing_mm: tuple[float, ...] | None
    median_shape: tuple[int, int, int]
    strides: tuple[tuple[int, ...], ...]
    kernels: tuple[tuple[int, ...], ...]
    filters: tuple[int, ...]
    preprocessing: Preprocessing
    batch_dice: bool = False
    dummy_2d: bool = False
    previous_stage: str | None = None

    @property
    def dim(self) -> int:
        return len(self.patch_size)


@dataclass(frozen=True)
class Plan:
    """plan.json.

    labels: name -> value in the label files. The network's class k is the k-th smallest value (`label_values`), so
    that values such as 0, 1, 4 become classes 0, 1, 2, and are mapped back on output.
    memory_gb: of the device that the networks are sized for; None: fixed sizes.
    axes: network axis i is scan axis axes[i], of (z, y, x); nnU-Net puts the coarsest axis first.
    """

    planner: str
    dataset: str
    memory_gb: float | None
    channels: tuple[str, ...]
    labels: dict[str, int]
    axes: tuple[int, int, int]
    intensities: tuple[Intensity, ...]
    configurations: dict[str, Configuration]
    version: int = VERSION

    @property
    def label_values(self) -> tuple[int, ...]:
        """Values in the label files; their index is the network's class."""
        return tuple(sorted(set(self.labels.values())))

    def in_channels(self, configuration: Configuration) -> int:
        """Channels that a network takes: the scan's, and in a cascade one for each foreground class."""
        return len(self.channels) + (len(self.label_values) - 1 if configuration.previous_stage else 0)

    def following(self, configuration: str) -> str | None:
        """The configuration whose previous stage this one is, if any."""
        return next((n for n, config in self.configurations.items() if config.previous_stage == configuration), None)


def write_plan(path: str | Path, plan: Plan) -> None:
    """Write plan.json whole or not at all."""
    write_text(path, laid_out(plan_to_json(plan)) + "\n")


def read_plan(path: str | Path) -> Plan:
    """Read and check plan.json; raises InputError that names the key at fault."""
    return plan_from_json(read_json(path, "write a plan with mindvoxel plan"), str(path))


def plan_to_json(plan: Plan) -> dict:
    """The plan as JSON holds it, tuples as lists."""
    return json.loads(json.dumps(asdict(plan)))


def plan_from_json(values: dict, where: str) -> Plan:
    """The plan of a JSON object; `where` names its source in the InputError that says which key is at fault."""
    check_plan(values, where)
    configurations = {}
    for name, config in values["configurations"].items():
        preprocessing = Preprocessing(**_tuples(config["preprocessing"]))
        configurations[name] = Configuration(**_tuples(config) | {"preprocessing": preprocessing})
    intensities = tuple(Intensity(**entry) for entry in values["intensities"])
    return Plan(**_tuples(values) | {"configurations": configurations, "intensities": intensities})


def preprocessing_key(plan: Plan, configuration: str) -> dict:
    """All of a plan that decides the preprocessed data of a configuration, as JSON holds it; stored beside the data."""
    config = plan.configurations[configuration]
    key = {"dim": config.dim, "axes": plan.axes, "label_values": plan.label_values, "spacing_mm": config.spacing_mm}
    key |= asdict(config.preprocessing)
    key["intensities"] = {
        str(channel): {name: getattr(plan.intensities[channel], name) for name in _CT_USES}
        for channel, scheme in enumerate(config.preprocessing.normalization)
        if scheme == "ct"
    }
    if config.preprocessing.pad:
        key["patch_size"] = config.patch_size
    return json.loads(json.dumps(key))


def difference(old_key: dict, new_key: dict) -> str | None:
    """Why data of the old key do not serve the new one, in words, every change named; None: they do."""
    old, new = _flat(old_key), _flat(new_key)
    changed = [name for name in dict.fromkeys((*old, *new)) if old.get(name, _ABSENT) != new.get(name, _ABSENT)]
    if not changed:
        return None
    return ", ".join(
        f"{name} was {_shown(old.get(name, _ABSENT))}, is {_shown(new.get(name, _ABSENT))}" for name in changed
    )


def _flat(key: dict, prefix: str = "") -> dict:
    flat = {}
    for name, value in key.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return flat


def _shown(value) -> str:
    if isinstance(value, list):
        return "(" + ", ".join(map(_shown, value)) + ")"
    return str(value)


def _tuples(values: dict) -> dict:
    def fixed(value):
        return tuple(map(fixed, value)) if isinstance(value, list) else value

    return {key: fixed(value) for key, value in values.items()}
