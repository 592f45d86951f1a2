"""Two stages: one pass of the first serves the scan and the second, which gets classes as channels window by window."""

import tracemalloc

import numpy as np
import pytest

from mindvoxel.data.crop import Crop
from mindvoxel.data.grid import CaseGrid
from mindvoxel.inference import (
    Member,
    Sliding,
    class_planes,
    largest_class,
    next_classes,
    reading_classes,
    segment,
    segment_for_next,
)

from ..data.plans import a_configuration
from .test_labels import CASES, VALUES, make, network

FINE = a_configuration(spacing_mm=(1.7, 0.8, 1.1))
FLAT = a_configuration(spacing_mm=(0.9, 1.2), patch_size=(8, 8))


@pytest.mark.parametrize("following", [FINE, FLAT], ids=["3-D", "2-D"])
@pytest.mark.parametrize("name", CASES)
def test_one_pass_gives_the_labels_and_the_classes_on_the_next_grid(name, following):
    image, grid, sliding = make(name)
    asked = []

    def counted(window):
        asked.append(window.shape)
        return network(1)(window)

    member = Member(image, grid, [counted], sliding)
    labels, classes = segment_for_next(member, VALUES, following)
    assert len(asked) == member.num_windows()
    assert np.array_equal(labels.voxels, segment([member], VALUES).voxels)
    assert labels.voxels.dtype == classes.dtype == np.uint8
    assert np.array_equal(classes, next_classes(member, len(VALUES), following))


def test_the_next_grid_is_that_of_preprocessing_over_the_crop():
    """Permuted: scan axes 2, 0, 1, so that the crop of 9 × 10 × 6 voxels has spacings 1.3, 1 and 1 mm."""
    image, grid, sliding = make("permuted")
    member = Member(image, grid, [network(1)], sliding)
    shape = (round(9 * 1.3 / 1.7), round(10 / 0.8), round(6 / 1.1))
    planes = class_planes(member, len(VALUES), shape, FINE.spacing_mm)
    assert np.array_equal(
        next_classes(member, len(VALUES), FINE), np.stack([largest_class(plane).copy() for plane in planes])
    )
    assert next_classes(member, len(VALUES), FLAT).shape == (9, round(10 / 0.9), 5)


def test_memory_is_that_of_a_slab_and_of_a_few_planes():
    """20 classes of 96 planes: 15 MB on the network's grid, 119 MB on the next; labels of both take 1 MB."""
    scan, shape, classes = (100, 48, 48), (96, 44, 44), 20
    direction = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
    crop = Crop((0, 0, 0), scan, scan)
    grid = CaseGrid(scan, (1.0,) * 3, (0.0,) * 3, direction, (0, 1, 2), crop, shape, (1.0,) * 3)
    answer = np.zeros((classes, 8, 16, 16), np.float32)
    member = Member(np.zeros((1, *shape), np.float32), grid, [lambda window: answer], Sliding((8, 16, 16)))
    tracemalloc.start()
    segment_for_next(member, range(classes), a_configuration(spacing_mm=(0.5, 0.5, 0.5)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 9e6


def test_the_last_channel_becomes_one_for_each_foreground_class():
    seen = []
    predict = reading_classes(lambda window: seen.append(window), 4)
    predict(np.array([[[5, 6, 7, 8, 9]], [[0, 1, 2, 3, 1]]], np.float32))
    assert seen[0].dtype == np.float32
    assert seen[0].tolist() == [[[5, 6, 7, 8, 9]], [[0, 1, 0, 0, 1]], [[0, 0, 1, 0, 0]], [[0, 0, 0, 1, 0]]]
