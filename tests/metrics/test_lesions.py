"""Lesions on pictures small enough to count."""

import math

import numpy as np
import pytest

from mindvoxel.metrics.lesions import Lesions, count_lesions

SHAPE = (5, 9, 11)


def picture(*voxels: tuple) -> np.ndarray:
    mask = np.zeros(SHAPE, bool)
    for voxel in voxels:
        mask[voxel] = True
    return mask


EMPTY = picture()
TWO = picture(np.s_[1, 1:3, 1:3], np.s_[3, 5:8, 7:10])


def test_one_shared_voxel_finds_a_lesion():
    found = count_lesions(picture((1, 2, 2), (4, 0, 10)), TWO)
    assert found == Lesions(tp=1, fp=1, fn=1, num_pred=2)
    assert found.num_truth == 2
    assert found.f1() == 2 / 4
    assert found.sensitivity() == 1 / 2
    assert found.precision() == 1 / 2


def test_voxels_that_touch_by_a_corner_are_one_lesion():
    corner = picture((1, 1, 1), (2, 2, 2))
    gap = picture((1, 1, 1), (3, 2, 2))
    assert count_lesions(corner, corner) == Lesions(1, 0, 0, 1)
    assert count_lesions(gap, gap) == Lesions(2, 0, 0, 2)


def test_a_touch_without_a_shared_voxel_finds_nothing():
    assert count_lesions(picture((1, 1, 3)), TWO) == Lesions(tp=0, fp=1, fn=2, num_pred=1)
    assert count_lesions(picture((1, 1, 3)), TWO).f1() == 0


def test_one_prediction_over_two_lesions_finds_both():
    found = count_lesions(picture(np.s_[1:4, :, :]), TWO)
    assert found == Lesions(tp=2, fp=0, fn=0, num_pred=1)
    assert found.precision() == found.sensitivity() == found.f1() == 1


def test_two_predictions_in_one_lesion_count_once():
    found = count_lesions(picture((3, 5, 7), (3, 7, 9)), TWO)
    assert found == Lesions(tp=1, fp=0, fn=1, num_pred=2)
    assert found.precision() == 1


@pytest.mark.parametrize(("pred", "truth"), [(EMPTY, TWO), (TWO, EMPTY)], ids=["missed", "false"])
def test_lesions_of_one_empty_mask_are_the_worst(pred, truth):
    found = count_lesions(pred, truth)
    assert found.f1() == found.sensitivity() == found.precision() == 0


def test_no_lesions_have_no_score():
    found = count_lesions(EMPTY, EMPTY)
    assert all(math.isnan(score) for score in (found.f1(), found.sensitivity(), found.precision()))


def test_masks_must_be_bool():
    with pytest.raises(ValueError, match="bool masks"):
        count_lesions(TWO.astype(np.int8), TWO)
