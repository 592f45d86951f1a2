"""A made-up data set of four channels and classes 0, 1 and 4 goes through every command, each on what the last left.

Anisotropic voxels, odd sizes, an oblique direction; a validation case lacks class 4. One network is trained in 3-D by
train.py, one in 2-D by cross_validate, long enough to find both classes.
"""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from mindvoxel.cli import cross_validate, export, predict, preprocess, train
from mindvoxel.cli import eval as evaluate
from mindvoxel.cli import main as mindvoxel
from mindvoxel.volume import read_volume

from .unet3d.conftest import write_folder

CHANNELS = ("FLAIR", "T1w", "t1gd", "T2w")
VALUES = {0, 1, 4}
HELD_OUT, LACKING = ["case_3", "case_5"], "case_3"  # of fold 0; of these, the one without class 4
CPU = ["--device_target", "CPU"]
TINY = ["--recipe", "small", "--first_filters", 8, "--epochs", 1, "--steps_per_epoch", 60, "--batch_size", 3]
TINY += ["--optimizer", "adam", "--learning_rate", 0.01, "--augment", "none", "--val_steps", 1, "--num_workers", 0]


def call(command, *words) -> None:
    assert command([str(word) for word in words]) == 0


@pytest.fixture(scope="module")
def work(tmp_path_factory) -> Path:
    """source, data and the cross-validation `out`, after every command that makes something."""
    work = tmp_path_factory.mktemp("four")
    shape = {"num_tests": 1, "channels": CHANNELS, "spacing_mm": (3.1, 0.9, 1.1), "without_lesion": (3,)}
    write_folder(work / "source", **shape)
    call(mindvoxel.main, "verify", "--data", work / "source", "--workers", 0, "--output", work / "verify.json")
    made = ["--data", work / "source", "--output", work / "data", "--workers", 0]
    call(preprocess.main, *made, "--plan_only")
    call(mindvoxel.main, "plan", "--data", work / "data", "--configuration", "2d", "--batch_size", 5)
    call(preprocess.main, *made)
    run = work / "out" / "3d_fullres" / "fold_0"
    words = ["--model", "unet3d", "--data_path", work / "data", *TINY]
    call(train.main, *words, *CPU, "--dim", 3, "--fold", 0, "--output_path", run)
    words += ["--configurations", "2d,3d_fullres", "--folds", 0, "--output_path", work / "out", "--workers", 0]
    call(cross_validate.main, *words, *CPU)
    for name, file_format in (("3d_fullres", "ONNX"), ("2d", "MINDIR")):
        ckpt = work / "out" / name / "fold_0" / "last.ckpt"
        words = ["--model", "unet3d", *CPU, "--file_name", work / name, "--file_format", file_format]
        call(export.main, *words, "--ckpt_file", ckpt)
    call(mindvoxel.main, "convert", "--data", work / "source", "--output", work / "v2", "--to", "nnunet_v2")
    return work


def rows(path: Path) -> dict[tuple[str, str], dict]:
    with path.open() as file:
        return {(row["case"], row["label"]): row for row in csv.DictReader(file) if row["case"]}


def masks(folder: Path) -> dict[str, np.ndarray]:
    return {path.name.removesuffix(".nii.gz"): read_volume(path).voxels for path in folder.glob("*.nii.gz")}


def test_verified_planned_and_preprocessed(work):
    report = json.loads((work / "verify.json").read_text())
    assert (report["num_cases"], report["faults"]) == (6, [])
    assert set(report["label_voxels"][LACKING]) == {"0", "1"}
    plan = json.loads((work / "data" / "plan.json").read_text())
    assert plan["channels"] == list(CHANNELS)
    assert plan["labels"] == {"background": 0, "organ": 1, "lesion": 4}
    assert plan["configurations"]["2d"]["batch_size"] == 5
    for name in ("2d", "3d_fullres"):
        image = np.load(work / "data" / name / "case_0.image.npy", allow_pickle=False)
        assert image.shape[0] == 4
        label = np.load(work / "data" / name / f"{LACKING}.label.npy", allow_pickle=False)
        assert label.max() == 1


