"""Every layout is opened by what its folder holds; what lacks or is odd is said with expected and found names."""

import json
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from mindvoxel.datasets.layouts import open_dataset
from mindvoxel.errors import InputError

MSD = {
    "name": "Small",
    "modality": {"0": "T2", "1": "ADC"},
    "labels": {"0": "background", "2": "TZ", "1": "PZ"},
    "training": [{"image": f"./imagesTr/{c}.nii.gz", "label": f"./labelsTr/{c}.nii.gz"} for c in ("b", "a")],
    "test": ["./imagesTs/t.nii.gz"],
}
V2 = {
    "channel_names": {"0": "T2", "1": "ADC"},
    "labels": {"background": 0, "PZ": 1, "TZ": 2},
    "numTraining": 2,
    "file_ending": ".nii.gz",
}
CHANNELS = [f"imagesTr/{c}_000{k}.nii.gz" for c in "ab" for k in (0, 1)]
LABELS = [f"labelsTr/{c}.nii.gz" for c in "ab"]
TEST_CHANNELS = ["imagesTs/t_0000.nii.gz", "imagesTs/t_0001.nii.gz"]
LABEL_VALUES = {"background": 0, "PZ": 1, "TZ": 2}


def folder(root: Path, files=(), values=None, name="dataset.json") -> Path:
    """Empty files, since opening looks at names alone, and a JSON."""
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).touch()
    if values is not None:
        root.mkdir(exist_ok=True)
        (root / name).write_text(values if isinstance(values, str) else json.dumps(values))
    return root


def cases_of(cases, root: Path) -> dict:
    def short(path):
        return path.relative_to(root).as_posix() if path else None

    return {c.case: ([short(p) for p in c.images], short(c.label)) for c in cases}


def refused(path: Path, *parts: str, **kwargs) -> None:
    with pytest.raises(InputError) as caught:
        open_dataset(path, **kwargs)
    assert "\n" not in str(caught.value)
    for part in parts:
        assert part in str(caught.value)


def test_msd(tmp_path):
    files = ["imagesTr/a.nii.gz", "imagesTr/b.nii.gz", *LABELS, "imagesTs/t.nii.gz", "imagesTr/._a.nii.gz"]
    found = open_dataset(folder(tmp_path, files, MSD))
    assert (found.name, found.channels, found.labels) == ("Small", ("T2", "ADC"), LABEL_VALUES)
    assert list(found.labels) == ["background", "PZ", "TZ"]
    assert cases_of(found.cases, tmp_path) == {c: ([f"imagesTr/{c}.nii.gz"], f"labelsTr/{c}.nii.gz") for c in "ba"}
    assert cases_of(found.test_cases, tmp_path) == {"t": (["imagesTs/t.nii.gz"], None)}
    assert found.spacing_mm is None
    assert open_dataset(tmp_path, "msd", (3.0, 1.0, 1.0)).spacing_mm == (3.0, 1.0, 1.0)


def test_nnunet_v1_is_told_from_msd_by_its_files(tmp_path):
    found = open_dataset(folder(tmp_path, [*CHANNELS, *LABELS, *TEST_CHANNELS], MSD))
    assert (found.name, found.channels, found.labels) == ("Small", ("T2", "ADC"), LABEL_VALUES)
    expected = {c: ([f"imagesTr/{c}_0000.nii.gz", f"imagesTr/{c}_0001.nii.gz"], f"labelsTr/{c}.nii.gz") for c in "ba"}
    assert cases_of(found.cases, tmp_path) == expected
    assert cases_of(found.test_cases, tmp_path) == {"t": (TEST_CHANNELS, None)}


