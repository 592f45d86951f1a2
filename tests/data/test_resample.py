"""Resampling by hand: sizes, far-end padding, world alignment; on oblique, anisotropic grids."""

from itertools import product

import numpy as np
import pytest
import SimpleITK as sitk
from scipy import ndimage
from scipy.spatial.transform import Rotation

from mindvoxel.data.resample import resample_like, resample_to_spacing, resize, resize_label
from mindvoxel.volume import Volume

OBLIQUE = tuple(Rotation.from_euler("xyz", (14, -5, 30), degrees=True).as_matrix().ravel())


def ramp(shape=(5, 7, 9), spacing_mm=(3.0, 2.0, 1.0), direction=OBLIQUE) -> Volume:
    """1 + the distance in mm from voxel (0, 0, 0) along z, 100 times that along y, 10000 times that along x."""
    z, y, x = (np.arange(n) * s for n, s in zip(shape, spacing_mm, strict=True))
    voxels = 1 + z[:, None, None] + 100 * y[:, None] + 10000 * x
    return Volume(voxels.astype(np.float64), spacing_mm, (-12.5, 40.0, 301.0), direction)


def test_a_grid_that_covers_reaches_the_last_voxel():
    """61 slices of 1 mm end at 60 mm, which 41 slices of 1.5 mm reach; the published rule stops at 58.5 mm."""
    volume = Volume(np.zeros((61, 4, 4), np.float32), (1.0, 1.0, 1.0))
    volume.voxels[60] = 1
    covered = resample_to_spacing(volume, (1.5, 1.0, 1.0))
    assert covered.voxels.shape == (41, 4, 4)
    assert (covered.voxels[40] == 1).all()
    assert resample_to_spacing(volume, (1.5, 1.0, 1.0), cover=False).voxels.shape == (40, 4, 4)


@pytest.mark.parametrize(
    ("shape", "old", "new", "wanted"),
    [
        ((5, 7, 9), (3.0, 2.0, 1.0), (1.5, 1.0, 1.0), (10, 14, 9)),
        ((5, 7, 9), (3.5, 0.5, 0.7), (1.5, 1.0, 1.0), (11, 3, 6)),  # 11.67, 3.5, 6.3
        ((5, 7, 9), (3.2, 0.5, 0.7), (1.5, 1.0, 1.0), (10, 3, 6)),  # 10.67: down, not to the nearest
        ((24, 64, 64), (3.6, 0.625, 0.625), (1.5, 1.0, 1.0), (57, 40, 40)),
        ((5, 7, 9), (3.0, 2.0, 1.0), (40.0, 40.0, 40.0), (1, 1, 1)),  # never less than one voxel
    ],
)
def test_each_axis_gets_the_floor_of_its_length_over_the_spacing(shape, old, new, wanted):
    resampled = resample_to_spacing(Volume(np.zeros(shape, np.float32), old), new, cover=False)
    assert resampled.voxels.shape == wanted
    assert resampled.spacing_mm == new


def test_the_product_is_rounded_as_published():
    """40 · (1.65 / 1.5) is 43.99999999999999 in doubles, and that is what the published code truncates."""
    volume = Volume(np.zeros((40, 2, 2)), (1.65, 1, 1))
    assert resample_to_spacing(volume, (1.5, 1, 1), cover=False).voxels.shape[0] == 43


def test_the_same_spacing_changes_nothing():
    volume = ramp()
    same = resample_to_spacing(volume, volume.spacing_mm)
    assert np.allclose(same.voxels, volume.voxels, rtol=1e-9)
    assert (same.origin_mm, same.direction) == (volume.origin_mm, volume.direction)


@pytest.mark.parametrize("order", ["linear", "nearest"])
def test_what_is_added_lies_at_the_far_end_and_is_zero(order):
    volume = ramp()
    padded = resample_to_spacing(volume, volume.spacing_mm, min_shape=(8, 7, 12), order=order).voxels
    assert padded.shape == (8, 7, 12)
    assert np.allclose(padded[:5, :, :9], volume.voxels, rtol=1e-9)
    assert not padded[5:].any()
    assert not padded[..., 9:].any()


