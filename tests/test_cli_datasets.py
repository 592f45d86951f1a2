"""mindvoxel convert and mindvoxel download as a user calls them; bad input is one line and leaves nothing."""

import hashlib
import io
import json
import os
import re
import tarfile
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from mindvoxel.cli import main as mindvoxel
from mindvoxel.data.dataset import read_image, read_label
from mindvoxel.datasets import download as work
from mindvoxel.datasets.layouts import open_dataset
from mindvoxel.volume import Volume, write_volume

# Real scans, where they are: see tests/conftest.py
SHARED = Path(os.environ.get("MINDVOXEL_TEST_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
BAR = re.compile(r"^[^:]+: +\d+%\|.*\]$")


@pytest.fixture
def refused(capfd):
    """refused(argv, *parts): status 2, one line on standard error, beside progress bars, that has all `parts`."""

    def check(argv: list, *parts: str, status: int = 2) -> None:
        capfd.readouterr()
        found = mindvoxel.main([str(word) for word in argv])
        lines = [line.strip() for line in re.split(r"[\r\n]+", capfd.readouterr().err)]
        lines = [line for line in lines if line and not BAR.match(line)]
        assert len(lines) == 1, lines
        assert lines[0].startswith("error: ")
        for part in parts:
            assert part in lines[0]
        assert found == status

    return check


def run(*words) -> None:
    assert mindvoxel.main([str(word) for word in words]) == 0


def small_v2(root: Path, suffix: str = ".nii.gz") -> Path:
    for folder in ("imagesTr", "labelsTr"):
        (root / folder).mkdir(parents=True)
    grid = Volume(np.arange(5 * 7 * 9, dtype=np.int16).reshape(5, 7, 9), (3.0, 0.5, 0.75))
    write_volume(root / "imagesTr" / f"a_0000{suffix}", grid)
    write_volume(root / "labelsTr" / f"a{suffix}", grid.with_voxels((grid.voxels > 99).astype(np.uint8)))
    values = {"channel_names": {"0": "CT"}, "labels": {"background": 0, "spleen": 1}, "file_ending": suffix}
    (root / "dataset.json").write_text(json.dumps(values))
    return root


def tree(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if not p.is_dir())


def test_convert_tells_what_it_did(tmp_path, capsys):
    small_v2(tmp_path / "v2", ".nrrd")
    run("convert", "--data", tmp_path / "v2", "--output", tmp_path / "new" / "msd", "--to", "msd")
    assert "1 cases and 0 test cases as msd; 0 files copied, 2 written anew" in capsys.readouterr().out
    assert tree(tmp_path / "new") == ["msd/dataset.json", "msd/imagesTr/a.nii.gz", "msd/labelsTr/a.nii.gz"]
    run("convert", "--data", tmp_path / "new/msd", "--output", tmp_path / "v1", "--to", "nnunet_v1", "--link", "1")
    assert "2 files linked, 0 written anew" in capsys.readouterr().out
    assert open_dataset(tmp_path / "v1").labels == {"background": 0, "spleen": 1}


def test_spacing_for_what_knows_none(tmp_path, refused):
    root = tmp_path / "png"
    (root / "files").mkdir(parents=True)
    for name in ("a", "b"):
        sitk.WriteImage(sitk.GetImageFromArray(np.ones((7, 9), np.uint8)), str(root / "files" / f"{name}.png"))
    (root / "cases.csv").write_text("case,photo,label\na,files/a.png,files/b.png\n")
    (root / "cases.json").write_text('{"labels": {"background": 0, "cell": 1}}')
    argv = ["convert", "--data", root / "cases.csv", "--output", tmp_path / "out", "--to", "msd"]
    refused(argv, "a.png: knows no spacing", "give the spacing_mm")
    for bad in ("1,1", "1,1,x", "1,1,0", "1,1,-1", "1,1,inf", "nan,1,1"):
        refused([*argv, "--spacing_mm", bad], "three spacings above 0 in mm along z,y,x")
    run(*argv, "--spacing-mm", "5,0.5,0.25")
    assert read_image(open_dataset(tmp_path / "out").cases[0]).spacing_mm == (5.0, 0.5, 0.25)


def test_convert_of_bad_input(tmp_path, refused):
    root = small_v2(tmp_path / "v2")
    argv = ["convert", "--data", root, "--output", tmp_path / "out", "--to"]
    refused([*argv, "dicom"], "--to 'dicom' is unknown; one of msd")
    refused([*argv, "msd", "--layout", "dicom"], "layout 'dicom' is unknown")
    refused([*argv, "msd", "--layout", "promise12"], "img: no such folder")
    refused([*argv, "msd", "--layout", "csv"], "cases.csv: no such file")
    refused([*argv, "msd", "--nonsense", "1"], "unrecognized arguments")
    refused(["convert", "--data", root, "--to", "msd"], "--output")
    refused(["convert", "--data", tmp_path / "x", "--output", tmp_path / "out", "--to", "msd"], "no such folder")
    refused(["convert", "--data", root, "--output", root, "--to", "msd"], "exists and is not an empty folder")
    refused([*argv[:-2], tmp_path / ("x" * 250), "--to", "msd"], "File name too long")
    (tmp_path / "file").touch()
    refused(["convert", "--data", root, "--output", tmp_path / "file", "--to", "msd"], "exists and is not an empty")
    refused(["convert", "--data", root, "--output", tmp_path / "file" / "a", "--to", "msd"], "file")
    (root / "imagesTr" / "a_0000.nii.gz").rename(root / "imagesTr" / "a.nii.gz")
    refused([*argv, "msd"], "expected a_0000.nii.gz, found a.nii.gz")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "v2"]


def test_help_shows_flags_and_defaults(capsys):
    for command, parts in (
        ("convert", ("--link", "default: False", "z,y,x for images")),
        ("download", ("--md5", "04 Hippo")),
    ):
        with pytest.raises(SystemExit):
            mindvoxel.main([command, "--help"])
        text = " ".join(capsys.readouterr().out.split())
        for part in parts:
            assert part in text


def archive(tmp_path: Path) -> tuple[Path, str]:
    root = small_v2(tmp_path / "made")
    run("convert", "--data", root, "--output", tmp_path / "Task04_Hippocampus", "--to", "msd")
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        tar.add(tmp_path / "Task04_Hippocampus", "Task04_Hippocampus")
    (tmp_path / "a.tar").write_bytes(buffer.getvalue())
    return tmp_path / "a.tar", hashlib.md5(buffer.getvalue()).hexdigest()


@pytest.mark.parametrize("task", ["4", "04"])
def test_download_of_a_local_archive(tmp_path, task, capsys):
    path, md5 = archive(tmp_path)
    words = ["download", "--task", task, "--output", tmp_path / "out", "--source", path, "--md5", md5]
    run(*words)
    dataset = open_dataset(tmp_path / "out" / "Task04_Hippocampus")
    assert read_label(dataset.cases[0]).voxels.any()
    assert "Task04_Hippocampus: ready" in capsys.readouterr().out
    run(*words)
    assert "already there, nothing to do" in capsys.readouterr().out


def test_download_of_bad_input(tmp_path, refused, monkeypatch):
    monkeypatch.setattr(work, "WAIT_S", 0.0)
    for task in ("0", "11", "x", "004", "1.0", "-1"):
        refused(["download", f"--task={task}", "--output", tmp_path], f"--task '{task}' is unknown", "01 BrainTumour")
    argv = ["download", "--task", "10", "--output", tmp_path / "out"]
    refused([*argv, "--md5", "xyz"], "--md5 'xyz': 32 hexadecimal digits")
    refused([*argv, "--source", tmp_path / "none.tar"], "none.tar: no such archive")
    refused([*argv, "--source", "file:///etc/passwd"], "neither a file nor an address")
    (tmp_path / "a.tar").write_bytes(b"x")
    refused(
        [*argv, "--source", tmp_path / "a.tar"],
        "a.tar: the md5 sum 9dd4e461268c8034f5c8564e155c67a6",
        work.TASKS["Task10_Colon"],
    )
    refused([*argv, "--source", tmp_path / "a.tar", "--md5", hashlib.md5(b"x").hexdigest()], "not a whole tar archive")
    refused([*argv, "--source", "http://127.0.0.1:9/a.tar"], "run the same command again", status=1)
    assert tree(tmp_path) == ["a.tar"]


@pytest.mark.skipif(not (SHARED / "Task04_Hippocampus").is_dir(), reason=f"needs Task04_Hippocampus in {SHARED}")
def test_the_hippocampus_through_all_layouts(tmp_path):
    before = SHARED / "Task04_Hippocampus"
    for layout in ("nnunet_v2", "csv", "nnunet_v1", "msd"):
        run("convert", "--data", before, "--output", tmp_path / layout, "--to", layout, "--link", 1)
        before = tmp_path / layout
    ours, theirs = open_dataset(before), open_dataset(SHARED / "Task04_Hippocampus")
    assert (ours.name, ours.channels, ours.labels) == (theirs.name, theirs.channels, theirs.labels)
    assert [c.case for c in ours.cases] == [c.case for c in theirs.cases]
    assert all(c.label.resolve() == t.label.resolve() for c, t in zip(ours.cases, theirs.cases, strict=True))


def test_the_prostate_scans_as_nnunet_v2_and_back(tmp_path, prostate_t2):
    run("convert", "--data", prostate_t2, "--output", tmp_path / "v2", "--to", "nnunet_v2")
    run("convert", "--data", tmp_path / "v2", "--output", tmp_path / "back", "--to", "promise12")
    for ours, theirs in zip(open_dataset(tmp_path / "back").cases, open_dataset(prostate_t2).cases, strict=True):
        for read in (read_image, read_label):
            found, wanted = read(ours), read(theirs)
            assert np.array_equal(found.voxels, wanted.voxels)
            assert np.abs(found.corners_mm() - wanted.corners_mm()).max() < 1e-3
