"""mindvoxel score: folders of masks in, table and files out; and what a user can get wrong about them."""

import json
import math
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mindvoxel.cli import main as mindvoxel
from mindvoxel.cli import masks
from mindvoxel.cli.score import CONVENTIONS
from mindvoxel.volume import Volume, write_volume

SPACING_MM = (3.0, 0.5, 0.8)
BOXES = {1: np.s_[1:4, 2:8, 1:5], 2: np.s_[2, 9:11, 7:9]}
SHIFTED = {1: np.s_[1:4, 3:9, 1:5]}  # 60 of 72 voxels shared
BAR = re.compile(r"^[^:]+: +\d+%\|.*\]$")


def volume(boxes: dict, dtype=np.int8) -> Volume:
    voxels = np.zeros((5, 11, 9), dtype)
    for value, box in boxes.items():
        voxels[box] = value
    return Volume(voxels, SPACING_MM)


@pytest.fixture
def folders(tmp_path) -> Path:
    """Three cases: A scored and its 2 missed, B equal, C empty in both."""
    for name, pred, truth in (("A", SHIFTED, BOXES), ("B", BOXES, BOXES), ("C", {}, {})):
        for folder, boxes in (("pred", pred), ("gt", truth)):
            (tmp_path / folder).mkdir(exist_ok=True)
            write_volume(tmp_path / folder / f"{name}.nii.gz", volume(boxes))
    return tmp_path


def argv(folders: Path, *flags) -> list[str]:
    words = ["score", "--predictions", folders / "pred", "--labels", folders / "gt", "--output", folders / "out"]
    workers = [] if "--workers" in flags else ["--workers", 0]
    return [str(word) for word in (*words, *workers, *flags)]


def score(folders: Path, *flags) -> dict:
    assert mindvoxel.main(argv(folders, *flags)) == 0
    return json.loads((folders / "out" / "summary.json").read_text())


@pytest.fixture
def refused(folders, capfd):
    """refused(*parts, flags=…): exit status 2, nothing written, and one line that has all `parts`."""

    def check(*parts: str, flags: tuple = ()) -> None:
        capfd.readouterr()
        assert mindvoxel.main(argv(folders, *flags)) == 2
        text = capfd.readouterr().err
        lines = [line.strip() for line in re.split(r"[\r\n]+", text) if line.strip() and not BAR.match(line.strip())]
        assert len(lines) == 1, text
        assert lines[0].startswith("error: ")
        for part in parts:
            assert part in lines[0]
        assert not list(folders.rglob("metrics.csv")) + list(folders.rglob("summary.json"))

    return check


def test_a_table_a_csv_and_a_summary(folders, capfd):
    summary = score(folders)
    out = capfd.readouterr().out
    assert "classes by their values, as no --labels_json names them: [1, 2]" in out
    assert "3 cases: 2 scored, 0 missed, 0 false, 1 empty (1 empty in the truth)" in out
    assert "3 cases: 1 scored, 1 missed, 0 false, 1 empty (1 empty in the truth)" in out
    assert "convention mindvoxel" in out
    assert summary["labels"]["1"]["metrics"]["dice"]["mean"] == pytest.approx((5 / 6 + 1) / 2)
    assert summary["labels"]["2"]["metrics"]["dice"]["mean"] == 0.5
    assert summary["mean"]["dice"] == pytest.approx((11 / 12 + 0.5) / 2)
    assert summary["meta"]["predictions"] == str(folders / "pred")
    rows = pd.read_csv(folders / "out" / "metrics.csv")
    assert rows["case"].tolist() == ["A", "A", "B", "B", "C", "C"]
    assert rows["hd_mm"][0] == 0.5
    assert rows["outcome"].tolist() == ["scored", "missed", "scored", "scored", "empty", "empty"]


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_one_and_two_processes_write_the_same_files(folders, convention):
    written = []
    for workers in (0, 2):
        score(folders, "--convention", convention, "--workers", workers)
        written.append([(folders / "out" / name).read_bytes() for name in ("metrics.csv", "summary.json")])
    assert written[0] == written[1]


