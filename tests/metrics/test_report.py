"""Rows, means, table and files, on volumes of three labels."""

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mindvoxel.errors import InputError
from mindvoxel.metrics.report import ABSOLUTES, SCORES, SHARES, read_rows, score_case, summarise, write_report
from mindvoxel.metrics.table import format_table
from mindvoxel.volume import Volume

LABELS = {"gland": 1, "lesion": 2}
SPACING_MM = (3.0, 0.5, 0.8)


def volume(gland=None, lesion=None) -> Volume:
    voxels = np.zeros((5, 11, 9), np.int8)
    for value, box in ((1, gland), (2, lesion)):
        if box is not None:
            voxels[box] = value
    return Volume(voxels, SPACING_MM)


GLAND, SHIFTED = np.s_[1:4, 2:8, 1:5], np.s_[1:4, 3:9, 1:5]
LESION = np.s_[2, 9:11, 7:9]


def score(pred: Volume, truth: Volume, case: str = "Case00") -> list[dict]:
    return score_case(case, pred, truth, LABELS, nsd_tolerance_mm=1.0)


def test_a_row_for_each_label_with_its_outcome():
    rows = score(volume(gland=SHIFTED, lesion=LESION), volume(gland=GLAND))
    assert [(row["case"], row["label"], row["outcome"]) for row in rows] == [
        ("Case00", "gland", "scored"),
        ("Case00", "lesion", "false"),
    ]
    rows = score(volume(), volume(gland=GLAND))
    assert [row["outcome"] for row in rows] == ["missed", "empty"]


def test_the_metrics_of_a_scored_row():
    row = score(volume(gland=SHIFTED), volume(gland=GLAND))[0]
    assert row["dice"] == pytest.approx(5 / 6)  # 5 of 6 rows shared
    assert row["hd_mm"] == pytest.approx(0.5)
    assert row["hd95_mm"] == pytest.approx(0.5)
    assert 0 < row["assd_mm"] < 0.5
    assert row["nsd"] == 1
    assert row["volume_ml"] == pytest.approx(3 * 6 * 4 * 1.2 / 1000)
    assert row["volume_difference_ml"] == row["volume_difference_percent"] == 0


def test_the_metrics_of_a_missed_row():
    truth = volume(gland=GLAND)
    row = score(volume(), truth)[0]
    assert (row["dice"], row["nsd"], row["volume_difference_percent"]) == (0, 0, -200)
    assert (
        row["hd_mm"]
        == row["hd95_mm"]
        == row["assd_mm"]
        == pytest.approx(np.linalg.norm(np.multiply(truth.voxels.shape, truth.spacing_mm)))
    )


def test_the_metrics_of_an_empty_row_are_nan():
    row = score(volume(), volume())[0]
    assert all(math.isnan(row[metric]) for metric in SCORES)
    assert math.isnan(row["volume_difference_ml"])
    assert math.isnan(row["volume_difference_percent"])


@pytest.mark.parametrize("metric", SCORES + ABSOLUTES)
@pytest.mark.parametrize("outcome", ["missed", "false"])
def test_a_missed_or_false_structure_makes_every_mean_worse(metric, outcome):
    truth = volume(gland=GLAND)
    good = [score(volume(gland=SHIFTED), truth, f"Case{n:02d}")[0] for n in range(3)]
    bad = score(volume(), truth)[0] if outcome == "missed" else score(truth, volume())[0]
    before, after = (summarise(rows)["labels"]["gland"]["metrics"][metric]["mean"] for rows in (good, [*good[:2], bad]))
    assert after < before if metric in SHARES else after > before


def test_an_empty_case_is_left_out_of_the_means_and_counted():
    rows = score(volume(gland=SHIFTED), volume(gland=GLAND), "Case00") + score(volume(), volume(), "Case01")
    summary = summarise(rows)
    gland = summary["labels"]["gland"]
    assert gland["metrics"]["dice"] == {
        "mean": pytest.approx(5 / 6),
        "sd": pytest.approx(math.nan, nan_ok=True),
        "n_used": 1,
    }
    assert (gland["num_cases"], gland["num_scored"], gland["num_empty"], gland["num_empty_truth"]) == (2, 1, 1, 1)
    assert (gland["num_missed"], gland["num_false"]) == (0, 0)
    assert summary["num_cases"] == 2


