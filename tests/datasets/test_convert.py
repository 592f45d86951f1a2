"""Data sets go through every layout and come back the same; files are copied, linked or written anew as it must be."""

import itertools
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from mindvoxel.data.dataset import Case, Dataset, read_image, read_label
from mindvoxel.datasets.convert import convert
from mindvoxel.datasets.layouts import LAYOUTS, open_dataset
from mindvoxel.errors import InputError
from mindvoxel.volume import Volume, write_volume

SPACING = (3.0, 0.5, 0.75)
OBLIQUE = (0.8, 0.6, 0.0, -0.6, 0.8, 0.0, 0.0, 0.0, 1.0)
NAMES = ("case_10", "case_2", "x.y")


def make_set(root: Path, channels=("CT", "T2"), suffix=".nrrd", joined=False, labels=None) -> Dataset:
    """Three labelled cases of odd shapes on oblique grids, and a test case, in files of their own naming."""
    root.mkdir()
    rng = np.random.default_rng(0)
    cases = []
    for i, name in enumerate((*NAMES, "test")):
        shape = (3 + i, 7, 9 - i)
        grid = Volume(np.zeros(shape), SPACING, (10.0 * i, -20.5, 30.0), OBLIQUE)
        voxels = rng.integers(-999, 999, (len(channels), *shape)).astype(np.int16)
        files = [root / f"{name}-{k}{suffix}" for k in range(1 if joined else len(channels))]
        for k, file in enumerate(files):
            write_volume(file, grid.with_voxels(voxels if joined else voxels[k]))
        label = root / f"{name}-label{suffix}"
        write_volume(label, grid.with_voxels(rng.integers(0, 2, shape).astype(np.uint8)))
        cases.append(Case(name, tuple(files), None if name == "test" else label))
    named = labels or {"background": 0, "tumour": 1}
    return Dataset("Made up", channels, named, tuple(cases[:3]), tuple(cases[3:]))


def same(found: Dataset, wanted: Dataset, names: bool = True) -> None:
    if names:
        assert (found.name, found.channels, found.labels) == (wanted.name, wanted.channels, wanted.labels)
        assert found.regions == wanted.regions
    for ours, theirs in ((found.cases, wanted.cases), (found.test_cases, wanted.test_cases)):
        assert sorted(c.case for c in ours) == sorted(c.case for c in theirs)
        by_name = {c.case: c for c in theirs}
        for case in ours:
            same_volume(read_image(case, found.spacing_mm), read_image(by_name[case.case], wanted.spacing_mm))
            assert (case.label is None) == (by_name[case.case].label is None)
            if case.label:
                same_volume(read_label(case, found.spacing_mm), read_label(by_name[case.case], wanted.spacing_mm))


def same_volume(found: Volume, wanted: Volume) -> None:
    assert np.array_equal(found.voxels, wanted.voxels)
    assert found.spacing_mm == pytest.approx(wanted.spacing_mm, rel=1e-6)
    assert np.abs(found.corners_mm() - wanted.corners_mm()).max() < 1e-4


def files(root: Path) -> list[str]:
    return sorted(p.relative_to(root).as_posix() for p in root.rglob("*") if not p.is_dir())


@pytest.mark.parametrize(("first", "second"), list(itertools.permutations(["msd", "nnunet_v1", "nnunet_v2", "csv"], 2)))
def test_from_any_layout_to_any_other_and_back(tmp_path, first, second):
    made = make_set(tmp_path / "made")
    convert(made, tmp_path / "a", first)
    convert(open_dataset(tmp_path / "a"), tmp_path / "b", second)
    convert(open_dataset(tmp_path / "b"), tmp_path / "c", first)
    for folder in "abc":
        same(open_dataset(tmp_path / folder), made)
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_one_channel_to_every_layout(tmp_path, layout):
    made = make_set(tmp_path / "made", channels=("CT",))
    convert(made, tmp_path / "a", layout)
    same(open_dataset(tmp_path / "a"), made, names=layout != "promise12")
    convert(open_dataset(tmp_path / "a"), tmp_path / "b", "nnunet_v2")
    same(open_dataset(tmp_path / "b"), made, names=layout != "promise12")


