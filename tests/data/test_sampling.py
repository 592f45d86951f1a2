"""Where patches are cut."""

import numpy as np
import pytest

from mindvoxel.data.sampling import BlobOversampling, ForegroundOversampling, draw_patch_centre, largest_boxes
from mindvoxel.data.store import StoredCase

SHAPE, PATCH = (11, 20, 31), (4, 7, 10)


def draws(label, fraction, count=200, patch=PATCH) -> np.ndarray:
    rng = np.random.default_rng(0)
    return np.array([draw_patch_centre(label, patch, rng, fraction) for _ in range(count)])


def starts(centres: np.ndarray, patch=PATCH) -> np.ndarray:
    return centres - (np.array(patch) - 1) / 2


@pytest.mark.parametrize("fraction", [0.0, 0.5, 1.0])
def test_every_patch_lies_inside(fraction):
    label = np.zeros(SHAPE, np.uint8)
    label[0, 0, 0] = label[-1, -1, -1] = 1  # the corners pull as hard as anything can
    first = starts(draws(label, fraction))
    assert first.min() >= 0
    assert (first <= np.array(SHAPE) - PATCH).all()


def test_a_foreground_voxel_is_the_centre_where_there_is_room():
    label = np.zeros(SHAPE, np.uint8)
    label[5, 9, 20] = 1
    assert (draws(label, 1.0) == (5, 9, 20)).all()


def test_every_foreground_voxel_has_its_turn():
    label = np.zeros(SHAPE, np.uint8)
    label[5, 9, 12:17] = 1
    assert {tuple(centre) for centre in draws(label, 1.0)} == {(5, 9, x) for x in range(12, 17)}


def test_the_share_of_foreground_patches():
    label = np.zeros(SHAPE, np.uint8)
    label[5, 9, 20] = 1
    share = (draws(label, 0.3, 2000) == (5, 9, 20)).all(axis=1).mean()
    assert share == pytest.approx(0.3, abs=0.03)


def test_without_foreground_the_whole_scan_is_drawn_from():
    first = starts(draws(np.zeros(SHAPE, np.uint8), 1.0, 2000))
    assert first.min(axis=0).max() < 0.5
    assert (first.max(axis=0) > np.array(SHAPE) - PATCH - 0.5).all()


def test_a_patch_as_large_as_the_scan_lies_in_its_middle():
    assert (starts(draws(np.ones(SHAPE, np.uint8), 0.5, patch=SHAPE), SHAPE) == 0).all()


def test_the_same_generator_gives_the_same_centre():
    label = np.ones(SHAPE, np.uint8)
    assert (draws(label, 0.5) == draws(label, 0.5)).all()


def stored(label: np.ndarray, name="a") -> StoredCase:
    locations = {k: np.argwhere(label == k).astype(np.int32) for k in (1, 2, 3)}
    return StoredCase(name, np.zeros((1, *label.shape), np.float32), label, locations, None)


def first_voxels(sampler, case, place, count=400, patch=PATCH) -> np.ndarray:
    rng = np.random.default_rng(0)
    return np.array([sampler.draw(rng, case, patch, place) for _ in range(count)])


@pytest.mark.parametrize(
    ("batch_size", "forced"), [(2, [1]), (3, [2]), (9, [6, 7, 8]), (4, [3]), (1, []), (12, [8, 9, 10, 11])]
)
def test_which_patches_of_a_batch_hold_foreground(batch_size, forced):
    """From number round(B · 0.67) on, in nnU-Net."""
    label = np.zeros(SHAPE, np.int8)
    label[5, 9, 20] = 1
    case = stored(label)
    for number in range(batch_size):
        found = (first_voxels(ForegroundOversampling(), case, (number, batch_size), 30) == (3, 6, 15)).all(axis=1)
        assert found.mean() == 1 if number in forced else found.mean() < 0.1


def test_classes_are_equally_likely_whatever_their_size():
    label = np.zeros(SHAPE, np.int8)
    label[2:6, 5:12, 5:25] = 1
    label[9, 18, 28] = 3
    found = first_voxels(ForegroundOversampling(), stored(label), (1, 2), 1000)
    assert (found == (7, 15, 23)).all(axis=1).mean() == pytest.approx(0.5, abs=0.05)