def test_every_convention_has_its_own_mean(folders, capfd):
    tumour = {"nnunet": 1 / 2, "nvidia": 2 / 3, "mlperf": 2 / 3}
    gland = {"nnunet": 11 / 12, "nvidia": (5 / 6 + 2) / 3, "mlperf": (5 / 6 + 2) / 3}
    for convention, dice in tumour.items():
        capfd.readouterr()
        summary = score(folders, "--convention", convention)
        mean = summary["foreground_mean"]["Dice"] if convention == "nnunet" else summary["mean"]["dice"]
        assert mean == pytest.approx((gland[convention] + dice) / 2, abs=1e-6)
        assert summary["convention"] == convention
        assert f"convention {convention}, 3 cases" in capfd.readouterr().out
        assert set(pd.read_csv(folders / "out" / "metrics.csv")["convention"]) == {convention}


def test_the_summaries_of_nnunet_hold_nan_as_its_readers_expect_it(folders):
    summary = score(folders, "--convention", "nnunet")
    assert summary["metric_per_case"][2]["prediction_file"] == str(folders / "pred" / "C.nii.gz")
    assert math.isnan(summary["metric_per_case"][2]["metrics"]["1"]["Dice"])
    summary = score(folders, "--convention", "nnunet", "--nnunet_summary", "v1")
    assert set(summary["results"]["mean"]) == {"0", "1", "2"}
    assert summary["results"]["mean"]["1"]["Dice"] == pytest.approx(11 / 12)
    assert math.isnan(summary["results"]["all"][2]["1"]["Dice"])


def test_names_come_from_a_dataset_json_of_either_form(folders):
    path = folders / "dataset.json"
    path.write_text('{"labels": {"0": "background", "1": "gland", "2": "lesion"}}')
    assert list(score(folders, "--labels_json", path)["labels"]) == ["gland", "lesion"]
    path.write_text('{"labels": {"background": 0, "gland": 1, "lesion": 2, "both": [1, 2]}}')
    summary = score(folders, "--labels_json", path, "--lesions")
    assert [label["kind"] for label in summary["labels"].values()] == ["class", "class", "region"]
    assert summary["labels"]["lesion"]["lesions_missed"] == 1
    assert summary["mean_regions"]["dice"] == pytest.approx((2 * 60 / (72 + 76) + 1) / 2)


def test_a_region_of_a_dataset_json_is_not_taken_over_by_another_of_its_name(folders, refused):
    path = folders / "dataset.json"
    path.write_text('{"labels": {"background": 0, "gland": 1, "lesion": 2, "both": [1, 2]}}')
    refused("--regions 'both' is named twice", flags=("--labels_json", path, "--regions", "both=1"))


def test_names_come_from_a_plan(folders):
    (folders / "plan.json").write_text('{"planner": "nnunet_v2", "labels": {"air": 0, "gland": 1, "x": 2}}')
    assert list(score(folders, "--labels_json", folders / "plan.json")["labels"]) == ["gland", "x"]


def test_mlperf_names_its_classes_itself_and_takes_no_others(folders, refused):
    path = folders / "dataset.json"
    for labels in ('{"background": 0, "liver": 1}', '{"background": 0, "liver": 1, "tumour": 2, "cyst": 3}'):
        path.write_text(f'{{"labels": {labels}}}')
        refused("the mlperf convention is of classes 1 and 2", flags=("--convention", "mlperf", "--labels_json", path))
    assert list(score(folders, "--convention", "mlperf")["labels"]) == ["kidney", "tumour"]


def test_regions_by_option(folders):
    summary = score(folders, "--regions", "both = 1+2; one=1")
    assert list(summary["labels"]) == ["1", "2", "both", "one"]
    assert summary["labels"]["one"]["metrics"] == summary["labels"]["1"]["metrics"]
    summary = score(folders, "--regions", "both=1+2", "--convention", "nnunet")
    assert list(summary["mean"]) == ["(1, 2)"]


def test_masks_are_paired_through_eval_s_and_promise12_s_endings_and_other_types(folders):
    for case in "ABC":
        (folders / "gt" / f"{case}.nii.gz").rename(folders / "gt" / f"{case}_segmentation.nii.gz")
        path = folders / "pred" / f"{case}.nii.gz"
        write_volume(folders / "pred" / f"{case}_prediction.mha", volume(SHIFTED))
        path.unlink()
    (folders / "pred" / "._A.nii.gz").write_bytes(b"of a file system that adds files")
    assert score(folders)["num_cases"] == 3


def test_a_label_stored_as_floats_is_fine(folders):
    write_volume(folders / "gt" / "B.nii.gz", volume(BOXES, np.float32))
    assert score(folders)["labels"]["2"]["metrics"]["dice"]["mean"] == 0.5


