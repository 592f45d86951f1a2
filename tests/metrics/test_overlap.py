"""Overlap metrics on pictures small enough to count."""

import math

import numpy as np
import pytest

from mindvoxel.metrics.overlap import Overlap, dice, foreground_box, volume_difference, volume_ml

SHAPE = (3, 5, 7)


def picture(*boxes: tuple[slice, ...]) -> np.ndarray:
    mask = np.zeros(SHAPE, bool)
    for box in boxes:
        mask[box] = True
    return mask


EMPTY = picture()
SIX = picture(np.s_[1, 1:3, 2:5])  # 6 voxels
FOUR_OF_SIX = picture(np.s_[1, 1:3, 2:4])


def test_dice_counts_twice_the_shared_voxels():
    assert dice(FOUR_OF_SIX, SIX) == 2 * 4 / (4 + 6)


def test_dice_is_one_for_equal_and_zero_for_apart():
    assert dice(SIX, SIX) == 1
    assert dice(SIX, picture(np.s_[0])) == 0


def test_dice_does_not_change_when_the_masks_are_exchanged():
    assert dice(SIX, FOUR_OF_SIX) == dice(FOUR_OF_SIX, SIX)


def test_dice_where_masks_are_empty():
    assert math.isnan(dice(EMPTY, EMPTY))
    assert dice(EMPTY, SIX) == dice(SIX, EMPTY) == 0


def test_volume_is_voxels_times_spacing():
    assert volume_ml(SIX, (3.0, 0.5, 2.0)) == pytest.approx(6 * 3 / 1000)
    assert volume_ml(EMPTY, (3.0, 0.5, 2.0)) == 0


def test_volume_difference_is_signed_and_relative_to_the_mean_of_both():
    assert volume_difference(FOUR_OF_SIX, SIX, (3.0, 0.5, 2.0)) == pytest.approx((-0.006, -200 * 2 / 10))
    assert volume_difference(SIX, FOUR_OF_SIX, (3.0, 0.5, 2.0)) == pytest.approx((0.006, 40))


def test_volume_difference_where_masks_are_empty():
    assert volume_difference(EMPTY, SIX, (1.0, 1.0, 1.0)) == pytest.approx((-0.006, -200))
    assert volume_difference(SIX, EMPTY, (1.0, 1.0, 1.0)) == pytest.approx((0.006, 200))
    assert all(math.isnan(x) for x in volume_difference(EMPTY, EMPTY, (1.0, 1.0, 1.0)))


def test_masks_that_are_not_bool_or_not_of_one_shape_are_refused():
    with pytest.raises(ValueError, match=r"bool masks, got uint8 and bool"):
        dice(SIX.astype(np.uint8), SIX)
    with pytest.raises(ValueError, match=r"one shape, got \(3, 5, 6\) and \(3, 5, 7\)"):
        dice(SIX[..., :6], SIX)
    with pytest.raises(ValueError, match=r"spacing_mm must have 3 values"):
        volume_difference(SIX, SIX, (1.0, 1.0))


def test_every_share_is_counted_from_the_same_voxels():
    pred = FOUR_OF_SIX | picture(np.s_[2, 0, :3])  # 4 shared, 3 false, 2 missed of 105
    overlap = Overlap.of(pred, SIX)
    assert overlap == Overlap(tp=4, fp=3, fn=2, tn=105 - 9)
    assert (overlap.num_pred, overlap.num_truth) == (7, 6)
    assert overlap.dice() == 8 / 13
    assert overlap.iou() == 4 / 9
    assert overlap.sensitivity() == 4 / 6
    assert overlap.precision() == 4 / 7


@pytest.mark.parametrize(("pred", "truth"), [(EMPTY, SIX), (SIX, EMPTY)], ids=["missed", "false"])
def test_every_share_of_one_empty_mask_is_the_worst(pred, truth):
    overlap = Overlap.of(pred, truth)
    assert overlap.dice() == overlap.iou() == overlap.sensitivity() == overlap.precision() == 0


def test_no_share_of_two_empty_masks_is_known():
    overlap = Overlap.of(EMPTY, EMPTY)
    shares = (overlap.dice(), overlap.iou(), overlap.sensitivity(), overlap.precision())
    assert all(math.isnan(share) for share in shares)


def test_the_box_of_the_foreground():
    assert foreground_box(SIX) == np.s_[1:2, 1:3, 2:5]
    assert foreground_box(picture(np.s_[0, 4, 0], np.s_[2, 0, 6])) == np.s_[0:3, 0:5, 0:7]
    assert SIX[foreground_box(EMPTY)].size == 0
