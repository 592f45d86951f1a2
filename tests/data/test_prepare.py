"""A case on its way to the network's grid and back."""

import numpy as np
import pytest
import SimpleITK as sitk

from mindvoxel.data.prepare import prepare_case
from mindvoxel.datasets.promise12 import list_cases
from mindvoxel.errors import InputError
from mindvoxel.metrics.overlap import dice
from mindvoxel.volume import Volume, read_volume, write_volume

PUBLISHED = {"spacing_mm": (1.5, 1.0, 1.0), "patch_size": (64, 128, 128), "centre_crop": True}
WHOLE = {"spacing_mm": (1.5, 1.0, 1.0), "patch_size": (16, 32, 32), "centre_crop": False}


def published(path, *, label: bool) -> np.ndarray:
    """The published preprocessing from its description, in (z, y, x): an independent computation with SimpleITK."""
    image = sitk.ReadImage(str(path))
    if label:
        image = sitk.Cast(image > 0.5, sitk.sitkFloat32)
    else:
        image = sitk.RescaleIntensity(sitk.Cast(image, sitk.sitkFloat32), 0, 1)
    target, volume_size = np.array([1, 1, 1.5]), np.array([128, 128, 64])
    factor = np.array(image.GetSpacing()) / target
    size = np.maximum(np.array(image.GetSize()) * factor, volume_size).astype(int)
    resampler = sitk.ResampleImageFilter()
    resampler.SetReferenceImage(image)
    resampler.SetOutputSpacing(target.tolist())
    resampler.SetSize(size.tolist())
    resampler.SetInterpolator(sitk.sitkLinear)
    start = (size / 2 - volume_size / 2).astype(int)
    box = sitk.RegionOfInterest(resampler.Execute(image), volume_size.tolist(), start.tolist())
    voxels = sitk.GetArrayFromImage(box).astype(float)
    if label:
        return voxels > 0.5
    inside = voxels[voxels > 0]
    return (voxels - inside.mean()) / inside.std()


def box_case(folder, shape=(12, 40, 44), spacing_mm=(3.0, 1.0, 1.0)) -> tuple[str, str]:
    """An image that is its label and a gradient, as files."""
    label = np.zeros(shape, np.uint8)
    label[3:8, 10:25, 14:30] = 1
    image = (label * 500 + np.arange(shape[2])).astype(np.int16)
    write_volume(folder / "a.mha", Volume(image, spacing_mm))
    write_volume(folder / "a_segmentation.mha", Volume(label, spacing_mm))
    return folder / "a.mha", folder / "a_segmentation.mha"


@pytest.mark.parametrize("number", [0, 1, 4])
def test_published_settings_give_the_published_voxels(phantom, number):
    paths = list_cases(phantom)[number]
    case = prepare_case(paths.case, paths.image, paths.label, **PUBLISHED)
    assert case.image.shape == case.label.shape == (64, 128, 128)
    assert (case.image.dtype, case.label.dtype) == (np.float32, np.uint8)
    assert np.abs(case.image - published(paths.image, label=False)).max() < 1e-4
    assert np.array_equal(case.label, published(paths.label, label=True))


def test_published_settings_on_a_real_scan(prostate_t2):
    paths = list_cases(prostate_t2)[0]
    case = prepare_case(paths.case, paths.image, paths.label, **PUBLISHED)
    assert np.abs(case.image - published(paths.image, label=False)).max() < 1e-4
    assert np.array_equal(case.label, published(paths.label, label=True))


@pytest.mark.parametrize("order", ["linear", "nearest"])
@pytest.mark.parametrize("number", range(3))
def test_a_mask_survives_the_way_to_the_grid_and_back(phantom, number, order):
    paths = list_cases(phantom)[number]
    case = prepare_case(paths.case, paths.image, paths.label, **WHOLE)
    truth = read_volume(paths.label)
    restored = case.restore(case.label, order)
    assert restored.voxels.shape == truth.voxels.shape
    assert np.allclose(restored.corners_mm(), truth.corners_mm(), atol=1e-9)
    assert dice(restored.voxels >= 0.5, truth.voxels > 0) > (0.97 if order == "linear" else 0.96)