def test_memory_is_predicted_from_the_largest_mask_however_well_it_is_packed(tmp_path):
    """An empty mask is a small file."""
    rng = np.random.default_rng(0)
    write_volume(tmp_path / "full.nii.gz", Volume(rng.integers(0, 2, (20, 30, 40), np.int8), SPACING_MM))
    write_volume(tmp_path / "empty.nii.gz", Volume(np.zeros((40, 60, 80), np.int8), SPACING_MM))
    pairs = [masks.Pair(path.name, None, path) for path in tmp_path.iterdir()]
    assert (tmp_path / "empty.nii.gz").stat().st_size < (tmp_path / "full.nii.gz").stat().st_size
    assert masks.peak_bytes(pairs, None) == masks.peak_bytes([p for p in pairs if p.case == "empty.nii.gz"], None)


def test_pictures_take_the_spacing_that_is_given(tmp_path):
    sitk = pytest.importorskip("SimpleITK")
    for folder in ("pred", "gt"):
        (tmp_path / folder).mkdir()
        picture = np.zeros((9, 11), np.uint8)
        picture[3, 4 if folder == "pred" else 6] = 1
        sitk.WriteImage(sitk.GetImageFromArray(picture), str(tmp_path / folder / "A.png"))
    summary = score(tmp_path, "--spacing_mm", "1,0.5,0.25")
    assert summary["labels"]["1"]["metrics"]["hd95_mm"]["mean"] == 0.5


def test_a_missing_prediction_is_an_error_that_lists_them_all(folders, refused):
    for case in "AC":
        (folders / "pred" / f"{case}.nii.gz").unlink()
    refused("no prediction for 2 of 3 labels (A, C)", "--missing_as_empty")


def test_a_missing_prediction_counts_as_empty_where_that_is_said(folders, capfd):
    (folders / "pred" / "B.nii.gz").unlink()
    summary = score(folders, "--missing_as_empty")
    assert summary["labels"]["1"]["num_missed"] == 1
    assert summary["labels"]["1"]["metrics"]["dice"]["mean"] == pytest.approx((5 / 6 + 0) / 2)
    assert "1 of 3 labels have no prediction and count as empty" in capfd.readouterr().out
    summary = score(folders, "--missing_as_empty", "--convention", "nnunet")
    assert summary["metric_per_case"][1]["prediction_file"] == "missing"


def test_a_fold_s_predictions_can_be_scored_alone(folders, capfd):
    (folders / "pred" / "A.nii.gz").unlink()
    (folders / "gt" / "C.nii.gz").unlink()
    summary = score(folders, "--only_predicted")
    out = capfd.readouterr().out
    assert "1 of 2 labels have no prediction and are left out" in out
    assert "1 predictions have no label and are not scored: C" in out
    assert (summary["num_cases"], summary["mean"]["dice"]) == (1, 1)


def test_folders_that_cannot_be_scored(folders, refused):
    shutil.move(folders / "gt", folders / "elsewhere")
    refused(f"{folders / 'gt'}: no such folder")
    (folders / "gt").mkdir()
    refused(f"{folders / 'gt'}: no masks; files of one of .mhd")
    write_volume(folders / "gt" / "D.nii.gz", volume({}))
    refused("no prediction of any label", flags=("--only_predicted",))
    write_volume(folders / "gt" / "D_segmentation.mha", volume({}))
    refused("D_segmentation.mha: D.nii.gz is of the same case D; keep one of them")


