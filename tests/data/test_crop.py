"""The centre crop, and that it is undone."""

import numpy as np
import pytest

from mindvoxel.data.crop import Crop

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