def test_nnunet_v2_lists_its_folders(tmp_path):
    root = folder(tmp_path / "Dataset007_Small", [*CHANNELS, *LABELS, *TEST_CHANNELS, "imagesTr/._a_0000.nii.gz"], V2)
    found = open_dataset(root)
    assert (found.name, found.channels, found.labels) == ("Dataset007_Small", ("T2", "ADC"), LABEL_VALUES)
    expected = {c: ([f"imagesTr/{c}_0000.nii.gz", f"imagesTr/{c}_0001.nii.gz"], f"labelsTr/{c}.nii.gz") for c in "ab"}
    assert cases_of(found.cases, root) == expected
    assert cases_of(found.test_cases, root) == {"t": (TEST_CHANNELS, None)}


def test_nnunet_v2_may_list_its_files_wherever_they_are(tmp_path):
    root = folder(tmp_path / "set", ["../else/a1.nrrd", "../else/a2.nrrd", "l/a.nrrd"])
    listed = {"a": {"images": ["../else/a1.nrrd", str(tmp_path / "else" / "a2.nrrd")], "label": "l/a.nrrd"}}
    folder(root, [], V2 | {"dataset": listed, "numTraining": 1})
    (found,) = open_dataset(root).cases
    assert [p.resolve().name for p in found.images] == ["a1.nrrd", "a2.nrrd"]
    assert found.label == root / "l" / "a.nrrd"


def test_nnunet_v2_regions_are_groups_of_values(tmp_path):
    labels = {"background": 0, "whole": [1, 2, 3], "core": [2, 3], "enhancing": 3}
    found = open_dataset(folder(tmp_path, [*CHANNELS, *LABELS], V2 | {"labels": labels}))
    assert found.labels == {"background": 0, "label_1": 1, "label_2": 2, "enhancing": 3}
    assert found.regions == {"whole": (1, 2, 3), "core": (2, 3), "enhancing": (3,)}


def test_a_picture_of_nnunet_v2_may_hold_all_channels(tmp_path):
    values = V2 | {"file_ending": ".png", "channel_names": {"0": "R", "1": "G", "2": "B"}}
    root = folder(tmp_path / "one", ["imagesTr/a_0000.png", "labelsTr/a.png"], values | {"numTraining": 1})
    assert cases_of(open_dataset(root).cases, root) == {"a": (["imagesTr/a_0000.png"], "labelsTr/a.png")}
    root = folder(tmp_path / "each", [f"imagesTr/a_000{k}.png" for k in range(3)] + ["labelsTr/a.png"], values)
    folder(root, [], values | {"numTraining": 1})
    assert len(open_dataset(root).cases[0].images) == 3


def test_promise12(tmp_path):
    files = ["img/Case00.mhd", "img/Case00.raw", "gt/Case00_segmentation.mhd", "test/img/Case01.mha"]
    found = open_dataset(folder(tmp_path, files))
    assert (found.name, found.channels, found.labels) == (tmp_path.name, ("MRI",), {"background": 0, "prostate": 1})
    assert cases_of(found.cases, tmp_path) == {"Case00": (["img/Case00.mhd"], "gt/Case00_segmentation.mhd")}
    assert cases_of(found.test_cases, tmp_path) == {"Case01": (["test/img/Case01.mha"], None)}


def test_promise12_with_suffixes_in_capitals(tmp_path):
    found = open_dataset(folder(tmp_path, ["img/Case00.MHA", "gt/Case00_segmentation.MHA"]))
    assert cases_of(found.cases, tmp_path) == {"Case00": (["img/Case00.MHA"], "gt/Case00_segmentation.MHA")}


CSV = "case,T2,ADC,label\r\na,x/a1.nrrd,x/a2.nrrd,x/a.nrrd\r\n\r\nt,{},x/a2.nrrd,\r\n"
ABOUT = {"name": "Small", "labels": {"TZ": 2, "PZ": 1}}


def csv_folder(root: Path, text: str | None = None, about=ABOUT, name: str = "cases") -> Path:
    folder(root, ["x/a1.nrrd", "x/a2.nrrd", "x/a.nrrd"])
    (root / f"{name}.csv").write_text((text or CSV).format(root / "x" / "a1.nrrd"), encoding="utf-8-sig", newline="")
    if about is not None:
        (root / f"{name}.json").write_text(json.dumps(about))
    return root