def test_a_forced_patch_reaches_over_the_far_border_only():
    label = np.zeros(SHAPE, np.int8)
    label[0, 0, 0] = label[10, 19, 30] = 1
    found = first_voxels(ForegroundOversampling(), stored(label), (1, 2))
    assert {tuple(start) for start in found.tolist()} == {(0, 0, 0), (8, 16, 25)}


@pytest.mark.parametrize("place", [(0, 2), (1, 2)])
def test_other_patches_lie_inside_and_reach_every_border(place):
    found = first_voxels(ForegroundOversampling(), stored(np.zeros(SHAPE, np.int8)), place, 3000)
    assert found.min(axis=0).tolist() == [0, 0, 0]
    assert found.max(axis=0).tolist() == [7, 13, 21]


def test_a_case_smaller_than_the_patch_lies_in_its_middle():
    found = first_voxels(ForegroundOversampling(), stored(np.zeros((4, 6, 31), np.int8)), (0, 2), patch=(7, 10, 31))
    assert {tuple(start) for start in found[:, :2].tolist()} == {(-2, -2), (-1, -2)}  # 3 spare: 1 or 2 in front
    assert (found[:, 2] == 0).all()


def test_the_largest_blobs_of_each_class():
    label = np.zeros((12, 12, 12), np.int16)
    label[0, 0, 0], label[2:4, 2:4, 2:4], label[6:9, 6:9, 6:9] = 1, 1, 1
    label[3, 3, 4] = 3  # touches class 1, and is a class of its own
    label[label == 0] = -1
    assert largest_boxes(label) == [[((6, 9),) * 3, ((2, 4),) * 3], [((3, 4), (3, 4), (4, 5))]]
    assert largest_boxes(np.zeros((3, 3, 3), np.int8)) == []


def test_a_patch_contains_a_small_blob_and_lies_inside_a_large_one():
    label = np.zeros((30, 30, 30), np.int8)
    label[2:28, 10:12, 20:24] = 2
    found = first_voxels(BlobOversampling(probability=1.0), stored(label), (0, 2), 600, (5, 6, 4))
    assert (found[:, 0].min(), found[:, 0].max()) == (2, 23)  # inside from 2 to 28
    assert (found[:, 1].min(), found[:, 1].max()) == (6, 10)  # contains 10 to 12
    assert set(found[:, 2].tolist()) == {20}  # fits exactly


def test_a_blob_at_the_border_pulls_over_it_or_not():
    label = np.zeros((9, 30, 30), np.int8)
    label[0, 0, 29] = 1
    over = first_voxels(BlobOversampling(probability=1.0), stored(label), (0, 2), 600, (5, 5, 5))
    assert over.min(axis=0).tolist() == [-4, -4, 25]
    assert over.max(axis=0).tolist() == [0, 0, 29]
    inside = first_voxels(BlobOversampling(probability=1.0, inside=True), stored(label), (0, 2), 600, (5, 5, 5))
    assert {tuple(start) for start in inside.tolist()} == {(0, 0, 25)}


@pytest.mark.parametrize("probability", [0.33, 0.4])
def test_the_share_of_patches_around_a_blob_whatever_the_place(probability):
    label = np.zeros((60, 60, 60), np.int8)
    label[30, 30, 30] = 1
    for place in ((0, 2), (1, 2)):
        found = first_voxels(BlobOversampling(probability), stored(label), place, 3000, (3, 3, 3))
        assert (np.abs(found - 29) <= 1).all(axis=1).mean() == pytest.approx(probability, abs=0.03)


def test_without_foreground_a_blob_patch_is_anywhere():
    found = first_voxels(BlobOversampling(1.0), stored(np.zeros(SHAPE, np.int8)), (0, 2), 3000)
    assert (found.min(axis=0).tolist(), found.max(axis=0).tolist()) == ([0, 0, 0], [7, 13, 21])
