"""Where patches are cut."""

import numpy as np
import pytest

from mindvoxel.data.sampling import draw_patch_centre

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
