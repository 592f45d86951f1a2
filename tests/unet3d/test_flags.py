"""Flags by what they do: a few tiny runs, each with flags that the other tests' runs leave alone."""

import csv
import json
import re
from dataclasses import replace

import numpy as np
import pytest

from mindvoxel import config
from mindvoxel.cli import train
from mindvoxel.data.plan import read_plan
from mindvoxel.errors import InputError
from mindvoxel.train import device

from .test_run import figures, parameters, run

ONE = ["--fold", 0, "--epochs", 1, "--batch_size", 2, "--num_workers", 0, "--val_steps", 0, "--validate", "false"]
PLAIN = {"recipe.json", "plan.json", "dataset.json", "metrics.jsonl", "train.log"}


def files(folder) -> set[str]:
    """Without the picture, which matplotlib makes where it is installed."""
    return {path.name for path in folder.iterdir()} - {"progress.png"}


def test_nvidia_in_three_dimensions_no_norm_cosine_last_only_deterministic(data, tmp_path):
    import mindspore as ms

    folder = tmp_path / "run"
    words = ["--recipe", "nvidia", "--dim", 3, "--first_filters", 2, "--norm", "none", "--scheduler", "cosine"]
    run(*words, *ONE, "--data_path", data, "--output_path", folder, "--ckpt_strategy", "last_only", "--deterministic")
    assert files(folder) == PLAIN | {"last.ckpt"}
    (line,) = figures(folder)
    assert line["step"] == 2  # four cases, two a batch, each once
    assert line["learning_rate"] == pytest.approx(3e-4 * (1 + np.cos(np.pi / 2)) / 2)  # half way
    assert not any(name.startswith("val") for name in line)
    names = parameters(folder / "last.ckpt").keys()
    assert not [name for name in names if ".norm." in name]
    assert "heads.0.bias" in names and "downs.0.0.conv.bias" not in names
    assert {"optimizer:moment1.heads.0.bias", "optimizer:moment2.heads.0.bias"} <= names  # Adam's
    assert ms.get_context("deterministic") == "ON"
    assert json.loads((folder / "recipe.json").read_text())["deterministic"] is True
    args, _ = train.parse(["--model", "unet3d", "--resume", str(folder)], None)
    assert args.deterministic  # a run stays what it was
    device.prepare("CPU", deterministic=True)  # and a second one in a process is no error


def test_nnunet_v1_in_two_dimensions_batch_norm_constant_rate_one_volume_a_batch(data, tmp_path):
    folder = tmp_path / "run"
    words = ["--recipe", "nnunet_v1", "--dim", 2, "--first_filters", 2, "--norm", "batch", "--scheduler", "none"]
    words += ["--augment", "nvidia", "--nvol", 1, "--steps_per_epoch", 0, *ONE, "--val_steps", 1, "--epochs", 2]
    run(*words, "--data_path", data, "--output_path", folder, "--optimizer", "sgd", "--learning_rate", 0.02)
    lines = figures(folder)
    assert [line["step"] for line in lines] == [4, 8]  # four cases, one a batch
    assert [line["learning_rate"] for line in lines] == [0.02, 0.02]
    assert files(folder) == PLAIN | {"best.ckpt", "last.ckpt"}
    values = parameters(folder / "last.ckpt")
    assert (values["downs.0.0.norm.bn2d.moving_variance"] != 1).all()
    assert "downs.0.0.conv.bias" in values
    assert not values.keys() & {"heads.0.bias", "ups.0.bias"}
    assert any(name.startswith("optimizer:accum.") for name in values)  # SGD's momentum


def test_a_plan_that_does_not_divide_into_groups_is_refused(data):
    from mindvoxel.train.planned import network_of_plan

    plan, recipe = read_plan(data / "plan.json"), config.load_recipe("unet3d")
    recipe.network.update(norm="group", first_filters=0)
    chosen = plan.configurations["3d_fullres"]
    chosen = replace(chosen, filters=(48,) * len(chosen.filters))
    with pytest.raises(InputError, match=r"stages of \(48, .*group norm needs a multiple of 32 channels, got 48"):
        network_of_plan(recipe, plan, chosen)


def test_group_norm_and_no_checkpoint_at_all(data, tmp_path, monkeypatch):
    from mindvoxel.nn.norm import GroupNorm, InstanceNorm
    from mindvoxel.train import planned

    made, network_of_plan = [], planned.network_of_plan
    monkeypatch.setattr(planned, "network_of_plan", lambda *args: made.append(network_of_plan(*args)) or made[-1])
    words = ["--dim", 2, "--first_filters", 32, "--norm", "group", "--steps_per_epoch", 1, "--tta", "none", *ONE]
    words += ["--ckpt_strategy", "none", "--keep_interval", 1, "--validate", "true"]
    run(*words, "--data_path", data, "--output_path", tmp_path / "run")
    norms = [cell for _, cell in made[0].cells_and_names() if isinstance(cell, InstanceNorm)]
    assert len(norms) > 3
    assert all(isinstance(cell, GroupNorm) for cell in norms)
    assert files(tmp_path / "run") == PLAIN | {"validation"}  # what a run without a checkpoint is for
    assert "summary.json" in files(tmp_path / "run" / "validation")


def test_nnunet_v1_in_three_dimensions_profiled_and_timed(data, tmp_path, capfd):
    folder = tmp_path / "run"
    words = ["--recipe", "nnunet_v1", "--dim", 3, "--first_filters", 2, *ONE, "--other_use", "prof", "--benchmark"]
    run(*words, "--bench_steps", 2, "--bench_warmup_steps", 1, "--data_path", data, "--output_path", folder)
    assert files(folder) == {"train.log", "profile"}
    (table,) = folder.glob("profile/**/cpu_op_type_info*.csv")
    with table.open() as file:
        rows = {row["op_type"]: row for row in csv.DictReader(file)}
    assert int(rows["AssignAdd"]["type_occurrences"]) == 10  # the step's number, once a step
    said = dict(re.findall(r"^(\w+): ([\d.]+) (?:ms|patches/s)$", capfd.readouterr().out, re.MULTILINE))
    figures = {name: float(value) for name, value in said.items()}
    assert figures["throughput_train"] == pytest.approx(1000 * 2 / figures["latency_train_mean"], rel=0.01)
    assert figures["latency_train_90"] <= figures["latency_train_95"] <= figures["latency_train_99"]
    parts = figures["data_wait_mean"] + figures["compute_mean"]
    assert parts == pytest.approx(figures["latency_train_mean"], abs=0.01)