@pytest.mark.parametrize("name", ["2d", "3d_fullres"])
def test_the_validation_masks_hold_the_data_set_s_values_on_the_scans_grid(work, name):
    folder = work / "out" / name / "fold_0" / "validation"
    found = masks(folder)
    assert sorted(found) == HELD_OUT
    assert set(np.unique(found["case_5"])) == VALUES
    for case in HELD_OUT:
        mask, truth = (read_volume(path / f"{case}.nii.gz") for path in (folder, work / "source" / "labelsTr"))
        assert mask.shape == truth.shape
        assert np.allclose(mask.corners_mm(), truth.corners_mm(), atol=1e-3)
    metrics = rows(folder / "metrics.csv")
    assert set(metrics) == {(case, label) for case in HELD_OUT for label in ("organ", "lesion")}
    assert float(metrics["case_5", "organ"]["dice"]) > 0.4
    assert float(metrics["case_5", "lesion"]["dice"]) > 0.4
    assert metrics[LACKING, "lesion"]["outcome"] in {"empty", "false"}
    assert int(json.loads((folder / "summary.json").read_text())["labels"]["lesion"]["num_cases"]) == 2


def test_results_of_the_fold_by_configuration_and_of_both(work):
    best = json.loads((work / "out" / "best.json").read_text())
    assert set(best["dice"]) == {"2d", "3d_fullres", "2d+3d_fullres"}
    assert best["folds"] == [0]
    assert {value for group in best["postprocessing"] for value in group} <= {1, 4}
    together = rows(work / "out" / "3d_fullres" / "metrics.csv")
    assert together == rows(work / "out" / "3d_fullres" / "fold_0" / "validation" / "metrics.csv")


def test_exported_files_are_there_which_the_command_compared_with_the_network(work):
    assert (work / "3d_fullres.onnx").stat().st_size > 1000
    assert (work / "2d.mindir").stat().st_size > 1000


def test_prediction_of_the_training_scans_equals_evaluation_and_its_score(work):
    run = work / "out" / "3d_fullres" / "fold_0"
    words = ["--model", "unet3d", *CPU, "--ckpt_path", run / "last.ckpt", "--output_path", work / "eval"]
    call(evaluate.main, *words)
    call(predict.main, *CPU, "--model_dir", run, "--input", work / "source" / "imagesTr", "--output", work / "masks")
    evaluated, predicted = masks(work / "eval"), masks(work / "masks")
    assert sorted(predicted) == [f"case_{number}" for number in range(6)]
    assert sorted(evaluated) == HELD_OUT
    for case in HELD_OUT:
        assert np.array_equal(evaluated[case], predicted[case])
    assert all(set(np.unique(mask)) <= VALUES for mask in predicted.values())
    for case in ("case_0", "case_1"):
        mask, truth = (read_volume(f / f"{case}.nii.gz") for f in (work / "masks", work / "source" / "labelsTr"))
        assert np.allclose(mask.corners_mm(), truth.corners_mm(), atol=1e-3)
        assert set(np.unique(mask.voxels)) == VALUES
    words = ["--predictions", work / "eval", "--labels", work / "source" / "labelsTr", "--output", work / "score"]
    words += ["--labels_json", work / "source" / "dataset.json", "--only_predicted", "--workers", 0]
    call(mindvoxel.main, "score", *words)
    assert rows(work / "score" / "metrics.csv") == rows(work / "eval" / "metrics.csv")


def test_the_converted_data_set_is_predicted_alike_and_by_the_whole_cross_validation(work):
    """The test case, a 4-D file in one layout and four files in the other, by best.json's networks."""
    for name in ("source", "v2"):
        words = ["--model_dir", work / "out", "--input", work / name, "--output", work / f"masks_{name}"]
        call(predict.main, *CPU, *words)
    ours, theirs = masks(work / "masks_source"), masks(work / "masks_v2")
    assert list(ours) == ["case_6"]
    assert len(list((work / "v2" / "imagesTs").iterdir())) == 4
    assert np.array_equal(ours["case_6"], theirs["case_6"])
    assert set(np.unique(ours["case_6"])) == VALUES