def test_means_and_sample_deviations():
    rows = [score(volume(gland=GLAND), volume(gland=GLAND), "A")[0], score(volume(), volume(gland=GLAND), "B")[0]]
    statistics = summarise(rows)["labels"]["gland"]["metrics"]["dice"]
    assert statistics == {"mean": 0.5, "sd": pytest.approx(math.sqrt(0.5)), "n_used": 2}


def test_signed_differences_cancel_and_absolute_ones_do_not():
    small, large = np.s_[1:4, 2:7, 1:5], np.s_[1:4, 2:9, 1:5]
    rows = [score(volume(gland=box), volume(gland=GLAND), str(box))[0] for box in (small, large)]
    metrics = summarise(rows)["labels"]["gland"]["metrics"]
    assert metrics["volume_difference_ml"]["mean"] == pytest.approx(0, abs=1e-9)
    # 60 and 84 voxels for 72: 200 · 12 / 132 too small, 200 · 12 / 156 too large
    assert metrics["abs_volume_difference_percent"]["mean"] == pytest.approx((2400 / 132 + 2400 / 156) / 2)
    assert metrics["abs_volume_difference_ml"]["mean"] == pytest.approx(12 * 1.2 / 1000)


def test_the_overall_mean_is_over_labels_that_have_one():
    rows = score(volume(gland=SHIFTED), volume(gland=GLAND, lesion=LESION))
    assert summarise(rows)["mean"]["dice"] == pytest.approx((5 / 6 + 0) / 2)
    rows = score(volume(gland=SHIFTED), volume(gland=GLAND))
    assert summarise(rows)["mean"]["dice"] == pytest.approx(5 / 6)


def test_another_grid_is_refused():
    moved = Volume(volume().voxels, SPACING_MM, origin_mm=(5.0, 0.0, 0.0))
    with pytest.raises(InputError, match=r"the prediction of Case00: its grid lies up to 5 mm"):
        score(moved, volume())


def test_no_rows_are_refused():
    with pytest.raises(ValueError, match="at least one scored case"):
        summarise([])


def test_the_table_is_fixed_width_and_holds_means_deviations_and_counts():
    truth = volume(gland=GLAND)
    rows = score(volume(gland=GLAND), truth, "A") + score(volume(), truth, "B") + score(volume(), volume(), "C")
    lines = format_table(summarise(rows)).splitlines()
    assert lines[0].split()[:4] == ["label", "Dice", "HD", "mm"]
    assert lines[1].split()[:3] == ["gland", "mean", "0.500"]
    assert lines[2].split()[:2] == ["sd", "0.707"]
    assert lines[3].strip() == "3 cases: 1 scored, 1 missed, 0 false, 1 empty (1 empty in the truth)"
    assert lines[4].split()[:3] == ["lesion", "mean", "-"]
    assert lines[7].split()[:3] == ["mean", "all", "0.500"]
    assert lines[-1].startswith("convention mindvoxel; missed: in the truth only")
    assert lines[-1].endswith("NSD at 1 mm")
    assert len({len(line) for line in lines[:3]}) == 1
    assert max(map(len, lines[:-1])) <= 80


def test_a_region_is_scored_as_one_and_has_a_mean_of_its_own():
    labels = LABELS | {"both": (1, 2), "second": (2,)}
    pred, truth = volume(gland=SHIFTED), volume(gland=GLAND, lesion=LESION)
    rows = score_case("A", pred, truth, labels, nsd_tolerance_mm=1.0)
    assert [(row["label"], row["kind"]) for row in rows] == [
        ("gland", "class"),
        ("lesion", "class"),
        ("both", "region"),
        ("second", "region"),
    ]
    assert rows[2]["dice"] == pytest.approx(2 * 60 / (72 + 76))  # the lesion's 4 voxels are in the truth alone
    assert {key: rows[3][key] for key in SCORES} == {key: rows[1][key] for key in SCORES}
    summary = summarise(rows)
    assert summary["mean"]["dice"] == pytest.approx((60 / 72 + 0) / 2)
    assert summary["mean_regions"]["dice"] == pytest.approx((120 / 148 + 0) / 2)
    assert [line.split()[:2] for line in format_table(summary).splitlines()[-3:-1]] == [
        ["mean", "all"],
        ["regions", "all"],
    ]
    assert "mean_regions" not in summarise(score(pred, truth))
    assert "mean" not in summarise(rows[2:])


