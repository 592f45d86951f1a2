"""The low-resolution cascade through the real commands: what the first stage leaves, and how the second takes it."""

import json
import re
import shlex
import shutil
from pathlib import Path

import numpy as np
import pytest

from mindvoxel.cli import eval as evaluate
from mindvoxel.cli import export, predict, results
from mindvoxel.data.previous import find_previous
from mindvoxel.data.store import open_case
from mindvoxel.data.stored_dataset import open_stored
from mindvoxel.errors import InputError
from mindvoxel.prediction.trained import find_trained
from mindvoxel.train.volumes import Scans
from mindvoxel.volume import read_volume

from ..conftest import ROOT
from .test_run import CPU, TINY, figures, parameters, refused, run

LOW, FULL = "3d_lowres", "3d_cascade_fullres"
PAGE = (ROOT / "docs" / "en" / "cascade.md").read_text()


def words_of_page(what: str, **places) -> list[str]:
    """The words after `python X.py` in the page's command that holds `what`, DATA, OUT, … replaced; fold 0."""
    (line,) = [line for line in PAGE.split("```")[1].splitlines() if what in line]
    words = shlex.split(line.replace("$fold", "0"))[2:]
    return [re.sub("|".join(places), lambda found: str(places[found[0]]), word) for word in words]


@pytest.fixture(scope="module")
def first(staged, tmp_path_factory) -> Path:
    """OUT/3d_lowres/fold_0, trained."""
    out = tmp_path_factory.mktemp("cascade")
    run(*words_of_page("--configuration 3d_lowres", DATA=staged, OUT=out), *TINY, "--epochs", 1)
    return out / LOW / "fold_0"


@pytest.fixture(scope="module")
def stages(staged, first) -> Path:
    """OUT with all folds of 3d_lowres: the others, made up, predict each case's own label but for the lesion."""
    for number, fold in enumerate(open_stored(staged).folds()):
        if number == 0:
            continue
        made = first.with_name(f"fold_{number}")
        (made / "next_stage").mkdir(parents=True)
        shutil.copy(first / "plan.json", made)
        for case in fold.val:
            label = np.array(open_case(staged / FULL, case).label)
            np.save(made / "next_stage" / f"{case}.npy", (label == 1).astype(np.uint8))
    return first.parents[1]


@pytest.fixture(scope="module")
def second(staged, stages) -> Path:
    """OUT/3d_cascade_fullres/fold_0, trained; it finds the first stage by its own place."""
    words = words_of_page("--configuration 3d_cascade", DATA=staged, OUT=stages)
    run(*words, *TINY, "--val_interval", 1, "--keep_interval", 2)
    return stages / FULL / "fold_0"


def test_the_first_stage_leaves_its_validation_cases_on_the_second_s_grid(staged, first):
    held_out = open_stored(staged).fold(0).val
    assert sorted(path.name for path in (first / "next_stage").iterdir()) == sorted(f"{case}.npy" for case in held_out)
    for case in held_out:
        classes = np.load(first / "next_stage" / f"{case}.npy")
        assert classes.dtype == np.uint8
        assert classes.max() <= 2  # classes, not the label values 0, 1, 4
        full, low = (open_case(staged / name, case).image.shape[1:] for name in (FULL, LOW))
        assert classes.shape == full != low


def test_validation_alone_writes_them_again(first):
    kept = {path: np.load(path) for path in (first / "next_stage").iterdir()}
    masks = {path: path.read_bytes() for path in (first / "validation").glob("*.nii.gz")}
    assert len(kept) == len(masks) == 2
    for path in [*kept, *masks]:
        path.unlink()
    run("--resume", first, "--validation_only")
    assert all(np.array_equal(np.load(path), classes) for path, classes in kept.items())
    assert all(path.read_bytes() == mask for path, mask in masks.items())


def test_the_second_stage_takes_a_channel_for_each_foreground_class(second, stages):
    record = json.loads((second / "recipe.json").read_text())
    assert record["paths"]["previous_path"] == str(stages / LOW)
    weights = parameters(second / "best.ckpt")
    assert next(iter(weights.values())).shape[1] == 6  # four of the scan, organ and lesion
    assert all(np.isfinite(line["val_dice"]) for line in figures(second))
    assert not (second / "next_stage").exists()  # nothing follows it


def test_it_goes_on_as_if_undisturbed_wherever_it_lies(second, tmp_path):
    folder = shutil.copytree(second, tmp_path / "elsewhere")
    shutil.copy(folder / "epoch_2.ckpt", folder / "last.ckpt")
    run("--resume", folder)
    assert figures(folder) == figures(second)
    ours, theirs = parameters(folder / "last.ckpt"), parameters(second / "last.ckpt")
    assert all(np.array_equal(ours[name], theirs[name]) for name in theirs)