def test_linear_values_are_those_of_the_position():
    """Half the spacing: the voxels between are means of their neighbours, on every axis its own."""
    voxels = resample_to_spacing(ramp(), (1.5, 1.0, 0.5)).voxels
    assert voxels.shape == (9, 13, 17)
    assert voxels[0, 0, 0] == 1
    assert voxels[3, 4, 5] == pytest.approx(1 + 4.5 + 100 * 4 + 10000 * 2.5, rel=1e-6)
    assert voxels[8, 12, 16] == pytest.approx(1 + 12 + 100 * 12 + 10000 * 8, rel=1e-6)


def test_nearest_takes_existing_values_only():
    volume = ramp()
    assert set(np.unique(resample_to_spacing(volume, (2.0, 1.3, 0.7), order="nearest").voxels)) <= {
        0,
        *np.unique(volume.voxels),
    }


def test_a_world_point_keeps_its_value_on_an_oblique_grid():
    """A ball whose centre is known in mm is found there after resampling, whatever the grid."""
    volume = ramp((20, 30, 40), (3.0, 1.5, 1.0))
    axes = np.array(volume.direction).reshape(3, 3)
    centre_mm = np.array(volume.origin_mm) + axes @ (np.array([22, 16, 11]) * (1.0, 1.5, 3.0))  # voxel (11, 16, 22)
    voxels = np.zeros(volume.voxels.shape, np.float32)
    voxels[10:13, 14:19, 19:26] = 1
    for spacing in [(1.5, 1.0, 1.0), (2.2, 0.9, 1.7)]:
        resampled = resample_to_spacing(volume.with_voxels(voxels), spacing)
        index = np.array(np.nonzero(resampled.voxels > 0.5)).mean(axis=1)[::-1]  # (x, y, z)
        found_mm = np.array(resampled.origin_mm) + axes @ (index * resampled.spacing_mm[::-1])
        assert np.abs(found_mm - centre_mm).max() < 0.6


def test_a_bool_mask_becomes_fractions_at_its_edge():
    mask = np.zeros((5, 7, 9), bool)
    mask[2] = True
    plane = resample_to_spacing(Volume(mask, (2.0, 1.0, 1.0)), (1.0, 1.0, 1.0)).voxels
    assert plane.dtype == np.float32
    assert plane[:, 3, 4].tolist() == [0, 0, 0, 0.5, 1, 0.5, 0, 0, 0]


def test_like_brings_a_volume_onto_another_grid_and_zero_where_it_is_not():
    volume = ramp(direction=(1, 0, 0, 0, 1, 0, 0, 0, 1))
    x0, y0, z0 = volume.origin_mm
    reference = Volume(np.zeros((4, 3, 2)), (3.0, 2.0, 1.0), (x0 + 1, y0 - 2, z0 + 3))  # one voxel on, back, on
    moved = resample_like(volume, reference)
    assert (moved.voxels.shape, moved.origin_mm) == ((4, 3, 2), reference.origin_mm)
    assert not moved.voxels[:, 0].any()  # before the volume begins along y
    assert np.array_equal(moved.voxels[:, 1:], volume.voxels[1:, :2, 1:3])


def test_the_way_there_and_back_ends_on_the_old_grid():
    volume = ramp((6, 9, 12), (3.0, 2.0, 1.0))
    back = resample_like(resample_to_spacing(volume, (1.5, 1.0, 0.5)), volume)
    assert np.allclose(back.voxels, volume.voxels, rtol=1e-6)
    assert back.spacing_mm == volume.spacing_mm


def test_an_unknown_order_is_refused():
    with pytest.raises(ValueError, match="order must be one of nearest, linear, got 'cubic'"):
        resample_to_spacing(ramp(), (1, 1, 1), order="cubic")