@pytest.mark.parametrize("by_name", [True, False], ids=["file", "folder"])
def test_csv(tmp_path, by_name, monkeypatch):
    monkeypatch.setattr("mindvoxel.datasets.csv_list._channels", lambda case, columns, spacing: tuple(columns))
    root = csv_folder(tmp_path / "set", name="mine" if by_name else "cases")
    found = open_dataset(root / "mine.csv" if by_name else root)
    assert (found.name, found.channels, found.labels) == ("Small", ("T2", "ADC"), LABEL_VALUES)
    assert cases_of(found.cases, root) == {"a": (["x/a1.nrrd", "x/a2.nrrd"], "x/a.nrrd")}
    assert cases_of(found.test_cases, root) == {"t": (["x/a1.nrrd", "x/a2.nrrd"], None)}


def test_a_csv_counts_the_channels_of_its_files(tmp_path):
    picture = sitk.GetImageFromArray(np.zeros((4, 5, 3), np.uint8), isVector=True)
    sitk.WriteImage(picture, str(tmp_path / "a.png"))
    sitk.WriteImage(sitk.Image([4, 3, 2], sitk.sitkUInt8), str(tmp_path / "a.nrrd"))
    (tmp_path / "cases.csv").write_text("case,photo,depth,label\na,a.png,a.nrrd,\n")
    found = open_dataset(tmp_path, spacing_mm=(1.0, 1.0, 1.0))
    assert found.channels == ("photo_0", "photo_1", "photo_2", "depth")
    assert found.labels == {"background": 0}
    assert len(found.test_cases) == 1
    (tmp_path / "cases.json").write_text(json.dumps({"labels": {}, "channels": ["R", "G", "B", "D"]}))
    assert open_dataset(tmp_path).channels == ("R", "G", "B", "D")


def test_regions_of_a_csv(tmp_path):
    root = csv_folder(tmp_path, about=ABOUT | {"channels": ["T2", "ADC"], "regions": {"gland": [1, 2]}})
    assert open_dataset(root).regions == {"gland": (1, 2)}


# Faults


@pytest.mark.parametrize("values", [MSD | {"training": MSD["training"][:1], "test": []}, V2 | {"numTraining": 1}])
def test_a_label_named_like_an_image_is_expected_and_found_by_name(tmp_path, values):
    """The `_0000` that belongs on images and not on labels: years of confusion."""
    root = folder(tmp_path, ["imagesTr/b_0000.nii.gz", "imagesTr/b_0001.nii.gz", "labelsTr/b_0000.nii.gz"], values)
    refused(root, "labelsTr", "expected b.nii.gz", "found b_0000.nii.gz", "CASE_000k")


def test_an_image_without_its_number(tmp_path):
    root = folder(tmp_path, ["imagesTr/a.nii.gz", "labelsTr/a.nii.gz"], V2)
    refused(root, "imagesTr/a.nii.gz: expected a_0000.nii.gz, found a.nii.gz")


def test_missing_channels_of_several_cases_are_all_named(tmp_path):
    refused(
        folder(tmp_path, [*CHANNELS[::2], *LABELS], V2),
        "imagesTr: 2 of 6 files are missing; expected a_0001.nii.gz, b_0001.nii.gz; found a_0000.nii.gz",
    )
    refused(folder(tmp_path / "v1", [*CHANNELS[::2], *LABELS, *TEST_CHANNELS], MSD), "expected b_0001.nii.gz, a_0001")


def test_a_label_without_an_image_is_a_missing_image(tmp_path):
    root = folder(tmp_path, [*CHANNELS[:2], *LABELS], V2)
    refused(root, "expected b_0000.nii.gz, b_0001.nii.gz; found a_0000.nii.gz")