def test_a_mask_survives_the_centre_crop(tmp_path):
    image, label = box_case(tmp_path)
    case = prepare_case("a", image, label, spacing_mm=(1.5, 1.0, 1.0), patch_size=(20, 36, 36), centre_crop=True)
    assert case.crop.start == (2, 2, 4)  # 24, 40, 44 voxels: half of the rest
    restored = case.restore(case.label, "linear").voxels >= 0.5
    assert np.array_equal(restored, case.truth.voxels)


def test_outside_the_centre_crop_nothing_comes_back(tmp_path):
    image, _ = box_case(tmp_path)
    case = prepare_case("a", image, spacing_mm=(3.0, 1.0, 1.0), patch_size=(4, 8, 8), centre_crop=True)
    assert (case.label, case.truth) == (None, None)
    restored = case.restore(np.ones((4, 8, 8)), "nearest").voxels
    assert np.argwhere(restored).min(axis=0).tolist() == [4, 16, 18]
    assert np.argwhere(restored).max(axis=0).tolist() == [7, 23, 25]
    assert restored.sum() == 4 * 8 * 8


def test_image_and_label_lie_on_one_grid(tmp_path):
    """Bright where the label is: half the box's brightness splits exactly as the label does."""
    image, label = box_case(tmp_path)
    case = prepare_case("a", image, label, spacing_mm=(1.4, 0.7, 0.9), patch_size=(8, 8, 8), centre_crop=False)
    bright = case.image > (case.image.max() + case.image.min()) / 2
    assert dice(bright, case.label == 1) > 0.97


def test_a_scan_smaller_than_the_patch_is_padded_at_the_far_end(tmp_path):
    image, label = box_case(tmp_path)
    case = prepare_case("a", image, label, spacing_mm=(3.0, 1.0, 1.0), patch_size=(16, 48, 48), centre_crop=False)
    assert case.image.shape == (16, 48, 48)
    padding = np.concatenate([case.image[12:].ravel(), case.image[:, 40:].ravel(), case.image[..., 44:].ravel()])
    assert np.unique(padding).size == 1
    assert not case.label[12:].any()
    assert np.array_equal(case.restore(case.label, "linear").voxels >= 0.5, case.truth.voxels)


def test_a_constant_image_is_refused_by_name(tmp_path):
    write_volume(tmp_path / "flat.mha", Volume(np.full((5, 7, 9), 3, np.int16), (3.0, 1.0, 1.0)))
    with pytest.raises(InputError, match=r"flat\.mha: constant image, every voxel is 3"):
        prepare_case("flat", tmp_path / "flat.mha", **WHOLE)


def test_a_crop_without_contrast_is_refused_by_name(tmp_path):
    voxels = np.zeros((5, 40, 40), np.int16)
    voxels[:, 0, 0] = 9
    write_volume(tmp_path / "corner.mha", Volume(voxels, (3.0, 1.0, 1.0)))
    with pytest.raises(InputError, match=r"corner\.mha: constant image, no contrast"):
        prepare_case(
            "corner", tmp_path / "corner.mha", spacing_mm=(3.0, 1.0, 1.0), patch_size=(4, 8, 8), centre_crop=True
        )


def test_a_spacing_that_cannot_be_is_refused_by_name(tmp_path):
    """A scan whose spacing was written in the wrong unit would take all memory."""
    voxels = np.arange(5 * 10 * 100, dtype=np.int16).reshape(5, 10, 100)
    write_volume(tmp_path / "unit.mha", Volume(voxels, (1e6, 1.0, 1.0)))
    with pytest.raises(InputError, match=r"unit\.mha: .* is its spacing \(1000000\.0, 1\.0, 1\.0\) mm right"):
        prepare_case("unit", tmp_path / "unit.mha", **WHOLE)
