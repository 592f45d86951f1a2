"""What the value of a recipe's key must be: a rule is (in words, the test for it)."""

import math


def is_number(value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def whole(low: int, high: float = math.inf) -> tuple:
    span = f"{low} or more" if high == math.inf else f"{low} to {high}"
    return f"a whole number, {span}", lambda v: type(v) is int and low <= v <= high


def each(rule: tuple, count: int | None = None) -> tuple:
    what, fits = rule
    many = "one or more values" if count is None else f"{count} values"
    return (
        f"{many}, each {what}",
        lambda v: isinstance(v, list | tuple) and len(v) == (count or max(len(v), 1)) and all(map(fits, v)),
    )


FLAG = "true or false", lambda v: isinstance(v, bool)
SHARE = "a number from 0 to 1", lambda v: is_number(v) and 0 <= v <= 1
SHARE_BELOW_1 = "a number from 0 to below 1", lambda v: is_number(v) and 0 <= v < 1
ABOVE_0 = "a number above 0", lambda v: is_number(v) and v > 0
NOT_BELOW_0 = "a number, 0 or more", lambda v: is_number(v) and v >= 0
AXES = "axes out of 0, 1 and 2, each once", lambda v: len(set(v)) == len(v) and set(v) <= {0, 1, 2}

RANK_SCALING = "learning rate for N devices: none (as it is), linear (times N) or sqrt (times the root of N)"

# Keys that every recipe has.
HELP = {
    "train.seed": "seed of initialisation, order, augmentation and dropout",
    "train.amp_level": "mixed precision: O0 (float32), O1, O2, O3 or auto, in float16",
    "train.sync_batch_norm": "batch normalisation takes its statistics over all devices, not over each one's batch",
    "train.loss_scale": "loss scale at O1 and above; 0: dynamic, from 65536",
    "train.save_interval": "epochs between writes of last.ckpt; every validation and the last epoch write it too",
    "device.cpu_precision": "precision in which CPU convolutions multiply: f32, bf16, or auto, the faster of the two",
}
CHOICES = {
    "device.cpu_precision": ("f32", "bf16", "auto"),
    "train.amp_level": ("O0", "O1", "O2", "O3", "auto"),
    "optim.rank_scaling": ("none", "linear", "sqrt"),
}
RULES = {
    "train.epochs": whole(1),
    "train.save_interval": whole(1),
    "train.seed": whole(0, 2**32 - 1),
    "train.loss_scale": NOT_BELOW_0,
    "train.sync_batch_norm": FLAG,
}
