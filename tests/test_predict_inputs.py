"""What --input means: which files are which channel of which case, and where their masks go."""

import json

import numpy as np
import pytest

from mindvoxel.cli.inputs import check_headers, find_cases, mask_paths
from mindvoxel.cli.made import RECORD, record_masks
from mindvoxel.errors import InputError
from mindvoxel.volume import Volume, write_volume


def touch(folder, *names):
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).touch()
    return folder


def found(inputs, num_channels) -> dict[str, list[str]]:
    inputs = inputs if isinstance(inputs, list) else [inputs]
    return {case.case: [path.name for path in case.images] for case in find_cases(inputs, num_channels)}


def test_a_folder_of_files_is_a_case_a_file(tmp_path):
    touch(tmp_path, "b.nrrd", "a.nii.gz", ".hidden.nii.gz", "notes.txt")
    assert found(tmp_path, 4) == {"a": ["a.nii.gz"], "b": ["b.nrrd"]}


def test_nnu_net_s_names_gather_channels(tmp_path):
    touch(tmp_path, "p_2_0000.nii.gz", "p_2_0001.nii.gz", "p_10_0000.nii.gz", "p_10_0001.nii.gz")
    assert found(tmp_path, 2) == {
        "p_10": ["p_10_0000.nii.gz", "p_10_0001.nii.gz"],
        "p_2": ["p_2_0000.nii.gz", "p_2_0001.nii.gz"],
    }
    (tmp_path / "p_2_0001.nii.gz").unlink()
    with pytest.raises(InputError, match=r"1 of 4 files are missing; expected p_2_0001.nii.gz"):
        find_cases([tmp_path], 2)


def test_a_number_that_is_no_channel_belongs_to_the_name(tmp_path):
    touch(tmp_path, "scan_0000.nii.gz", "scan_0001.nii.gz", "scan_0007.nii.gz")
    assert list(found(tmp_path, 1)) == ["scan_0000", "scan_0001", "scan_0007"]
    assert list(found(touch(tmp_path / "one", "a_0000.nii", "b_0000.nii"), 1)) == ["a", "b"]


def test_a_file_brings_its_other_channels_and_several_are_one_case(tmp_path):
    touch(tmp_path, "p_0000.nii.gz", "p_0001.nii.gz", "q.nii.gz", "t1.nrrd", "t2.mha")
    both = {"p": ["p_0000.nii.gz", "p_0001.nii.gz"]}
    assert found(tmp_path / "p_0000.nii.gz", 2) == both
    assert found(tmp_path / "q.nii.gz", 2) == {"q": ["q.nii.gz"]}
    assert found([tmp_path / "p_0000.nii.gz", tmp_path / "p_0001.nii.gz"], 2) == both
    assert found([tmp_path / "t2.mha", tmp_path / "t1.nrrd"], 2) == {"t2": ["t2.mha", "t1.nrrd"]}


def test_a_data_set_s_test_cases_or_what_to_name_instead(tmp_path):
    meta = {"modality": {"0": "MRI"}, "labels": {"0": "background", "1": "organ"}, "training": []}
    (tmp_path / "dataset.json").write_text(json.dumps(meta | {"test": ["./imagesTs/x.nii.gz"]}))
    assert found(tmp_path, 1) == {"x": ["x.nii.gz"]}
    (tmp_path / "dataset.json").write_text(json.dumps(meta | {"test": []}))
    with pytest.raises(InputError, match="no test case in this data set; name the folder"):
        find_cases([tmp_path], 1)
    with pytest.raises(InputError, match="no such file or folder"):
        find_cases([tmp_path / "none"], 1)


def test_all_headers_at_fault_are_told_at_once(tmp_path):
    write_volume(tmp_path / "good.nii.gz", Volume(np.zeros((2, 3, 4), np.int16), (1.0, 1.0, 1.0)))
    (tmp_path / "bad.nii.gz").write_bytes(b"no image")
    cases = find_cases([tmp_path], 1)
    with pytest.raises(InputError, match=r"^1 of 2 cases cannot be read: .*bad\.nii\.gz"):
        check_headers(cases, 1, None)
    with pytest.raises(InputError, match=r"2 of 2 .*good\.nii\.gz: 1 channels, and the networks take 3"):
        check_headers(cases, 3, None)


