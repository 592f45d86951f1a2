"""The rules that plan.json must keep; a person may have edited it, so every fault is said with its key."""

import difflib
import math
import re
from collections.abc import Callable

from mindvoxel.errors import InputError

VERSION = 1
SCHEMES = ("ct", "zscore", "zscore_mask", "rescale", "rgb", "none")
PLANNERS = ("nnunet_v2", "nnunet_v1", "nvidia")
LARGEST_LABEL = 32767
LARGEST = 2**31 - 1  # of any whole number: what counts voxels or patches fits into int32
SPACING_MM = (1e-6, 1e6)
_FROM_1 = f"from 1 to {LARGEST}"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")  # a configuration's name is a folder's, too

Rule = tuple[str, Callable[[object], bool]]  # what a value must be, in words, and the test for it


def is_number(value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and -1e300 < value < 1e300


def is_whole(value, low: int = 1) -> bool:
    return type(value) is int and low <= value <= LARGEST


def _all(value, fits, counts: tuple[int, ...]) -> bool:
    return isinstance(value, list) and len(value) in counts and all(map(fits, value))


def _choice(*names: str) -> Rule:
    return f"one of {', '.join(names)}", lambda v: v in names


_NUMBER: Rule = ("a number", is_number)
_NOT_BELOW_0: Rule = ("a number, 0 or more", lambda v: is_number(v) and v >= 0)
_FLAG: Rule = ("true or false", lambda v: isinstance(v, bool))
_TEXT: Rule = ("a text that is not empty", lambda v: isinstance(v, str) and v != "")
_STAGES: Rule = (
    f"a list of stages, each 2 or 3 whole numbers {_FROM_1}",
    lambda v: isinstance(v, list) and len(v) > 0 and all(_all(stage, is_whole, (2, 3)) for stage in v),
)
PLAN: dict[str, Rule] = {
    "planner": _choice(*PLANNERS),
    "dataset": _TEXT,
    "memory_gb": ("a number above 0, or null", lambda v: v is None or is_number(v) and v > 0),
    "channels": (
        "a list of one or more names",
        lambda v: isinstance(v, list) and len(v) > 0 and all(isinstance(name, str) for name in v),
    ),
    "labels": (
        f"an object of names and their values, whole numbers from 0 to {LARGEST_LABEL}, 0 (background) and another",
        lambda v: (
            isinstance(v, dict)
            and all(is_whole(n, 0) and n <= LARGEST_LABEL for n in v.values())
            and len(set(v.values())) > 1
            and 0 in v.values()
        ),
    ),
    "axes": ("0, 1 and 2 in some order", lambda v: _all(v, lambda n: is_whole(n, 0), (3,)) and sorted(v) == [0, 1, 2]),
    "intensities": ("a list of objects", lambda v: isinstance(v, list) and all(isinstance(e, dict) for e in v)),
    "configurations": (
        "an object with one configuration or more, whose names have letters, digits, _, . and - only",
        lambda v: (
            isinstance(v, dict)
            and len(v) > 0
            and all(_NAME.fullmatch(name) and isinstance(config, dict) for name, config in v.items())
        ),
    ),
    "version": (f"{VERSION}", lambda v: type(v) is int and v == VERSION),
}
INTENSITY: dict[str, Rule] = {
    "mean": _NUMBER,
    "sd": _NOT_BELOW_0,
    "median": _NUMBER,
    "min": _NUMBER,
    "max": _NUMBER,
    "percentile_00_5": _NUMBER,
    "percentile_99_5": _NUMBER,
}
CONFIGURATION: dict[str, Rule] = {
    "patch_size": (f"2 or 3 whole numbers {_FROM_1}", lambda v: _all(v, is_whole, (2, 3))),
    "batch_size": (f"a whole number {_FROM_1}", is_whole),
    "spacing_mm": (
        "2 or 3 numbers from 1e-6 to 1e6, or null",
        lambda v: v is None or _all(v, lambda n: is_number(n) and SPACING_MM[0] <= n <= SPACING_MM[1], (2, 3)),
    ),
    "median_shape": (f"3 whole numbers {_FROM_1}", lambda v: _all(v, is_whole, (3,))),
    "strides": _STAGES,
    "kernels": _STAGES,
    "filters": (
        f"a list of whole numbers {_FROM_1}",
        lambda v: isinstance(v, list) and len(v) > 0 and all(map(is_whole, v)),
    ),
    "preprocessing": ("an object", lambda v: isinstance(v, dict)),
    "batch_dice": _FLAG,
    "dummy_2d": _FLAG,
    "previous_stage": ("the name of another configuration, or null", lambda v: v is None or isinstance(v, str)),
}
PREPROCESSING: dict[str, Rule] = {
    "normalization": (
        f"a list of schemes out of {', '.join(SCHEMES)}",
        lambda v: isinstance(v, list) and all(name in SCHEMES for name in v),
    ),
    "order": _choice("normalize_resample", "resample_normalize"),
    "crop": _choice("nonzero", "positive"),
    "rounding": _choice("round", "floor"),
    "anisotropy": _choice("above_3", "from_3"),
    "pad": _FLAG,
}


def check_plan(values, where: str) -> None:
    """Raise InputError, in one sentence with the key, where an object read from plan.json is none.

    where: names the file in the sentence.
    """
    if not isinstance(values, dict):
        raise InputError(f"{where}: no JSON object, so no plan; write one with mindvoxel plan")
    _check_keys(values, PLAN, f"{where}: ")
    num_channels = len(values["channels"])
    if len(values["intensities"]) != num_channels:
        raise InputError(
            f"{where}: intensities has {len(values['intensities'])} entries for {num_channels} channels; give one each"
        )
    for channel, entry in enumerate(values["intensities"]):
        prefix = f"{where}: intensities[{channel}]."
        _check_keys(entry, INTENSITY, prefix)
        if entry["percentile_00_5"] > entry["percentile_99_5"]:
            raise InputError(f"{prefix}percentile_00_5 is above percentile_99_5; exchange them")
    for name, config in values["configurations"].items():
        prefix = f"{where}: configurations.{name}."
        _check_keys(config, CONFIGURATION, prefix)
        _check_keys(config["preprocessing"], PREPROCESSING, prefix + "preprocessing.")
        _check_lengths(config, num_channels, prefix)
        _check_network(config, prefix)
    for name, config in values["configurations"].items():
        _check_previous(name, config, values["configurations"], f"{where}: configurations.{name}.")


def _check_keys(values: dict, rules: dict[str, Rule], prefix: str) -> None:
    for key in sorted(values.keys() - rules.keys()):
        near = difflib.get_close_matches(key, rules, 1, cutoff=0.6)
        hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(rules)}"
        raise InputError(f"{prefix}{key} is unknown; {hint}")
    for key, (what, fits) in rules.items():
        if key not in values:
            raise InputError(f"{prefix}{key} is missing; {what} is needed")
        if not fits(values[key]):
            raise InputError(f"{prefix}{key} must be {what}, got {_shortened(values[key])}")


