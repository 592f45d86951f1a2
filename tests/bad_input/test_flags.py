"""Flags that are missing, unknown, or hold what cannot be: every command refuses them."""

import re
import shutil
import subprocess
import sys

import pytest

from mindvoxel.cli import create_csv, export, phantom, train
from mindvoxel.cli import eval as evaluate
from mindvoxel.cli import main as mindvoxel

from .conftest import CPU, eval_vnet, export_vnet, left_behind, train_argv, train_vnet


@pytest.mark.parametrize(
    ("flags", "parts"),
    [
        (["--patch_size", "8,18,16"], ["--patch_size (8, 18, 16): each axis must be a multiple of 4, which 2 stages"]),
        (["--patch_size", "8,16"], ["data.patch_size must be 3 values, each a whole number, 1 or more, got (8, 16)"]),
        (["--up_convs", "1"], ["--up_convs names 1 stages and --down_convs 2; give both the same number"]),
        (["--batch_size", "4"], ["2 training cases × 1 repeats do not fill one batch of 4", "lower --batch_size"]),
        (["--batch_size", "0"], ["train.batch_size must be a whole number, 1 or more, got 0"]),
        (["--epochs", "0"], ["train.epochs must be a whole number, 1 or more, got 0"]),
        (["--eval_interval", "0"], ["train.eval_interval must be a whole number, 1 or more, got 0"]),
        (["--epochs", "many"], ["--epochs: 'many' does not read as a value like 20"]),
        (["--augment", "perhaps"], ["--augment: 'perhaps' does not read as a value like True"]),
        (["--learning_rate", "nan"], ["optim.learning_rate must be a number above 0, got nan"]),
        (["--amp_level", "O9"], ["train.amp_level must be one of O0, O1, O2, O3, auto, got 'O9'"]),
        (["--spacing_mm", "0,1,1"], ["data.spacing_mm must be 3 values, each a number above 0, got (0.0, 1.0, 1.0)"]),
        (["--mirror_axes", "0,3"], ["eval.mirror_axes must be axes out of 0, 1 and 2, each once, got (0, 3)"]),
        (["--seed", "-1"], ["train.seed must be a whole number, 0 to 4294967295, got -1"]),
        (["--recipe", "enormous"], ["recipe 'enormous' of vnet is unknown; choose one of default, published, small"]),
        (["--no_such_flag", "1"], ["unrecognized arguments: --no_such_flag 1", "--help says more"]),
        (["--device_id", "first"], ["argument --device_id: invalid int value: 'first'"]),
        (["--run_distribute", "perhaps"], ["--run_distribute: true or false is needed, got 'perhaps'"]),
        (["--epochs"], ["argument --epochs: expected one argument"]),
        (["--device_target", "TPU"], ["device_target must be one of Ascend, GPU, CPU, got 'TPU'"]),
        (["--ckpt_path", "none.ckpt"], ["none.ckpt: no such checkpoint"]),
        (["--eval_split_file_path", "none.csv"], ["none.csv: no such split file"]),
    ],
    ids=lambda value: " ".join(value) if value[0].startswith("--") else "",
)
def test_flags_of_training(refused, data, tmp_path, flags, parts):
    refused(train_vnet, train_argv(data, tmp_path / "train.csv", tmp_path / "out", *flags), *parts)
    assert not (tmp_path / "out").exists() or not left_behind(tmp_path / "out")


@pytest.mark.parametrize("missing", ["--data_path", "--train_split_file_path"])
def test_training_without_a_flag_that_it_needs(refused, data, tmp_path, missing):
    argv = train_argv(data, tmp_path / "train.csv", tmp_path / "out")
    at = argv.index(missing)
    refused(train_vnet, argv[:at] + argv[at + 2 :], f"{missing} is needed")
    assert not (tmp_path / "out").exists()


def test_flags_of_evaluation(refused, phantom, tmp_path, checkpoint):
    argv = [*CPU, "--ckpt_path", checkpoint, "--data_path", phantom, "--output_path", tmp_path / "out"]
    refused(
        eval_vnet, [*argv, "--patch_size", "7,16,16"], "--patch_size (7, 16, 16): each axis must be a multiple of 4"
    )
    refused(eval_vnet, [*argv, "--overlap", "1"], "eval.overlap must be a number from 0 to below 1, got 1.0")
    refused(eval_vnet, [*argv, "--blend", "cosine"], "eval.blend must be one of gaussian, constant, got 'cosine'")
    refused(eval_vnet, [*argv, "--epochs", "3"], "unrecognized arguments: --epochs 3")
    refused(eval_vnet, CPU, "--ckpt_path is needed")
    refused(eval_vnet, [*CPU, "--ckpt_path", checkpoint], "--data_path is needed")
    assert not (tmp_path / "out").exists()


