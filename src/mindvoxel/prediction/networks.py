"""A trained network from its checkpoint."""

import json
from pathlib import Path

from easydict import EasyDict

from mindvoxel import config
from mindvoxel.data.plan import plan_from_json
from mindvoxel.errors import InputError
from mindvoxel.log import LOGGER
from mindvoxel.train import checkpoint
from mindvoxel.train.choices import head_weights
from mindvoxel.zoo import build_network


def network_of(ckpt_path: str | Path, model: str, prune: int = 0):
    """(network in evaluation mode, its recipe, its meta data); InputError for a checkpoint of another model.

    prune: the head to read, of a model that has several; 0: the deepest.
    """
    meta, values = checkpoint.load(ckpt_path)
    if meta["model"] != model:
        raise InputError(f"{ckpt_path}: a checkpoint of {meta['model']}, not of {model}; give --model {meta['model']}")
    try:
        recipe: EasyDict = config.from_json(json.dumps(meta["recipe"]))
    except InputError as error:  # written by another version
        raise InputError(f"{ckpt_path}: its recipe does not fit this version: {error}") from error
    if config.kind_of(model) == "planned":
        from mindvoxel.train.planned import network_of_plan

        plan = plan_from_json(meta["plan"], str(ckpt_path))
        network = network_of_plan(recipe, plan, plan.configurations[meta["configuration"]])
    else:
        network = build_network(model, **recipe.network)
    checkpoint.load_network(network, values, ckpt_path)
    network.set_train(False)
    if prune:
        _prune(network, prune, recipe, ckpt_path)
    return network, recipe, meta


def _prune(network, level: int, recipe: EasyDict, ckpt_path: str | Path) -> None:
    if not hasattr(network, "prune"):
        raise InputError(f"--prune {level}: {ckpt_path} is of {recipe.model}, which has one head; leave it out")
    if not 1 <= level <= network.depth:
        raise InputError(f"--prune {level}: the network of {ckpt_path} has the heads 1 to {network.depth}; give one")
    if head_weights(recipe, network)[network.depth - level] == 0:
        LOGGER.warning("head %d had no weight in the loss that made %s: it was not trained", level, ckpt_path)
    network.prune(level)


def window_of(recipe: EasyDict, meta: dict, ckpt_path: str | Path) -> tuple[int, ...]:
    """Channels and voxels of one window of the network, or of a photo: (C, [D,] H, W)."""
    if config.kind_of(recipe.model) == "planned":
        plan = plan_from_json(meta["plan"], str(ckpt_path))
        chosen = plan.configurations[meta["configuration"]]
        return (plan.in_channels(chosen), *chosen.patch_size)
    if config.kind_of(recipe.model) == "photos":
        return (3, recipe.data.size, recipe.data.size)
    return (1, *recipe.data.patch_size)
