"""The largest component."""

import numpy as np

from mindvoxel.data.postprocess import largest_component


def test_the_larger_of_two_stays():
    mask = np.zeros((5, 7, 9), bool)
    mask[1, 1, 1:3] = True
    mask[3:5, 4, 6] = True
    mask[3, 5, 6] = True
    kept = largest_component(mask)
    assert kept.dtype == bool
    assert np.argwhere(kept).tolist() == [[3, 4, 6], [3, 5, 6], [4, 4, 6]]


def test_voxels_that_share_an_edge_only_are_two_components():
    mask = np.zeros((5, 7, 9), bool)
    mask[2, 2, 2:5] = True
    mask[2, 3, 5] = True
    assert np.argwhere(largest_component(mask)).tolist() == [[2, 2, 2], [2, 2, 3], [2, 2, 4]]


def test_empty_stays_empty_and_one_component_stays_as_it_is():
    for mask in (np.zeros((5, 7, 9), bool), np.ones((5, 7, 9), bool)):
        assert np.array_equal(largest_component(mask), mask)


def test_the_input_is_not_changed():
    mask = np.zeros((1, 1, 9), bool)
    mask[0, 0, [0, 4, 5]] = True
    before = mask.copy()
    largest_component(mask)
    assert np.array_equal(mask, before)