def test_masks_are_of_the_image_s_type_or_the_file_that_is_named(tmp_path):
    cases = find_cases([touch(tmp_path / "in", "a.mhd", "b.nii", "c.png")], 1)
    names = {case: path.name for case, path in mask_paths(cases, tmp_path / "out").items()}
    assert names == {"a": "a.mha", "b": "b.nii", "c": "c.nii.gz"}
    assert mask_paths(cases[:1], tmp_path / "mask.nrrd") == {"a": tmp_path / "mask.nrrd"}
    with pytest.raises(InputError, match="is a file, and there are 3 cases"):
        mask_paths(cases, tmp_path / "mask.nrrd")
    for name in ("MASK.NII.GZ", "mask.mhd", "mask.png"):
        with pytest.raises(InputError, match="masks are written as one of .mha, .nii.gz"):
            mask_paths(cases[:1], tmp_path / name)


def test_no_mask_takes_the_place_of_a_scan(tmp_path):
    scans = touch(tmp_path / "in", "a.nii.gz")
    (tmp_path / "link").symlink_to(scans)
    cases = find_cases([scans], 1)
    for folder in (scans, tmp_path / "link", tmp_path / "in" / ".." / "in"):
        with pytest.raises(InputError, match="holds the scans"):
            mask_paths(cases, folder)
    with pytest.raises(InputError, match="is the scan itself"):
        mask_paths(cases, tmp_path / "link" / "a.nii.gz")
    assert mask_paths(cases, scans / "mask.nii.gz") == {"a": scans / "mask.nii.gz"}


@pytest.mark.parametrize("mask", ["p.nii.gz", "q_seg.nii.gz", "q_Label.nrrd"])
def test_masks_among_the_scans_are_not_segmented(tmp_path, mask):
    touch(tmp_path, "p_0000.nii.gz", "q.nii.gz", mask)
    with pytest.raises(InputError, match=f"{mask} seems to be the mask of [pq]"):
        find_cases([tmp_path], 1)
    (tmp_path / mask).unlink()
    touch(tmp_path, "r_seg.nii.gz")  # beside no r
    assert list(found(tmp_path, 1)) == ["p_0000", "q", "r_seg"]


def test_more_files_than_channels_are_several_cases(tmp_path):
    paths = [touch(tmp_path, f"{name}.nii.gz") / f"{name}.nii.gz" for name in "abc"]
    with pytest.raises(InputError, match="names 3 files, a case has 2 channels; name a folder of cases"):
        find_cases(paths, 2)


def test_masks_stay_where_the_same_command_made_them_of_the_same_images(tmp_path):
    cases, how = find_cases([touch(tmp_path / "in", "a.nii.gz", "b.nii.gz")], 1), {"tta": "none", "folds": None}
    masks = mask_paths(cases, touch(tmp_path / "out"))

    def record(how=how, cases=cases, overwrite=False):
        record_masks(tmp_path / "out", how, cases, masks if len(cases) > 1 else {"a": masks["a"]}, overwrite)

    masks["a"].touch()  # somebody's label
    with pytest.raises(InputError, match="a.nii.gz: is there already, and no mask that this command made of .*in/a"):
        record()
    assert not (tmp_path / "out" / RECORD).exists()
    record(overwrite=True)
    masks["b"].touch()
    record()
    others = find_cases([touch(tmp_path / "ward 2", "a.nii.gz")], 1)  # another patient of the same name
    with pytest.raises(InputError, match="no mask that this command made of .*ward 2/a"):
        record(cases=others)
    with pytest.raises(InputError, match="were made with folds None, not .1."):
        record(how | {"folds": [1]})
    record(how | {"folds": [1]}, cases=others, overwrite=True)
    with pytest.raises(InputError, match="b.nii.gz: is there already"):  # it was made with all folds
        record(how | {"folds": [1]}, cases=cases[1:] + others)
