"""mindvoxel verify: the table and exit status 0, or every fault, one closing sentence and 2."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from mindvoxel.cli import main as mindvoxel
from mindvoxel.datasets.convert import convert
from mindvoxel.datasets.layouts import open_dataset
from mindvoxel.volume import Volume, read_volume, write_volume
from tests.conftest import SHARED

BAR = re.compile(r"^[^:]+: +\d+%\|.*\]$")


@pytest.fixture
def data(tmp_path) -> Path:
    """Two cases in the MSD layout."""
    root = tmp_path / "Task99_Box"
    rng = np.random.default_rng(0)
    entries = []
    for number in range(2):
        label = np.zeros((5, 8, 9), np.uint8)
        label[1:3, 2:5, 3:7] = 1
        entries.append({"image": f"./imagesTr/box_{number}.nii.gz", "label": f"./labelsTr/box_{number}.nii.gz"})
        for key, voxels in (("image", rng.normal(9, 2, label.shape).astype(np.float32)), ("label", label)):
            path = root / entries[-1][key]
            path.parent.mkdir(parents=True, exist_ok=True)
            write_volume(path, Volume(voxels, (2.0, 1.0, 1.0)))
    meta = {"name": "Box", "modality": {"0": "CT"}, "labels": {"0": "background", "1": "box"}}
    meta |= {"numTraining": 2, "numTest": 0, "training": entries, "test": []}
    (root / "dataset.json").write_text(json.dumps(meta))
    return root


@pytest.fixture
def command(capfd):
    """command(*argv): exit status, lines of standard output, lines of standard error without progress bars."""

    def run(*argv) -> tuple[int, list[str], list[str]]:
        capfd.readouterr()
        status = mindvoxel.main(["verify", *map(str, argv)])
        out, err = capfd.readouterr()
        lines = [line.strip() for line in re.split(r"[\r\n]+", err)]
        return status, out.splitlines(), [line for line in lines if line and not BAR.match(line)]

    return run


@pytest.mark.parametrize("workers", ["0", "2"])
def test_a_sound_data_set(command, data, tmp_path, workers):
    status, out, err = command("--data", data, "--workers", workers, "--output", tmp_path / "verify.json")
    assert (status, err) == (0, [])
    assert out[0] == "Box: 2 cases, channels CT"
    assert out[3].split() == ["1", "box", "2", "48", "6.667", "24", "to", "24"]
    assert out[-1] == f"{data}: 2 cases without a fault"
    assert json.loads((tmp_path / "verify.json").read_text())["label_voxels"]["box_1"] == {"0": 336, "1": 24}


def test_every_fault_is_listed_and_the_report_is_written_all_the_same(command, data, tmp_path):
    image, label = data / "imagesTr" / "box_0.nii.gz", data / "labelsTr" / "box_1.nii.gz"
    image.write_bytes(image.read_bytes()[:-40])
    voxels = read_volume(label)
    write_volume(label, voxels.with_voxels(voxels.voxels * 3))
    status, out, err = command("--data", data, "--workers", 1, "--output", tmp_path / "verify.json")
    assert status == 2
    assert err == [f"error: {data}: 2 faults in 2 of 2 cases, listed above; mend the data set, or leave such cases out"]
    faults = [line for line in out if line.startswith("fault: ")]
    assert len(faults) == 2
    assert faults[0].startswith(f"fault: case box_0: {image}: truncated")
    assert faults[1].startswith(f"fault: case box_1: {label}: label values that are not declared: 3 (24 voxels)")
    assert any("NOT DECLARED" in line for line in out)
    assert len(json.loads((tmp_path / "verify.json").read_text())["faults"]) == 2


def test_empty_labels_need_a_flag(command, data):
    label = data / "labelsTr" / "box_1.nii.gz"
    voxels = read_volume(label)
    write_volume(label, voxels.with_voxels(voxels.voxels * 0))
    status, out, _ = command("--data", data, "--workers", 0)
    assert status == 2
    assert "--allow_empty" in out[-1]
    assert command("--data", data, "--workers", 0, "--allow-empty")[0] == 0


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--data", "/no/such/folder"], "/no/such/folder: no such folder"),
        (["--layout", "dicom"], "layout 'dicom' is unknown"),
        (["--workers", "-1"], "--workers must be 0 or more, got -1"),
        (["--workers", "two"], "argument --workers: invalid int value: 'two'"),
        (["--spacing_mm", "1,1"], "argument --spacing_mm: three spacings above 0"),
        (["--output", "/dev/null/verify.json"], "/dev/null"),
        (["--output", "."], "--output .: is a folder; a file is needed"),
        (["--fold", "1"], "unrecognized arguments: --fold 1"),
    ],
)
def test_flags(command, data, flags, said):
    status, out, err = command("--data", data, *flags)
    assert status == 2
    assert len(err) == 1
    assert err[0].startswith("error: ")
    assert said in err[0]
    assert out == []  # before hours of work


def test_missing_files_are_told_beside_all_other_faults(command, data):
    label = data / "labelsTr" / "box_1.nii.gz"
    label.rename(data / "labelsTr" / "box_1_0000.nii.gz")
    image = data / "imagesTr" / "box_0.nii.gz"
    image.write_bytes(image.read_bytes()[:-40])
    status, out, err = command("--data", data, "--workers", 0)
    assert status == 2
    assert "2 faults in 2 of 2 cases" in err[0]
    assert out[-2].startswith(f"fault: case box_0: {image}: truncated")
    assert out[-1] == f"fault: case box_1: {label}: no such file; found box_0.nii.gz, box_1_0000.nii.gz"


def test_a_csv_whose_first_image_lacks_tells_all_faults(command, data):
    lines = ["case,CT,label", "a,imagesTr/none.nii.gz,labelsTr/box_0.nii.gz", "b,imagesTr/box_1.nii.gz,labelsTr/no.mha"]
    (data / "list.csv").write_text("\n".join(lines))
    (data / "list.json").write_text('{"labels": {"box": 1}}')
    status, out, err = command("--data", data / "list.csv", "--workers", 0)
    assert status == 2
    assert "2 faults in 2 of 2 cases" in err[0]
    assert "none.nii.gz: no such file" in out[-2]
    assert "no.mha: no such file" in out[-1]


@pytest.mark.parametrize("layout", ["msd", "nnunet_v1", "nnunet_v2", "csv", "promise12"])
def test_missing_files_in_every_layout(command, data, tmp_path, layout):
    convert(open_dataset(data), tmp_path / "other", layout)
    label = open_dataset(tmp_path / "other", layout).cases[1].label
    label.unlink()
    status, out, err = command("--data", tmp_path / "other", "--layout", layout, "--workers", 0)
    assert status == 2
    assert "1 fault in 1 of 2 cases" in err[0]
    assert f"{label}: no such file; found " in out[-1]


def test_the_edge_cases_each_get_their_sentence(command, data):
    """Every odd file of the collection as the image of a case: a fault of that case, or a different grid."""
    folder = SHARED / "edge"
    if not folder.is_dir():
        pytest.skip(f"{folder} is absent: odd files are needed")
    meta = json.loads((data / "dataset.json").read_text())
    files = [path for path in sorted(folder.iterdir()) if path.suffix in {".nii", ".gz", ".mha", ".mhd", ".nrrd"}]
    shutil.copytree(folder, data / "odd")
    for path in files:
        meta["training"].append({"image": f"./odd/{path.name}", "label": "./labelsTr/box_0.nii.gz"})
    (data / "dataset.json").write_text(json.dumps(meta))
    status, out, err = command("--data", data, "--workers", 2)
    assert status == 2
    assert len(err) == 1
    for path in files:
        assert any(line.startswith("fault: ") and path.name in line for line in out), path.name
