"""Which checkpoints a folder means, and what it says where it means none."""

import json
from pathlib import Path

import pytest

from mindvoxel.data.previous import scores_in
from mindvoxel.errors import InputError
from mindvoxel.prediction.trained import find_trained


def a_run(folder: Path, **record) -> Path:
    folder.mkdir(parents=True)
    (folder / "recipe.json").write_text(json.dumps({"model": "vnet"} | record))
    (folder / "last.ckpt").touch()
    return folder


def a_cross_validation(root: Path, **best) -> Path:
    for name in ("flat", "deep"):
        for fold in (0, 1, 10):
            a_run(root / name / f"fold_{fold}", configuration=name)
    values = {"version": 1, "configurations": ["deep", "flat"], "folds": [0, 1], "postprocessing": [[1, 2], [1]]}
    (root / "best.json").write_text(json.dumps(values | best))
    return root


def refused(*words, **named) -> str:
    with pytest.raises(InputError) as caught:
        find_trained(*words, **named)
    return str(caught.value)


def test_a_run_alone(tmp_path):
    run = a_run(tmp_path / "run")
    found = find_trained(run)
    assert (found.model, found.plan, found.num_channels) == ("vnet", None, 1)
    assert found.checkpoints == {"vnet": (run / "last.ckpt",)}
    assert "best.ckpt: no such checkpoint" in refused(run, checkpoint="best")
    assert "one run, among which no folds" in refused(run, folds=(0,))
    assert "must be one of last, best" in refused(run, checkpoint="first")


def test_the_folds_of_a_configuration_in_the_order_of_their_numbers(tmp_path):
    root = a_cross_validation(tmp_path)
    found = find_trained(root / "deep")
    assert [path.parent.name for path in found.checkpoints["deep"]] == ["fold_0", "fold_1", "fold_10"]
    assert found.postprocessing == ()
    chosen = find_trained(root / "deep", folds=(10, 0))
    assert [path.parent.name for path in chosen.checkpoints["deep"]] == ["fold_0", "fold_10"]
    assert "no run of fold 4, found 0, 1, 10" in refused(root / "deep", folds=(0, 4))


def test_best_json_says_what_predicts(tmp_path):
    root = a_cross_validation(tmp_path)
    found = find_trained(root)
    assert list(found.checkpoints) == ["deep", "flat"]
    assert [path.parent.name for path in found.checkpoints["flat"]] == ["fold_0", "fold_1"]
    assert found.postprocessing == ((1, 2), (1,))
    assert find_trained(root, folds=(10,)).checkpoints["flat"] == (root / "flat" / "fold_10" / "last.ckpt",)


def test_folders_that_mean_nothing_say_what_to_do(tmp_path):
    root = a_cross_validation(tmp_path / "cv")
    assert "version 1 with configurations, folds, postprocessing" in refused(
        a_cross_validation(tmp_path / "v", version=2)
    )
    moved = a_cross_validation(tmp_path / "w", configurations=["deep", "lost"])
    (moved / "flat").rename(moved / "lost")
    assert "its runs are of deep, flat, best.json names deep, lost; run mindvoxel results again" in refused(moved)
    (root / "best.json").unlink()
    assert "no best.json says which of deep, flat is best; run mindvoxel results" in refused(root)
    (tmp_path / "empty").mkdir()
    assert "no run in it" in refused(tmp_path / "empty")
    assert "no such folder" in refused(tmp_path / "none")


def test_a_name_that_only_begins_like_a_fold_is_none(tmp_path):
    for name in ("fold_1b", "fold_old"):
        a_run(tmp_path / name, configuration="deep")
    assert "no run in it; a folder with recipe.json is needed" in refused(tmp_path)
    a_run(tmp_path / "fold_2", configuration="deep")
    assert find_trained(tmp_path).checkpoints["deep"] == (tmp_path / "fold_2" / "last.ckpt",)


@pytest.mark.parametrize(
    "wrong", [{"folds": []}, {"folds": ["0"]}, {"configurations": []}, {"postprocessing": [1, 2]}], ids=str
)
def test_a_best_json_that_says_nothing_is_to_be_written_again(tmp_path, wrong):
    assert "run mindvoxel results again" in refused(a_cross_validation(tmp_path, **wrong))


def test_a_run_that_scores_otherwise_than_when_it_was_chosen_is_told(tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr("mindvoxel.log.LOGGER.warning", lambda text, *words: said.append(text % words))
    root = a_cross_validation(tmp_path)
    for fold in (0, 1):
        (root / "deep" / f"fold_{fold}" / "validation").mkdir()
        (root / "deep" / f"fold_{fold}" / "validation" / "metrics.csv").write_text("0.8")
    best = json.loads((root / "best.json").read_text())
    (root / "best.json").write_text(json.dumps(best | {"scores": {"deep": scores_in(root / "deep"), "flat": {}}}))
    find_trained(root)
    assert said == []
    (root / "deep" / "fold_0" / "validation" / "metrics.csv").write_text("0.9")
    (root / "deep" / "fold_1" / "validation" / "metrics.csv").unlink()  # a copy without its scores
    find_trained(root)
    assert len(said) == 1
    assert f"{root / 'deep' / 'fold_0'}: was trained or validated anew after best.json" in said[0]


def test_runs_that_do_not_belong_together_are_refused(tmp_path):
    a_run(tmp_path / "a" / "fold_0", configuration="deep")
    a_run(tmp_path / "a" / "fold_1", configuration="flat")
    assert "runs of deep, flat side by side" in refused(tmp_path / "a")
    a_run(tmp_path / "b" / "fold_0")
    a_run(tmp_path / "b" / "fold_1", model="unet3d")
    assert "its model is not that of" in refused(tmp_path / "b")
