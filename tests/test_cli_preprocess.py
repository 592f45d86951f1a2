"""mindvoxel preprocess as a user runs it: the files it leaves, what a second run does, what it says of bad input."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from mindvoxel.cli import plan as plan_command
from mindvoxel.cli import preprocess
from mindvoxel.data.plan import preprocessing_key, read_plan
from mindvoxel.data.splits import read_splits
from mindvoxel.data.store import check_fresh, list_cases, open_case
from mindvoxel.volume import Volume, write_volume

from .conftest import ROOT, SHARED


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    """An MSD folder of six CT cases with two classes, of different sizes and spacings."""
    root = tmp_path_factory.mktemp("Task99_Made")
    rng, training = np.random.default_rng(1), []
    for sub in ("imagesTr", "labelsTr"):
        (root / sub).mkdir()
    for number in range(6):
        shape, name = (8, 20 + number, 22), f"case_{number}.nii.gz"
        label = np.zeros(shape, np.uint8)
        label[2:5, 4:12, 5:13], label[3:6, 8:11, 6:10] = 1, 2
        image = (rng.normal(40, 5, shape) + 30 * label).astype(np.int16)
        for sub, voxels in (("imagesTr", image), ("labelsTr", label)):
            write_volume(root / sub / name, Volume(voxels, (2.0, 0.9 + 0.05 * number, 1.0)))
        training.append({"image": f"./imagesTr/{name}", "label": f"./labelsTr/{name}"})
    labels = {"0": "background", "1": "organ", "2": "lesion"}
    meta = {"name": "Made", "modality": {"0": "CT"}, "labels": labels, "training": training, "test": []}
    (root / "dataset.json").write_text(json.dumps(meta))
    return root


@pytest.fixture
def data(source, tmp_path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(source, tmp_path / "data", copy_function=shutil.copy2))


def run(*words) -> int:
    return preprocess.main([*map(str, words), "--workers", "0"])


def refused(capfd, *words) -> str:
    """The one line on standard error beside progress bars; exit status 2."""
    capfd.readouterr()
    assert run(*words) == 2
    lines = [line for line in re.split(r"[\r\n]+", capfd.readouterr().err) if line and not re.search(r"\d+%\|", line)]
    assert len(lines) == 1, lines
    assert lines[0].startswith("error: ")
    return lines[0]


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_one_command_from_a_folder_to_cases(source, tmp_path, capfd):
    assert run("--data", source, "--output", tmp_path / "out") == 0
    out = capfd.readouterr().out
    assert re.search(r"take about \d+\.\d MB on disk, and one worker up to 16\d\.\d MB of memory", out)
    assert re.search(r"out: 6 cases, .* MB on disk, 0 workers, \d+\.\d s", out)
    plan = read_plan(tmp_path / "out" / "plan.json")
    names = [f"case_{i}" for i in range(6)]
    assert len(read_splits(tmp_path / "out" / "splits.json", names)) == 5
    assert {"2d", "3d_fullres"} <= set(plan.configurations)
    for name, config in plan.configurations.items():
        assert list_cases(tmp_path / "out" / name) == names
        check_fresh(tmp_path / "out" / name, preprocessing_key(plan, name))
        for case in names:
            stored = open_case(tmp_path / "out" / name, case)
            assert stored.grid.spacing_mm[-2:] == config.spacing_mm[-2:]
            assert set(np.unique(stored.label)) == {0, 1, 2}
    assert not [path for path in (tmp_path / "out").rglob(".partial*")]


def test_a_second_run_does_nothing_and_a_third_what_is_missing(source, tmp_path, capfd):
    assert run("--data", source, "--output", tmp_path) == 0
    before = files(tmp_path)
    capfd.readouterr()
    assert run("--data", source, "--output", tmp_path) == 0
    assert "6 cases, 6 of them from an earlier run" in capfd.readouterr().out
    assert files(tmp_path) == before
    (tmp_path / "2d" / "case_4.case.json").unlink()
    assert run("--data", source, "--output", tmp_path) == 0
    assert "6 cases, 5 of them from an earlier run" in capfd.readouterr().out
    assert files(tmp_path) == before


def test_only_what_is_asked_for(source, tmp_path):
    assert run("--data", source, "--output", tmp_path, "--configurations", "2d", "--compress") == 0
    assert not (tmp_path / "3d_fullres").exists()
    assert len(list((tmp_path / "2d").glob("*.npz"))) == 6
    assert not list((tmp_path / "2d").glob("*.npy"))


def test_a_dry_run_makes_no_case_and_shards_need_it(source, tmp_path, capfd):
    shards = [("--data", source, "--output", tmp_path / "parts", "--shard", f"{i}/2") for i in range(2)]
    assert "run once with --plan_only before --shard" in refused(capfd, *shards[0])
    assert run("--data", source, "--output", tmp_path / "parts", "--dry-run") == 0
    assert "MB on disk" in capfd.readouterr().out
    found = {path.name for path in (tmp_path / "parts").iterdir()}
    assert found == {"dataset.json", "fingerprint.json", "plan.json", "splits.json"}
    for shard in shards:
        assert run(*shard) == 0
    assert run("--data", source, "--output", tmp_path / "whole") == 0
    assert files(tmp_path / "parts") == files(tmp_path / "whole")


def test_an_edited_plan_is_kept_and_stale_cases_are_refused(source, tmp_path, capfd):
    assert run("--data", source, "--output", tmp_path, "--configurations", "3d_fullres") == 0
    assert "it needs --planner nvidia" in refused(capfd, "--data", source, "--output", tmp_path, "--task", "04")
    words = ["--data", tmp_path, "--configuration", "3d_fullres", "--spacing_mm", "2,1,1.2"]
    assert plan_command.main(list(map(str, words))) == 0
    text = refused(capfd, "--data", source, "--output", tmp_path, "--configurations", "3d_fullres")
    assert "is (2.0, 1.0, 1.2)" in text
    assert "add --overwrite" in text
    again = ("--data", source, "--output", tmp_path, "--configurations", "3d_fullres", "--overwrite")
    assert run(*again) == 0
    assert open_case(tmp_path / "3d_fullres", "case_0").grid.spacing_mm == (2.0, 1.0, 1.2)


def test_nvidia_s_rules_pad_and_keep_their_own_folds(source, tmp_path):
    assert run("--data", source, "--output", tmp_path, "--planner", "nvidia", "--configurations", "3d_fullres") == 0
    config = read_plan(tmp_path / "plan.json").configurations["3d_fullres"]
    shapes = [open_case(tmp_path / "3d_fullres", f"case_{i}").image.shape[1:] for i in range(6)]
    assert all(n >= patch for shape in shapes for n, patch in zip(shape, config.patch_size, strict=True))


def test_changed_data_are_verified_and_measured_anew(data, tmp_path, capfd):
    out = tmp_path / "out"
    assert run("--data", data, "--output", out) == 0
    label = data / "labelsTr" / "case_2.nii.gz"
    image = sitk.ReadImage(str(label))
    image[3, 3, 3] = 7
    sitk.WriteImage(image, str(label))
    text = refused(capfd, "--data", data, "--output", out)
    assert "1 fault in 1 of 6 cases" in text
    assert "the plan knows the label values 0, 1, 2" in refused(capfd, "--data", data, "--output", out, "--no_verify")


def test_a_plan_of_data_that_have_changed_is_kept_and_that_is_said(data, tmp_path, capfd):
    out = tmp_path / "out"
    assert run("--data", data, "--output", out, "--plan_only", "--no_verify") == 0
    assert run("--data", data, "--output", out, "--plan_only") == 0  # verified now, and the same
    assert "not those that it was made of" not in capfd.readouterr().out
    image = sitk.ReadImage(str(data / "imagesTr" / "case_2.nii.gz"))
    sitk.WriteImage(image + 3, str(data / "imagesTr" / "case_2.nii.gz"))
    plan = (out / "plan.json").read_bytes()
    assert run("--data", data, "--output", out, "--plan_only") == 0
    assert "plan.json: the data are not those that it was made of" in capfd.readouterr().out
    assert (out / "plan.json").read_bytes() == plan


def test_every_missing_file_is_told_before_anything_is_written(data, tmp_path, capfd):
    for path in ("imagesTr/case_1.nii.gz", "labelsTr/case_4.nii.gz"):
        (data / path).unlink()
    text = refused(capfd, "--data", data, "--output", tmp_path / "out")
    assert "2 faults in 2 of 6 cases" in text
    assert not list((tmp_path / "out").iterdir())


def test_few_cases_get_no_folds_and_say_so(data, tmp_path, capfd):
    meta = json.loads((data / "dataset.json").read_text())
    meta["training"] = meta["training"][:2]
    (data / "dataset.json").write_text(json.dumps(meta))
    assert run("--data", data, "--output", tmp_path / "out") == 0
    assert "5 folds need as many cases and there are 2" in capfd.readouterr().out
    assert not (tmp_path / "out" / "splits.json").exists()
    assert list_cases(tmp_path / "out" / "2d") == ["case_0", "case_1"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--shard", "2/2"], "i/n with i from 0 to n-1 is needed, got '2/2'"),
        (["--shard", "-1/2"], "--shard"),
        (["--shard", "1"], "got '1'"),
        (["--shard", "0/2", "--overwrite"], "--overwrite removes the cases of all shards"),
        (["--planner", "magic"], "--planner magic is unknown"),
        (["--configurations", "4d"], "the plan has no 4d; choose from 2d"),
        (["--memory_gb", "-3"], "--memory_gb must be above 0"),
        (["--spacing_mm", "1,1"], "three spacings above 0"),
        (["--layout", "dicom"], "layout 'dicom' is unknown"),
        (["--data", "nowhere"], "nowhere: no such folder"),
        (["--wrokers", "2"], "--wrokers"),
    ],
)
def test_bad_input_gets_one_sentence(source, tmp_path, capfd, words, says):
    assert says in refused(capfd, "--data", source, "--output", tmp_path / "out", *words)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--planner", "nvidia"], "its planner is nnunet_v2, and nvidia is needed"),
        (["--memory_gb", "40"], "its memory_gb is 8"),
    ],
)
def test_a_plan_by_other_rules_is_not_replaced(source, tmp_path, capfd, words, says):
    assert run("--data", source, "--output", tmp_path, "--plan_only") == 0
    before = files(tmp_path)
    assert says in refused(capfd, "--data", source, "--output", tmp_path, *words)
    assert files(tmp_path) == before


def test_a_plan_of_other_labels_is_refused(data, tmp_path, capfd):
    assert run("--data", data, "--output", tmp_path / "out", "--plan_only") == 0
    text = (data / "dataset.json").read_text()
    (data / "dataset.json").write_text(text.replace("lesion", "tumour"))
    assert "plan.json: its labels" in refused(capfd, "--data", data, "--output", tmp_path / "out")


def test_splits_of_other_cases_are_refused_before_the_work(source, tmp_path, capfd):
    (tmp_path / "splits.json").write_text('[{"train": ["case_0"], "val": ["case_9"]}]')
    assert "splits.json" in refused(capfd, "--data", source, "--output", tmp_path)
    assert not (tmp_path / "2d").exists()


@pytest.mark.parametrize(
    ("words", "file"),
    [
        (["--planner", "magic"], None),
        (["--memory_gb", "nan"], None),
        (["--task", "04"], None),
        ([], "plan.json"),
        ([], "splits.json"),
    ],
)
def test_what_is_wrong_beside_the_data_is_told_before_they_are_read(source, tmp_path, capfd, monkeypatch, words, file):
    monkeypatch.setattr(preprocess, "verify", lambda *_, **__: pytest.fail("the data set was read first"))
    if file:
        (tmp_path / file).write_text("[")
    assert (file or words[0]) in refused(capfd, "--data", source, "--output", tmp_path, *words)


def test_a_damaged_fingerprint_is_taken_anew(source, tmp_path, capfd):
    assert run("--data", source, "--output", tmp_path, "--plan_only") == 0
    before = files(tmp_path)
    (tmp_path / "fingerprint.json").write_text("[]")
    assert run("--data", source, "--output", tmp_path, "--plan_only") == 0
    assert "taken anew, since it cannot be read" in capfd.readouterr().out
    assert files(tmp_path) == before


def test_memory_is_predicted_for_wide_types_in_the_files(source, tmp_path, monkeypatch):
    """Reading float64 takes more than what is made of it."""
    asked = []
    monkeypatch.setattr(preprocess, "predicted_bytes", lambda _: 10**12)
    monkeypatch.setattr(preprocess, "choose_workers", lambda requested, size: asked.append(size) or requested)
    assert run("--data", source, "--output", tmp_path, "--configurations", "2d") == 0
    assert asked == [10**12] * 2


@pytest.mark.slow
def test_the_root_script_and_two_workers_on_real_scans(tmp_path):
    """hippocampus: 200 cases at 1 mm, so that 2d and 3d_fullres are the same voxels."""
    folder = SHARED / "Task04_Hippocampus"
    if not folder.is_dir():
        pytest.skip(f"{folder} is absent: the MSD's hippocampus is needed")
    command = [sys.executable, ROOT / "preprocess.py", "--data", folder, "--output", tmp_path, "--workers", "2"]
    done = subprocess.run(
        [*map(str, command), "--configurations", "2d,3d_fullres"],
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "200 cases, 200 times one file for two equal configurations" in done.stdout
    case = open_case(tmp_path / "3d_fullres", "hippocampus_243")
    assert set(np.unique(case.label)) == {0, 1, 2}
    assert abs(float(case.image.mean())) < 1e-4
    assert float(case.image.std()) == pytest.approx(1, abs=1e-4)
