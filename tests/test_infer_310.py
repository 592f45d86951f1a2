"""What run_infer_310.sh gives to the C++ program, and how it scores what comes back; a script stands in for it."""

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from mindvoxel.bundle import FILES, network_part, planned_part, scan_part, write_deploy
from mindvoxel.cli import infer_310, preprocess
from mindvoxel.config import load_recipe
from mindvoxel.data.plan import read_plan
from mindvoxel.metrics.report import read_rows
from mindvoxel.volume import Volume, write_volume

from .unet3d.conftest import write_folder

# Tells its caller to end, and ends when it is told.
ENDS = """#!{python}
import os, signal, sys, time
from pathlib import Path
scans, output = sys.argv[4], Path(sys.argv[6])
def end(*_):
    (output / "ended").write_text(scans)
    sys.exit(143)
signal.signal(signal.SIGTERM, end)
os.kill(os.getppid(), signal.SIGTERM)
time.sleep(30)
"""

# Writes the labels of TRUTHS for the scans that it is given, and its words; fails where STATUS says so.
PROGRAM = """#!{python}
import os, re, sys
from pathlib import Path
import SimpleITK as sitk
words = sys.argv[1:]
flags = dict(zip(words[::2], words[1::2]))
scans, output = Path(flags["--input"]), Path(flags["--output"])
(output / "words.txt").write_text("\\n".join(words))
names = set()
for scan in sorted(scans.glob("*.*")):
    image = sitk.ReadImage(str(scan))  # its voxels are found
    case, kind = scan.name.split(".", 1)
    names.add((re.sub(r"_\\d{{4}}$", "", case), "mha" if kind == "mhd" else kind))
for case, kind in names:
    (truth,) = [p for p in Path(os.environ["TRUTHS"]).glob(case + "[._]*") if p.suffix != ".raw"]
    sitk.WriteImage(sitk.ReadImage(str(truth)), str(output / (case + "." + kind)))
sys.exit(int(os.environ.get("STATUS", "0")))
"""


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    """An MSD folder: four channels in one file, classes 0, 1 and 4."""
    return write_folder(tmp_path_factory.mktemp("made") / "Task99_Made", num_cases=5)


@pytest.fixture(scope="module")
def data(source, tmp_path_factory) -> Path:
    """Its plan."""
    folder = tmp_path_factory.mktemp("plan")
    assert preprocess.main(["--data", str(source), "--output", str(folder), "--plan_only", "--workers", "0"]) == 0
    return folder


@pytest.fixture
def program(tmp_path) -> Path:
    path = tmp_path / "infer"
    path.write_text(PROGRAM.format(python=sys.executable))
    path.chmod(0o755)
    return path


def made(folder: Path, model: str, part: dict) -> Path:
    """A bundle whose network is no network."""
    (folder / "reference").mkdir(parents=True)
    for name in FILES:
        (folder / name).write_bytes(b"made up")
    window = (len(part["channels"]), *part["sliding"]["window"])
    network = network_part(window, (len(part["classes"]), *window[1:]), "f32")
    words = {"model": model, "default_spacing_mm": None, "network": network, "nsd_tolerance_mm": 3.0}
    write_deploy(folder, words | part)
    return folder


@pytest.fixture
def vnet(tmp_path) -> Path:
    recipe = load_recipe("vnet")
    return made(tmp_path / "vnet", "vnet", scan_part(recipe.data, recipe.eval))


def run(program: Path, bundle: Path, data: Path, split, output: Path, *flags) -> int:
    words = ["--infer", program, "--mindir_path", bundle, "--data_path", data, "--split_file_path", split]
    return infer_310.main(list(map(str, [*words, "--output_path", output, *flags])))


