"""Border distances: by hand, against ITK, and against a distance transform of the whole volume."""

import math

import numpy as np
import pytest
import SimpleITK as sitk
from scipy import ndimage

from mindvoxel.metrics.surface import assd, border_distances, hausdorff, hd95, nsd

SPACING_MM = (3.0, 0.5, 0.8)
SHAPE = (9, 21, 17)
DIAGONAL_MM = math.sqrt(27.0**2 + 10.5**2 + 13.6**2)


def ball(centre: tuple[int, ...], radius_mm: float, shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    index = np.indices(shape)
    return sum(((i - c) * s) ** 2 for i, c, s in zip(index, centre, SPACING_MM, strict=True)) <= radius_mm**2


def one_voxel(*index: int) -> np.ndarray:
    mask = np.zeros(SHAPE, bool)
    mask[index] = True
    return mask


BALL, MOVED = ball((4, 9, 8), 4.0), ball((5, 11, 7), 4.4)
HOLLOW = BALL & ~ball((4, 9, 8), 1.6)
EMPTY = np.zeros(SHAPE, bool)


def itk_hausdorff(pred: np.ndarray, truth: np.ndarray) -> float:
    images = [sitk.GetImageFromArray(mask.astype(np.uint8)) for mask in (pred, truth)]
    for image in images:
        image.SetSpacing(SPACING_MM[::-1])
    itk = sitk.HausdorffDistanceImageFilter()
    itk.Execute(*images)
    return itk.GetHausdorffDistance()


@pytest.mark.parametrize(("axis", "spacing"), list(enumerate(SPACING_MM)))
def test_one_voxel_shift_is_one_spacing(axis, spacing):
    pred = np.roll(one_voxel(4, 10, 8), 1, axis)
    distances = border_distances(pred, one_voxel(4, 10, 8), SPACING_MM)
    assert hausdorff(pred, one_voxel(4, 10, 8), SPACING_MM) == pytest.approx(spacing)
    assert hd95(distances) == assd(distances) == pytest.approx(spacing)


def test_hausdorff_is_the_farthest_voxel_of_either_mask():
    pair = one_voxel(4, 10, 8) | one_voxel(4, 10, 12)
    assert hausdorff(one_voxel(4, 10, 8), pair, SPACING_MM) == pytest.approx(4 * 0.8)
    assert hausdorff(pair, one_voxel(4, 10, 8), SPACING_MM) == pytest.approx(4 * 0.8)


@pytest.mark.parametrize(
    ("pred", "truth"),
    [(BALL, MOVED), (MOVED, BALL), (HOLLOW, MOVED), (BALL, HOLLOW), (HOLLOW, BALL), (one_voxel(0, 0, 0), BALL)],
    ids=["moved", "moved back", "hollow moved", "hole filled", "hole missed", "corner"],
)
def test_hausdorff_equals_itk(pred, truth):
    assert hausdorff(pred, truth, SPACING_MM) == pytest.approx(itk_hausdorff(pred, truth), rel=1e-5)


def test_hausdorff_is_not_the_distance_of_borders():
    solid, hollow = np.ones((9, 9, 9), bool), np.ones((9, 9, 9), bool)
    hollow[4, 4, 4] = False
    assert hausdorff(solid, hollow, (1.0, 1.0, 1.0)) == 1  # the filled voxel beside its neighbour
    assert border_distances(solid, hollow, (1.0, 1.0, 1.0)).truth_to_pred_mm.max() == 3  # the hole's border, to a face


def test_hausdorff_equals_itk_on_random_masks():
    rng = np.random.default_rng(0)
    for _ in range(8):
        pred, truth = rng.random((2, *SHAPE)) < 0.02
        assert hausdorff(pred, truth, SPACING_MM) == pytest.approx(itk_hausdorff(pred, truth), rel=1e-5)


def test_border_voxels_have_a_face_neighbour_outside():
    cube = np.zeros((5, 7, 9), bool)
    cube[1:4, 2:5, 3:6] = True
    assert len(border_distances(cube, cube, (1.0, 1.0, 1.0)).pred_to_truth_mm) == 27 - 1


def test_the_edge_of_the_array_counts_as_border():
    whole = np.ones((3, 5, 7), bool)
    assert len(border_distances(whole, whole, (1.0, 1.0, 1.0)).truth_to_pred_mm) == 3 * 5 * 7 - 1 * 3 * 5


@pytest.mark.parametrize(("pred", "truth"), [(BALL, MOVED), (HOLLOW, MOVED)], ids=["ball", "hollow"])
def test_border_distances_equal_a_distance_transform_of_the_whole_volume(pred, truth):
    pad = [(5, 2), (1, 9), (7, 0)]  # far more background than the foreground's box
    pred, truth = np.pad(pred, pad), np.pad(truth, pad)
    borders = [mask & ~ndimage.binary_erosion(mask) for mask in (pred, truth)]
    to_pred, to_truth = (ndimage.distance_transform_edt(~border, sampling=SPACING_MM) for border in borders)
    distances = border_distances(pred, truth, SPACING_MM)
    np.testing.assert_allclose(distances.pred_to_truth_mm, to_truth[borders[0]], atol=1e-12)
    np.testing.assert_allclose(distances.truth_to_pred_mm, to_pred[borders[1]], atol=1e-12)
    plain = np.concatenate([to_truth[borders[0]], to_pred[borders[1]]])
    assert assd(distances) == pytest.approx(plain.mean())
    assert nsd(distances, 1.0) == pytest.approx((plain <= 1.0).mean())
    assert hd95(distances) == pytest.approx(
        max(np.percentile(to_truth[borders[0]], 95), np.percentile(to_pred[borders[1]], 95))
    )


def test_hd95_is_the_larger_directed_percentile_not_the_pooled_one():
    truth = np.zeros((1, 1, 41), bool)
    truth[..., :19] = True
    pred = truth.copy()
    pred[..., [28, 38]] = True  # 2 of 21 voxels, 10 and 20 mm off; in the pooled 40 they lie beyond the percentile
    distances = border_distances(pred, truth, (1.0, 1.0, 1.0))
    assert hd95(distances) == pytest.approx(10)
    assert np.percentile(distances.pooled_mm(), 95) == pytest.approx(0.5)
    assert hausdorff(pred, truth, (1.0, 1.0, 1.0)) == 20


def test_assd_pools_the_voxels_of_both_directions():
    truth = one_voxel(4, 10, 8)
    pred = truth | one_voxel(4, 10, 9) | one_voxel(4, 10, 10)
    assert assd(border_distances(pred, truth, SPACING_MM)) == pytest.approx((0 + 0.8 + 1.6 + 0) / 4)


def test_nsd_counts_both_borders_within_the_tolerance():
    truth = one_voxel(4, 10, 8)
    distances = border_distances(truth | one_voxel(4, 10, 9) | one_voxel(4, 10, 10), truth, SPACING_MM)
    assert nsd(distances, 0.0) == pytest.approx(2 / 4)
    assert nsd(distances, 0.8) == pytest.approx(3 / 4)
    assert nsd(distances, 1.6) == 1


def test_nsd_tolerance_is_not_missed_by_rounding():
    truth, pred = np.zeros((2, 1, 1, 9), bool)
    truth[..., 1] = pred[..., 4] = True  # 3 × 0.1 is more than 0.3 in floating point
    assert nsd(border_distances(pred, truth, (1.0, 1.0, 0.1)), 0.3) == 1


def test_a_negative_tolerance_is_refused():
    with pytest.raises(ValueError, match="tolerance_mm must be 0 or more, got -1"):
        nsd(border_distances(BALL, MOVED, SPACING_MM), -1)


def test_equal_masks_are_no_distance_apart():
    distances = border_distances(BALL, BALL, SPACING_MM)
    assert hausdorff(BALL, BALL, SPACING_MM) == hd95(distances) == assd(distances) == 0
    assert nsd(distances, 0.0) == 1


@pytest.mark.parametrize(("pred", "truth"), [(EMPTY, BALL), (BALL, EMPTY)], ids=["missed", "false"])
def test_one_empty_mask_has_the_worst_value(pred, truth):
    distances = border_distances(pred, truth, SPACING_MM)
    assert hausdorff(pred, truth, SPACING_MM) == pytest.approx(DIAGONAL_MM)
    assert (hd95(distances), assd(distances)) == pytest.approx((DIAGONAL_MM, DIAGONAL_MM))
    assert nsd(distances, 1e9) == 0


def test_two_empty_masks_have_no_value():
    distances = border_distances(EMPTY, EMPTY, SPACING_MM)
    for value in (hausdorff(EMPTY, EMPTY, SPACING_MM), hd95(distances), assd(distances), nsd(distances, 1.0)):
        assert math.isnan(value)


def speckled(seed: int, shape: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Two blobs that differ, with stray voxels far away and at the array's edges."""
    rng = np.random.default_rng(seed)
    noise = ndimage.gaussian_filter(rng.normal(size=(2, *shape)), (0, 1.5, 1.5, 1.5))
    masks = noise[0] > 0.08, noise[0] + 0.4 * noise[1] > 0.1
    pred, truth = (mask | (rng.random(shape) < 0.003) for mask in masks)
    pred[0, 0, 0] = truth[-1, -1, -1] = True
    return pred, truth


ODD_SHAPES = [(1, 13, 7), (2, 2, 2), (7, 1, 23), (13, 17, 11), (5, 31, 19)]


@pytest.mark.parametrize("shape", ODD_SHAPES, ids=str)
def test_odd_volumes_equal_distance_transforms_of_the_whole_grid(shape):
    for seed in range(4):
        pred, truth = speckled(seed, shape)
        outside = [np.pad(mask, 1) for mask in (pred, truth)]  # beyond the array is outside of the mask
        borders = [(mask & ~ndimage.binary_erosion(mask))[1:-1, 1:-1, 1:-1] for mask in outside]
        to_pred, to_truth = (ndimage.distance_transform_edt(~border, sampling=SPACING_MM) for border in borders)
        distances = border_distances(pred, truth, SPACING_MM)
        np.testing.assert_allclose(distances.pred_to_truth_mm, to_truth[borders[0]], atol=1e-9)
        np.testing.assert_allclose(distances.truth_to_pred_mm, to_pred[borders[1]], atol=1e-9)
        sets = [ndimage.distance_transform_edt(~mask, sampling=SPACING_MM) for mask in (pred, truth)]
        assert distances.hausdorff_mm == pytest.approx(max(sets[1][pred].max(), sets[0][truth].max()))


def test_border_distances_equal_itk_s_distance_map():
    pred, truth = speckled(7, (13, 17, 11))
    border = sitk.GetImageFromArray((truth & ~ndimage.binary_erosion(truth)).astype(np.uint8))
    border.SetSpacing(SPACING_MM[::-1])
    itk = sitk.GetArrayFromImage(sitk.SignedMaurerDistanceMap(border, squaredDistance=False, useImageSpacing=True))
    found = border_distances(pred, truth, SPACING_MM).pred_to_truth_mm
    np.testing.assert_allclose(found, np.maximum(itk[pred & ~ndimage.binary_erosion(pred)], 0), atol=1e-5)


def test_hausdorff_equals_itk_where_the_farthest_voxel_lies_inside():
    """A large ball whose middle the truth leaves hollow: no border voxel of the ball is the farthest."""
    shape = (17, 61, 41)
    solid = ball((8, 30, 20), 14.0, shape)
    shell = solid & ~ball((8, 31, 20), 11.0, shape)
    speck = np.zeros(shape, bool)
    speck[8, 28:33, 20] = True
    for pred, truth in ((solid, shell), (shell, solid), (solid, shell | speck), (shell | speck, solid)):
        assert hausdorff(pred, truth, SPACING_MM) == pytest.approx(itk_hausdorff(pred, truth), rel=1e-5)
    assert hausdorff(solid, shell, SPACING_MM) > 9


def test_hausdorff_equals_itk_on_odd_volumes():
    for seed in range(6):
        pred, truth = speckled(seed, (11, 23, 29))
        assert hausdorff(pred, truth, SPACING_MM) == pytest.approx(itk_hausdorff(pred, truth), rel=1e-5)


def test_threads_change_no_distance():
    pred, truth = speckled(3, (13, 17, 11))
    one, two = (border_distances(pred, truth, SPACING_MM, num_threads) for num_threads in (1, 2))
    np.testing.assert_array_equal(one.pred_to_truth_mm, two.pred_to_truth_mm)
    np.testing.assert_array_equal(one.truth_to_pred_mm, two.truth_to_pred_mm)
    assert one.hausdorff_mm == two.hausdorff_mm
