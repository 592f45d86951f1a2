"""Cutting, turning, flipping and zooming, against pictures and against interpolation of every class."""

import tracemalloc

import numpy as np
import pytest
from scipy import ndimage

from mindvoxel.data.augment.spatial import (
    RandomFlip,
    RandomTurn,
    RandomZoom,
    affine_matrix,
    cut_box,
    turn_image,
    turn_label,
)

ONES = (1.0, 1.0, 1.0)


def marked(shape, *voxel) -> np.ndarray:
    label = np.zeros(shape, np.int8)
    label[voxel] = 1
    return label


def test_a_box_inside_over_the_border_and_outside():
    array = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    inside = cut_box(array, (0, 1, 1), (2, 2, 3), -1)
    assert np.array_equal(inside, array[:, 1:, 1:])
    assert inside.base is None  # a copy
    over = cut_box(array, (-1, 2, 3), (2, 2, 2), -1)
    assert over.tolist() == [[[-1, -1], [-1, -1]], [[11, -1], [-1, -1]]]
    assert (cut_box(array, (5, 0, 0), (2, 3, 4), -1) == -1).all()
    assert (cut_box(array, (0, -9, 0), (2, 3, 4), -1) == -1).all()
    assert cut_box(array[None], (0, 0, -1), (1, 1, 2), 7).tolist() == [[[[7, 0]]]]


@pytest.mark.parametrize(
    ("angles_deg", "lands"),
    [
        ((90.0, 0.0, 0.0), (5, 1, 8)),  # about z: 5 along x -> -5 along y
        ((0.0, 90.0, 0.0), (12, 6, 8)),  # about y: 5 mm along x -> 5 mm along z
        ((0.0, 0.0, 90.0), (7, 6, 13)),  # about x: stays
    ],
)
def test_a_marked_voxel_turned_by_90_degrees(angles_deg, lands):
    label = marked((15, 13, 17), 7, 6, 13)  # the middle is (7, 6, 8)
    centre = (7.0, 6.0, 8.0)
    matrix = affine_matrix(angles_deg, ONES)
    lands = (7, *lands[1:]) if angles_deg[0] else lands
    for patch in (turn_label(label, centre, matrix, label.shape, 0), turn_image(label, centre, matrix, label.shape, 0)):
        assert np.argwhere(np.round(patch)).tolist() == [list(lands)]


def test_a_quarter_turn_of_an_anisotropic_scan_turns_millimetres():
    """Voxels of (2, 1, 1) mm: 6 mm along y are 3 voxels along z."""
    label = marked((9, 15, 11), 4, 13, 5)  # the middle is (4, 7, 5): 6 along y
    matrix = affine_matrix((0.0, 0.0, 90.0), ONES, (2.0, 1.0, 1.0))
    patch = turn_label(label, (4.0, 7.0, 5.0), matrix, label.shape, 0)
    assert np.argwhere(patch).tolist() == [[1, 7, 5]]


def test_turned_patches_are_those_of_interpolating_every_class():
    """Image and label against SciPy's interpolation of a widely padded case; anisotropic, over the border, scaled."""
    rng = np.random.default_rng(1)
    for number in range(24):
        classes = ndimage.zoom(rng.integers(-1, 4, (3, 4, 3)), (3, 2.5, 4.3), order=0).astype(
            [np.int8, np.int16][number % 2]
        )
        image = rng.standard_normal((2, *classes.shape)).astype(np.float32)
        patch_size = tuple(rng.integers(3, 14, 3).tolist())
        centre = tuple(rng.uniform(0, 1, 3) * classes.shape)
        angles = rng.uniform(-180, 180, 3) if number % 3 else np.zeros(3)
        matrix = affine_matrix(angles, (1.0, *rng.uniform(0.7, 1.4, 2)), tuple(rng.uniform(0.5, 3, 3)))
        grid = np.stack(np.meshgrid(*[np.arange(n) - (n - 1) / 2 for n in patch_size], indexing="ij"))
        points = np.tensordot(matrix, grid, 1) + np.array(centre)[:, None, None, None] + 40

        def sampled(volume, outside, points=points):
            return ndimage.map_coordinates(np.pad(volume.astype(float), 40, constant_values=outside), points, order=1)

        turned = turn_image(image, centre, matrix, patch_size, 0)
        assert turned.dtype == np.float32
        for channel in range(2):
            assert np.abs(turned[channel] - sampled(image[channel], 0)).max() < 1e-5
        scores = np.stack([sampled(classes == k, float(k == -1)) for k in range(-1, 4)])
        best = np.sort(scores, axis=0)
        clear = best[-1] - best[-2] > 1e-9
        label = turn_label(classes, centre, matrix, patch_size, -1)
        assert label.dtype == classes.dtype
        assert np.array_equal(label[clear], (scores.argmax(axis=0) - 1)[clear])
        assert clear.mean() > 0.9


