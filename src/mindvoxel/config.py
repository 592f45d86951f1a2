"""Recipes: plain Python that fills an EasyDict of sections; an unknown key is an error with the nearest known one."""

import difflib
import importlib
import json
import math
import pkgutil

from easydict import EasyDict

from mindvoxel.errors import InputError

# Every value that a recipe may hold beside its `network` section: the help text of its flag, with the unit. A key that
# does not stand here is refused. Each model's config.py has HELP, CHOICES and RULES of its own for that section, and
# check(recipe) for what must fit together.
HELP = {
    "data.spacing_mm": "grid to resample to, (z, y, x), mm",
    "data.patch_size": "training patch and inference window (D, H, W), voxels",
    "data.centre_crop": "use the patch in the middle of each scan only, in training and inference (as published)",
    "data.augment": "rotate, scale, mirror and change intensities of training patches",
    "data.foreground_fraction": "share of patches centred on a foreground voxel, 0 to 1",
    "data.num_workers": "threads that prepare cases and patches; 0: none beside the main one",
    "optim.learning_rate": "Adam's learning rate after warm-up",
    "optim.warmup_steps": "steps of linear warm-up",
    "optim.warmup_start": "learning rate of the first step, as a share of learning_rate",
    "train.epochs": "epochs; the schedule is laid over all of them",
    "train.batch_size": "patches a step and device",
    "train.repeats": "patches of each case an epoch",
    "train.eval_interval": "epochs between validations; the last epoch always validates",
    "train.save_interval": "epochs between writes of last.ckpt; every validation and the last epoch write it too",
    "train.seed": "seed of initialisation, order, augmentation and dropout",
    "train.amp_level": "mixed precision: O0 (float32), O1, O2, O3 or auto, in float16",
    "train.loss_scale": "loss scale at O1 and above; 0: dynamic, from 65536",
    "device.cpu_precision": "precision in which CPU convolutions multiply: f32, bf16, or auto, the faster of the two",
    "eval.overlap": "share of a window that the next one covers again, 0 to 1",
    "eval.blend": "weight of a window's voxels: gaussian or constant",
    "eval.mirror_axes": "axes also predicted mirrored (0 z, 1 y, 2 x)",
    "eval.restore_order": "interpolation of the probability on its way back to the scan: linear or nearest",
    "eval.largest_component": "keep the largest connected component only",
    "eval.nsd_tolerance_mm": "tolerance of the normalised surface distance, mm",
}
CHOICES = {
    "device.cpu_precision": ("f32", "bf16", "auto"),
    "train.amp_level": ("O0", "O1", "O2", "O3", "auto"),
    "eval.blend": ("gaussian", "constant"),
    "eval.restore_order": ("linear", "nearest"),
}


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


_FLAG = "true or false", lambda v: isinstance(v, bool)
_SHARE = "a number from 0 to 1", lambda v: is_number(v) and 0 <= v <= 1
SHARE_BELOW_1 = "a number from 0 to below 1", lambda v: is_number(v) and 0 <= v < 1
_ABOVE_0 = "a number above 0", lambda v: is_number(v) and v > 0
_NOT_BELOW_0 = "a number, 0 or more", lambda v: is_number(v) and v >= 0
_AXES = "axes out of 0, 1 and 2, each once", lambda v: len(set(v)) == len(v) and set(v) <= {0, 1, 2}
# What a value must be, in words, and the test for it.
RULES = {
    "data.spacing_mm": each(_ABOVE_0, 3),
    "data.patch_size": each(whole(1), 3),
    "data.centre_crop": _FLAG,
    "data.augment": _FLAG,
    "data.foreground_fraction": _SHARE,
    "data.num_workers": whole(0),
    "optim.learning_rate": _ABOVE_0,
    "optim.warmup_steps": whole(0),
    "optim.warmup_start": _SHARE,
    "train.epochs": whole(1),
    "train.batch_size": whole(1),
    "train.repeats": whole(1),
    "train.eval_interval": whole(1),
    "train.save_interval": whole(1),
    "train.seed": whole(0, 2**32 - 1),
    "train.loss_scale": _NOT_BELOW_0,
    "eval.overlap": SHARE_BELOW_1,
    "eval.mirror_axes": _AXES,
    "eval.largest_component": _FLAG,
    "eval.nsd_tolerance_mm": _NOT_BELOW_0,
}


