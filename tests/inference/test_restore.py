"""The way back, by hand: where voxels come from, and which axis is left unblended."""

import numpy as np

from mindvoxel.inference.restore import axis_taps, largest_class, resize_planes


def test_twice_as_many_voxels_lie_at_quarters_and_the_edges_repeat():
    """3 -> 6: at -1/4, 1/4, 3/4, 5/4, 7/4, 9/4; outside lies the edge."""
    low, high, share = axis_taps(3, 6, nearest=False)
    assert low.tolist() == [0, 0, 0, 1, 1, 2]
    assert high.tolist() == [1, 1, 1, 2, 2, 2]
    assert share.tolist() == [0, 0.25, 0.75, 0.25, 0.75, 0]


def test_half_as_many_voxels_lie_between_two_and_the_nearest_is_the_upper():
    assert [taps.tolist() for taps in axis_taps(4, 2, nearest=False)] == [[0, 2], [1, 3], [0.5, 0.5]]
    assert [taps.tolist() for taps in axis_taps(4, 2, nearest=True)] == [[1, 3], [1, 3], [0, 0]]
    assert axis_taps(2, 5, nearest=True)[0].tolist() == [0, 0, 1, 1, 1]  # at -0.3, 0.1, 0.5, 0.9, 1.3


def test_planes_between_two_planes_are_mixed_by_hand():
    """Planes 0, 4, 8 of one class, twice as many: 0, 1, 3, 5, 7, 8; across a separate axis 0, 0, 4, 4, 8, 8."""
    source = [np.full((1, 2, 2), value, np.float32) for value in (0, 4, 8)]
    mixed = [plane[0, 0, 0] for plane in resize_planes(iter(source), (3, 2, 2), (6, 2, 2))]
    assert mixed == [0, 1, 3, 5, 7, 8]
    nearest = [plane[0, 0, 0] for plane in resize_planes(iter(source), (3, 2, 2), (6, 2, 2), nearest_axis=0)]
    assert nearest == [0, 0, 4, 4, 8, 8]


def test_planes_that_nobody_needs_are_skipped_and_the_last_are_not_even_made():
    """10 planes to 2, nearest: planes 2 and 7."""
    made = []

    def planes():
        for z in range(10):
            made.append(z)
            yield np.full((1, 1, 1), z, np.float32)

    assert [plane.item() for plane in resize_planes(planes(), (10, 1, 1), (2, 1, 1), nearest_axis=0)] == [2, 7]
    assert made == list(range(8))


def test_the_largest_class_is_the_first_of_equals():
    plane = np.array([[[1, 0, 2]], [[1, 5, 3]], [[0, 5, 3]]], np.float32)
    assert largest_class(plane).tolist() == [[0, 1, 1]]
    assert largest_class(plane).dtype == np.uint8


def test_more_than_256_classes():
    plane = np.zeros((300, 1, 2), np.float32)
    plane[299, 0, 0] = plane[255, 0, 1] = 1
    found = largest_class(plane)
    assert (found.tolist(), found.dtype) == ([[299, 255]], np.uint16)
