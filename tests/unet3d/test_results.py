"""The folds of a cross-validation brought together: figures, the best, its postprocessing, and what is refused."""

import json
import os
import shutil

import numpy as np
import pandas as pd
import pytest

from mindvoxel.cli import results
from mindvoxel.data.previous import scores_in
from mindvoxel.volume import read_volume

from .made_runs import make_run

CPU = ["--device_target", "CPU", "--workers", "0"]


def run(folder, *words) -> dict:
    """best.json that the command writes."""
    assert results.main([str(folder), *CPU, *map(str, words)]) == 0
    return json.loads((folder / "best.json").read_text())


def refused(capfd, folder, *words) -> str:
    capfd.readouterr()
    assert results.main([str(folder), *CPU, *map(str, words)]) == 2
    lines = capfd.readouterr().err.strip().splitlines()
    assert len(lines) == 1, lines
    return lines[0]


def half_lost(name: str, labels: np.ndarray) -> None:
    """The lesion loses its upper half along z."""
    labels[6:][labels[6:] == 4] = 0


def strays(name: str, labels: np.ndarray) -> None:
    """Four voxels of lesion far off, and two of organ that touch the organ's box at a corner only."""
    labels[0, 0, 0:4] = 4
    labels[1, 2, 2:4] = 1


@pytest.fixture(scope="module")
def out(data, tmp_path_factory):
    """Five folds of 2d, which lacks half of each lesion, and of 3d_fullres, with voxels too many."""
    folder = tmp_path_factory.mktemp("cross")
    for number in range(5):
        make_run(data, folder, "2d", number, half_lost)
        make_run(data, folder, "3d_fullres", number, strays)
    return folder


@pytest.fixture
def copy(out, tmp_path):
    shutil.copytree(out, tmp_path / "copy")
    return tmp_path / "copy"


def dice(out, configuration: str, label: str) -> pd.Series:
    return pd.concat(
        table[table["label"] == label]["dice"]
        for table in (pd.read_csv(out / configuration / f"fold_{k}" / "validation" / "metrics.csv") for k in range(5))
    )


def test_all_cases_once_the_better_one_and_its_postprocessing(out, capfd):
    best = run(out, "--no_ensembles")
    said = capfd.readouterr().out
    assert (best["version"], best["configurations"], best["folds"]) == (1, ["3d_fullres"], [0, 1, 2, 3, 4])
    for name in ("2d", "3d_fullres"):
        table = pd.read_csv(out / name / "metrics.csv", dtype={"case": str})
        assert sorted(table["case"]) == sorted([f"case_{k}" for k in range(6)] * 2)
        wanted = (dice(out, name, "organ").mean() + dice(out, name, "lesion").mean()) / 2
        assert np.isclose(best["dice"][name], wanted, rtol=0, atol=1e-12)
        assert json.loads((out / name / "summary.json").read_text())["num_cases"] == 6
    # all foreground as one cuts the stray lesion off; the organ's two voxels touch at a corner and stay, which no
    # group of ours removes either
    assert best["postprocessing"] == [[1, 4]]
    assert best["dice_by_class_postprocessed"]["lesion"] == 1
    assert 0.9 < best["dice_by_class"]["lesion"] < 1
    assert best["dice_by_class"]["organ"] == best["dice_by_class_postprocessed"]["organ"] < 1
    assert np.isclose(best["dice"]["3d_fullres"], np.mean(list(best["dice_by_class"].values())))
    assert f"predict.py --model_dir {out} " in said
    assert best["scores"] == {name: scores_in(out / name) for name in ("2d", "3d_fullres")}
    assert [len(scores) for scores in best["scores"].values()] == [5, 5]


def test_the_table_shows_each_fold_and_their_mean_and_deviation(out, capfd):
    run(out, "--configurations", "2d")
    row = next(line for line in capfd.readouterr().out.splitlines() if line.startswith("lesion"))
    shown = [float(word) for word in row.split()[1:]]
    folds = [
        pd.read_csv(out / "2d" / f"fold_{k}" / "validation" / "metrics.csv").query("label == 'lesion'")["dice"].mean()
        for k in range(5)
    ]
    wanted = [*folds, np.mean(folds), np.std(folds, ddof=1), dice(out, "2d", "lesion").mean()]
    assert np.allclose(shown, wanted, atol=5.1e-4)


def test_a_single_fold_on_request_alone(copy, capfd):
    for number in range(1, 5):
        shutil.rmtree(copy / "2d" / f"fold_{number}")
    shutil.rmtree(copy / "3d_fullres")
    said = refused(capfd, copy)
    assert f"{copy}/2d/fold_1: no such run, and 4 of 6 cases are validated in no fold" in said
    best = run(copy, "--folds", 0)
    assert (best["configurations"], best["folds"], best["num_cases"]) == (["2d"], [0], 2)


def test_of_equals_the_first_single_one_wins(data, tmp_path):
    for name in ("2d", "3d_fullres"):
        make_run(data, tmp_path, name, 0)
    best = run(tmp_path, "--folds", 0, "--no_ensembles")
    assert best["configurations"] == ["2d"] and best["dice"] == {"2d": 1.0, "3d_fullres": 1.0}
    assert best["postprocessing"] == []


def edit(path, **changes) -> None:
    values = json.loads(path.read_text())
    path.write_text(json.dumps(values | changes))


