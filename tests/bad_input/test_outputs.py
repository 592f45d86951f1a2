"""Folders that cannot be written, and full disks: every command that writes says so and leaves nothing half-written."""

import os
import resource
import shutil
import subprocess
from contextlib import contextmanager
from pathlib import Path

import pytest

from mindvoxel import log
from mindvoxel.cli import create_csv
from mindvoxel.cli import main as mindvoxel

from .conftest import CPU, eval_vnet, export_vnet, left_behind, train_argv, train_vnet

COMMANDS = ["create_csv", "phantom", "train", "eval", "mindir", "onnx", "bundle"]


@contextmanager
def file_size_limit(num_bytes: int):
    """A disk that is full after `num_bytes` in any one file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture(scope="module")
def tiny_disk():
    """A file system of 64 KiB, where one can be mounted."""
    folder = Path("/tmp") / f"mindvoxel-disk-{os.getpid()}"
    folder.mkdir()
    size = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    try:
        done = subprocess.run(size, capture_output=True, check=False, timeout=10)
        if done.returncode:
            pytest.skip("no file system can be mounted here: the disk is filled by a limit on file sizes only")
        yield folder
        subprocess.run(["umount", str(folder)], check=True, timeout=10)
    finally:
        folder.rmdir()


def outputs(checkpoint: Path, phantom: Path, csv: Path, out: Path) -> list[tuple]:
    """Each command, with its arguments, that writes below `out`."""
    csv.write_text("Case02.mhd\n")
    scored = [*CPU, "--ckpt_path", checkpoint, "--data_path", phantom, "--eval_split_file_path", csv]
    return [
        (create_csv.main, ["--output_path", out]),
        (mindvoxel.main, ["phantom", "--output_path", out / "data", "--num_cases", "1"]),
        (train_vnet, train_argv(phantom, csv, out)),
        (eval_vnet, [*scored, "--output_path", out]),
        (export_vnet, [*CPU, "--ckpt_file", checkpoint, "--file_name", out / "vnet"]),
        (export_vnet, [*CPU, "--ckpt_file", checkpoint, "--file_name", out / "vnet", "--file_format", "ONNX"]),
        (export_vnet, [*CPU, "--ckpt_file", checkpoint, "--file_name", out / "vnet", "--file_format", "BUNDLE"]),
    ]


@pytest.mark.parametrize("number", range(len(COMMANDS)), ids=COMMANDS)
def test_an_output_folder_below_a_file(refused, phantom, tmp_path, checkpoint, number):
    (tmp_path / "file").touch()
    command, argv = outputs(checkpoint, phantom, tmp_path / "one.csv", tmp_path / "file" / "out")[number]
    refused(command, argv, tmp_path / "file", "choose another folder")


@pytest.mark.parametrize("number", range(len(COMMANDS)), ids=COMMANDS)
def test_a_full_disk(refused_in_python, phantom, tmp_path, checkpoint, number):
    """create_csv meets it at its first file, eval at its mask; the others after their logs."""
    out = tmp_path / "out"
    out.mkdir()
    command, argv = outputs(checkpoint, phantom, tmp_path / "one.csv", out)[number]
    with file_size_limit(100 if number == 0 else 2500):
        refused_in_python(command, argv, out, "choose another folder, or free it")
    kept = {"train.csv", "metrics.jsonl", "recipe.json"}
    assert set(left_behind(out)) <= kept


@pytest.mark.parametrize("number", range(len(COMMANDS)), ids=COMMANDS)
@pytest.mark.parametrize("free_bytes", [0, 20_000], ids=["full", "nearly full"])
def test_a_full_file_system(refused, phantom, tmp_path, tiny_disk, checkpoint, number, free_bytes):
    if number == 0:
        free_bytes = 0  # two lists of names are small
    out = tiny_disk / "out"
    out.mkdir()
    try:
        (tiny_disk / "filler").write_bytes(b"x" * (40_000 - free_bytes))
        if not free_bytes:
            fill(tiny_disk / "more")
        command, argv = outputs(checkpoint, phantom, tmp_path / "one.csv", out)[number]
        refused(command, argv, tiny_disk, "choose another folder, or free it")
        assert set(left_behind(out)) <= {"metrics.jsonl", "recipe.json"}
        assert not list(tiny_disk.rglob(".partial*"))
    finally:
        log.set_up()  # closes the log of the command, whose room would stay taken
        for path in tiny_disk.iterdir():
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 512)
        except OSError:
            return


@contextmanager
def another_user():
    """Root may write anywhere: be nobody for a while."""
    if os.geteuid():
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.parametrize("number", range(len(COMMANDS)), ids=COMMANDS)
def test_a_read_only_folder(refused, phantom, tmp_path, checkpoint, number):
    out = tmp_path / "read_only"
    out.mkdir()
    command, argv = outputs(checkpoint, phantom, tmp_path / "one.csv", out)[number]
    modes = {}
    if os.geteuid() == 0:  # the folders of a test are closed to others
        roots = (tmp_path, phantom, checkpoint.parent)
        modes = {path: path.stat().st_mode for root in roots for path in (root, *root.parents) if path != Path("/")}
    try:
        for path, mode in modes.items():
            path.chmod(mode | 0o055)
        out.chmod(0o555)
        with another_user():
            if not os.access(checkpoint, os.R_OK, effective_ids=True):
                pytest.skip("the data cannot be read by another user than root")
            refused(command, argv, out, "Permission denied; choose another folder")
    finally:
        for path, mode in modes.items():
            path.chmod(mode)
    assert not list(out.iterdir())
