"""Rows, shares and tables of classified photos, by hand."""

import json

import numpy as np
import pytest

from mindvoxel.metrics.photos import (
    format_photos,
    score_photos,
    shares_of,
    summarise_photos,
    sums_of,
    write_photo_report,
)

CLASSES = ("ant", "bee", "cow", "dog", "eel", "fox")


def rows() -> list[dict]:
    logits = np.zeros((3, 6), np.float32)
    logits[0] = [1, 2, 3, 4, 5, 0]  # the true class, 1, is fourth
    logits[1, 2] = 7  # right
    logits[2] = 1000 + np.log([1, 2, 3, 4, 5, 85])  # the true class, 0, is last
    return score_photos(logits, np.array([1, 2, 0], np.int32), ["bee/x.png", "cow/y.png", "ant/z.png"], CLASSES)


def test_rows_by_hand():
    found = rows()
    assert [row["photo"] for row in found] == ["bee/x.png", "cow/y.png", "ant/z.png"]
    assert [(row["class"], row["predicted"], row["rank"]) for row in found] == [
        ("bee", "eel", 4),
        ("cow", "cow", 1),
        ("ant", "fox", 6),
    ]
    wanted = [np.log(np.exp(np.arange(6)).sum()) - 2, np.log(np.exp(7) + 5) - 7, np.log(100)]
    assert [row["loss"] for row in found] == pytest.approx(wanted, rel=1e-4)


def test_equal_logits_are_no_hit():
    (row,) = score_photos(np.ones((1, 6), np.float32), np.array([0]), ["ant/a.png"], CLASSES)
    assert (row["rank"], row["loss"]) == (6, pytest.approx(np.log(6)))


def test_sums_of_parts_make_the_shares_of_the_whole():
    whole = shares_of(sums_of(rows()))
    assert whole == {"top1": 1 / 3, "top5": 2 / 3, "loss": pytest.approx(sum(row["loss"] for row in rows()) / 3)}
    parts = [sums_of(rows()[:1]), sums_of([]), sums_of(rows()[1:])]
    assert shares_of([sum(part) for part in zip(*parts, strict=True)]) == whole
    assert all(np.isnan(value) for value in shares_of(sums_of([])).values())


def test_summary_report_and_table(tmp_path):
    summary = summarise_photos(rows(), CLASSES)
    assert summary["num_photos"] == 3
    assert list(summary["classes"]) == list(CLASSES)
    assert (summary["classes"]["cow"]["top1"], summary["classes"]["ant"]["top5"]) == (1.0, 0.0)
    write_photo_report(tmp_path, rows(), summary, {"checkpoint": "best.ckpt"})
    written = json.loads((tmp_path / "summary.json").read_text())
    assert written["classes"]["dog"] == {"num_photos": 0, "top1": None, "top5": None, "loss": None}
    assert written["meta"] == {"checkpoint": "best.ckpt"}
    lines = (tmp_path / "metrics.csv").read_text().splitlines()
    assert lines[0] == "photo,class,predicted,rank,loss"
    assert lines[2].startswith("cow/y.png,cow,cow,1,")
    table = format_photos(summary).splitlines()
    assert [line.split()[0] for line in table] == ["photos", "ant", "bee", "cow", "all"]
    assert table[-1].split()[-4:-1] == ["3", "0.3333", "0.6667"]
    short = format_photos(summary, most=1)
    assert "the 1 of 3 classes with the lowest top-1:" in short and "cow" not in short
