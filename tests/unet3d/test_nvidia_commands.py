"""The README's table of NVIDIA's commands: each of ours is run as it stands there, in order, on made-up data."""

import hashlib
import io
import json
import re
import shlex
import tarfile
import threading

import numpy as np
import pytest

from mindvoxel.cli import eval as evaluate
from mindvoxel.cli import export, predict, preprocess, train
from mindvoxel.cli import main as mindvoxel
from mindvoxel.volume import read_volume

from ..conftest import ROOT
from ..datasets.test_download import Server
from .conftest import write_folder

COMMANDS = {
    "mindvoxel": mindvoxel.main,
    "python preprocess.py": preprocess.main,
    "python train.py": train.main,
    "python predict.py": predict.main,
    "python eval.py": evaluate.main,
    "python export.py": export.main,
}
# Appended, so that it takes seconds; nothing else of a command is changed.
TINY = "--first_filters 2 --epochs 1 --steps_per_epoch 1 --batch_size 2 --val_steps 1 --num_workers 0 --tta none"
QUICK = "--bench_steps 2 --bench_warmup_steps 1"
CPU = "--device_target CPU"
WORKERS = "--workers 0"


def tables() -> list[list[tuple[str, str]]]:
    """The rows of the commands, and those of the flags: NVIDIA's and ours."""
    section = (ROOT / "unet3d" / "README.md").read_text().split("## NVIDIA's commands")[1].split("\n## ")[0]
    found = re.findall(r"^\| --- \| --- \|\n((?:\|.*\n)+)", section, re.MULTILINE)
    return [[tuple(cell.strip() for cell in row.strip("|").split(" | ")) for row in t.splitlines()] for t in found]


def ours(what: str) -> str:
    """Our command in the row of NVIDIA's that holds `what`."""
    (command,) = [right for left, right in tables()[0] if what in f"{left} |"]
    return command.strip("`")


def call(command: str, *more: str) -> int:
    """A command in this process."""
    words = shlex.split(" ".join([command, *more]))
    name = words.pop(0) if words[0] == "mindvoxel" else f"{words.pop(0)} {words.pop(0)}"
    return COMMANDS[name](words)


def archive() -> bytes:
    """Task04_Hippocampus as the public copy has it, of seven made-up cases."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        tar.add("made", "Task04_Hippocampus")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A working folder in which every row but those of the benchmarks was run."""
    folder = tmp_path_factory.mktemp("nvidia")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        write_folder(folder / "made", num_tests=1)
        server = Server()
        server.content = archive()
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        sum_ = hashlib.md5(server.content).hexdigest()
        assert call(ours("download.py"), "--source", server.url, "--md5", sum_) == 0
        server.shutdown()
        server.server_close()
        assert call(ours("preprocess.py --task 04 --dim 3`"), WORKERS) == 0
        assert call(ours("scripts/train.py --task 04 --dim 3 --fold 0` |"), TINY, CPU) == 0
        assert call(ours("scripts/inference.py"), CPU) == 0
        assert call(ours("--exec-mode evaluate"), CPU) == 0
        assert call(ours("evaluate.py --preds"), WORKERS) == 0
        assert call(ours("--exec-mode export"), CPU) == 0
        yield folder


def test_every_row_is_run_by_these_tests():
    rows = tables()[0]
    assert len(rows) == 10
    assert len({left for left, _ in rows}) == 10
    assert all(right.strip("`").startswith(tuple(COMMANDS)) for _, right in rows)


def test_downloaded_planned_and_trained_as_nvidia_does(folder):
    assert (folder / "Task04_Hippocampus" / "imagesTs" / "case_6.nii.gz").is_file()
    assert json.loads((folder / "hippocampus" / "plan.json").read_text())["planner"] == "nvidia"
    record = json.loads((folder / "results" / "nvidia" / "recipe.json").read_text())
    assert record["recipe"]["network"]["form"] == "nvidia"
    assert (record["dim"], record["fold"], len(record["val_cases"])) == (3, 0, 2)


