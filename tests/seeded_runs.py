"""Runs as train.py leaves them, with weights as they were drawn: enough to predict and to export, made in a moment."""

import json
from pathlib import Path

from mindvoxel import config
from mindvoxel.data.dataset import dataset_to_json
from mindvoxel.data.plan import plan_to_json
from mindvoxel.data.stored_dataset import open_stored


def planned_run(run: Path, model: str, data: Path, configuration: str, **network) -> Path:
    """A run of unet3d or unetpp by the plan of a folder that mindvoxel preprocess wrote; network: of its recipe."""
    from mindvoxel.train.planned import network_of_plan

    stored = open_stored(data)
    changes = {f"network.{key}": value for key, value in network.items()} | {"eval.tta": "none"}
    recipe = config.override(config.load_recipe(model, "small"), changes)
    chosen = stored.plan.configurations[configuration]
    meta = {"model": model, "recipe": recipe, "configuration": configuration, "plan": plan_to_json(stored.plan)}
    meta |= {"paths": {"data_path": str(data), "output_path": str(run)}, "fold": 0, "dim": chosen.dim}
    meta["val_cases"] = [case.case for case in stored.dataset.cases][:2]
    _write(run, meta, lambda: network_of_plan(recipe, stored.plan, chosen))
    (run / "recipe.json").write_text(json.dumps(meta))
    (run / "dataset.json").write_text(json.dumps(dataset_to_json(stored.dataset)))
    return run


def vnet_run(run: Path, **changes) -> Path:
    """A run of V-Net; changes: of its small recipe, section__key."""
    from mindvoxel.zoo import build_network

    named = {key.replace("__", "."): value for key, value in changes.items()}
    recipe = config.override(config.load_recipe("vnet", "small"), named)
    meta = {"model": "vnet", "recipe": recipe}
    _write(run, meta, lambda: build_network("vnet", **recipe.network))
    (run / "recipe.json").write_text(json.dumps(meta))
    return run


def photos_run(run: Path, classes=("ant", "bee", "cow"), **changes) -> Path:
    """A run of ResNet-50, narrow and for 32×32 pixels; changes: of its small recipe, section__key.

    Pixels are divided by 58, so that logits of untrained weights are small and several classes are likely.
    """
    from mindvoxel.zoo import build_network

    named = {"network.width": 4, "network.num_classes": len(classes), "data.size": 32, "data.short_side": 36}
    named["data.sd"] = [58.0] * 3
    named |= {key.replace("__", "."): value for key, value in changes.items()}
    recipe = config.override(config.load_recipe("resnet50", "small"), named)
    meta = {"model": "resnet50", "recipe": recipe, "classes": list(classes)}
    _write(run, meta, lambda: build_network("resnet50", **recipe.network))
    (run / "recipe.json").write_text(json.dumps(meta))
    return run


def _write(run: Path, meta: dict, build) -> None:
    import mindspore

    from mindvoxel.train import checkpoint

    run.mkdir(parents=True)
    mindspore.set_seed(1)
    network = build()
    for parameter in network.get_parameters():
        if ".weight" in parameter.name and parameter.name.startswith("heads."):
            # what a head reads has a mean above 0 in each channel: without this one class would win almost everywhere
            values = parameter.asnumpy()
            parameter.set_data(mindspore.Tensor(values - values.mean(1, keepdims=True)))
    checkpoint.save(run / "last.ckpt", network, meta | {"state": {"epoch": meta["recipe"].train.epochs}})