def _shortened(value) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _check_lengths(config: dict, num_channels: int, prefix: str) -> None:
    dim, stages = len(config["patch_size"]), len(config["strides"])
    if config["spacing_mm"] is not None and len(config["spacing_mm"]) != dim:
        raise InputError(f"{prefix}spacing_mm has {len(config['spacing_mm'])} values, patch_size has {dim}; give {dim}")
    for key in ("strides", "kernels"):
        for stage, steps in enumerate(config[key]):
            if len(steps) != dim:
                raise InputError(f"{prefix}{key}[{stage}] has {len(steps)} values, patch_size has {dim}; give {dim}")
    for key in ("kernels", "filters"):
        if len(config[key]) != stages:
            raise InputError(f"{prefix}{key} has {len(config[key])} stages, strides has {stages}; give {stages}")
    schemes = config["preprocessing"]["normalization"]
    if len(schemes) != num_channels:
        raise InputError(
            f"{prefix}preprocessing.normalization has {len(schemes)} schemes for {num_channels} channels; give one each"
        )


def _check_network(config: dict, prefix: str) -> None:
    if set(config["strides"][0]) != {1}:
        raise InputError(f"{prefix}strides[0] is {config['strides'][0]}; the first stage has the patch's size: give 1s")
    for stage, kernel in enumerate(config["kernels"]):
        if any(edge % 2 == 0 for edge in kernel):
            raise InputError(f"{prefix}kernels[{stage}] is {kernel}; odd numbers are needed, to keep the size")
    divisor = [math.prod(steps) for steps in zip(*config["strides"], strict=True)]
    nearest = [max(1, round(n / d)) * d for n, d in zip(config["patch_size"], divisor, strict=True)]
    if nearest != config["patch_size"]:
        raise InputError(
            f"{prefix}patch_size {config['patch_size']} is no multiple of {divisor}, what its strides divide by; the "
            f"nearest is {nearest}"
        )
    if config["dummy_2d"] and len(config["patch_size"]) != 3:
        raise InputError(f"{prefix}dummy_2d is true in a 2-D configuration; false is needed")


def _check_previous(name: str, config: dict, configurations: dict, prefix: str) -> None:
    previous = config["previous_stage"]
    if previous is None:
        return
    if previous == name or previous not in configurations:
        raise InputError(
            f"{prefix}previous_stage is {previous!r}; another one of {', '.join(configurations)} is needed"
        )
    others = [other for other, theirs in configurations.items() if theirs.get("previous_stage") == previous]
    if len(others) > 1:
        raise InputError(
            f"{prefix}previous_stage is {previous!r} here and in {others[others[0] == name]}; only one configuration "
            "can follow another: rename or remove one of them"
        )
    ways = [stage["preprocessing"] for stage in (config, configurations[previous])]
    if ways[0]["crop"] != ways[1]["crop"] or any(way["pad"] for way in ways):
        raise InputError(
            f"{prefix}previous_stage is {previous!r}; the two must crop alike and pad nothing: make preprocessing.crop "
            "the same and preprocessing.pad false in both"
        )
