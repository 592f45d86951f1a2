"""A trained network from its checkpoint."""

import json
from pathlib import Path

from easydict import EasyDict

from mindvoxel import config
from mindvoxel.data.plan import plan_from_json
from mindvoxel.errors import InputError
from mindvoxel.train import checkpoint
from mindvoxel.zoo import build_network


def network_of(ckpt_path: str | Path, model: str):
    """(network in evaluation mode, its recipe, its meta data); InputError for a checkpoint of another model."""
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
    return network, recipe, meta


def window_of(recipe: EasyDict, meta: dict, ckpt_path: str | Path) -> tuple[int, ...]:
    """Channels and voxels of one window of the network: (C, [D,] H, W)."""
    if config.kind_of(recipe.model) == "planned":
        plan = plan_from_json(meta["plan"], str(ckpt_path))
        chosen = plan.configurations[meta["configuration"]]
        return (plan.in_channels(chosen), *chosen.patch_size)
    return (1, *recipe.data.patch_size)