def test_evaluation_and_export_know_the_previous_stage(second, stages, staged, tmp_path, capfd):
    words = [*words_of_page("eval.py", OUT=stages), "--output_path"]
    shutil.move(staged, f"{staged}-moved")  # and its scans are preprocessed anew
    try:
        assert evaluate.main([*CPU, *words, str(tmp_path / "eval")]) == 0
    finally:
        shutil.move(f"{staged}-moved", staged)
    ours, theirs = ((folder / "metrics.csv").read_text() for folder in (tmp_path / "eval", second / "validation"))
    assert ours == theirs
    other = shutil.copytree(stages, tmp_path / "moved")  # whose first stage lies beside it, and goes first
    for path in (other / LOW / "fold_0" / "next_stage").iterdir():
        path.write_bytes(path.read_bytes()[:-9])
    assert evaluate.main([*CPU, "--ckpt_path", str(other / FULL / "fold_0" / "last.ckpt")]) == 2
    assert re.search(r"case_\d\.npy: does not read \(.*\); write it anew with --resume", capfd.readouterr().err)
    words = ["--ckpt_file", second / "last.ckpt", "--file_name", tmp_path / "second", "--file_format", "ONNX"]
    assert export.main([*CPU, *map(str, words)]) == 0
    assert "input (1, 6, 10, 20, 16) float32" in capfd.readouterr().out


def test_its_whole_scans_see_the_previous_stage_of_their_own_case(staged, stages):
    """A network that repeats the previous stage, whose grid here is the scan's."""
    data = open_stored(staged)
    cases = [fold.val[0] for fold in data.folds()]
    previous = find_previous(stages / LOW, data.plan, FULL, cases)
    scans = Scans(data.plan, FULL, data.dataset, cases, staged / FULL, previous)
    for case in cases:
        mask = scans.segment(case, [lambda w: np.concatenate([1 - w[4:].sum(0, keepdims=True), w[4:]])], "full")
        whole = np.zeros(mask.shape, np.uint8)
        grid = open_case(staged / FULL, case).grid
        whole[grid.crop.slices] = np.array([0, 1, 4])[previous.open(case)]
        assert np.array_equal(mask.voxels, grid.unpermute(whole))


def test_what_is_missing_is_told_with_the_run_to_train(staged, stages, tmp_path, capfd):
    words = [*TINY, "--data_path", staged, "--configuration", FULL, "--output_path"]
    said = refused(capfd, *words, tmp_path / "out")
    assert "--previous_path is needed: the folder with fold_0 to fold_4 of 3d_lowres" in said
    words += [tmp_path / "out", "--previous_path"]
    assert "absent: no such folder" in refused(capfd, *words, tmp_path / "absent")
    low = shutil.copytree(stages / LOW, tmp_path / LOW)
    case, own = (open_stored(staged).fold(number).val[0] for number in (3, 0))
    (low / "fold_3" / "next_stage" / f"{case}.npy").unlink()
    said = refused(capfd, *words, low)
    assert f"1 of 6 cases have no prediction of 3d_lowres (first: {case}); train it first: --configuration" in said
    assert f"--fold 3 --output_path {low / 'fold_3'}" in said
    shutil.rmtree(low / "fold_0" / "next_stage")
    (low / "fold_3" / "next_stage" / f"{case}.npy").symlink_to(stages / LOW / "fold_3" / "next_stage" / f"{case}.npy")
    said = refused(capfd, *words, low)
    assert f"2 of 6 cases have no prediction of 3d_lowres (first: {own}); finish its run with --resume" in said
    assert "--validation_only where its epochs are done" in said
    assert not list((tmp_path / "out").glob("*.ckpt"))


def test_a_first_stage_of_another_plan_and_flags_out_of_place_are_refused(staged, stages, tmp_path, capfd):
    low = shutil.copytree(stages / LOW, tmp_path / LOW)
    text = (low / "fold_1" / "plan.json").read_text()
    plan = json.loads(text)
    plan["configurations"][FULL]["spacing_mm"] = [3.0, 1.0, 1.0]
    (low / "fold_1" / "plan.json").write_text(json.dumps(plan))
    words = [*TINY, "--data_path", staged, "--output_path", tmp_path / "out", "--previous_path", low]
    said = refused(capfd, *words, "--configuration", FULL)
    assert "fold_1: a run of another plan for 3d_cascade_fullres: spacing_mm was (3.0, 1.0, 1.0), is (2.0" in said
    (low / "fold_1" / "plan.json").write_text(text)
    assert "--augment nvidia knows no cascade" in refused(capfd, *words, "--configuration", FULL, "--augment", "nvidia")
    assert "--previous_path has no place: 3d_fullres has no previous stage" in refused(capfd, *words, "--dim", 3)


