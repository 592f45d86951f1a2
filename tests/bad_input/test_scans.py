"""Scans, labels and split files that are damaged or do not belong together: train.py and eval.py refuse them."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from mindvoxel.volume import Volume, read_volume, write_volume

from .conftest import CPU, eval_vnet, left_behind, train_argv, train_main, train_vnet


def replace_text(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert re.search(old, text)
    path.write_text(re.sub(old, new, text))


def missing_raw(data: Path) -> tuple[str, ...]:
    (data / "img" / "Case00.raw").unlink()
    return "Case00.raw", "not there", "copy both files together"


def truncated_raw(data: Path) -> tuple[str, ...]:
    with (data / "img" / "Case00.raw").open("r+b") as file:
        file.truncate(1000)
    return "Case00.raw", "truncated, 1000 bytes", "copy it again"


def truncated_label(data: Path) -> tuple[str, ...]:
    with (data / "gt" / "Case01_segmentation.raw").open("r+b") as file:
        file.truncate(1000)
    return "Case01_segmentation.raw", "truncated, 1000 bytes"


def no_label(data: Path) -> tuple[str, ...]:
    (data / "gt" / "Case01_segmentation.mhd").unlink()
    return "Case01.mhd: has no label", "gt/Case01_segmentation.mhd is needed"


def label_of_another_shape(data: Path) -> tuple[str, ...]:
    label = read_volume(data / "gt" / "Case00_segmentation.mhd")
    (data / "gt" / "Case00_segmentation.mhd").unlink()
    write_volume(
        data / "gt" / "Case00_segmentation.nrrd",
        Volume(label.voxels[1:], label.spacing_mm, label.origin_mm, label.direction),
    )
    return "Case00_segmentation.nrrd: its shape (z, y, x) is", "Case00.mhd", "both are needed on one grid"


def label_of_another_place(data: Path) -> tuple[str, ...]:
    replace_text(data / "gt" / "Case00_segmentation.mhd", r"Offset = .*", "Offset = 0 0 0")
    return "Case00_segmentation.mhd: its grid lies up to", "mm away from that of", "Case00.mhd"


def label_of_another_orientation(data: Path) -> tuple[str, ...]:
    replace_text(
        data / "gt" / "Case00_segmentation.mhd", r"TransformMatrix = .*", "TransformMatrix = 1 0 0 0 1 0 0 0 1"
    )
    return "Case00_segmentation.mhd: its grid lies up to", "Case00.mhd"


def sheared_axes(data: Path) -> tuple[str, ...]:
    replace_text(data / "img" / "Case00.mhd", r"TransformMatrix = .*", "TransformMatrix = 1 0 0 0 1 0 0 0.5 1")
    return "Case00.mhd: its axes are not at right angles (direction 1 0 0 0 1 0.5 0 0 1)", "resample it"


def spacing_of_zero(data: Path) -> tuple[str, ...]:
    replace_text(data / "img" / "Case00.mhd", r"ElementSpacing = \S+", "ElementSpacing = 0")
    return "Case00.mhd: spacing", "every axis needs a spacing above 0"


def nan_voxels(data: Path) -> tuple[str, ...]:
    voxels = read_volume(data / "img" / "Case00.mhd").voxels.astype(np.float32)
    voxels[3, 4, 5] = np.nan
    image = read_volume(data / "img" / "Case00.mhd").with_voxels(voxels).to_image()
    (data / "img" / "Case00.mhd").unlink()
    sitk.WriteImage(image, str(data / "img" / "Case00.nii.gz"))
    return "Case00.nii.gz: 1 of", "NaN or infinite"


def four_dimensions(data: Path) -> tuple[str, ...]:
    (data / "img" / "Case00.mhd").unlink()
    sitk.WriteImage(sitk.Image([9, 7, 5, 2], sitk.sitkInt16), str(data / "img" / "Case00.nii.gz"))
    return "Case00.nii.gz: 4-D image (9×7×5×2)", "a 3-D image is needed"


def constant_image(data: Path) -> tuple[str, ...]:
    volume = read_volume(data / "img" / "Case00.mhd")
    (data / "img" / "Case00.mhd").unlink()
    write_volume(data / "img" / "Case00.mha", volume.with_voxels(np.full_like(volume.voxels, 7)))
    return "Case00.mha: constant image, every voxel is 7", "contrast is needed"


def spacing_in_another_unit(data: Path) -> tuple[str, ...]:
    for path in ("img/Case00.mhd", "gt/Case00_segmentation.mhd"):
        replace_text(data / path, r"ElementSpacing = .*", "ElementSpacing = 1e5 1e5 1e6")
    return "Case00.mhd: ", "is its spacing (1000000.0, 100000.0, 100000.0) mm right?"


def name_that_is_not_there(data: Path) -> tuple[str, ...]:
    (data.parent / "train.csv").write_text("Case00.mhd\nCase77.mhd\n")
    return "no image of case Case77", "take the name out of the split file"


def empty_csv(data: Path) -> tuple[str, ...]:
    (data.parent / "train.csv").write_text("\r\n\r\n")
    return "train.csv: empty split file", "one file name a line"


def missing_csv(data: Path) -> tuple[str, ...]:
    (data.parent / "train.csv").unlink()
    return "train.csv: no such split file", "create_csv.sh"


def binary_csv(data: Path) -> tuple[str, ...]:
    (data.parent / "train.csv").write_bytes(bytes(range(256)))
    return "train.csv: not a text file in UTF-8", "one file name a line"


def name_given_twice(data: Path) -> tuple[str, ...]:
    (data.parent / "train.csv").write_text("Case00.mhd\nCase00.nii.gz\n")
    return "case Case00 is named more than once"


def no_folder(data: Path) -> tuple[str, ...]:
    shutil.rmtree(data)
    return "img: no such folder", "PROMISE12 layout needs img/ and gt/"


DAMAGES = [
    missing_raw,
    truncated_raw,
    truncated_label,
    no_label,
    label_of_another_shape,
    label_of_another_place,
    label_of_another_orientation,
    sheared_axes,
    spacing_of_zero,
    nan_voxels,
    four_dimensions,
    constant_image,
    spacing_in_another_unit,
    name_that_is_not_there,
    empty_csv,
    missing_csv,
    binary_csv,
    name_given_twice,
    no_folder,
]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_training_on_bad_data(refused, data, tmp_path, damage):
    parts = damage(data)
    refused(train_vnet, train_argv(data, tmp_path / "train.csv", tmp_path / "out"), *parts)
    assert not left_behind(tmp_path / "out")


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_evaluating_on_bad_data(refused, data, tmp_path, damage, checkpoint):
    parts = damage(data)
    argv = [*CPU, "--ckpt_path", checkpoint, "--data_path", data, "--output_path", tmp_path / "out"]
    refused(eval_vnet, [*argv, "--eval_split_file_path", tmp_path / "train.csv"], *parts)
    assert not left_behind(tmp_path / "out")


def test_bad_validation_data_ends_the_training_before_it_starts(refused, data, tmp_path):
    (tmp_path / "train.csv").write_text("Case01.mhd\n")
    (tmp_path / "val.csv").write_text("Case00.mhd\n")
    refused(train_vnet, train_argv(data, tmp_path / "train.csv", tmp_path / "out"), *truncated_raw(data))
    assert not left_behind(tmp_path / "out")


def test_a_single_line_with_crlf_is_evaluated_and_masks_are_whole(phantom, tmp_path, checkpoint):
    (tmp_path / "val.csv").write_bytes(b"\xef\xbb\xbfCase03.mhd\r\n")
    argv = [*CPU, "--ckpt_path", checkpoint, "--data_path", phantom, "--output_path", tmp_path / "out"]
    assert eval_vnet([str(word) for word in [*argv, "--eval_split_file_path", tmp_path / "val.csv"]]) == 0
    assert left_behind(tmp_path / "out") == ["Case03_prediction.mha", "metrics.csv", "summary.json"]
    mask = read_volume(tmp_path / "out" / "Case03_prediction.mha")
    assert np.allclose(mask.corners_mm(), read_volume(phantom / "img" / "Case03.mhd").corners_mm(), atol=1e-3)


def test_a_run_leaves_what_it_should_and_nothing_partial(run_folder):
    assert left_behind(run_folder) == ["last.ckpt", "metrics.jsonl", "recipe.json"]


def test_what_may_be_meant_is_said(data, tmp_path, capsys):
    """A label without foreground, and a case in both splits: no errors, but in the log."""
    label = read_volume(data / "gt" / "Case00_segmentation.mhd")
    (data / "gt" / "Case00_segmentation.mhd").unlink()
    write_volume(data / "gt" / "Case00_segmentation.mha", label.with_voxels(np.zeros_like(label.voxels)))
    (tmp_path / "val.csv").write_text("Case01.mhd\n")
    assert train_main(data, tmp_path / "train.csv", tmp_path / "out") == 0
    told = capsys.readouterr().out
    assert "no foreground in the training label of Case00; nothing is learnt" in told
    assert "in training and validation both, so that its score proves little: Case01" in told
