"""Crops, and that they are undone; the box and the mask of what is not empty."""

import numpy as np
import pytest
from scipy import ndimage

from mindvoxel.data.crop import Crop, nonzero_box, nonzero_mask

FULL = (5, 8, 11)


def numbered(shape=FULL) -> np.ndarray:
    return np.arange(1, np.prod(shape) + 1).reshape(shape)


@pytest.mark.parametrize(
    ("full", "shape", "start"),
    [
        ((5, 8, 11), (3, 4, 5), (1, 2, 3)),
        ((5, 8, 11), (2, 3, 4), (1, 2, 3)),  # rests of 3, 5, 7: one more behind
        ((5, 8, 11), (5, 8, 11), (0, 0, 0)),
        ((65, 129, 200), (64, 128, 128), (0, 0, 36)),
    ],
)
def test_the_centre_by_hand(full, shape, start):
    crop = Crop.centre(full, shape)
    assert (crop.start, crop.shape, crop.full) == (start, shape, full)


def test_it_cuts_the_box():
    assert np.array_equal(Crop((1, 2, 3), (2, 3, 4), FULL).apply(numbered()), numbered()[1:3, 2:5, 3:7])


def test_what_is_cut_is_a_copy():
    array = numbered()
    Crop.centre(FULL, (3, 4, 5)).apply(array)[:] = 0
    assert np.array_equal(array, numbered())


@pytest.mark.parametrize("shape", [(3, 4, 5), (2, 3, 4), (1, 1, 1), FULL])
def test_undone_the_box_is_back_in_its_place_and_zero_around_it(shape):
    crop = Crop.centre(FULL, shape)
    whole = crop.undo(crop.apply(numbered()))
    inside = np.zeros(FULL, bool)
    inside[crop.slices] = True
    assert np.array_equal(whole[inside], numbered()[inside])
    assert not whole[~inside].any()
    assert np.array_equal(crop.apply(whole), crop.apply(numbered()))
    assert whole.dtype == numbered().dtype


def test_the_whole_box_undone_is_the_array():
    crop = Crop.centre(FULL, FULL)
    assert np.array_equal(crop.undo(crop.apply(numbered())), numbered())


def test_a_crop_larger_than_the_array_is_refused():
    with pytest.raises(ValueError, match=r"crop \(5, 9, 11\) exceeds the array \(5, 8, 11\); pad it first"):
        Crop.centre(FULL, (5, 9, 11))


def test_the_box_of_non_zeros_by_hand():
    voxels = np.zeros((2, *FULL), np.float32)
    voxels[0, 1, 6, 3], voxels[1, 3, 2, 9] = 4, -1
    assert nonzero_box(voxels) == Crop((1, 2, 3), (3, 5, 7), FULL)
    assert nonzero_box(voxels, positive=True) == Crop((1, 6, 3), (1, 1, 1), FULL)


@pytest.mark.parametrize("corner", [(0, 0, 0), (4, 7, 10), (0, 7, 0)])
def test_a_box_at_the_rim(corner):
    voxels = np.zeros((1, *FULL), np.int16)
    voxels[(0, *corner)] = 1
    assert nonzero_box(voxels) == Crop(corner, (1, 1, 1), FULL)


def test_the_box_of_nothing_is_everything():
    whole = Crop((0, 0, 0), FULL, FULL)
    assert nonzero_box(np.zeros((1, *FULL), np.float32)) == whole
    assert nonzero_box(np.full((1, *FULL), -3, np.float32), positive=True) == whole
    assert nonzero_box(np.ones((1, *FULL), np.float32)) == whole


def test_the_mask_has_its_closed_holes_filled_and_the_open_ones_not():
    voxels = np.zeros((1, 7, 7, 7), np.float32)
    voxels[0, 1:6, 1:6, 1:6] = 5
    voxels[0, 3, 3, 3] = 0  # closed
    voxels[0, 1:3, 2, 2] = 0  # open to the front
    voxels[0, 4:6, 4, 4] = 0  # closed but for a corner, which does not count
    voxels[0, 5, 4, 4], voxels[0, 6, 5, 5] = 1, 0
    mask = nonzero_mask(voxels)
    expected = voxels[0] != 0
    expected[3, 3, 3] = expected[4, 4, 4] = True
    assert np.array_equal(mask, expected)


@pytest.mark.parametrize("shape", [(2, 9, 10, 11), (1, 1, 14, 15), (1, 13, 3, 12)])
def test_the_mask_is_nnu_net_s_and_its_box_the_same_on_random_blobs(shape):
    rng = np.random.default_rng(11)
    for density in (0.2, 0.5, 0.7, 0.9):
        voxels = (rng.random(shape) < density) * rng.normal(0, 3, shape).astype(np.float32)
        voxels[:, :1] = voxels[..., -2:] = 0
        filled = ndimage.binary_fill_holes((voxels != 0).any(axis=0))
        assert np.array_equal(nonzero_mask(voxels), filled)
        box = nonzero_box(voxels)
        assert box == nonzero_box(filled[None])
        inside = nonzero_mask(voxels[(slice(None), *box.slices)])
        assert np.array_equal(inside, filled[box.slices])
