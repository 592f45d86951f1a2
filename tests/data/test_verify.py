"""One made-up data set for each fault, and one that has them all: every fault in one go, with its case and numbers."""

import errno
import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from mindvoxel.data.dataset import Case, Dataset
from mindvoxel.data.examine import predicted_bytes
from mindvoxel.data.fingerprint import take_fingerprint
from mindvoxel.data.verify import Fault, verify
from mindvoxel.datasets.layouts import open_dataset
from mindvoxel.errors import InputError
from mindvoxel.volume import Volume, write_volume
from tests.conftest import SHARED

SHAPE = (6, 9, 11)
SPACING = (3.0, 1.0, 0.7)


@pytest.fixture
def dataset(tmp_path) -> Dataset:
    """Three cases of two channels each, without a fault."""
    rng = np.random.default_rng(2)
    cases = []
    for number in range(3):
        paths = []
        for channel in range(2):
            paths.append(tmp_path / f"case{number}_000{channel}.nii.gz")
            write(paths[-1], rng.normal(100, 9, SHAPE).astype(np.float32))
        label = np.zeros(SHAPE, np.uint8)
        label[2:4, 3:6, 4:8], label[2, 3, 4] = 1, 2
        write(tmp_path / f"case{number}.nii.gz", label)
        cases.append(Case(f"case{number}", tuple(paths), tmp_path / f"case{number}.nii.gz"))
    return Dataset("made up", ("T1", "T2"), {"background": 0, "organ": 1, "tumour": 2}, tuple(cases))


def write(path: Path, voxels: np.ndarray, spacing=SPACING, **geometry) -> Path:
    write_volume(path, Volume(voxels, spacing, **geometry))
    return path


def label_of(dataset: Dataset, **values) -> np.ndarray:
    return sitk.GetArrayFromImage(sitk.ReadImage(str(dataset.cases[1].label)))


def change_label(dataset: Dataset, change, dtype=np.uint8) -> None:
    voxels = label_of(dataset).astype(dtype)
    change(voxels)
    write(dataset.cases[1].label, voxels)


def with_case(dataset: Dataset, **changes) -> Dataset:
    """The second case changed."""
    first, second, third = dataset.cases
    return replace(dataset, cases=(first, replace(second, **changes), third))


def test_a_data_set_without_a_fault(dataset):
    report = verify(dataset, num_workers=0)
    assert (report.faults, report.warnings) == ((), ())
    assert report.label_voxels == {f"case{n}": {0: 570, 1: 23, 2: 1} for n in range(3)}
    assert report.fingerprint == take_fingerprint(dataset, num_workers=0)
    report.require_none("there")


def test_several_workers_report_the_same(dataset):
    change_label(dataset, lambda voxels: voxels.__setitem__((0, 0, 0), 9))
    assert verify(dataset, num_workers=2) == verify(dataset, num_workers=0)


# Each makes a data set that preprocessing or training would stumble over: what it is, and what must be said of case1.


def missing_channel(dataset):
    dataset.cases[1].images[1].unlink()
    return dataset, ["case1_0001.nii.gz: no such file"]


def missing_label(dataset):
    dataset.cases[1].label.unlink()
    return dataset, ["case1.nii.gz: no such file"]


def no_label(dataset):
    return with_case(dataset, label=None), ["no label file; add one"]


def truncated(dataset):
    path = dataset.cases[1].images[0]
    path.write_bytes(path.read_bytes()[:-200])
    return dataset, ["case1_0000.nii.gz: truncated"]


def not_an_image(dataset):
    dataset.cases[1].images[0].write_text("<html>404</html>")
    return dataset, ["case1_0000.nii.gz: not a readable gzip file"]


def unreadable_folder(dataset):
    dataset.cases[1].label.unlink()
    dataset.cases[1].label.mkdir()
    return dataset, ["case1.nii.gz: no such file"]


def nan(dataset):
    voxels = np.ones(SHAPE, np.float32)
    voxels[0, 0, :2] = np.nan, np.inf
    path = dataset.cases[1].images[1]
    sitk.WriteImage(Volume(voxels, SPACING).to_image(), str(path))  # our own writer refuses it
    return dataset, ["case1_0001.nii.gz: 2 of 594 voxels are NaN or infinite"]


def beyond_float32(dataset):
    voxels = np.ones(SHAPE, np.float64)
    voxels[0, 0, 0] = 1e300
    write(dataset.cases[1].images[1], voxels)
    return dataset, ["case1_0001.nii.gz: 1 of 594 voxels are NaN or infinite"]


def channel_of_another_shape(dataset):
    write(dataset.cases[1].images[1], np.random.default_rng(0).normal(size=(5, 9, 11)))
    return dataset, ["case1_0001.nii.gz: its shape (z, y, x) is (5, 9, 11)", "is (6, 9, 11)"]