def test_many_missing_files_are_counted(tmp_path):
    values = MSD | {"training": [{"image": f"imagesTr/{i}.nii", "label": f"labelsTr/{i}.nii"} for i in range(30)]}
    refused(folder(tmp_path, [], values), "61 of 61 files are missing", "4.nii and 25 more; found no such folder")


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"file_ending": ".nrrd"}, "expected a_0000.nrrd, found a_0000.nii.gz"),
        ({"file_ending": None}, "a text is needed under 'file_ending'"),
        ({"numTraining": 3}, "numTraining is 3, and"),
        ({"channel_names": {"0": "T2"}}, "channel number 0001 found, and dataset.json names 1 channels"),
        ({"channel_names": {"1": "T2", "2": "ADC"}}, "numbered from 0 on without a gap"),
        ({"channel_names": []}, "an object is needed under 'channel_names', found list"),
        ({"labels": {"background": 0, "a": 1, "ignore": 2}}, "'ignore' label is not supported"),
        ({"labels": {"background": 0, "a": 1, "b": 1}}, "two labels share a value"),
        ({"labels": {"background": 0, "a": "one"}}, "a value of label a must be a whole number, got 'one'"),
        ({"labels": {"background": 0, "a": 1.5}}, "must be a whole number, got 1.5"),
        ({"labels": {"background": 0, "a": True}}, "must be a whole number, got True"),
        ({"labels": {"background": 0, "a": []}}, "needs one value or more"),
        (
            {"dataset": {"a": {"images": [], "label": "x"}}, "numTraining": 1},
            "case a under 'dataset' needs a list of file names",
        ),
        ({"dataset": {"a": ["x"]}}, "case a under 'dataset' needs a list of file names"),
        ({"dataset": {"../a": {"images": ["x"], "label": "x"}}}, "a name that no file can have"),
    ],
)
def test_faults_of_nnunet_v2(tmp_path, change, part):
    refused(folder(tmp_path, [*CHANNELS, *LABELS], V2 | change), "dataset.json" if "found" not in part else "", part)


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"labels": {"background": 0}}, "a label value (the key under 'labels') must be a whole number"),
        ({"labels": {"0": "background", "1": "x", "2": "x"}}, "two label values are called x"),
        ({"modality": {"0": "T2", "2": "ADC"}}, "numbered from 0 on without a gap"),
        ({"training": "all"}, "a list is needed under 'training', found str"),
        ({"training": ["a"]}, "an object with 'image' and 'label' is needed, got 'a'"),
        ({"training": [{"image": "/etc/passwd", "label": "b"}]}, "/etc/passwd leads out of its folder"),
        ({"training": [{"image": "imagesTr/../../a", "label": "b"}]}, "leads out of its folder"),
        ({"training": [{"image": 7, "label": "b"}]}, "a file name is needed where 7 stands"),
        ({"test": ["../t.nii.gz"]}, "../t.nii.gz leads out of its folder"),
        ({"test": 5}, "a list is needed under 'test', found int"),
        ({"training": MSD["training"][:1] * 2}, "case b is named more than once"),
        ({"test": ["imagesTr/a.nii.gz"]}, "case a is a training case and a test case both"),
    ],
)
def test_faults_of_msd(tmp_path, change, part):
    files = ["imagesTr/a.nii.gz", "imagesTr/b.nii.gz", *LABELS, "imagesTs/t.nii.gz"]
    refused(folder(tmp_path, files, MSD | change), part)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "its first line is ''"),
        ("image,label\na,b\n", "case, the name of each channel, and label are needed"),
        ("case,label\na,x/a.nrrd\n", "case, the name of each channel, and label are needed"),
        ("case,T2,T2,label\n", "case, the name of each channel, and label are needed"),
        ("case,T2,label\n", "no case in it"),
        ("case,T2,label\na,x/a1.nrrd\n", "line 2: 2 cells"),
        ("case,T2,label\n\na,,x/a.nrrd\n", "line 3: 3 cells"),
        ("case,T2,label\na,x/a1.nrrd,x/a.nrrd\na,x/a1.nrrd,\n", "case a is named more than once"),
        ("case,T2,label\n../a,x/a1.nrrd,x/a.nrrd\n", "a name that no file can have"),
        ("case,T2,label\na,x/none.nrrd,x/a.nrrd\n", "expected none.nrrd; found"),
        ("case,T2,label\na,no/none.nrrd,x/a.nrrd\n", "expected none.nrrd; found no such folder"),
    ],
)
def test_faults_of_a_csv(tmp_path, text, part):
    root = csv_folder(tmp_path, text or "\n")
    refused(root, part)