def test_flags_of_export(refused, tmp_path, checkpoint):
    argv = [*CPU, "--ckpt_file", checkpoint, "--file_name", tmp_path / "vnet"]
    refused(export_vnet, [*argv, "--file_format", "AIR"], "AIR needs an Ascend backend", "export MINDIR or ONNX here")
    refused(
        export_vnet,
        [*argv, "--file_format", "TFLITE"],
        "--file_format must be one of MINDIR, ONNX, AIR, BUNDLE, got 'TFLITE'",
    )
    refused(export_vnet, [*argv, "--batch_size", "0"], "--batch_size must be 1 or more, got 0")
    bundle = [*argv, "--file_format", "BUNDLE"]
    refused(export_vnet, [*bundle, "--batch_size", "2"], "--batch_size 2: a bundle's files take one window a call")
    refused(export_vnet, [*argv, "--precision", "f16", "--no_verify"], "kept only where it agrees", "--no_verify")
    refused(export_vnet, [*argv, "--verify", "--no_verify"], "--no_verify", "not allowed with", "--verify")
    refused(export_vnet, [*argv, "--precision", "bf16"], "--precision", "'bf16'")
    refused(export_vnet, [*argv, "--postprocessing", "best.json"], "into a bundle, not into MINDIR")
    refused(export_vnet, [*argv, "--reference_case", "scan.mha"], "--reference_case is for", "leave it out")
    refused(export_vnet, [*bundle, "--postprocessing", "best.json"], "vnet has that of its recipe", "leave it out")
    refused(export_vnet, [*bundle, "--prune", "1"], "is of vnet, which has one head")
    absent = tmp_path / "absent.mha"
    refused(export_vnet, [*bundle, "--reference_case", absent], absent, "no such file")
    refused(export_vnet, [*bundle, "--reference_case", absent, absent], absent)
    refused(export_vnet, CPU, "--ckpt_file is needed")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("command", [train.main, evaluate.main, export.main], ids=["train", "eval", "export"])
def test_models(refused, command):
    refused(command, CPU, "--model is needed: one of ")
    refused(command, [*CPU, "--model", "resnet9000"], "--model resnet9000 is unknown; choose one of ", "vnet")
    refused(command, [*CPU, "--model"], "--model is needed")


def test_flags_of_create_csv(refused, data, tmp_path):
    out = ["--output_path", tmp_path / "out"]
    refused(create_csv.main, [*out, "--random", "2"], "argument --random: true or false is needed, got '2'")
    refused(create_csv.main, [*out, "--random", "1", "--seed", "-1"], "seed must be 0 or more, got -1")
    refused(create_csv.main, [*out, "--random", "1", "--eval_fraction", "1"], "eval_fraction must lie between 0 and 1")
    refused(create_csv.main, [*out, "--random", "1", "--data_path", tmp_path], "img: no such folder")
    refused(create_csv.main, [*out, "--seed", "1"], "--seed", "--random 1")  # else it would be ignored
    refused(create_csv.main, [*out, "--data_path", data], data, "--random 1")  # these are not PROMISE12's 50 cases
    assert not (tmp_path / "out").exists()


def test_flags_of_phantom(refused, tmp_path):
    out = ["--output_path", tmp_path / "out"]
    refused(phantom.main, [*out, "--num_cases", "0"], "--num_cases must be 1 or more, got 0")
    refused(phantom.main, [*out, "--seed", "-1"], "--seed must be 0 or more, got -1")
    refused(phantom.main, [], "the following arguments are required: --output_path")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "file").touch()
    refused(phantom.main, out, "out: exists and is not an empty folder")
    assert left_behind(tmp_path) == ["out/file"]


def test_an_unknown_command(refused):
    refused(mindvoxel.main, ["predictt"], "command 'predictt' is unknown; choose one of download, convert")


def test_a_device_number_in_the_environment_that_is_none(refused, monkeypatch):
    monkeypatch.setenv("DEVICE_ID", "first")
    refused(train_vnet, CPU, "argument --device_id: invalid int value: 'first'")


@pytest.mark.parametrize("target", ["GPU", "Ascend"])
def test_a_device_that_is_not_there_is_said_in_one_sentence(tmp_path, target):
    """In a process of its own: this one has chosen the CPU."""
    if shutil.which("nvidia-smi" if target == "GPU" else "npu-smi"):
        pytest.skip(f"this machine may have the {target}")
    code = "import sys; from mindvoxel.cli.train import main; sys.exit(main(model='vnet'))"
    argv = train_argv(tmp_path, tmp_path / "train.csv", tmp_path / "out", "--device_target", target)
    command = [sys.executable, "-c", code, *map(str, argv)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 2
    assert re.fullmatch(
        rf"error: {target}: this MindSpore finds no .*; install it, or choose --device_target CPU\n", done.stderr
    )
    assert not (tmp_path / "out").exists()
