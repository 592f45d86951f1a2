"""What a user can get wrong, through the real commands: exit status 2, one line that names the culprit, nothing left.

The commands run in this process, so that MindSpore starts once; standard error is read from its file descriptor, where
MindSpore's own messages would show, too.
"""

import os
import re
import resource
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from mindvoxel import log
from mindvoxel.cli import create_csv, export, phantom, train
from mindvoxel.cli import eval as evaluate
from mindvoxel.cli import main as mindvoxel
from mindvoxel.volume import Volume, read_volume, write_volume

TINY = [
    *("--recipe", "small", "--width", "2", "--down_convs", "1,1", "--up_convs", "1,1", "--patch_size", "8,16,16"),
    *("--spacing_mm", "6,4,4", "--epochs", "1", "--batch_size", "1", "--repeats", "1", "--num_workers", "0"),
]
CPU = ["--device_target", "CPU"]
BAR = re.compile(r"^[^:]+: +\d+%\|.*\]$")
ESCAPES = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


@pytest.fixture
def refused(capfd):
    """refused(command, argv, *parts): status 2, and one line that has all `parts`, beside progress bars."""
    return refused_by(capfd)


@pytest.fixture
def refused_in_python(capsys):
    """The same without what lies below Python, in memory and not in a file that a limit would hit, too."""
    return refused_by(capsys)


def refused_by(capture):
    def check(command, argv: list, *parts: str) -> str:
        capture.readouterr()
        status = command([str(word) for word in argv])
        text = ESCAPES.sub("", capture.readouterr().err)
        lines = [line.strip() for line in re.split(r"[\r\n]+", text)]
        lines = [line for line in lines if line and not BAR.match(line)]
        assert len(lines) == 1, text
        assert lines[0].startswith("error: ")
        for part in parts:
            assert str(part) in lines[0]
        assert status == 2
        return lines[0]

    return check


@pytest.fixture
def data(phantom, tmp_path) -> Path:
    """Case00 and Case01 of the phantom, to damage."""
    for folder in ("img", "gt"):
        (tmp_path / "data" / folder).mkdir(parents=True)
        for path in sorted((phantom / folder).glob("Case0[01]*")):
            shutil.copy(path, tmp_path / "data" / folder)
    (tmp_path / "train.csv").write_text("Case00.mhd\nCase01.mhd\n")
    return tmp_path / "data"