def test_a_grid_too_large_for_any_scan_is_refused_before_memory_is_asked_for():
    with pytest.raises(ValueError, match=r"4000001000 voxels .* spacing \(1000000\.0, 1\.0, 1\.0\) mm right"):
        resample_to_spacing(Volume(np.zeros((5, 10, 100)), (1e6, 1.0, 1.0)), (1.0, 1.0, 1.0))


def by_formula(voxels, shape):
    """Linear resizing, voxel by voxel, from the sentence that defines it."""
    result = np.zeros(shape)
    for index in np.ndindex(*shape):
        places = [(o + 0.5) * s / n - 0.5 for o, n, s in zip(index, shape, voxels.shape, strict=True)]
        corners = [
            {(min(max(int(np.floor(p)) + i, 0), s - 1), i) for i in (0, 1)}
            for p, s in zip(places, voxels.shape, strict=True)
        ]
        for corner in product(*corners):
            weight = np.prod([abs(1 - i - (p - np.floor(p))) for (_, i), p in zip(corner, places, strict=True)])
            result[index] += weight * voxels[tuple(c for c, _ in corner)]
    return result


SIZES = [((3, 5, 7), (6, 4, 9)), ((4, 9, 6), (2, 9, 17)), ((1, 2, 3), (4, 1, 5)), ((20, 3, 8), (7, 40, 8))]


@pytest.mark.parametrize(("old", "new"), SIZES)
def test_linear_resizing_is_what_its_formula_says(old, new):
    voxels = np.random.default_rng(0).standard_normal(old)
    assert np.abs(resize(voxels, new, order=1) - by_formula(voxels, new)).max() < 1e-6


@pytest.mark.parametrize("order", [1, 3])
@pytest.mark.parametrize(("old", "new"), [*SIZES, ((31, 70, 66), (40, 50, 131))])
def test_resizing_agrees_with_scipy_borders_included(old, new, order):
    """scipy.ndimage.zoom in its grid mode is what skimage.transform.resize, and so nnU-Net, calls."""
    voxels = np.random.default_rng(1).standard_normal(old).astype(np.float32)
    zoom = [n / o for o, n in zip(old, new, strict=True)]
    wanted = ndimage.zoom(voxels.astype(float), zoom, order=order, mode="nearest", grid_mode=True)
    wanted = wanted.clip(voxels.min(), voxels.max())
    found = resize(voxels, new, order=order)
    assert found.dtype == np.float32
    assert np.abs(found - wanted).max() < 1e-6 * np.ptp(voxels)


@pytest.mark.parametrize("order", [1, 3])
def test_one_itk_resampling_of_the_whole_image_gives_the_same_numbers(order):
    """What a C++ program calls: the edge repeated 12 voxels, itk::ResampleImageFilter, the range of the input."""
    voxels = np.random.default_rng(2).standard_normal((9, 20, 14)).astype(np.float32)
    new = (13, 12, 14)
    image = sitk.ZeroFluxNeumannPad(sitk.GetImageFromArray(voxels), [12] * 3, [12] * 3)
    step = [s / n for s, n in zip(voxels.shape[::-1], new[::-1], strict=True)]
    resampler = sitk.ResampleImageFilter()
    resampler.SetSize(new[::-1])
    resampler.SetOutputSpacing(step)
    resampler.SetOutputOrigin([0.5 * s - 0.5 for s in step])  # padding keeps the place of voxel (0, 0, 0)
    resampler.SetInterpolator({1: sitk.sitkLinear, 3: sitk.sitkBSpline}[order])
    wanted = sitk.GetArrayFromImage(resampler.Execute(image)).clip(voxels.min(), voxels.max())
    assert np.abs(resize(voxels, new, order=order) - wanted).max() < 1e-5


def test_a_spline_keeps_a_line_straight_and_a_constant_constant():
    line = np.broadcast_to(np.arange(40, dtype=np.float32)[:, None, None], (40, 3, 5))
    resized = resize(line, (80, 3, 5), order=3)[:, 1, 2]
    assert np.abs(resized[20:60] - ((np.arange(20, 60) + 0.5) / 2 - 0.5)).max() < 1e-4
    assert np.abs(resize(np.full((4, 5, 6), 7.25), (9, 3, 11), order=3) - 7.25).max() == 0