def test_new_scans_go_through_both_stages(second, stages, source, staged, tmp_path, capfd):
    """The validation cases of fold 0 as new scans: the networks of that fold alone give the masks of validation."""
    held_out = open_stored(staged).fold(0).val
    (tmp_path / "scans").mkdir()
    for case in held_out:
        (tmp_path / "scans" / f"{case}.nii.gz").symlink_to(source / "imagesTr" / f"{case}.nii.gz")
    places = {"OUT": stages, "SCANS": tmp_path / "scans", "MASKS": tmp_path / "masks"}
    words = words_of_page("predict.py", **places)
    assert predict.main([*CPU[2:], *words, "--folds", "0"]) == 0
    assert "networks 1 of 3d_lowres, 1 of 3d_cascade_fullres" in capfd.readouterr().out
    for case in held_out:
        ours, theirs = (
            read_volume(folder / f"{case}.nii.gz").voxels for folder in (tmp_path / "masks", second / "validation")
        )
        assert np.array_equal(ours, theirs)


def test_the_first_stage_of_new_scans_is_found_or_told(second, stages, staged, tmp_path):
    other = shutil.copytree(second, tmp_path / "run")
    trained = find_trained(other)
    assert trained.previous == {LOW: (stages / LOW / "fold_0" / "last.ckpt",)}
    beside = shutil.copytree(stages, tmp_path / "beside")
    found = find_trained(beside / FULL, (0,)).previous
    assert found == {LOW: (beside / LOW / "fold_0" / "last.ckpt",)}
    best = {"version": 1, "configurations": [FULL], "folds": [0], "postprocessing": []}
    (beside / "best.json").write_text(json.dumps(best))
    assert find_trained(beside).previous == found
    (beside / "best.json").write_text(json.dumps(best | {"configurations": [LOW, FULL]}))
    assert find_trained(beside).previous == {}  # it is among those that predict
    assert set(find_trained(beside).checkpoints) == {LOW, FULL}
    shutil.move(beside / LOW / "fold_0", beside / LOW / "moved")
    with pytest.raises(InputError, match=r"3d_lowres: no run fold_K in it; \S+ takes what 3d_lowres"):
        find_trained(beside / FULL)
    shutil.rmtree(beside / LOW)
    shutil.copytree(beside / FULL, beside / LOW)
    with pytest.raises(InputError, match=r"fold_0: no run of 3d_lowres by the plan of "):
        find_trained(beside / FULL)
    shutil.rmtree(beside / LOW)
    record = json.loads((beside / FULL / "fold_0" / "recipe.json").read_text())
    record["paths"]["previous_path"] = str(tmp_path / "gone")
    (beside / FULL / "fold_0" / "recipe.json").write_text(json.dumps(record))
    with pytest.raises(InputError, match=r"fold_0: takes what 3d_lowres predicts, .* neither in \S+ nor in \S+gone"):
        find_trained(beside / FULL)


def test_both_stages_are_compared_and_averaged(second, stages, capfd):
    """The classes that the second one reads come from the first one's run of the same fold."""
    words = ["--configurations", f"{FULL},{LOW}", "--folds", "0", "--device_target", "CPU", "--workers", "0"]
    assert results.main([str(stages), *words]) == 0
    assert "learned from other predictions" not in capfd.readouterr().out
    scores = json.loads((second / "recipe.json").read_text())["previous_scores"]
    assert list(scores) == ["fold_0"]  # the others are made up, and have none
    metrics = stages / LOW / "fold_0" / "validation" / "metrics.csv"
    kept = metrics.read_bytes()
    metrics.write_bytes(kept + b"\n")  # trained anew
    assert results.main([str(stages), *words]) == 0
    said = capfd.readouterr().out
    assert f"{second}: learned from other predictions than those that {stages / LOW} holds now; remove" in said
    metrics.write_bytes(kept)
    best = json.loads((stages / "best.json").read_text())
    assert list(best["dice"]) == [LOW, FULL, f"{LOW}+{FULL}"]
    masks = sorted((stages / f"{LOW}+{FULL}" / "fold_0" / "validation").glob("*.nii.gz"))
    assert len(masks) == 2 and set(np.unique(read_volume(masks[0]).voxels)) <= {0, 1, 4}
    (stages / "best.json").unlink()
