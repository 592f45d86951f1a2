"""Recipes: plain Python that fills an EasyDict of sections; an unknown key is an error with the nearest known one."""

import difflib
import importlib
import json
import pkgutil

from easydict import EasyDict

from mindvoxel.errors import InputError


def kind_of(model: str) -> str:
    """What the model trains on: `scans`, whose preprocessing its recipe decides, `planned` cases, which a plan has
    decided and mindvoxel preprocess made, or `photos` with one class each. Each kind has its keys
    (mindvoxel.config.KIND) and its flags (mindvoxel.cli.KIND)."""
    return importlib.import_module(f"{model}.config").KIND


def _rules_of(model: str) -> tuple[dict, dict, dict]:
    """HELP, CHOICES and RULES of all keys: those of the kind, and the model's own for its section `network`."""
    kind = importlib.import_module(f"mindvoxel.config.{kind_of(model)}")
    own = importlib.import_module(f"{model}.config")
    return own.HELP | kind.HELP, kind.CHOICES | own.CHOICES, kind.RULES | own.RULES


def describe(model: str) -> dict[str, str]:
    """Help text of every key of the model's recipes."""
    return _rules_of(model)[0]


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
    _, choices, rules = _rules_of(recipe.model)
    for key, allowed in choices.items():
        if key in found and found[key] not in allowed:
            raise InputError(f"{key} must be one of {', '.join(allowed)}, got {found[key]!r}")
    for key, (what, fits) in rules.items():
        if key in found and not fits(found[key]):
            raise InputError(f"{key} must be {what}, got {found[key]!r}")
    importlib.import_module(f"{recipe.model}.config").check(recipe)
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
    """The recipe of a run, checked; keys that came after it was written have the values of the default recipe."""
    stored = EasyDict(json.loads(text))
    for section, values in load_recipe(stored.model).items():
        if isinstance(values, dict):
            stored[section] = EasyDict(values) | stored.get(section, {})
    return check_recipe(stored)