def test_the_round_trip_of_a_4d_data_set(tmp_path):
    made = make_set(tmp_path / "made", suffix=".nii.gz", joined=True)
    convert(made, tmp_path / "0", "msd")
    assert sitk.ReadImage(str(tmp_path / "0" / "imagesTr" / "case_2.nii.gz")).GetSize() == (8, 7, 4, 2)
    for i, layout in enumerate(["nnunet_v2", "csv", "nnunet_v1", "msd"]):
        convert(open_dataset(tmp_path / f"{i}"), tmp_path / f"{i + 1}", layout)
    same(open_dataset(tmp_path / "4"), made)
    assert files(tmp_path / "0") == files(tmp_path / "4")
    assert (tmp_path / "0" / "dataset.json").read_text() == (tmp_path / "4" / "dataset.json").read_text()
    stored = sitk.ReadImage(str(tmp_path / "3" / "imagesTr" / "x.y_0001.nii.gz"))
    assert stored.GetPixelID() == sitk.sitkInt16


def test_what_lies_where(tmp_path):
    made = make_set(tmp_path / "made")
    for layout in ("msd", "nnunet_v1", "nnunet_v2", "csv"):
        convert(made, tmp_path / layout, layout)
    assert [f for f in files(tmp_path / "msd") if "x.y" in f] == ["imagesTr/x.y.nii.gz", "labelsTr/x.y.nii.gz"]
    channels = ["imagesTr/x.y_0000{}", "imagesTr/x.y_0001{}", "labelsTr/x.y{}"]
    assert [f for f in files(tmp_path / "nnunet_v1") if "x.y" in f] == [c.format(".nii.gz") for c in channels]
    assert [f for f in files(tmp_path / "nnunet_v2") if "x.y" in f] == [c.format(".nrrd") for c in channels]
    assert "imagesTs/test_0001.nrrd" in files(tmp_path / "nnunet_v2")
    assert (tmp_path / "csv" / "cases.csv").read_text().splitlines() == [
        "case,CT,T2,label",
        *(f"{c},images/{c}_0000.nrrd,images/{c}_0001.nrrd,labels/{c}.nrrd" for c in NAMES),
        "test,images/test_0000.nrrd,images/test_0001.nrrd,",
    ]
    meta = json.loads((tmp_path / "nnunet_v1" / "dataset.json").read_text())
    assert meta["training"][1] == {"image": "./imagesTr/case_2.nii.gz", "label": "./labelsTr/case_2.nii.gz"}
    assert meta["numTraining"] == 3
    assert meta["labels"] == {"0": "background", "1": "tumour"}
    meta = json.loads((tmp_path / "nnunet_v2" / "dataset.json").read_text())
    assert meta["channel_names"] == {"0": "CT", "1": "T2"}
    assert (meta["labels"], meta["file_ending"]) == ({"background": 0, "tumour": 1}, ".nrrd")


def test_files_that_stay_are_copied_byte_by_byte_or_linked(tmp_path):
    made = make_set(tmp_path / "made", channels=("CT",), suffix=".nii.gz")
    assert convert(made, tmp_path / "copied", "nnunet_v2") == (7, 0)
    assert convert(made, tmp_path / "linked", "nnunet_v1", link=True) == (7, 0)
    assert convert(made, tmp_path / "anew", "promise12", link=True) == (7, 0)
    original = made.cases[0].image
    for folder in ("copied", "linked"):
        path = tmp_path / folder / "imagesTr" / "case_10_0000.nii.gz"
        assert path.read_bytes() == original.read_bytes()
        assert path.is_symlink() == (folder == "linked")
    assert path.resolve() == original.resolve()
    linked = open_dataset(tmp_path / "linked")
    assert convert(linked, tmp_path / "again", "msd", link=True) == (7, 0)  # links lead to the files, not to links
    assert (tmp_path / "again" / "imagesTr" / "case_10.nii.gz").readlink() == original.resolve()


def test_files_of_several_types_are_written_anew_where_one_is_needed(tmp_path):
    made = make_set(tmp_path / "made", channels=("CT",), suffix=".nii.gz")
    other = tmp_path / "made" / "other.mha"
    write_volume(other, read_image(made.cases[0]).with_voxels(read_image(made.cases[0]).voxels[0]))
    mixed = Dataset(made.name, made.channels, made.labels, (Case("a", (other,), made.cases[0].label), *made.cases[1:]))
    assert convert(mixed, tmp_path / "v2", "nnunet_v2") == (5, 1)
    assert {p.name.partition(".nii")[1] for p in (tmp_path / "v2" / "imagesTr").iterdir()} == {".nii"}
    assert convert(mixed, tmp_path / "csv", "csv") == (6, 0)
    same(open_dataset(tmp_path / "csv"), mixed)