def test_the_split_s_cases_are_segmented_and_scored_in_its_order(program, vnet, phantom, tmp_path, monkeypatch):
    monkeypatch.setenv("TRUTHS", str(phantom / "gt"))
    split, out = tmp_path / "val.csv", tmp_path / "out"
    split.write_text("Case05.mhd\nCase02\n")
    assert run(program, vnet / "model.mindir", phantom, split, out, "--device", "cpu", "--precision", "bf16") == 0
    rows = read_rows(out / "metrics.csv")
    assert [row["case"] for row in rows] == ["Case05", "Case02"]
    assert [(row["label"], row["dice"], row["hd95_mm"]) for row in rows] == [("prostate", 1.0, 0.0)] * 2
    assert [row["nsd_tolerance_mm"] for row in rows] == [3.0] * 2  # the run's, which is not the recipe's
    words = (out / "words.txt").read_text().split("\n")
    assert words[:2] == ["--bundle", str(vnet)]
    assert words[6:8] == ["--overwrite", "--device"]
    assert "--tta" not in words  # the default recipe validates without mirrors
    summary = json.loads((out / "summary.json").read_text())
    assert summary["labels"]["prostate"]["num_cases"] == 2


def test_a_bundle_validated_with_mirrors_is_run_with_them(program, vnet, phantom, tmp_path, monkeypatch):
    monkeypatch.setenv("TRUTHS", str(phantom / "gt"))
    deploy = json.loads((vnet / "deploy.json").read_text())
    deploy["sliding"]["validated_with_tta"] = True
    (vnet / "deploy.json").write_text(json.dumps(deploy))
    out = tmp_path / "out"
    assert run(program, vnet, phantom, "none", out) == 0
    assert (out / "words.txt").read_text().endswith("--tta")
    assert len(read_rows(out / "metrics.csv")) == 6  # none: all cases


def test_a_data_set_of_a_plan_with_channels_in_one_file(program, source, data, tmp_path, monkeypatch):
    monkeypatch.setenv("TRUTHS", str(source / "labelsTr"))
    part = planned_part(read_plan(data / "plan.json"), "3d_fullres", (), validated_with_tta=False)
    bundle, split = made(tmp_path / "bundle", "unet3d", part), tmp_path / "val.csv"
    split.write_text("case_3\ncase_0.nii.gz\n")
    for number, folder in enumerate((data, source)):  # preprocessed, and as it came
        out = tmp_path / f"out{number}"
        assert run(program, bundle, folder, split, out) == 0
        rows = read_rows(out / "metrics.csv")
        names = [(row["case"], row["label"], row["dice"]) for row in rows]
        assert names == [(case, label, 1.0) for case in ("case_3", "case_0") for label in ("organ", "lesion")]


def test_channel_files_get_numbers_and_the_only_one_0(tmp_path):
    grid = {"spacing_mm": (3.0, 2.0, 1.0)}
    paths = [tmp_path / name for name in ("a_t1.nii.gz", "a_t2.nii.gz")]
    for path in paths:
        write_volume(path, Volume(np.zeros((2, 3, 4), np.float32), **grid))
    staged = tmp_path / "staged"
    staged.mkdir()
    infer_310._stage(infer_310.Case("a", tuple(paths), None), staged, 2)
    infer_310._stage(infer_310.Case("b_0001", (paths[0],), None), staged, 1)
    infer_310._stage(infer_310.Case("c", (paths[0],), None), staged, 4)
    names = {path.name: path.resolve().name for path in staged.iterdir()}
    assert names == {
        "a_0000.nii.gz": "a_t1.nii.gz",
        "a_0001.nii.gz": "a_t2.nii.gz",
        "b_0001_0000.nii.gz": "a_t1.nii.gz",
        "c.nii.gz": "a_t1.nii.gz",
    }


@pytest.mark.parametrize("ends", ["\n", "\r\n"])
@pytest.mark.parametrize("absolute", [False, True])
@pytest.mark.parametrize("raw", ["a.raw", "LOCALIZER.raw"])
def test_a_header_finds_its_voxels_from_anywhere(tmp_path, ends, absolute, raw):
    image, folder = sitk.GetImageFromArray(np.arange(24, dtype=np.int16).reshape(2, 3, 4)), tmp_path / "with space"
    folder.mkdir()
    sitk.WriteImage(image, str(folder / "a.mhd"))
    (folder / "a.raw").rename(folder / raw)
    header = (folder / "a.mhd").read_bytes().replace(b"\n", ends.encode())
    header = header.replace(b"= a.raw", b"= " + os.fsencode(folder / raw if absolute else raw))
    (folder / "a.mhd").write_bytes(header)
    staged = tmp_path / "staged"
    staged.mkdir()
    infer_310._stage(infer_310.Case("a", (folder / "a.mhd",), None), staged, 1)
    found = sitk.GetArrayFromImage(sitk.ReadImage(str(staged / "a_0000.mhd")))
    assert found.ravel().tolist() == list(range(24))
    assert [path.name for path in staged.iterdir()] == ["a_0000.mhd"]


