"""A data set as dataset.json beside preprocessed cases holds it."""

import json
from pathlib import Path

import pytest

from mindvoxel.data.dataset import Case, Dataset, dataset_from_json, dataset_to_json
from mindvoxel.errors import InputError


def test_reads_as_it_was_written():
    data = Dataset(
        name="Made up",
        channels=("T1", "T2"),
        labels={"background": 0, "edema": 2, "core": 4},
        cases=(Case("a", (Path("/data/a_0.nii"), Path("/data/a_1.nii")), Path("/data/a.nii")),),
        test_cases=(Case("b", (Path("/data/b_0.nii"), Path("/data/b_1.nii")), None),),
        spacing_mm=(3.0, 1.0, 1.0),
        regions={"whole": (2, 4)},
    )
    assert dataset_from_json(json.loads(json.dumps(dataset_to_json(data))), "FILE") == data


def test_files_are_held_by_absolute_paths(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    data = Dataset("x", ("CT",), {"background": 0, "organ": 1}, (Case("a", (Path("a.nii"),), Path("b.nii")),))
    assert dataset_to_json(data)["cases"][0]["images"] == [str(tmp_path / "a.nii")]


@pytest.mark.parametrize("lacking", ["name", "channels", "labels", "cases", "test_cases", "regions"])
def test_a_file_that_lacks_a_key_is_refused(lacking):
    values = dataset_to_json(Dataset("x", ("CT",), {"background": 0, "organ": 1}, ()))
    del values[lacking]
    with pytest.raises(InputError, match=r"FILE: not written by mindvoxel preprocess .*preprocess anew"):
        dataset_from_json(values, "FILE")