def test_new_scans_are_segmented_with_their_probabilities(folder):
    mask = read_volume(folder / "results" / "nvidia_masks" / "case_6.nii.gz")
    like = read_volume(folder / "made" / "labelsTr" / "case_0.nii.gz")  # of the same shape, on the same grid
    assert np.allclose(mask.corners_mm(), like.corners_mm(), atol=1e-4)
    paths = sorted((folder / "results" / "nvidia_masks" / "probabilities").iterdir())
    assert [path.name for path in paths] == [f"case_6_{value}.nii.gz" for value in (0, 1, 4)]
    shares = np.stack([read_volume(path).voxels for path in paths])
    assert np.allclose(shares.sum(0), 1, atol=1e-5)
    assert np.array_equal(np.array([0, 1, 4])[shares.argmax(0)], mask.voxels)


def test_evaluated_scored_and_exported(folder):
    found = json.loads((folder / "results" / "nvidia" / "eval-last" / "summary.json").read_text())
    summary = folder / "results" / "nvidia" / "eval-last" / "score-nvidia" / "summary.json"
    scored = json.loads(summary.read_text())
    assert scored["num_cases"] == found["num_cases"] == 2
    assert "empty in both counts 1" in scored["rule"]
    assert (folder / "results" / "nvidia" / "unet3d.mindir").stat().st_size > 1000


@pytest.mark.parametrize(
    ("mode", "tiny", "what"), [("train", TINY, "train"), ("predict", "", "predict")], ids=["train", "predict"]
)
def test_benchmarks_print_nvidia_s_figures(folder, capfd, mode, tiny, what):
    assert call(ours(f"benchmark.py --mode {mode}"), tiny, QUICK, CPU) == 0
    said = capfd.readouterr().out
    for name in (f"throughput_{what}", *(f"latency_{what}_{q}" for q in ("mean", "90", "95", "99"))):
        assert re.search(rf"^(?:3d_fullres: )?{name}: [\d.]+ ", said, re.MULTILINE), said


def test_folds_are_trained_by_one_command(folder):
    """One of the five, by a process of its own."""
    assert call(ours("`--fold 4`"), TINY, "--folds 3 --workers 0", CPU) == 0
    best = json.loads((folder / "results" / "nvidia_folds" / "best.json").read_text())
    assert (best["configurations"], best["folds"], best["num_cases"]) == (["3d_fullres"], [3], 1)


def test_flags_by_their_own_values(folder):
    """A second training that takes up the first, with every value that the table of flags names for train.py."""
    rows = dict(tables()[1])
    words = [rows[f"`{name}`"].strip("`") for name in ("--amp", "--resume-training")]
    words += rows["`--loss-batch-reduction`, `--loss-include-background`"].replace("`", "").split(", ")
    assert words == ["--amp_level O2", "--continue_training", "--batch_dice batch", "--include_background true"]
    words += ["--lookahead false", "--optimizer adam", "--deep-supervision true", "--negative-slope 0.01"]
    assert call(ours("scripts/train.py --task 04 --dim 3 --fold 0` |"), TINY, "--epochs 2", *words, CPU) == 0
    lines = [json.loads(line) for line in (folder / "results" / "nvidia" / "metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2]
    assert "loss_scale" not in lines[0] and lines[1]["loss_scale"] == 2**16
    recipe = json.loads((folder / "results" / "nvidia" / "recipe.json").read_text())["recipe"]
    assert recipe["loss"]["include_background"] is True
    assert recipe["loss"]["batch_dice"] == "batch"


def test_every_flag_of_the_tables_is_one_of_ours(capsys):
    known = ""
    for command in (train.main, predict.main, preprocess.main):
        with pytest.raises(SystemExit):
            command([*(["--model", "unet3d"] if command is train.main else []), "--help"])
        known += capsys.readouterr().out
    rows = tables()[1]
    named = next(left for left, right in rows if right == "the same names")
    named += " ".join(right for _, right in rows)
    flags = {flag.replace("-", "_") for flag in re.findall(r"`--([\w-]+)", named)}
    assert len(flags) > 30
    assert {flag for flag in flags if f"--{flag} " not in known and f"--{flag}\n" not in known} == set()