@pytest.mark.parametrize("word", ["LOCAL", "Local", "LIST", "slice%03d.raw 1 2 1"])
def test_a_header_of_no_file_or_of_several_stays_as_it_is(tmp_path, word):
    path, staged = tmp_path / "a.mhd", tmp_path / "staged"
    staged.mkdir()
    sitk.WriteImage(sitk.GetImageFromArray(np.arange(24, dtype=np.int16).reshape(2, 3, 4)), str(tmp_path / "a.mha"))
    path.write_bytes((tmp_path / "a.mha").read_bytes().replace(b"LOCAL", word.encode()))
    infer_310._stage(infer_310.Case("a", (path,), None), staged, 1)
    assert (staged / "a_0000.mhd").read_bytes() == path.read_bytes()


def test_told_to_end_it_ends_the_program_first(vnet, phantom, tmp_path):
    path, out = tmp_path / "infer", tmp_path / "out"
    path.write_text(ENDS.format(python=sys.executable))
    path.chmod(0o755)
    with pytest.raises(SystemExit) as ended:
        run(path, vnet, phantom, "none", out)
    assert ended.value.code == 143
    assert not Path((out / "ended").read_text()).exists()  # the folder of links is gone


def test_the_program_s_exit_status_is_kept_and_no_table_outlives_it(program, vnet, phantom, tmp_path, monkeypatch):
    monkeypatch.setenv("TRUTHS", str(phantom / "gt"))
    out = tmp_path / "out"
    assert run(program, vnet, phantom, "none", out) == 0
    monkeypatch.setenv("STATUS", "2")
    with pytest.raises(SystemExit) as ended:
        run(program, vnet, phantom, "none", out)
    assert ended.value.code == 2
    assert not (out / "metrics.csv").exists()


def test_bad_input_is_one_sentence(program, vnet, phantom, source, tmp_path, capsys):
    split, out = tmp_path / "val.csv", tmp_path / "out"
    split.write_text("Case05.mhd\nCase77.mhd\n")
    (tmp_path / "alone.mindir").write_bytes(b"x")
    (vnet / "other.mindir").write_bytes(b"x")
    for bundle, data, words in (
        (vnet, phantom, "1 of 2 cases are not in"),
        (vnet / "other.mindir", phantom, "other.mindir: no bundle"),
        (tmp_path / "alone.mindir", phantom, "alone.mindir: no bundle"),
        (tmp_path / "absent", phantom, "absent: no bundle"),
        (vnet, source, "the PROMISE12 layout needs img/"),
    ):
        assert run(program, bundle, data, split, out) == 2
        sentence = capsys.readouterr().err
        assert words in sentence
        assert sentence.count("\n") == 1
        assert not out.exists()


def test_a_case_that_is_named_twice_is_refused(program, vnet, phantom, tmp_path, capsys):
    (tmp_path / "val.csv").write_text("Case05.mhd\nCase05\n")
    assert run(program, vnet, phantom, tmp_path / "val.csv", tmp_path / "out") == 2
    assert "val.csv: case Case05 is named more than once; name each case once" in capsys.readouterr().err


def test_channels_and_classes_of_another_data_set_are_refused(program, source, data, tmp_path, capsys):
    part = planned_part(read_plan(data / "plan.json"), "3d_fullres", (), validated_with_tta=False)
    part["classes"][1]["name"] = "liver"
    assert run(program, made(tmp_path / "b", "unet3d", part), source, "none", tmp_path / "out") == 2
    assert "its classes are" in capsys.readouterr().err
    one = part | {"channels": ["CT"]}
    assert run(program, made(tmp_path / "one", "unet3d", one), source, "none", tmp_path / "out") == 2
    assert "its channels are CT, the data set's" in capsys.readouterr().err
