"""Resampling by hand: sizes, far-end padding, world alignment; on oblique, anisotropic grids."""

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from mindvoxel.data.resample import resample_like, resample_to_spacing
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