def test_lesions_stand_in_rows_sums_and_table():
    truth = volume(lesion=LESION)
    rows = score_case("A", truth, truth, LABELS, nsd_tolerance_mm=1.0, lesions=True)
    rows += score_case("B", volume(), truth, LABELS, nsd_tolerance_mm=1.0, lesions=True)
    assert (rows[1]["lesions_found"], rows[1]["lesion_f1"]) == (1, 1)
    assert (rows[3]["lesions_missed"], rows[3]["lesion_f1"]) == (1, 0)
    assert math.isnan(rows[0]["lesion_f1"])
    summary = summarise(rows)
    lesion = summary["labels"]["lesion"]
    assert (lesion["lesions_truth"], lesion["lesions_found"], lesion["lesions_missed"]) == (2, 1, 1)
    assert lesion["metrics"]["lesion_f1"]["mean"] == 0.5
    table = format_table(summary)
    assert "2 lesions: 1 found, 1 missed, 0 false; mean F1 0.500" in table
    assert "0 lesions: 0 found, 0 missed, 0 false; mean F1 -" in table


def test_the_report_is_a_csv_of_rows_and_strict_json(tmp_path):
    rows = score(volume(gland=SHIFTED), volume(gland=GLAND))
    write_report(tmp_path / "new" / "folder", rows, {"model": "vnet", "epochs": np.int64(3), "loss": math.inf})
    folder = tmp_path / "new" / "folder"
    assert sorted(path.name for path in folder.iterdir()) == ["metrics.csv", "summary.json"]

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    summary = json.loads((folder / "summary.json").read_text(), parse_constant=refuse)
    assert summary["convention"] == "mindvoxel"
    assert summary["meta"] == {"model": "vnet", "epochs": 3, "loss": None}
    assert summary["labels"]["lesion"]["metrics"]["dice"] == {"mean": None, "sd": None, "n_used": 0}
    table = pd.read_csv(folder / "metrics.csv")
    assert table["label"].tolist() == ["gland", "lesion"]
    assert table["convention"].tolist() == ["mindvoxel"] * 2
    assert table["dice"][0] == pytest.approx(5 / 6)
    assert math.isnan(table["dice"][1])


def test_a_report_that_cannot_be_written_leaves_the_old_one(tmp_path, monkeypatch):
    rows = score(volume(gland=GLAND), volume(gland=GLAND))
    write_report(tmp_path, rows, {})
    before = (tmp_path / "metrics.csv").read_bytes()

    def half(self, text, **_):
        with self.open("w") as file:
            file.write(text[: len(text) // 2])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", half)
    with pytest.raises(OSError, match="No space left"):
        write_report(tmp_path, rows * 2, {})
    monkeypatch.undo()
    assert (tmp_path / "metrics.csv").read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["metrics.csv", "summary.json"]


def test_a_miss_is_never_better_than_a_prediction_far_too_large():
    """In percent of the truth, 300 % too much would be worse than nothing at all."""
    rows = [score(volume(gland=np.s_[:, :, :]), volume(gland=LESION), "large")[0]]
    missed = score(volume(), volume(gland=LESION), "missed")[0]
    for metric in ("dice", "nsd"):
        assert missed[metric] <= rows[0][metric]
    before = summarise(rows)["mean"]["abs_volume_difference_percent"]
    assert summarise([*rows, missed])["mean"]["abs_volume_difference_percent"] > before


def test_rows_come_back_from_their_file_as_they_were(tmp_path):
    rows = score(volume(gland=GLAND), volume(gland=GLAND), "007") + score(volume(), volume(gland=GLAND), "1e3")
    rows[0]["label"] = "NA"
    write_report(tmp_path, rows, {})
    back = read_rows(tmp_path / "metrics.csv")
    assert [set(row) for row in back] == [set(row) for row in rows]
    for row, old in zip(back, rows, strict=True):
        assert {key: repr(value) for key, value in row.items()} == {key: repr(value) for key, value in old.items()}
    assert str(summarise(back)) == str(summarise(rows))


def test_a_file_that_holds_no_rows_is_named(tmp_path):
    path = tmp_path / "metrics.csv"
    for text in ("", "case,label\na,b\n", '"', "\x00\xff"):
        path.write_text(text)
        with pytest.raises(InputError, match=f"{path}: (not a readable metrics.csv|has no column )"):
            read_rows(path)
    with pytest.raises(InputError, match="not a readable"):
        read_rows(tmp_path / "absent.csv")