def test_a_csv_without_label_names_says_what_to_write(tmp_path):
    root = csv_folder(tmp_path, about=None)
    refused(root, "cases.json: no such file", '{"labels": {"background": 0, "prostate": 1}}')
    (root / "cases.json").write_text('{"labels": {"a": "x"}}')
    refused(root, "cases.json: label a must be a whole number, got 'x'")
    (root / "cases.json").write_text('{"labels": {}, "channels": ["a", "b"], "regions": {"a": 1}}')
    refused(root, "a region needs a list of label values")
    (root / "cases.json").write_text('{"labels": {"a": 1}, "channels": ["a", "b"], "regions": {"all": [1, 7]}}')
    refused(root, "region all has the values (1, 7); 'labels' must name all of them")
    (root / "cases.csv").write_bytes(bytes(range(256)))
    refused(root, "cases.csv: not a CSV in UTF-8")


@pytest.mark.parametrize(
    ("values", "part"),
    [
        ("{", "dataset.json: not JSON"),
        ("[" * 10**5, "dataset.json: not JSON"),
        ("[]", "a JSON object with keys is needed, got a list"),
        ({"name": "x"}, "neither 'modality' (MSD, nnU-Net v1) nor 'channel_names' (nnU-Net v2)"),
    ],
)
def test_a_dataset_json_of_nothing_known(tmp_path, values, part):
    refused(folder(tmp_path, [], values), part)


def test_names_that_are_not_utf8_are_refused_before_simpleitk_ends_the_process(tmp_path):
    """As an archive of a Windows computer leaves them."""
    name = b"M\xfcller".decode(errors="surrogateescape")
    root = folder(tmp_path / "promise", [f"img/{name}.mhd", f"gt/{name}_segmentation.mhd"])
    for check_files in (True, False):
        refused(root, "M\\udcfcller", "its name is not UTF-8", "rename it", check_files=check_files)
    listed = {name: {"images": ["a.nrrd", "b.nrrd"], "label": "l.nrrd"}}
    root = folder(tmp_path / "v2", ["a.nrrd", "b.nrrd", "l.nrrd"], V2 | {"dataset": listed, "numTraining": 1})
    refused(root, "'M\\udcfcller': its name is not UTF-8")


def test_what_is_no_data_set(tmp_path):
    refused(folder(tmp_path, ["imagesTr/a.nii.gz", "notes.txt"]), "dataset.json (MSD, nnU-Net), cases.csv", "imagesTr")
    refused(tmp_path / "none", "no such folder or CSV file")
    refused(tmp_path / "notes.txt", "neither a folder nor a CSV file")
    refused(tmp_path, "layout 'dicom' is unknown; auto or one of msd", layout="dicom")
    for layout in ("msd", "nnunet_v1", "nnunet_v2"):
        refused(tmp_path, "dataset.json: no such file", layout=layout)
    refused(tmp_path, "cases.csv: no such file", layout="csv")
    refused(tmp_path, "img: no such folder", layout="promise12")
    refused(folder(tmp_path / "v2", [], V2), "numTraining is 2, and there are 0 training cases")
    refused(folder(tmp_path / "v0", [], V2 | {"numTraining": 0}), "no image in it")