def channel_elsewhere(dataset):
    voxels = np.random.default_rng(0).normal(size=SHAPE)
    write(dataset.cases[1].images[1], voxels, origin_mm=(0.0, 0.0, 2.5))
    return dataset, ["case1_0001.nii.gz: its grid lies up to 2.5 mm away", "tolerance 0.1 mm"]


def label_of_another_shape(dataset):
    write(dataset.cases[1].label, np.ones((6, 9, 10), np.uint8))
    return dataset, ["case1.nii.gz: its shape (z, y, x) is (6, 9, 10), that of ", "is (6, 9, 11)"]


def label_elsewhere(dataset):
    write(dataset.cases[1].label, label_of(dataset), spacing=(3.0, 1.0, 0.8))
    return dataset, ["case1.nii.gz: its grid lies up to 1 mm away", "(tolerance 0.1 mm)"]


def label_turned(dataset):
    direction = (-1.0, 0.0, 0.0, 0.0, -1.0, 0.0, 0.0, 0.0, 1.0)
    write(dataset.cases[1].label, label_of(dataset), direction=direction)
    return dataset, ["case1.nii.gz: its grid lies up to 21.3 mm away"]


def too_many_channels(dataset):
    images = (*dataset.cases[1].images, *dataset.cases[2].images[:1])
    return with_case(dataset, images=images), [
        "channels found: 3 (case1_0000.nii.gz, case1_0001.nii.gz, case2_0000.nii.gz)",
        "declares 2 (T1, T2)",
    ]


def too_few_channels(dataset):
    return with_case(dataset, images=dataset.cases[1].images[:1]), [
        "channels found: 1 (case1_0000.nii.gz); the data set declares 2 (T1, T2)"
    ]


def undeclared(dataset):
    change_label(dataset, lambda voxels: voxels.__setitem__((0, 0, slice(0, 5)), [7, 7, 7, 9, 9]))
    return dataset, ["case1.nii.gz: label values that are not declared: 7 (3 voxels), 9 (2 voxels); declared are 0, 1"]


def negative(dataset):
    change_label(dataset, lambda voxels: voxels.__setitem__((0, 0, 0), -1), np.int16)
    return dataset, ["label values that are not declared: -1 (1 voxels)"]


def not_whole(dataset):
    change_label(dataset, lambda voxels: voxels.__setitem__((0, 0, 0), 0.5), np.float32)
    return dataset, ["case1.nii.gz", "0.5"]


def empty(dataset):
    change_label(dataset, lambda voxels: voxels.fill(0))
    return dataset, ["case1.nii.gz: empty, all of its 594 voxels are background", "--allow_empty"]


def outside_the_image(dataset):
    for path in dataset.cases[1].images:
        voxels = np.zeros(SHAPE, np.float32)
        voxels[:2] = np.arange(2 * 99).reshape(2, 9, 11)
        write(path, voxels)
    return dataset, ["case1.nii.gz: 24 of 24 foreground voxels lie outside the box of non-zero image voxels"]


def twice(dataset):
    return with_case(dataset, case="case0"), ["2 cases have this name", "case0"]


def in_metres(dataset):
    for path in (*dataset.cases[1].images, dataset.cases[1].label):
        voxels = sitk.GetArrayFromImage(sitk.ReadImage(str(path)))
        write(path, voxels, spacing=(0.003, 0.001, 0.0007))
    return dataset, ["spacing (z, y, x) of (0.003, 0.001, 0.0007) mm", "(3, 1, 0.7) mm", "becomes (1, 1, 1)"]


def in_micrometres(dataset):
    for path in (*dataset.cases[1].images, dataset.cases[1].label):
        voxels = sitk.GetArrayFromImage(sitk.ReadImage(str(path)))
        write(path, voxels, spacing=(3000.0, 1000.0, 700.0))
    return dataset, ["spacing (z, y, x) of (3000, 1000, 700) mm", "becomes (6000, 9000, 11000)"]


FAULTS = [
    *(missing_channel, missing_label, no_label, truncated, not_an_image, unreadable_folder, nan, beyond_float32),
    *(channel_of_another_shape, channel_elsewhere, label_of_another_shape, label_elsewhere, label_turned),
    *(too_many_channels, too_few_channels, undeclared, negative, not_whole, empty, outside_the_image, in_metres),
    *(in_micrometres,),
]