def test_masks_that_cannot_be_scored(folders, refused):
    write_volume(folders / "pred" / "B.nii.gz", Volume(volume(BOXES).voxels, SPACING_MM, (9.0, 0.0, 0.0)))
    refused("the prediction of B: its grid lies up to 9 mm")
    write_volume(folders / "pred" / "B.nii.gz", Volume(volume(BOXES).voxels[:-1], SPACING_MM))
    refused("the prediction of B: its shape (z, y, x) is (4, 11, 9)")
    write_volume(folders / "pred" / "B.nii.gz", Volume(volume(BOXES, np.float32).voxels + 0.5, SPACING_MM))
    refused("B.nii.gz: 495 of 495 label voxels are no whole number (0.5, 1.5, 2.5)")
    data = (folders / "gt" / "A.nii.gz").read_bytes()
    (folders / "gt" / "A.nii.gz").write_bytes(data[: len(data) // 2])
    refused("A.nii.gz: ")


def test_values_that_no_file_names(folders, refused):
    path = folders / "dataset.json"
    path.write_text('{"labels": {"background": 0, "gland": 1}}')
    refused("A.nii.gz: value 2 in 4 voxels, where 0, 1 are known", flags=("--labels_json", str(path)))
    write_volume(folders / "pred" / "B.nii.gz", volume({7: BOXES[1]}))
    refused("B.nii.gz: value 7 in 72 voxels, where 0, 1, 2 are known", flags=("--convention", "mlperf"))


def test_only_empty_masks_name_no_class(folders, refused):
    for path in folders.rglob("[AB].nii.gz"):
        path.unlink()
    refused("every mask is empty; name the classes by --labels_json")


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("[1, 2]", "a JSON object with keys is needed, got a list"),
        ("{", "not JSON in UTF-8"),
        ("[" * 100_000, "not JSON in UTF-8"),
        ("{}", "an object is needed under 'labels', found nothing"),
        ('{"labels": [0, 1]}', "an object is needed under 'labels', found list"),
        ('{"labels": {}}', "no label above 0 under 'labels'"),
        ('{"labels": {"background": 0}}', "no label above 0 under 'labels'"),
        ('{"labels": {"0": "background", "1": "a", "2": "a"}}', "two label values are called a"),
        ('{"labels": {"background": 0, "gland": "one"}}', "label 'gland' is 'one'; a whole number"),
        ('{"labels": {"background": 0, "gland": true}}', "label 'gland' is True; a whole number"),
        ('{"labels": {"background": 0, "gland": [1, "x"]}}', "label 'gland' is [1, 'x']; a whole number"),
        ('{"labels": {"background": 0, "gland": 1, "ignore": 2}}', "label 'ignore' says where a truth is unknown"),
    ],
)
def test_a_dataset_json_that_does_not_name_classes(folders, refused, text, part):
    path = folders / "dataset.json"
    path.write_text(text)
    refused(str(path), part, flags=("--labels_json", str(path)))


def test_a_dataset_json_that_is_absent(folders, refused):
    refused("none.json: no such file", flags=("--labels_json", str(folders / "none.json")))


@pytest.mark.parametrize(
    ("flags", "part"),
    [
        (("--convention", "monai"), "invalid choice: 'monai'"),
        (("--lesions", "--convention", "nnunet"), "--lesions belongs to the mindvoxel convention, not to nnunet"),
        (("--nnunet_summary", "v1"), "--nnunet_summary belongs to --convention nnunet, not to mindvoxel"),
        (("--nsd_tolerance_mm", "-1"), "--nsd_tolerance_mm must be 0 or more, got -1"),
        (("--nsd_tolerance_mm", "nan"), "--nsd_tolerance_mm must be 0 or more, got nan"),
        (("--nsd_tolerance_mm", "inf"), "--nsd_tolerance_mm must be 0 or more, got inf"),
        (("--missing_as_empty", "--only_predicted"), "not allowed with argument"),
        (("--spacing_mm", "1,2"), "three spacings above 0 in mm along z,y,x are needed, got '1,2'"),
        (("--spacing_mm", "1,2,inf"), "three spacings above 0 in mm along z,y,x"),
        (("--workers", "-1"), "--workers must be 0 or more, got -1"),
        (("--regions", "both"), "--regions 'both' is not understood; NAME=1+2+3 is needed"),
        (("--regions", "both=1+x"), "--regions 'both=1+x' is not understood"),
        (("--regions", "both=1+9"), "--regions both has 9, not one of the classes [1, 2]"),
        (("--regions", "1=1+2"), "--regions '1' is named twice"),
        (("--regions", "a=1;a=2"), "--regions 'a' is named twice"),
        (("--regions", "both=1+2", "--convention", "nvidia"), "the nvidia convention has no regions, got both"),
    ],
)
def test_flags_that_do_not_fit(refused, flags, part):
    refused(part, flags=flags)


def test_the_help_names_every_default(capsys):
    with pytest.raises(SystemExit):
        mindvoxel.main(["score", "--help"])
    out = " ".join(capsys.readouterr().out.split())
    for part in ("(default: mindvoxel)", "mm (default: 2.0)", "v2 if not given", "PREDICTIONS/score-CONVENTION"):
        assert part in out
