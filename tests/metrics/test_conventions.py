"""The published conventions on the cases where they differ: empty masks; and nnU-Net's two summaries."""

import json
import math

import numpy as np
import pytest

from mindvoxel.errors import InputError
from mindvoxel.metrics.conventions import CONVENTIONS, count_case, labels_for, score_rows, summarise
from mindvoxel.metrics.nnunet import metrics_v1, summary_v1, summary_v2
from mindvoxel.metrics.overlap import Overlap
from mindvoxel.metrics.table import format_published
from mindvoxel.volume import Volume

CLASSES = {"kidney": 1, "tumour": 2}
SHAPE = (1, 5, 7)


def volume(ones: int, twos: int, start: int = 0) -> Volume:
    """The first voxels of a row are 1, those of the next row 2."""
    voxels = np.zeros(SHAPE, np.int16)
    voxels[0, 0, start : start + ones] = 1
    voxels[0, 1, start : start + twos] = 2
    return Volume(voxels, (3.0, 0.5, 0.8))


# A: 3 of 4 ones shared, no tumour in either.  B: 2 of 2 ones, a tumour of 3 missed.  C: all right.
PAIRS = {"A": (volume(3, 0), volume(4, 0)), "B": (volume(2, 0), volume(2, 3)), "C": (volume(1, 4), volume(1, 4))}
KIDNEY = (6 / 7 + 1 + 1) / 3


def count(convention: str, labels: dict | None = None) -> list[dict]:
    labels = labels_for(convention, CLASSES if labels is None else labels)
    return [row for case, pair in PAIRS.items() for row in count_case(case, *pair, labels)]


def test_nnunet_leaves_out_what_is_empty_in_both():
    summary = summarise("nnunet", count("nnunet"))
    assert list(summary["labels"]) == ["kidney", "tumour"]
    assert summary["labels"]["kidney"]["Dice"] == pytest.approx(KIDNEY)
    assert summary["labels"]["kidney"]["IoU"] == pytest.approx((3 / 4 + 1 + 1) / 3)
    assert summary["labels"]["tumour"]["Dice"] == pytest.approx((0 + 1) / 2)
    assert summary["mean"]["Dice"] == pytest.approx((KIDNEY + 0.5) / 2)
    assert summary["labels"]["tumour"]["n_ref"] == pytest.approx((0 + 3 + 4) / 3)


def test_nvidia_counts_what_is_empty_in_both_as_right_and_lists_the_background():
    summary = summarise("nvidia", count("nvidia"))
    assert list(summary["labels"]) == ["background", "kidney", "tumour"]
    assert summary["labels"]["tumour"]["dice"] == pytest.approx((1 + 0 + 1) / 3)
    background = (62 / 63 + 60 / 63 + 1) / 3  # 31 and 32, 30 and 33, 30 and 30 voxels of 35
    assert summary["labels"]["background"]["dice"] == pytest.approx(background)
    assert summary["mean"]["dice"] == pytest.approx((KIDNEY + 2 / 3) / 2)
    assert summary["mean_with_background"] == pytest.approx((background + KIDNEY + 2 / 3) / 3)


def test_mlperf_smooths_by_1e_6():
    summary = summarise("mlperf", count("mlperf"))
    tumour = (1 + 1e-6 / (3 + 1e-6) + 1) / 3
    assert summary["labels"]["tumour"]["dice"] == pytest.approx(tumour, abs=1e-12)
    assert summary["labels"]["kidney"]["dice"] == pytest.approx(((6 + 1e-6) / (7 + 1e-6) + 2) / 3, abs=1e-12)
    assert summary["mean"]["dice"] == pytest.approx((summary["labels"]["kidney"]["dice"] + tumour) / 2, abs=1e-12)


def test_mlperf_knows_its_two_classes_alone():
    assert labels_for("mlperf", {"a": 1, "b": 2}) == {"a": 1, "b": 2}
    for labels in (CLASSES | {"cyst": 3}, {"kidney": 1}):  # a tumour that no case can have would count 1
        with pytest.raises(ValueError, match=r"classes 1 and 2, got \[1"):
            labels_for("mlperf", labels)


def test_regions_stand_for_classes_in_nnunet_and_nowhere_else():
    assert labels_for("nnunet", CLASSES | {"both": (1, 2)}) == {"both": (1, 2)}
    rows = count("nnunet", CLASSES | {"both": (1, 2)})
    assert summarise("nnunet", rows)["mean"]["Dice"] == pytest.approx((6 / 7 + 4 / 7 + 1) / 3)
    for convention in ("nvidia", "mlperf"):
        with pytest.raises(ValueError, match=f"the {convention} convention has no regions, got both"):
            labels_for(convention, CLASSES | {"both": (1, 2)})


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_rows_and_tables_carry_the_name_of_their_convention(convention):
    rows = count(convention)
    assert {row["convention"] for row in score_rows(convention, rows)} == {convention}
    summary = summarise(convention, rows)
    assert (summary["convention"], summary["num_cases"]) == (convention, 3)
    lines = format_published(summary).splitlines()
    assert lines[-1].startswith(f"convention {convention}, 3 cases: ")
    assert len({len(line) for line in lines[: len(summary["labels"]) + 2]}) == 1