def base_config(model: str) -> EasyDict:
    """What every recipe starts from; the model's own config.py adds the `network` section and changes the rest."""
    return EasyDict(
        model=model,
        network={},
        data={"spacing_mm": (1.5, 1.0, 1.0), "patch_size": (64, 128, 128), "centre_crop": False, "augment": True}
        | {"foreground_fraction": 0.5, "num_workers": 2},
        optim={"learning_rate": 1e-3, "warmup_steps": 120, "warmup_start": 0.3},
        train={"epochs": 500, "batch_size": 4, "repeats": 1, "eval_interval": 25, "save_interval": 10, "seed": 1}
        | {"amp_level": "O0", "loss_scale": 0.0},
        device={"cpu_precision": "f32"},
        eval={"overlap": 0.5, "blend": "gaussian", "mirror_axes": (), "restore_order": "linear"}
        | {"largest_component": True, "nsd_tolerance_mm": 2.0},
    )


def describe(model: str) -> dict[str, str]:
    """Help text of every key of the model's recipes."""
    return importlib.import_module(f"{model}.config").HELP | HELP


def recipe_names(model: str) -> list[str]:
    """`default` and the modules of the model's configs folder."""
    package = importlib.import_module(f"{model}.configs")
    return ["default", *sorted(m.name for m in pkgutil.iter_modules(package.__path__))]


def load_recipe(model: str, name: str = "default") -> EasyDict:
    """The recipe `name` of `model`, checked."""
    if name not in recipe_names(model):
        raise InputError(f"recipe {name!r} of {model} is unknown; choose one of {', '.join(recipe_names(model))}")
    module = f"{model}.config" if name == "default" else f"{model}.configs.{name}"
    return check_recipe(importlib.import_module(module).get_config())


def flatten(recipe: EasyDict) -> dict:
    """`section.key` -> value, lists as tuples."""
    return {
        f"{section}.{key}": tuple(value) if isinstance(value, list) else value
        for section, values in recipe.items()
        if isinstance(values, dict)
        for key, value in values.items()
    }


def check_recipe(recipe: EasyDict) -> EasyDict:
    """The recipe itself; raises InputError for an unknown key, a missing one, or a value that cannot be."""
    known, found = describe(recipe.model), flatten(recipe)
    outside = {name for name, value in recipe.items() if name != "model" and not isinstance(value, dict)}
    for key in sorted((found.keys() | outside) - known.keys()):
        near = difflib.get_close_matches(key, known, 1, cutoff=0.75)
        raise InputError(f"recipe key {key} is unknown" + (f"; did you mean {near[0]}?" if near else ""))
    for key in sorted(known.keys() - found.keys()):
        raise InputError(f"recipe of {recipe.model} lacks {key} ({known[key]})")
    model = importlib.import_module(f"{recipe.model}.config")
    for key, allowed in (CHOICES | model.CHOICES).items():
        if key in found and found[key] not in allowed:
            raise InputError(f"{key} must be one of {', '.join(allowed)}, got {found[key]!r}")
    for key, (what, fits) in (RULES | model.RULES).items():
        if key in found and not fits(found[key]):
            raise InputError(f"{key} must be {what}, got {found[key]!r}")
    model.check(recipe)
    return recipe


def parse_value(key: str, text: str, default):
    """A flag's text as the type of the recipe's own value: `true`, `3`, `1e-3`, `O2`, `64,128,128`, or `none`."""
    try:
        if isinstance(default, bool):
            return {"true": True, "1": True, "false": False, "0": False}[text.lower()]
        if isinstance(default, list | tuple):
            if text == "none":
                return ()
            kind = type(default[0]) if default else int
            return tuple(kind(part) for part in text.strip("()[] ").split(",") if part.strip())
        return type(default)(text)
    except (KeyError, ValueError) as error:
        raise InputError(f"{key}: {text!r} does not read as a value like {default!r}") from error


def override(recipe: EasyDict, values: dict) -> EasyDict:
    """A copy of `recipe` with the values of `section.key` replaced, checked."""
    changed = EasyDict(json.loads(to_json(recipe)))
    for key, value in values.items():
        section, _, name = key.partition(".")
        changed.setdefault(section, {})[name] = value
    return check_recipe(changed)


def to_json(recipe: EasyDict) -> str:
    return json.dumps(recipe, sort_keys=True)


def from_json(text: str) -> EasyDict:
    return check_recipe(EasyDict(json.loads(text)))