@pytest.mark.parametrize("damage", FAULTS, ids=lambda damage: damage.__name__)
def test_each_fault_is_told_once_with_its_case_and_numbers(dataset, damage):
    damaged, parts = damage(dataset)
    report = verify(damaged, num_workers=0)
    told = [fault for fault in report.faults if "as well" not in fault.sentence]  # files that two cases share
    assert len(told) == 1, report.faults
    assert told[0].case == "case1"
    assert str(told[0]).startswith("case case1: ")
    for part in parts:
        assert part in told[0].sentence
    assert "\n" not in told[0].sentence
    assert report.fingerprint is None
    with pytest.raises(InputError, match=r"there: \d faults? in \d of 3 cases, listed above; mend"):
        report.require_none("there")


def test_a_constant_channel_is_a_fault_where_no_other_shows_anything(dataset):
    """A sequence that a patient lacks is filled with 0 in many data sets, and nnU-Net trains on it."""
    write(dataset.cases[1].images[1], np.full(SHAPE, 7, np.int16))
    report = verify(dataset, num_workers=0)
    assert [str(fault) for fault in report.faults] == []
    assert ["case1_0001.nii.gz: constant, every voxel is 7" in str(warning) for warning in report.warnings] == [True]
    write(dataset.cases[1].images[0], np.full(SHAPE, 0, np.int16))
    report = verify(dataset, num_workers=0)
    assert [fault.case for fault in report.faults] == ["case1", "case1"]


def test_all_faults_of_all_cases_are_told_at_once(dataset):
    dataset.cases[0].images[0].unlink()
    write(dataset.cases[0].images[1], np.full(SHAPE, 7, np.int16))
    write(dataset.cases[0].label, np.full(SHAPE, 4, np.uint8), spacing=(3.0, 1.0, 0.8))
    dataset.cases[1].images[1].write_bytes(b"")
    change_label(dataset, lambda voxels: voxels.fill(0))
    broken = replace(dataset, labels={"background": 0, "organ": 1, "tumour": 5})
    report = verify(broken, num_workers=0)
    found = {(fault.case, fault.sentence.split("/")[-1].split(";")[0]) for fault in report.faults}
    assert {case for case, _ in found} == {"case0", "case1", "case2"}
    text = "\n".join(map(str, report.faults))
    for said in (
        "case case0: ",
        "case0_0000.nii.gz: no such file",
        "case0_0001.nii.gz: constant, every voxel is 7",
        "case0.nii.gz: label values that are not declared: 4 (594 voxels); declared are 0, 1, 5",
        "case1_0001.nii.gz: ",
        "case1.nii.gz: empty, all of its 594 voxels",
        "case2.nii.gz: label values that are not declared: 2 (1 voxels)",
    ):
        assert said in text, said
    assert len(report.faults) == 6
    assert report.label_voxels["case0"] == {4: 594}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"cases": ()}, "no labelled case"),
        ({"labels": {"background": 0}}, "label values [0] are declared; 0, for the background, and at least one more"),
        ({"labels": {"organ": 1, "tumour": 2}}, "label values [1, 2] are declared; 0, for the background"),
        ({"labels": {"background": 0, "organ": 1, "same": 1, "tumour": 2}}, "value 1 is declared for organ, same"),
        ({"labels": {"background": 0, "organ": 1, "tumour": 2, "rim": -1}}, "label rim has the value -1; 0 for"),
    ],
)
def test_faults_of_the_data_set_as_a_whole(dataset, changes, said):
    report = verify(replace(dataset, **changes), num_workers=0)
    assert any(fault.case is None and said in fault.sentence for fault in report.faults), report.faults


def test_a_name_that_two_cases_have(dataset):
    damaged, parts = twice(dataset)
    (fault,) = verify(damaged, num_workers=0).faults
    assert (fault.case, fault.sentence) == (parts[1], "2 cases have this name; give each its own")


def test_a_file_that_two_cases_share(dataset):
    shared = dataset.cases[0].label
    (fault,) = verify(with_case(dataset, label=shared), num_workers=0).faults
    assert fault == Fault("case1", f"{shared}: belongs to case case0 as well; give each case its own files")


def test_a_file_that_stands_for_two_channels(dataset):
    first = dataset.cases[1].images[0]
    (fault,) = verify(with_case(dataset, images=(first, first)), num_workers=0).faults
    assert fault == Fault("case1", f"{first}: stands for 2 of its files; give each channel and label its own")


def test_a_test_case_whose_image_lacks(dataset, tmp_path):
    later = Case("later", (tmp_path / "later.nii.gz",), None)
    (fault,) = verify(replace(dataset, test_cases=(later,)), num_workers=0).faults
    assert fault == Fault("later", f"{tmp_path / 'later.nii.gz'}: no such file, of a test case")


def test_a_disk_that_fails_is_told_with_the_file(dataset, monkeypatch):
    def fail(path, *_):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr("mindvoxel.data.examine.read_label", fail)
    faults = verify(dataset, num_workers=0).faults
    assert faults[0] == Fault("case0", f"{dataset.cases[0].label}: Input/output error; make it readable")
    assert len(faults) == 3


