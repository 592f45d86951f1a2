"""Checkpoints that are damaged or of something else: train.py, eval.py and export.py refuse them."""

import shutil
from pathlib import Path

import pytest

from mindvoxel.cli import train

from .conftest import CPU, eval_vnet, export_vnet, left_behind, train_argv, train_vnet


def commands_with(ckpt: Path, phantom: Path, tmp_path: Path, model: list | None = None) -> list[tuple]:
    """Each command that reads a checkpoint, with its arguments."""
    (tmp_path / "train.csv").write_text("Case02.mhd\n")
    argv = train_argv(phantom, tmp_path / "train.csv", tmp_path / "out", *(model or []))
    return [
        (eval_vnet, [*CPU, "--ckpt_path", ckpt, "--data_path", phantom, "--output_path", tmp_path / "out"]),
        (export_vnet, [*CPU, "--ckpt_file", ckpt, "--file_name", tmp_path / "out" / "vnet"]),
        (train_vnet, [*argv, "--ckpt_path", ckpt]),
    ]


def no_file(path: Path, good: Path) -> str:
    return "no such checkpoint"


def text_file(path: Path, good: Path) -> str:
    path.write_text("not a checkpoint\n")
    return "not a readable checkpoint, or damaged"


def empty_file(path: Path, good: Path) -> str:
    path.touch()
    return "not a readable checkpoint, or damaged"


def cut_file(path: Path, good: Path) -> str:
    path.write_bytes(good.read_bytes()[:-5000])
    return "not a readable checkpoint, or damaged"


def flipped_bit(path: Path, good: Path) -> str:
    content = bytearray(good.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    return "not a readable checkpoint, or damaged"


def a_folder(path: Path, good: Path) -> str:
    path.mkdir()
    return "no such checkpoint"


@pytest.mark.parametrize(
    "damage", [no_file, text_file, empty_file, cut_file, flipped_bit, a_folder], ids=lambda d: d.__name__
)
def test_what_is_not_a_whole_checkpoint(refused, phantom, tmp_path, checkpoint, damage):
    path = tmp_path / "bad.ckpt"
    part = damage(path, checkpoint)
    for command, argv in commands_with(path, phantom, tmp_path):
        refused(command, argv, "bad.ckpt", part)
    assert not left_behind(tmp_path / "out")


def test_a_file_of_another_name(refused, phantom, tmp_path, checkpoint):
    shutil.copy(checkpoint, tmp_path / "weights.pth")
    for command, argv in commands_with(tmp_path / "weights.pth", phantom, tmp_path):
        refused(command, argv, "weights.pth: not a checkpoint, its name does not end with .ckpt")


def rewritten(source: Path, target: Path, change) -> None:
    """`source` with other meta data, as MindSpore writes it."""
    import json

    import mindspore as ms

    from mindvoxel.train import checkpoint as checkpoints

    meta, values = checkpoints.load(source)
    records = [{"name": name, "data": value} for name, value in values.items()]
    meta = change(meta)
    extra = None if meta is None else {"mindvoxel": json.dumps(meta)}
    ms.save_checkpoint(records, str(target), append_dict=extra, crc_check=True)


def test_a_checkpoint_of_another_program(refused, phantom, tmp_path, checkpoint):
    rewritten(checkpoint, tmp_path / "foreign.ckpt", lambda meta: None)
    for command, argv in commands_with(tmp_path / "foreign.ckpt", phantom, tmp_path):
        refused(command, argv, "foreign.ckpt: holds no recipe", "use one that was")
    assert not left_behind(tmp_path / "out")


def test_a_checkpoint_of_another_model(refused, phantom, tmp_path, checkpoint):
    rewritten(checkpoint, tmp_path / "other.ckpt", lambda meta: meta | {"model": "unet3d"})
    for command, argv in commands_with(tmp_path / "other.ckpt", phantom, tmp_path)[:2]:
        refused(command, argv, "other.ckpt: a checkpoint of unet3d, not of vnet; give --model unet3d")
    assert not left_behind(tmp_path / "out")


def test_a_checkpoint_of_another_network(refused, phantom, tmp_path, checkpoint):
    def wider(meta: dict) -> dict:
        return meta | {"recipe": meta["recipe"] | {"network": meta["recipe"]["network"] | {"width": 3}}}

    rewritten(checkpoint, tmp_path / "wider.ckpt", wider)
    commands = commands_with(tmp_path / "wider.ckpt", phantom, tmp_path, ["--width", "3"])
    for command, argv in commands:
        refused(command, argv, "wider.ckpt: a checkpoint of another network", "of another shape; first: ")
    assert not left_behind(tmp_path / "out")


def test_a_checkpoint_of_another_version(refused, phantom, tmp_path, checkpoint):
    rewritten(checkpoint, tmp_path / "old.ckpt", lambda meta: meta | {"recipe": meta["recipe"] | {"extra": {"a": 1}}})
    for command, argv in commands_with(tmp_path / "old.ckpt", phantom, tmp_path)[:2]:
        refused(command, argv, "old.ckpt: its recipe does not fit this version: recipe key extra.a is unknown")


def test_a_run_that_cannot_be_resumed(refused, tmp_path, run_folder):
    refused(train_vnet, [*CPU, "--resume", tmp_path / "none"], "none/last.ckpt: no such checkpoint")
    refused(train_vnet, [*CPU, "--resume", run_folder], run_folder, "1 epochs are done; give a larger --epochs")


def test_a_run_is_not_written_over_another(refused, phantom, tmp_path, run_folder):
    (tmp_path / "train.csv").write_text("Case02.mhd\n")
    before = (run_folder / "last.ckpt").read_bytes()
    refused(train_vnet, train_argv(phantom, tmp_path / "train.csv", run_folder), "holds a run already", "--resume")
    assert (run_folder / "last.ckpt").read_bytes() == before


def test_a_damaged_record_beside_the_newest_run(refused, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "last.ckpt").touch()
    (tmp_path / "run" / "recipe.json").write_text('{"model": "une')
    argv = [*CPU, "--model", "unet3d", "--output_path", tmp_path, "--continue_training", "--dim", "3", "--fold", "0"]
    refused(train.main, argv, "run/recipe.json: not JSON", "remove that run")
    assert left_behind(tmp_path) == ["run/last.ckpt", "run/recipe.json"]