def test_a_metaimage_pair_becomes_one_file(tmp_path):
    made = make_set(tmp_path / "made", channels=("MRI",), suffix=".mha")
    for path in (tmp_path / "made").glob("*.mha"):
        sitk.WriteImage(sitk.ReadImage(str(path)), str(path.with_suffix(".mhd")))
    pairs = Dataset(
        "x",
        ("MRI",),
        {"background": 0, "prostate": 1},
        tuple(Case(c.case, (c.image.with_suffix(".mhd"),), c.label.with_suffix(".mhd")) for c in made.cases),
    )
    for layout, suffix in (("promise12", ".mha"), ("csv", ".nii.gz"), ("nnunet_v2", ".nii.gz")):
        assert convert(pairs, tmp_path / layout, layout) == (0, 6)
        assert all(c.image.name.endswith(suffix) for c in open_dataset(tmp_path / layout).cases)
        same(open_dataset(tmp_path / layout), pairs, names=False)


def test_pictures(tmp_path):
    (tmp_path / "made").mkdir()
    rng = np.random.default_rng(1)
    photo, mask = tmp_path / "made" / "a.png", tmp_path / "made" / "m.png"
    rgb = rng.integers(0, 256, (11, 13, 3)).astype(np.uint8)
    sitk.WriteImage(sitk.GetImageFromArray(rgb, isVector=True), str(photo))
    sitk.WriteImage(sitk.GetImageFromArray(rng.integers(0, 2, (11, 13)).astype(np.uint8)), str(mask))
    labels = {"background": 0, "cell": 1}
    made = Dataset("P", ("R", "G", "B"), labels, (Case("a", (photo,), mask),), (), (1.0, 1.0, 1.0))
    for layout, expected in (("nnunet_v2", (2, 0)), ("csv", (2, 0)), ("nnunet_v1", (0, 4)), ("msd", (0, 2))):
        assert convert(made, tmp_path / layout, layout) == expected
        spacing = (1.0, 1.0, 1.0) if layout in ("nnunet_v2", "csv") else None  # NIfTI knows it
        same(open_dataset(tmp_path / layout, spacing_mm=spacing), made)
    assert files(tmp_path / "nnunet_v2") == ["dataset.json", "imagesTr/a_0000.png", "labelsTr/a.png"]
    assert sitk.ReadImage(str(tmp_path / "msd" / "imagesTr" / "a.nii.gz")).GetSize() == (13, 11, 1, 3)


@pytest.mark.parametrize("suffix", [".jpg", ".tif"])
def test_coloured_pictures_that_a_layout_does_not_take_become_a_file_a_channel(tmp_path, suffix):
    photo, mask = tmp_path / f"a{suffix}", tmp_path / "m.png"
    rgb = np.random.default_rng(1).integers(0, 256, (11, 13, 3)).astype(np.uint8)
    sitk.WriteImage(sitk.GetImageFromArray(rgb, isVector=True), str(photo))
    sitk.WriteImage(sitk.GetImageFromArray((rgb[..., 0] > 99).astype(np.uint8)), str(mask))
    labels = {"background": 0, "cell": 1}
    made = Dataset("P", ("R", "G", "B"), labels, (Case("a", (photo,), mask),), (), (3.0, 0.5, 0.5))
    assert convert(made, tmp_path / "v2", "nnunet_v2") == (0, 4)
    same(open_dataset(tmp_path / "v2"), made)


@pytest.mark.parametrize("channels", [("MRI", "MRI"), ("case", "label"), ("T1", " "), ("T1", "label")])
def test_channel_names_that_no_first_line_can_hold_come_back_from_a_csv(tmp_path, channels):
    made = make_set(tmp_path / "made", channels)
    convert(made, tmp_path / "csv", "csv")
    assert (tmp_path / "csv" / "cases.csv").read_text().startswith("case,image_0,image_1,label\n")
    same(open_dataset(tmp_path / "csv"), made)


def test_a_label_of_floats_is_written_as_whole_numbers(tmp_path):
    made = make_set(tmp_path / "made", channels=("CT",))
    label = read_label(made.cases[0])
    write_volume(made.cases[0].label, label.with_voxels(label.voxels.astype(np.float32)))
    convert(made, tmp_path / "msd", "msd")
    same(open_dataset(tmp_path / "msd"), made)


REGIONS = {"whole": (1, 2, 3), "core": (2, 3), "enhancing": (3,)}
REGION_LABELS = {"background": 0, "label_1": 1, "label_2": 2, "enhancing": 3}


def with_regions(made: Dataset, regions: dict) -> Dataset:
    return Dataset(made.name, made.channels, REGION_LABELS, made.cases, made.test_cases, None, regions)