def test_a_patch_of_many_small_structures_is_weighed_in_parts():
    """More mixed voxels than are weighed at once: memory does not grow with voxels times classes."""
    label = np.random.default_rng(2).integers(0, 100, (41, 43, 45)).astype(np.int8)
    matrix, size = affine_matrix((20.0, 10.0, 5.0), ONES), (24, 26, 28)
    centre = tuple((n - 1) / 2 for n in label.shape)
    tracemalloc.start()
    turned = turn_label(label, centre, matrix, size, -1)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20e6  # 31e6 where all are weighed at once
    offset = np.array(centre) - matrix @ ((np.array(size) - 1) / 2)
    points = np.tensordot(matrix, np.indices(size), 1) + offset[:, None, None, None]
    best, expected = np.zeros(size), np.zeros(size, int)
    for k in range(100):
        score = ndimage.map_coordinates((label == k).astype(float), points, order=1)
        expected[score > best + 1e-9] = k
        best = np.maximum(best, score)
    assert (turned == expected).mean() > 0.999  # but for equals


def test_a_patch_far_outside_is_all_outside():
    label = np.ones((5, 6, 7), np.int8)
    for angles in ((20.0, 10.0, 5.0), (0.0, 0.0, 0.0)):
        matrix = affine_matrix(angles, (1.3, 1.3, 1.3))
        for centre in ((60.0, 3.0, 3.0), (3.0, -60.0, 3.0)):
            assert (turn_label(label, centre, matrix, (4, 4, 4), -1) == -1).all()
            assert (turn_image(label[None].astype(np.float32), centre, matrix, (4, 4, 4), 0) == 0).all()


def test_a_turn_fires_with_its_probabilities_and_keeps_its_ranges():
    turn, rng = RandomTurn(rotation_deg=(30.0, 20.0, 10.0)), np.random.default_rng(0)
    drawn = [turn.draw(rng) for _ in range(4000)]
    matrices = [m for m in drawn if m is not None]
    assert len(matrices) / 4000 == pytest.approx(0.36, abs=0.025)  # 1 - 0.8 * 0.8
    volumes = np.array([np.linalg.det(m) for m in matrices]) ** (1 / 3)  # above 1: things shrink
    scaled = np.abs(volumes - 1) > 1e-9
    assert scaled.mean() == pytest.approx(0.2 / 0.36, abs=0.04)
    assert (volumes.min(), volumes.max()) == (pytest.approx(0.7, abs=0.02), pytest.approx(1.4, abs=0.02))
    assert np.median(volumes[scaled]) == pytest.approx(1.05, abs=0.05)
    turned = [np.abs(m / v - np.eye(3)).max() > 1e-9 for m, v in zip(matrices, volumes, strict=True)]
    assert np.mean(turned) == pytest.approx(0.2 / 0.36, abs=0.04)


def test_a_turn_of_slices_leaves_the_first_axis():
    turn, rng = RandomTurn((180.0, 0.0, 0.0), (False, True, True), 1.0, (0.7, 1.4), 1.0), np.random.default_rng(0)
    for _ in range(20):
        matrix = turn.draw(rng)
        assert matrix[0] == pytest.approx([1, 0, 0], abs=1e-12)
        assert matrix[:, 0] == pytest.approx([1, 0, 0], abs=1e-12)
        assert 0.7 <= np.sqrt(np.linalg.det(matrix[1:, 1:])) <= 1.4


def test_a_flip_mirrors_the_last_axes_of_whatever_leads():
    image = np.arange(12, dtype=np.float32).reshape(1, 2, 2, 3)
    flipped, label = RandomFlip().apply(image, image[0].astype(np.int8), axes=(0, 2))
    assert np.array_equal(flipped, image[:, ::-1, :, ::-1])
    assert np.array_equal(label, image[0, ::-1, :, ::-1])


def test_flips_fire_axis_by_axis():
    rng = np.random.default_rng(0)
    drawn = [RandomFlip((0.0, 0.5, 0.2)).draw(rng, None, None)["axes"] for _ in range(2000)]
    assert [np.mean([axis in axes for axes in drawn]) for axis in range(3)] == pytest.approx([0, 0.5, 0.2], abs=0.035)


@pytest.mark.parametrize("flat", [False, True])
def test_a_zoom_magnifies_the_middle(flat):
    """From 20 voxels the middle 10 fill the patch: a cube of 4 becomes one of 8."""
    label = np.zeros((1, 20, 20, 20), np.int16)
    label[0, 8:12, 8:12, 8:12] = 1
    image, mask = RandomZoom(flat=flat).apply(label.astype(np.float32), label, share=0.5)
    assert (image.shape, image.dtype) == ((1, 20, 20, 20), np.float32)
    assert np.unique(np.argwhere(mask[0])[:, 0]).tolist() == list(range(8, 12) if flat else range(6, 14))
    assert np.unique(np.argwhere(mask[0])[:, 1]).tolist() == list(range(6, 14))
    assert np.array_equal(image > 0.5, mask > 0)


def test_a_zoom_fires_with_its_probability_and_range():
    rng = np.random.default_rng(0)
    drawn = [RandomZoom().draw(rng, None, None) for _ in range(3000)]
    shares = [d["share"] for d in drawn if d]
    assert len(shares) / 3000 == pytest.approx(0.15, abs=0.02)
    assert (min(shares), max(shares)) == (pytest.approx(0.7, abs=0.01), pytest.approx(1.0, abs=0.01))
