"""UNet++ trained through the real commands, then read at every level."""

import json
import re

import pytest

from mindvoxel.cli import eval as evaluate
from mindvoxel.cli import export, predict, train
from mindvoxel.errors import InputError
from mindvoxel.volume import read_volume

CPU = ["--model", "unetpp", "--device_target", "CPU"]


def run(command, *words) -> None:
    assert command.main([*CPU, *map(str, words)]) == 0


def refused(capfd, command, *words) -> str:
    capfd.readouterr()
    assert command.main([*CPU, *map(str, words)]) == 2
    return capfd.readouterr().err


def test_each_published_command_does_its_work(flow, trained):
    assert len(list((flow / "Task003_Liver" / "imagesTr").glob("*_0003.nii.gz"))) == 6
    plan = json.loads((flow / "liver" / "plan.json").read_text())
    assert (plan["planner"], plan["configurations"]["3d_fullres"]["batch_size"]) == ("nnunet_v1", 8)
    log = (trained / "train.log").read_text()
    assert "2 steps an epoch of batch 8 on 1 device(s), epochs 0 to 2" in log  # change_bs
    assert log.count("epochs 2 to 2") == 2  # --continue_training and --validation_only find the run, and train no more
    assert len((trained / "metrics.jsonl").read_text().splitlines()) == 2
    record = json.loads((trained / "recipe.json").read_text())
    assert record["recipe"]["network"] == {"deep_supervision": True, "first_filters": 2}
    assert json.loads((flow / "results" / "liver" / "best.json").read_text())["folds"] == [0, 1]
    assert (trained.parent / "fold_1" / "validation" / "summary.json").is_file()
    assert (flow / "masks" / "case_6.nii.gz").is_file()
    assert "throughput_train: " in (flow / "results" / "speed" / "train.log").read_text()
    assert list((flow / "results" / "profile" / "profile").iterdir())


def test_a_checkpoint_is_evaluated_at_every_level(trained, capfd):
    plan = json.loads((trained / "plan.json").read_text())
    depth = len(plan["configurations"]["3d_fullres"]["filters"]) - 1
    assert depth >= 2
    tables = {}
    for level in range(depth + 1):
        capfd.readouterr()
        run(evaluate, "--ckpt_path", trained / "last.ckpt", "--tta", "none", "--prune", level)
        folder = trained / (f"eval-last-prune{level}" if level else "eval-last")
        assert json.loads((folder / "summary.json").read_text())["meta"]["prune"] == level
        tables[level] = (folder / "metrics.csv").read_text()
        untrained = "head 1 had no weight in the loss" in "".join(capfd.readouterr())
        assert untrained is (level == 1)
    assert tables[depth] == tables[0] == (trained / "validation" / "metrics.csv").read_text()
    assert len(set(tables.values())) == depth
    said = refused(capfd, evaluate, "--ckpt_path", trained / "last.ckpt", "--prune", depth + 1)
    assert re.search(rf"--prune {depth + 1}: the network of \S+ has the heads 1 to {depth}; give one", said)


def test_new_scans_are_segmented_at_a_level(flow, trained, tmp_path, capfd):
    scan = flow / "Task03_Liver" / "imagesTs" / "case_6.nii.gz"
    masks = []
    for level in (0, 1):
        words = ["--model_dir", trained, "--input", scan, "--output", tmp_path / f"{level}.nii.gz", "--prune", level]
        assert predict.main([*CPU[2:], *map(str, words)], model="unetpp") == 0
        masks.append(read_volume(tmp_path / f"{level}.nii.gz").voxels)
    assert masks[0].shape == masks[1].shape
    assert (masks[0] != masks[1]).any()
    capfd.readouterr()
    assert predict.main([*CPU[2:], *map(str, words[:-1]), "9", "--overwrite"], model="unetpp") == 2
    assert "--prune 9: the network of" in capfd.readouterr().err


def test_a_pruned_network_is_exported(trained, tmp_path, capfd):
    words = ["--ckpt_file", trained / "last.ckpt", "--file_format", "ONNX", "--file_name", tmp_path / "level"]
    run(export, *words, "--prune", 1)
    assert "checked against the network" in capfd.readouterr().out
    written = (tmp_path / "level.onnx").read_bytes()
    assert b"rows.0.0.join" in written and b"rows.1.0.join" not in written and b"downs.2" not in written


def test_other_models_cannot_be_pruned(cpu, tmp_path):
    from mindvoxel.config import load_recipe, override
    from mindvoxel.prediction.networks import network_of
    from mindvoxel.train import checkpoint
    from mindvoxel.zoo import build_network

    recipe = override(load_recipe("vnet"), {"network.width": 2})
    path = tmp_path / "last.ckpt"
    checkpoint.save(path, build_network("vnet", **recipe.network), {"model": "vnet", "recipe": recipe})
    with pytest.raises(InputError, match=r"--prune 1: \S+last.ckpt is of vnet, which has one head; leave it out"):
        network_of(path, "vnet", prune=1)


def test_validation_only_needs_a_run_of_the_fold(flow, trained, capfd):
    words = ["--data_path", flow / "liver", "--dim", 3, "--fold", 3, "--validation_only", "--output_path", trained]
    said = refused(capfd, train, *words)
    assert f"and {trained} holds none of this model, data and fold; name it by --resume RUN" in said


@pytest.fixture
def job(flow):
    """job(*flags, resumed=batch size of the run that goes on): what two devices would train."""
    from mindvoxel import config
    from mindvoxel.cli import common
    from mindvoxel.cli.planned import TrainJob
    from mindvoxel.train.device import Device

    data = flow / "liver"

    def make(*words, resumed=None):
        words = ["--data_path", str(data), "--dim", "3", "--fold", "0", "--validate", "false", *words]
        args, recipe = train.parse([*CPU, *words], None)
        meta = None
        if resumed is not None:
            plan = json.loads((data / "plan.json").read_text())
            meta = {"fold": 0, "configuration": "3d_fullres", "dim": 3, "plan": plan}
            recipe = config.override(recipe, {"train.batch_size": resumed, **common.overrides(args, recipe)})
        return TrainJob(args, recipe, {"data_path": str(data)}, Device("CPU", 0, 0, 2), meta)

    return make


def test_dbs_divides_the_batch_over_the_devices(job):
    assert job("--batch_size", "6").recipe.train.batch_size == 6
    assert job("--batch_size", "6", "--dbs").recipe.train.batch_size == 3
    assert job("--dbs").recipe.train.batch_size == 4  # of the plan's 8
    # a run that goes on was divided when it began, unless the command that began it is given again
    assert job("--dbs", resumed=3).recipe.train.batch_size == 3
    assert job("--batch_size", "6", "--dbs", resumed=3).recipe.train.batch_size == 3


def test_a_batch_that_does_not_divide_is_refused(job):
    with pytest.raises(InputError, match="a batch of 3 does not divide over 2 devices; give --batch_size a multiple"):
        job("--batch_size", "3", "--dbs")