def test_a_label_that_no_case_has_is_a_dash():
    rows = [row for row in count("nnunet") if row["case"] == "A"]
    summary = summarise("nnunet", rows)
    assert math.isnan(summary["mean"]["Dice"])
    assert format_published(summary).splitlines()[2].split()[:2] == ["tumour", "-"]


def test_another_grid_and_no_rows_are_refused():
    moved = Volume(volume(1, 1).voxels, (3.0, 0.5, 0.8), origin_mm=(5.0, 0.0, 0.0))
    with pytest.raises(InputError, match="the prediction of A: its grid lies up to 5 mm"):
        count_case("A", moved, volume(1, 1), CLASSES)
    with pytest.raises(ValueError, match="at least one counted case"):
        summarise("nvidia", [])


FILES = {case: (f"pred/{case}.nii.gz", f"gt/{case}.nii.gz") for case in PAIRS}


def test_the_summary_of_nnunet_v2():
    summary = summary_v2(count("nnunet"), FILES)
    assert set(summary) == {"convention", "foreground_mean", "mean", "metric_per_case"}
    assert summary["foreground_mean"]["Dice"] == pytest.approx((KIDNEY + 0.5) / 2)
    assert summary["mean"]["2"]["Dice"] == 0.5
    first, second, _ = summary["metric_per_case"]
    assert (first["reference_file"], first["prediction_file"]) == ("gt/A.nii.gz", "pred/A.nii.gz")
    counts = {"FP": 0, "TP": 3, "FN": 1, "TN": 31, "n_pred": 3, "n_ref": 4}
    assert first["metrics"]["1"] == {"Dice": pytest.approx(6 / 7), "IoU": 0.75} | counts
    assert math.isnan(first["metrics"]["2"]["Dice"])
    assert second["metrics"]["2"]["Dice"] == 0
    regions = summary_v2(count("nnunet", CLASSES | {"both": (1, 2)}), FILES)
    assert list(regions["mean"]) == ["(1, 2)"]
    json.dumps(summary)


def test_the_13_metrics_of_nnunet_v1():
    found = metrics_v1(Overlap(tp=3, fp=2, fn=1, tn=14))
    assert found == {
        "Accuracy": 17 / 20,
        "Dice": 6 / 9,
        "False Discovery Rate": pytest.approx(2 / 5),
        "False Negative Rate": pytest.approx(1 / 4),
        "False Omission Rate": 1 / 15,
        "False Positive Rate": pytest.approx(2 / 16),
        "Jaccard": 3 / 6,
        "Negative Predictive Value": pytest.approx(14 / 15),
        "Precision": 3 / 5,
        "Recall": 3 / 4,
        "Total Positives Reference": 4,
        "Total Positives Test": 5,
        "True Negative Rate": 14 / 16,
    }


def test_shares_of_nothing_are_nan_in_nnunet_v1():
    missed = metrics_v1(Overlap(tp=0, fp=0, fn=4, tn=16))
    assert (missed["Dice"], missed["Recall"], missed["False Negative Rate"]) == (0, 0, 1)
    assert math.isnan(missed["Precision"])
    assert math.isnan(missed["False Discovery Rate"])
    whole = metrics_v1(Overlap(tp=20, fp=0, fn=0, tn=0))
    assert math.isnan(whole["True Negative Rate"])
    assert math.isnan(whole["False Omission Rate"])


def test_the_summary_of_nnunet_v1_has_the_background():
    rows = count("nnunet", {"background": 0} | CLASSES)
    summary = summary_v1(rows, FILES, "Task064_KiTS")
    assert set(summary) == {"name", "description", "timestamp", "task", "author", "id", "results"}
    assert (summary["task"], len(summary["id"])) == ("Task064_KiTS", 12)
    every, mean = summary["results"]["all"], summary["results"]["mean"]
    assert set(mean) == {"0", "1", "2"}
    assert set(every[0]) == {"0", "1", "2", "test", "reference"}
    assert (every[1]["test"], every[1]["reference"]) == ("pred/B.nii.gz", "gt/B.nii.gz")
    assert all(len(metrics) == 13 for metrics in mean.values())
    assert mean["1"]["Dice"] == pytest.approx(KIDNEY)
    assert mean["2"]["Dice"] == 0.5
    assert mean["2"]["Precision"] == 1  # of C alone: nothing was predicted in A and B
    assert mean["0"]["Recall"] == 1
    json.dumps(summary)
