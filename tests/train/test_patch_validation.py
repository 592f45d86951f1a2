"""Counts of the online Dice by hand."""

import sys
import warnings

import numpy as np

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


def test_the_picture_has_a_line_in_each_panel_and_nothing_to_warn_of(tmp_path):
    from matplotlib.image import imread

    lines = [
        '{"epoch": 1, "loss": 1.0, "val_patch_dice": 0.1, "seconds": 2.0, "learning_rate": 0.1}',
        '{"epoch": 2, "loss": 0.5, "val_patch_dice": 0.6, "seconds": 1.0, "learning_rate": 0.05, "val_dice": null}',
    ]
    blue = {}
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # of a legend without entries, for one
        for name, text in (("all", "\n".join(lines)), ("loss", '{"epoch": 1, "loss": 1.0}')):
            (tmp_path / "metrics.jsonl").write_text(text + "\n")
            progress.draw_progress(tmp_path / "metrics.jsonl", tmp_path / f"{name}.png")
            panels = np.array_split(imread(tmp_path / f"{name}.png")[..., :3], 4)
            blue[name] = [int((np.abs(panel - (0.122, 0.467, 0.706)).max(-1) < 0.01).sum()) for panel in panels]
    assert min(blue["all"]) > 300  # pixels of the first line's colour
    assert 0 < blue["loss"][0] < 100  # a point and its legend
    assert blue["loss"][1:] == [0, 0, 0]
    assert {path.name for path in tmp_path.iterdir()} == {"metrics.jsonl", "all.png", "loss.png"}