# What is told and is no fault


def test_labels_of_healthy_patients_may_be_empty(dataset):
    empty(dataset)
    assert verify(dataset, num_workers=0, allow_empty=True).faults == ()
    for case in dataset.cases:
        write(case.label, np.zeros(SHAPE, np.uint8))
    (fault,) = verify(dataset, num_workers=0, allow_empty=True).faults
    assert fault == Fault(None, "no label has a voxel above 0, so there is nothing to learn")


def test_values_that_are_not_consecutive_are_told_and_fine(dataset):
    for case in dataset.cases:
        voxels = sitk.GetArrayFromImage(sitk.ReadImage(str(case.label)))
        write(case.label, np.where(voxels == 2, 4, voxels).astype(np.uint8))
    report = verify(replace(dataset, labels={"background": 0, "organ": 1, "tumour": 4}), num_workers=0)
    assert report.faults == ()
    (warning,) = report.warnings
    assert str(warning).startswith(
        "label values 0, 1, 4 are not consecutive: the network learns them as classes 0 to 2"
    )


def test_a_declared_value_that_no_case_has(dataset):
    report = verify(replace(dataset, labels=dataset.labels | {"vessel": 3}), num_workers=0)
    assert report.faults == ()
    assert [str(warning) for warning in report.warnings] == ["label vessel (3) is declared and found in no case"]


def test_labels_stored_as_float_with_whole_values(dataset):
    change_label(dataset, lambda voxels: None, np.float32)
    assert verify(dataset, num_workers=0).faults == ()


def test_a_spacing_ten_times_the_others_is_told(dataset):
    for path in (*dataset.cases[1].images, dataset.cases[1].label):
        write(path, sitk.GetArrayFromImage(sitk.ReadImage(str(path))), spacing=(30.0, 1.0, 0.7))
    report = verify(dataset, num_workers=0)
    assert report.faults == ()
    (warning,) = report.warnings
    assert (warning.case, "becomes (60, 9, 11)" in warning.sentence) == ("case1", True)


def test_foreground_that_is_partly_cropped_away_is_told(dataset):
    for path in dataset.cases[1].images:
        voxels = sitk.GetArrayFromImage(sitk.ReadImage(str(path)))
        voxels[:3] = 0
        write(path, voxels)
    (warning,) = verify(dataset, num_workers=0).warnings
    assert "12 of 24 foreground voxels lie outside" in warning.sentence


# The report, and what it takes


def test_the_report_as_json_and_as_lines(dataset, tmp_path):
    undeclared(dataset)
    report = verify(dataset, num_workers=0)
    report.write(tmp_path / "verify.json")
    values = json.loads((tmp_path / "verify.json").read_text())
    assert values["num_cases"] == 3
    assert values["label_voxels"]["case1"] == {"0": 565, "1": 23, "2": 1, "7": 3, "9": 2}
    assert [entry["case"] for entry in values["faults"]] == ["case1"]
    rows = [line.split() for line in report.lines()]
    assert rows[0] == ["made", "up:", "3", "cases,", "channels", "T1,", "T2"]
    assert ["1", "organ", "3", "69", "3.872", "23", "to", "23"] in rows
    assert ["7", "NOT", "DECLARED", "1", "3", "0.168", "3", "to", "3"] in rows
    assert rows[-1][:3] == ["fault:", "case", "case1:"]


def test_memory_is_predicted_by_the_largest_header(dataset, tmp_path):
    one = predicted_bytes(dataset)
    assert one == 594 * (2 * 8 + 8)
    large = write(tmp_path / "large.nii.gz", np.random.default_rng(0).normal(size=(12, 9, 11)).astype(np.float32))
    assert predicted_bytes(with_case(dataset, images=(large, large))) == 2 * one
    change_label(with_case(dataset, images=(large, large)), lambda voxels: None, np.float64)  # read twice as large
    assert predicted_bytes(with_case(dataset, images=(large, large))) == 2 * 594 * (2 * 8 + 16)
    assert predicted_bytes(with_case(dataset, images=(large, large), label=None)) == 2 * one
    for case in dataset.cases:
        shutil.rmtree(case.images[0], ignore_errors=True)
        case.images[0].unlink()
    assert predicted_bytes(dataset) == 0


def test_real_scans():
    root = SHARED / "prostate_t2"
    if not root.is_dir():
        pytest.skip(f"{root} is absent: the real prostate scans are needed")
    report = verify(open_dataset(root), num_workers=2)
    assert report.faults == ()
    assert [case.shape for case in report.fingerprint.cases] == [(19, 383, 383)] * 2  # a row and a column of zeros