@pytest.fixture(scope="module")
def run_folder(phantom, tmp_path_factory) -> Path:
    """A run of one epoch on one case, from a CSV of a single line with CRLF: both must work."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "train.csv").write_bytes(b"Case02.mhd\r\n")
    assert train_main(phantom, folder / "train.csv", folder / "run") == 0
    return folder / "run"


@pytest.fixture(scope="module")
def checkpoint(run_folder) -> Path:
    return run_folder / "last.ckpt"


def train_argv(data, csv, output, *flags) -> list:
    return [*CPU, "--data_path", data, "--train_split_file_path", csv, "--output_path", output, *TINY, *flags]


def train_main(*args) -> int:
    return train.main([str(word) for word in train_argv(*args)], model="vnet")


def train_vnet(argv: list) -> int:
    return train.main(argv, model="vnet")


def eval_vnet(argv: list) -> int:
    return evaluate.main(argv, model="vnet")


def export_vnet(argv: list) -> int:
    return export.main(argv, model="vnet")


def left_behind(folder: Path) -> list[str]:
    """Files below `folder` except logs."""
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file() and p.suffix != ".log")


def replace_text(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert re.search(old, text)
    path.write_text(re.sub(old, new, text))


def missing_raw(data: Path) -> tuple[str, ...]:
    (data / "img" / "Case00.raw").unlink()
    return "Case00.raw", "not there", "copy both files together"


def truncated_raw(data: Path) -> tuple[str, ...]:
    with (data / "img" / "Case00.raw").open("r+b") as file:
        file.truncate(1000)
    return "Case00.raw", "truncated, 1000 bytes", "copy it again"


def truncated_label(data: Path) -> tuple[str, ...]:
    with (data / "gt" / "Case01_segmentation.raw").open("r+b") as file:
        file.truncate(1000)
    return "Case01_segmentation.raw", "truncated, 1000 bytes"


def no_label(data: Path) -> tuple[str, ...]:
    (data / "gt" / "Case01_segmentation.mhd").unlink()
    return "Case01.mhd: has no label", "gt/Case01_segmentation.mhd is needed"


def label_of_another_shape(data: Path) -> tuple[str, ...]:
    label = read_volume(data / "gt" / "Case00_segmentation.mhd")
    (data / "gt" / "Case00_segmentation.mhd").unlink()
    write_volume(
        data / "gt" / "Case00_segmentation.nrrd",
        Volume(label.voxels[1:], label.spacing_mm, label.origin_mm, label.direction),
    )
    return "Case00_segmentation.nrrd: its shape (z, y, x) is", "Case00.mhd", "both are needed on one grid"


def label_of_another_place(data: Path) -> tuple[str, ...]:
    replace_text(data / "gt" / "Case00_segmentation.mhd", r"Offset = .*", "Offset = 0 0 0")
    return "Case00_segmentation.mhd: its grid lies up to", "mm away from that of", "Case00.mhd"


def label_of_another_orientation(data: Path) -> tuple[str, ...]:
    replace_text(
        data / "gt" / "Case00_segmentation.mhd", r"TransformMatrix = .*", "TransformMatrix = 1 0 0 0 1 0 0 0 1"
    )
    return "Case00_segmentation.mhd: its grid lies up to", "Case00.mhd"


def sheared_axes(data: Path) -> tuple[str, ...]:
    replace_text(data / "img" / "Case00.mhd", r"TransformMatrix = .*", "TransformMatrix = 1 0 0 0 1 0 0 0.5 1")
    return "Case00.mhd: its axes are not at right angles (direction 1 0 0 0 1 0.5 0 0 1)", "resample it"


def spacing_of_zero(data: Path) -> tuple[str, ...]:
    replace_text(data / "img" / "Case00.mhd", r"ElementSpacing = \S+", "ElementSpacing = 0")
    return "Case00.mhd: spacing", "every axis needs a spacing above 0"


def nan_voxels(data: Path) -> tuple[str, ...]:
    voxels = read_volume(data / "img" / "Case00.mhd").voxels.astype(np.float32)
    voxels[3, 4, 5] = np.nan
    image = read_volume(data / "img" / "Case00.mhd").with_voxels(voxels).to_image()
    (data / "img" / "Case00.mhd").unlink()
    sitk.WriteImage(image, str(data / "img" / "Case00.nii.gz"))
    return "Case00.nii.gz: 1 of", "NaN or infinite"


def four_dimensions(data: Path) -> tuple[str, ...]:
    (data / "img" / "Case00.mhd").unlink()
    sitk.WriteImage(sitk.Image([9, 7, 5, 2], sitk.sitkInt16), str(data / "img" / "Case00.nii.gz"))
    return "Case00.nii.gz: 4-D image (9×7×5×2)", "a 3-D image is needed"


def constant_image(data: Path) -> tuple[str, ...]:
    volume = read_volume(data / "img" / "Case00.mhd")
    (data / "img" / "Case00.mhd").unlink()
    write_volume(data / "img" / "Case00.mha", volume.with_voxels(np.full_like(volume.voxels, 7)))
    return "Case00.mha: constant image, every voxel is 7", "contrast is needed"


def spacing_in_another_unit(data: Path) -> tuple[str, ...]:
    for path in ("img/Case00.mhd", "gt/Case00_segmentation.mhd"):
        replace_text(data / path, r"ElementSpacing = .*", "ElementSpacing = 1e5 1e5 1e6")
    return "Case00.mhd: ", "is its spacing (1000000.0, 100000.0, 100000.0) mm right?"


def name_that_is_not_there(data: Path) -> tuple[str, ...]:
    (data.parent / "train.csv").write_text("Case00.mhd\nCase77.mhd\n")
    return "no image of case Case77", "take the name out of the split file"


def empty_csv(data: Path) -> tuple[str, ...]:
    (data.parent / "train.csv").write_text("\r\n\r\n")
    return "train.csv: empty split file", "one file name a line"


def missing_csv(data: Path) -> tuple[str, ...]:
    (data.parent / "train.csv").unlink()
    return "train.csv: no such split file", "create_csv.sh"


def binary_csv(data: Path) -> tuple[str, ...]:
    (data.parent / "train.csv").write_bytes(bytes(range(256)))
    return "train.csv: not a text file in UTF-8", "one file name a line"


def name_given_twice(data: Path) -> tuple[str, ...]:
    (data.parent / "train.csv").write_text("Case00.mhd\nCase00.nii.gz\n")
    return "case Case00 is named more than once"


def no_folder(data: Path) -> tuple[str, ...]:
    shutil.rmtree(data)
    return "img: no such folder", "PROMISE12 layout needs img/ and gt/"


DAMAGES = [
    missing_raw,
    truncated_raw,
    truncated_label,
    no_label,
    label_of_another_shape,
    label_of_another_place,
    label_of_another_orientation,
    sheared_axes,
    spacing_of_zero,
    nan_voxels,
    four_dimensions,
    constant_image,
    spacing_in_another_unit,
    name_that_is_not_there,
    empty_csv,
    missing_csv,
    binary_csv,
    name_given_twice,
    no_folder,
]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_training_on_bad_data(refused, data, tmp_path, damage):
    parts = damage(data)
    refused(train_vnet, train_argv(data, tmp_path / "train.csv", tmp_path / "out"), *parts)
    assert not left_behind(tmp_path / "out")


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_evaluating_on_bad_data(refused, data, tmp_path, damage, checkpoint):
    parts = damage(data)
    argv = [*CPU, "--ckpt_path", checkpoint, "--data_path", data, "--output_path", tmp_path / "out"]
    refused(eval_vnet, [*argv, "--eval_split_file_path", tmp_path / "train.csv"], *parts)
    assert not left_behind(tmp_path / "out")


def test_bad_validation_data_ends_the_training_before_it_starts(refused, data, tmp_path):
    (tmp_path / "train.csv").write_text("Case01.mhd\n")
    (tmp_path / "val.csv").write_text("Case00.mhd\n")
    refused(train_vnet, train_argv(data, tmp_path / "train.csv", tmp_path / "out"), *truncated_raw(data))
    assert not left_behind(tmp_path / "out")


def test_a_single_line_with_crlf_is_evaluated_and_masks_are_whole(phantom, tmp_path, checkpoint):
    (tmp_path / "val.csv").write_bytes(b"\xef\xbb\xbfCase03.mhd\r\n")
    argv = [*CPU, "--ckpt_path", checkpoint, "--data_path", phantom, "--output_path", tmp_path / "out"]
    assert eval_vnet([str(word) for word in [*argv, "--eval_split_file_path", tmp_path / "val.csv"]]) == 0
    assert left_behind(tmp_path / "out") == ["Case03_prediction.mha", "metrics.csv", "summary.json"]
    mask = read_volume(tmp_path / "out" / "Case03_prediction.mha")
    assert np.allclose(mask.corners_mm(), read_volume(phantom / "img" / "Case03.mhd").corners_mm(), atol=1e-3)


def test_a_run_leaves_what_it_should_and_nothing_partial(run_folder):
    assert left_behind(run_folder) == ["last.ckpt", "metrics.jsonl", "recipe.json"]


def test_what_may_be_meant_is_said(data, tmp_path, capsys):
    """A label without foreground, and a case in both splits: no errors, but in the log."""
    label = read_volume(data / "gt" / "Case00_segmentation.mhd")
    (data / "gt" / "Case00_segmentation.mhd").unlink()
    write_volume(data / "gt" / "Case00_segmentation.mha", label.with_voxels(np.zeros_like(label.voxels)))
    (tmp_path / "val.csv").write_text("Case01.mhd\n")
    assert train_main(data, tmp_path / "train.csv", tmp_path / "out") == 0
    told = capsys.readouterr().out
    assert "no foreground in the training label of Case00; nothing is learnt" in told
    assert "in training and validation both, so that its score proves little: Case01" in told


# Checkpoints


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


# Where the output goes


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
    ]


@pytest.mark.parametrize("number", range(6), ids=["create_csv", "phantom", "train", "eval", "mindir", "onnx"])
def test_an_output_folder_below_a_file(refused, phantom, tmp_path, checkpoint, number):
    (tmp_path / "file").touch()
    command, argv = outputs(checkpoint, phantom, tmp_path / "one.csv", tmp_path / "file" / "out")[number]
    refused(command, argv, tmp_path / "file", "choose another folder")


@pytest.mark.parametrize("number", range(6), ids=["create_csv", "phantom", "train", "eval", "mindir", "onnx"])
def test_a_full_disk(refused_in_python, phantom, tmp_path, checkpoint, number):
    """create_csv meets it at its first file, eval at its mask; the others after their logs."""
    out = tmp_path / "out"
    out.mkdir()
    command, argv = outputs(checkpoint, phantom, tmp_path / "one.csv", out)[number]
    with file_size_limit(100 if number == 0 else 2500):
        refused_in_python(command, argv, out, "choose another folder, or free it")
    kept = {"train.csv", "metrics.jsonl", "recipe.json"}
    assert set(left_behind(out)) <= kept


@pytest.mark.parametrize("number", range(6), ids=["create_csv", "phantom", "train", "eval", "mindir", "onnx"])
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


@pytest.mark.parametrize("number", range(6), ids=["create_csv", "phantom", "train", "eval", "mindir", "onnx"])
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


# Flags


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
        export_vnet, [*argv, "--file_format", "TFLITE"], "--file_format must be one of MINDIR, ONNX, AIR, got 'TFLITE'"
    )
    refused(export_vnet, [*argv, "--batch_size", "0"], "--batch_size must be 1 or more, got 0")
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