@pytest.mark.parametrize("order", [0, 1, 3])
def test_the_same_shape_changes_nothing(order):
    voxels = np.random.default_rng(0).standard_normal((2, 3, 5, 7)).astype(np.float32)
    for axis in (None, 0, 2):
        assert np.array_equal(resize(voxels, (3, 5, 7), order=order, anisotropic_axis=axis), voxels)


def test_nearest_by_hand_at_a_tie_the_later():
    row = np.array([10, 20, 30, 40], np.int16).reshape(1, 1, 4)
    assert resize(row, (1, 1, 2), order=0).ravel().tolist() == [20, 40]
    assert resize(row, (1, 1, 6), order=0).ravel().tolist() == [10, 20, 20, 30, 40, 40]
    assert resize(row, (1, 2, 4), order=0).dtype == np.int16


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("across", [3, 6, 11])
@pytest.mark.parametrize("order", [1, 3])
def test_an_anisotropic_axis_gets_whole_slices(axis, across, order):
    """Each slice resized by itself, then the nearest one taken; a spike in one slice does not ring in the next."""
    voxels = np.random.default_rng(3).standard_normal((6, 6, 6)).astype(np.float32)
    shape = [9, 9, 9]
    shape[axis] = across
    found = np.moveaxis(resize(voxels, tuple(shape), order=order, anisotropic_axis=axis), axis, 0)
    slices = np.moveaxis(voxels, axis, 0)
    for o in range(across):
        source = slices[int(np.floor((o + 0.5) * 6 / across))]
        assert np.abs(found[o] - resize(source[None], (1, 9, 9), order=order)[0]).max() < 1e-6


def test_channels_are_resized_each_by_itself():
    voxels = np.random.default_rng(4).standard_normal((2, 5, 6, 7)).astype(np.float32)
    voxels[1] *= 100
    both = resize(voxels, (7, 5, 9), order=3, anisotropic_axis=0)
    for channel in range(2):
        assert np.abs(both[channel] - resize(voxels[channel], (7, 5, 9), order=3, anisotropic_axis=0)).max() < 1e-4


@pytest.mark.parametrize("axis", [None, 0, 2])
def test_labels_are_resized_class_by_class_and_a_tie_goes_to_the_larger(axis):
    label = np.random.default_rng(5).integers(-1, 4, (5, 8, 6)).astype(np.int8)
    new = (9, 5, 12)
    wanted = np.zeros(new, np.int8)
    for value in (-1, 0, 1, 2, 3):
        wanted[resize((label == value).astype(float), new, order=1, anisotropic_axis=axis) >= 0.5 - 1e-6] = value
    found = resize_label(label, new, anisotropic_axis=axis)
    assert found.dtype == np.int8
    assert np.array_equal(found, wanted)
    row = np.array([0, 0, 2, 1, 1, 0], np.int16).reshape(1, 1, 6)
    assert resize_label(row, (1, 1, 3)).ravel().tolist() == [0, 2, 1]


def test_a_small_object_far_from_the_origin_is_found_again():
    label = np.zeros((30, 40, 50), np.int16)
    label[20:24, 31:36, 44:50] = 300
    resized = resize_label(label, (60, 80, 100))
    assert set(np.unique(resized)) == {0, 300}
    assert [(int(v.min()), int(v.max()) + 1) for v in np.nonzero(resized)] == [(40, 48), (62, 72), (88, 100)]
    assert not resize_label(np.zeros((4, 5, 6), np.int8), (8, 5, 3)).any()


@pytest.mark.parametrize(("shape", "order"), [((2, 2), 1), ((0, 2, 2), 1), ((2, 2, 2), 2)])
def test_a_resize_that_makes_no_sense_is_refused(shape, order):
    with pytest.raises(ValueError, match="order must be|at least one voxel"):
        resize(np.zeros((3, 3, 3)), shape, order=order)
