"""Counts of the online Dice by hand."""

import sys

import numpy as np
import pytest

from mindvoxel.train import progress

TRUTH = np.array([[0, 0, 1, 1], [2, 2, -1, -1]])
PRED = np.array([[0, 1, 1, 0], [2, 0, 2, 1]])


def test_outside_the_mask_is_background():
    from mindvoxel.train.patch_validation import class_counts

    assert class_counts(PRED, TRUTH, 4).tolist() == [[1, 2, 3], [1, 2, 1], [1, 1, 1], [0, 0, 0]]


def test_dice_of_pooled_counts_and_none_for_an_absent_class():
    from mindvoxel.train.patch_validation import pooled_dice

    dice = pooled_dice(np.array([[1, 1, 1], [1, 0, 1], [0, 0, 0], [0, 3, 0]]))
    assert np.allclose(dice, [0.5, 2 / 3, np.nan, 0.0], equal_nan=True)


def test_without_matplotlib_it_is_said_once_and_the_run_goes_on(tmp_path, monkeypatch):
    said = []
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    monkeypatch.setattr(progress.LOGGER, "info", said.append)
    progress._matplotlib.cache_clear()
    (tmp_path / "metrics.jsonl").write_text('{"epoch": 1, "loss": 1.0}\n')
    for _ in range(2):
        progress.draw_progress(tmp_path / "metrics.jsonl", tmp_path / "progress.png")
    progress._matplotlib.cache_clear()
    assert len(said) == 1
    assert "matplotlib is not installed" in said[0]
    assert not (tmp_path / "progress.png").exists()


def test_the_picture_is_drawn_from_the_lines(tmp_path):
    pytest.importorskip("matplotlib", reason="matplotlib is an extra: mindvoxel[plot]")
    lines = ['{"epoch": 1, "loss": 1.0, "val_patch_dice": 0.1}', '{"epoch": 2, "loss": 0.5, "val_dice": null}']
    (tmp_path / "metrics.jsonl").write_text("\n".join(lines) + "\n")
    progress.draw_progress(tmp_path / "metrics.jsonl", tmp_path / "progress.png")
    assert (tmp_path / "progress.png").read_bytes()[:4] == b"\x89PNG"