def test_regions_go_where_there_are_words_for_them(tmp_path):
    made = with_regions(make_set(tmp_path / "made"), REGIONS)
    convert(made, tmp_path / "v2", "nnunet_v2")
    meta = json.loads((tmp_path / "v2" / "dataset.json").read_text())
    assert meta["labels"] == {"background": 0, "whole": [1, 2, 3], "core": [2, 3], "enhancing": 3}
    assert meta["regions_class_order"] == [1, 2, 3]
    convert(open_dataset(tmp_path / "v2"), tmp_path / "csv", "csv")
    same(open_dataset(tmp_path / "csv"), made)
    for layout in ("msd", "nnunet_v1", "promise12"):
        with pytest.raises(InputError, match=f"declares regions .whole, core, enhancing., which {layout} has no words"):
            convert(made, tmp_path / layout, layout)
    with pytest.raises(InputError, match="region whole has the values .1, 2. to itself where nnU-Net v2 needs one"):
        convert(with_regions(made, {"whole": (1, 2, 3), "enhancing": (3,)}), tmp_path / "x", "nnunet_v2")
    assert {p.name for p in tmp_path.iterdir()} == {"made", "v2", "csv"}


@pytest.mark.parametrize(
    ("channels", "labels"),
    [(("CT", "T2"), None), (("CT",), {"background": 0, "a": 1, "b": 2}), (("CT",), {"background": 0, "a": 2})],
)
def test_promise12_has_no_words_for_more_than_one_channel_and_label(tmp_path, channels, labels):
    with pytest.raises(InputError, match="promise12 holds one channel and one label of value 1"):
        convert(make_set(tmp_path / "made", channels, labels=labels), tmp_path / "out", "promise12")
    assert [p.name for p in tmp_path.iterdir()] == ["made"]


def test_nothing_is_left_of_a_conversion_that_fails(tmp_path):
    made = make_set(tmp_path / "made")
    label = made.cases[2].label
    label.write_bytes(label.read_bytes()[:-20])
    with pytest.raises(InputError, match=label.name):
        convert(made, tmp_path / "out", "msd")
    assert [p.name for p in tmp_path.iterdir()] == ["made"]


def test_what_a_killed_conversion_left_is_no_obstacle(tmp_path, monkeypatch):
    """In a container, the next process often has the same number."""
    made = make_set(tmp_path / "made")
    label = made.cases[2].label
    whole = label.read_bytes()
    label.write_bytes(whole[:-20])
    monkeypatch.setattr("mindvoxel.files.shutil.rmtree", lambda *_, **__: None)
    with pytest.raises(InputError, match=label.name):
        convert(made, tmp_path / "out", "msd")
    monkeypatch.undo()
    assert len(list(tmp_path.iterdir())) == 2
    label.write_bytes(whole)
    convert(made, tmp_path / "out", "msd")
    same(open_dataset(tmp_path / "out"), made)


def test_channels_that_do_not_add_up_are_refused(tmp_path):
    made = make_set(tmp_path / "made")
    wrong = Dataset("x", ("CT",), made.labels, made.cases)
    with pytest.raises(InputError, match=r"2 channels in case case_10, and the data set names 1 \(CT\)"):
        convert(wrong, tmp_path / "out", "nnunet_v2")


def test_an_output_that_is_there_and_a_set_without_cases_are_refused(tmp_path):
    made = make_set(tmp_path / "made")
    with pytest.raises(InputError, match="exists and is not an empty folder"):
        convert(made, tmp_path / "made", "msd")
    with pytest.raises(InputError, match="no case in it"):
        convert(Dataset("x", ("CT",), {"background": 0}, ()), tmp_path / "out", "msd")
    (tmp_path / "empty").mkdir()
    convert(made, tmp_path / "empty", "msd")
    same(open_dataset(tmp_path / "empty"), made)


FULL_DISK = """
import resource, signal, sys
from mindvoxel.datasets.convert import convert
from mindvoxel.datasets.layouts import open_dataset

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
dataset = open_dataset(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (50, 50))
for layout in ("msd", "nnunet_v2"):  # copied, written anew
    try:
        convert(dataset, sys.argv[2], layout)
    except OSError as error:
        print(error.errno, error.filename)
"""


def test_a_full_disk_names_the_new_file_and_leaves_nothing(tmp_path):
    convert(make_set(tmp_path / "made"), tmp_path / "a", "msd")
    whole = [str(p) for p in (tmp_path / "a", tmp_path / "out")]
    done = subprocess.run([sys.executable, "-c", FULL_DISK, *whole], capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert len(lines) == 2
    assert all("-out/imagesTr/" in line for line in lines)
    assert {p.name for p in tmp_path.iterdir()} == {"made", "a"}
