"""Where the predictions of a previous stage are looked for, and what is told where they are not there."""

from dataclasses import replace

import numpy as np
import pytest

from mindvoxel.data.plan import write_plan
from mindvoxel.data.previous import find_previous, write_previous
from mindvoxel.data.splits import Fold
from mindvoxel.errors import InputError

from .plans import a_configuration, a_plan

FULL = "3d_cascade_fullres"
PLAN = a_plan(c3d_lowres=a_configuration(), c3d_cascade_fullres=replace(a_configuration(), previous_stage="3d_lowres"))
FOLDS = [Fold(("b", "c"), ("a",)), Fold(("a", "c"), ("b",)), Fold(("a", "b"), ("c",))]


@pytest.fixture
def runs(tmp_path):
    """Of fold_0 and fold_1, and of a fold_10 that had everything in validation."""
    for number, cases in ((10, "abc"), (0, "a"), (1, "b")):
        run = tmp_path / f"fold_{number}"
        for case in cases:
            write_previous(run, case, np.full((2, 3, 4), number, np.uint8))
        write_plan(run / "plan.json", PLAN)
    return tmp_path


def test_the_first_run_that_has_a_case_gives_it(runs):
    previous = find_previous(runs, PLAN, FULL, ["a", "b", "c"])
    assert [previous.open(case).max() for case in "abc"] == [0, 1, 10]
    assert previous.num_classes == 3
    assert isinstance(previous.open("a"), np.memmap)  # a patch does not read the whole case
    image = np.ones((2, 2, 3, 4), np.float32)
    both = previous.append_to(image, "c")
    assert (both.shape, both.dtype) == ((3, 2, 3, 4), np.float32)
    assert np.array_equal(both[:2], image)
    assert (both[2] == 10).all()
    with pytest.raises(
        InputError, match=r"c\.npy: classes of shape \(2, 3, 4\), the preprocessed case has \(2, 3, 5\)"
    ):
        previous.append_to(np.ones((2, 2, 3, 5), np.float32), "c")


def test_the_run_that_is_missing_is_named(runs):
    (runs / "fold_10" / "next_stage" / "c.npy").unlink()
    with pytest.raises(InputError, match=r"1 of 3 cases .* \(first: c\); train it first: .* --fold 2 --output_path"):
        find_previous(runs, PLAN, FULL, ["a", "b", "c"], FOLDS)
    with pytest.raises(InputError, match=r"first: c\); train the fold of 3d_lowres that validates it"):
        find_previous(runs, PLAN, FULL, ["a", "b", "c"])
    (runs / "fold_2").mkdir()
    (runs / "fold_2" / "last.ckpt").touch()
    with pytest.raises(InputError, match=r"finish its run with --resume \S+fold_2, and --validation_only where"):
        find_previous(runs, PLAN, FULL, ["a", "b", "c"], FOLDS)


def test_a_run_of_another_plan_is_refused_where_it_is_used(runs):
    other = replace(PLAN, labels={"background": 0, "organ": 1, "lesion": 4})
    write_plan(runs / "fold_10" / "plan.json", other)
    assert len(find_previous(runs, PLAN, FULL, ["a", "b"]).files) == 2
    with pytest.raises(InputError, match=r"fold_10: a run of another plan for .*: label_values was \(0, 1, 4\), is"):
        find_previous(runs, PLAN, FULL, ["a", "b", "c"])
    write_plan(runs / "fold_10" / "plan.json", a_plan(c3d_lowres=a_configuration()))
    with pytest.raises(InputError, match="fold_10: a run of another plan for 3d_cascade_fullres: dim was absent"):
        find_previous(runs, PLAN, FULL, ["a", "b", "c"])


def test_a_damaged_file_is_told_with_its_remedy(runs):
    path = runs / "fold_0" / "next_stage" / "a.npy"
    for damage in (path.read_bytes()[:-1], b"", b"nonsense"):
        path.write_bytes(damage)
        with pytest.raises(
            InputError, match=r"a\.npy: does not read \(.*\); write it anew with --resume \S+fold_0 --val"
        ):
            find_previous(runs, PLAN, FULL, ["a"]).open("a")