def test_what_does_not_belong_together_is_refused(copy, capfd):
    run2 = copy / "3d_fullres" / "fold_2"
    shutil.move(run2, copy / "aside")
    assert f"{run2}: no such run; train it" in refused(capfd, copy)
    shutil.copytree(copy / "3d_fullres" / "fold_1", run2)
    assert "holds a run of 3d_fullres, fold 1; 3d_fullres, fold 2 is needed there" in refused(capfd, copy)
    for name in ("2d", "3d_fullres"):  # fold 1 once more under another number
        edit(copy / name / "fold_2" / "recipe.json", fold=2, val_cases=_cases(copy / name / "fold_1"))
    assert "folds 1 and 2 both validate case_" in refused(capfd, copy)
    shutil.rmtree(run2)
    shutil.move(copy / "aside", run2)
    assert "2d/fold_2: validates other cases" in refused(capfd, copy, "--configurations", "3d_fullres,2d")


def _cases(run) -> list[str]:
    return json.loads((run / "recipe.json").read_text())["val_cases"]


def test_a_run_of_another_plan_unfinished_or_without_a_mask_is_named(copy, capfd):
    record = copy / "3d_fullres" / "fold_2" / "recipe.json"
    values = json.loads(record.read_text())
    kept = record.read_text()
    values["plan"]["memory_gb"] = 3
    record.write_text(json.dumps(values))
    assert f"{record.parent}: its plan is not that of {copy}/2d/fold_0" in refused(capfd, copy)
    values = json.loads(kept)
    values["recipe"]["train"]["epochs"] += 1
    record.write_text(json.dumps(values))
    assert f"{record.parent}: is not finished" in refused(capfd, copy)
    record.write_text(kept)
    mask = record.parent / "validation" / f"{_cases(record.parent)[0]}.nii.gz"
    mask.unlink()
    assert f"{mask.parent}: the mask of {_cases(record.parent)[0]} is gone; make it anew with" in refused(capfd, copy)
    assert "no run CONFIGURATION/fold_K" in refused(capfd, copy / "2d" / "fold_0")


@pytest.fixture(scope="module")
def with_networks(data, cpu, tmp_path_factory):
    """Fold 1, one case, of 2d and 3d_fullres with the checkpoints of networks as they begin."""
    from mindvoxel import config
    from mindvoxel.data.plan import plan_from_json
    from mindvoxel.train import checkpoint
    from mindvoxel.train.planned import network_of_plan

    folder = tmp_path_factory.mktemp("networks")
    for name in ("2d", "3d_fullres"):
        run = make_run(data, folder, name, 1, half_lost)
        record = json.loads((run / "recipe.json").read_text())
        plan, recipe = plan_from_json(record["plan"], ""), config.from_json(json.dumps(record["recipe"]))
        network = network_of_plan(recipe, plan, plan.configurations[name])
        checkpoint.save(run / "last.ckpt", network, record)
    return folder


def test_a_pair_is_segmented_by_both_networks_and_kept_while_it_is_newer(with_networks, capfd):
    best = run(with_networks, "--folds", 1)
    assert list(best["dice"]) == ["2d", "3d_fullres", "2d+3d_fullres"]
    masks = with_networks / "2d+3d_fullres" / "fold_1" / "validation"
    case = _cases(with_networks / "2d" / "fold_1")[0]
    ours = read_volume(masks / f"{case}.nii.gz").voxels
    assert np.array_equal(ours, _by_hand(with_networks, case))
    summary = json.loads((masks.parent.parent / "summary.json").read_text())
    assert np.isclose(summary["mean"]["dice"], best["dice"]["2d+3d_fullres"])

    made = [path.stat().st_mtime_ns for path in (masks / f"{case}.nii.gz", masks / "metrics.csv")]
    (masks / "metrics.csv").unlink()  # interrupted before it was written: the mask stays
    run(with_networks, "--folds", 1)
    again = [path.stat().st_mtime_ns for path in (masks / f"{case}.nii.gz", masks / "metrics.csv")]
    assert again[0] == made[0] and again[1] > made[1]
    os.utime(with_networks / "2d" / "fold_1" / "last.ckpt")  # trained further
    run(with_networks, "--folds", 1)
    assert (masks / f"{case}.nii.gz").stat().st_mtime_ns > made[0]


def _by_hand(folder, case: str) -> np.ndarray:
    """The mean of both networks' probabilities on the scan's grid, the case preprocessed anew."""
    from mindvoxel.data.plan import plan_from_json
    from mindvoxel.data.preprocess import preprocess_case
    from mindvoxel.data.stored_dataset import read_dataset
    from mindvoxel.inference import Member, class_planes, sliding_of
    from mindvoxel.inference.stream import softmax
    from mindvoxel.prediction.networks import network_of
    from mindvoxel.train.predict import logits_predictor

    total = 0
    for name in ("2d", "3d_fullres"):
        path = folder / name / "fold_1" / "last.ckpt"
        network, _, meta = network_of(path, "unet3d")
        plan = plan_from_json(meta["plan"], "")
        files = {c.case: c for c in read_dataset(path.with_name("dataset.json")).cases}[case]
        made = preprocess_case(files, plan, name, None, training=False)
        member = Member(made.image, made.grid, [logits_predictor(network)], sliding_of(plan, name))
        grid = made.grid
        scan_mm = tuple(grid.source_spacing_mm[axis] for axis in grid.axes)
        planes = class_planes(member, len(plan.label_values), grid.crop.shape, scan_mm)
        total = total + np.stack([softmax(plane) for plane in planes], 1)
    labels = np.zeros(grid.crop.full, np.uint8)
    labels[grid.crop.slices] = np.array(plan.label_values)[total.argmax(0)]
    return grid.volume(labels).voxels
