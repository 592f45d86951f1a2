"""The largest component."""

import numpy as np

from mindvoxel.data.postprocess import keep_largest, largest_component


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


def test_groups_go_together_and_then_alone():
    labels = np.zeros((1, 3, 12), np.uint8)
    labels[0, 1, 1:7] = [1, 1, 2, 1, 2, 2]  # one component of both classes, which single classes tear apart
    labels[0, 1, 9:11] = 4
    assert keep_largest(labels, [(1, 2, 4)])[0, 1].tolist() == [0, 1, 1, 2, 1, 2, 2, 0, 0, 0, 0, 0]
    assert keep_largest(labels, [(1, 2, 4), (1,)])[0, 1].tolist() == [0, 1, 1, 2, 0, 2, 2, 0, 0, 0, 0, 0]
    assert keep_largest(labels, [])[0, 1].tolist() == labels[0, 1].tolist() and labels[0, 1, 9] == 4


def test_groups_are_connected_through_corners_and_of_equals_the_first_stays():
    labels = np.zeros((5, 7, 9), np.int16)
    labels[1, 1, 1], labels[2, 2, 2], labels[3, 3, 3] = 300, 300, 300  # a slanted line
    labels[0, 5, 5:7] = 300
    kept = keep_largest(labels, [(300,)])
    assert kept.dtype == np.int16
    assert np.argwhere(kept).tolist() == [[1, 1, 1], [2, 2, 2], [3, 3, 3]]
    labels[0, 5, 7] = 300
    assert np.argwhere(keep_largest(labels, [(300,)])).tolist() == [[0, 5, 5], [0, 5, 6], [0, 5, 7]]
    assert np.array_equal(keep_largest(labels, [(7,)]), labels)
