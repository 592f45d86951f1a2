"""Which configuration and which fold a run takes; what is stale or missing is in tests/unet3d, through the commands."""

import json
from dataclasses import replace

import pytest

from mindvoxel.data.dataset import Case, Dataset, dataset_to_json
from mindvoxel.data.plan import write_plan
from mindvoxel.data.stored_dataset import configuration_of, open_stored
from mindvoxel.errors import InputError

from .plans import a_configuration, a_plan


@pytest.fixture
def plan():
    flat = a_configuration(spacing_mm=(1.0, 1.0), patch_size=(8, 8))
    full = a_configuration()
    cascade = replace(full, previous_stage="3d_lowres")
    return a_plan(c2d=flat, c3d_fullres=full, c3d_lowres=full, c3d_cascade_fullres=cascade)


def test_dim_means_full_resolution_and_a_name_wins(plan):
    assert configuration_of(plan, 2, None) == "2d"
    assert configuration_of(plan, 3, None) == "3d_fullres"
    assert configuration_of(plan, 3, "3d_lowres") == configuration_of(plan, None, "3d_lowres") == "3d_lowres"
    with pytest.raises(InputError, match="3d_lowres is 3-D and --dim is 2"):
        configuration_of(plan, 2, "3d_lowres")
    assert configuration_of(plan, None, "3d_cascade_fullres") == "3d_cascade_fullres"


def test_folds_are_the_published_ones_where_no_file_says_otherwise(plan, tmp_path):
    plan = replace(plan, channels=("a",))
    cases = tuple(Case(f"c{i}", (tmp_path / f"c{i}.nii",), None) for i in range(7))
    data = Dataset("made up", ("a",), plan.labels, cases)
    write_plan(tmp_path / "plan.json", plan)
    (tmp_path / "dataset.json").write_text(json.dumps(dataset_to_json(data)))
    stored = open_stored(tmp_path)
    folds = [stored.fold(number) for number in range(5)]
    assert sorted(name for fold in folds for name in fold.val) == [f"c{i}" for i in range(7)]
    (tmp_path / "splits.json").write_text(json.dumps([{"train": [f"c{i}" for i in range(1, 7)], "val": ["c0"]}]))
    assert stored.fold(0).val == ("c0",)
    assert len(stored.fold(9).train) == 5  # beyond the last: 80 % at random
    (tmp_path / "dataset.json").write_text("{")
    with pytest.raises(InputError, match=r"dataset\.json: no JSON"):
        open_stored(tmp_path)
