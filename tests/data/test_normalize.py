"""Intensity rules by hand."""

import numpy as np
import pytest

from mindvoxel.data.normalize import mean_and_deviation, normalize, rescale_unit, zscore_positive
from mindvoxel.data.plan import Intensity


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.uint16, np.int32, np.float32, np.float64])
def test_unit_by_hand(dtype):
    unit = rescale_unit(np.array([[[10, 20, 30, 50]]], dtype))
    assert unit.dtype == np.float32
    assert unit.ravel().tolist() == pytest.approx([0, 0.25, 0.5, 1])


def test_unit_does_not_overflow_small_integers():
    assert rescale_unit(np.array([-128, -1, 127], np.int8)).tolist() == pytest.approx([0, 127 / 255, 1])
    assert rescale_unit(np.array([-32768, 32767], np.int16)).tolist() == [0, 1]


def test_unit_keeps_contrast_on_a_high_offset():
    """float32 alone cannot tell 2**30 from 2**30 + 1."""
    assert rescale_unit(2**30 + np.array([0, 1, 2, 4], np.int32)).tolist() == [0, 0.25, 0.5, 1]


def test_unit_of_a_constant_image_is_refused():
    with pytest.raises(ValueError, match="constant image, every voxel is 7"):
        rescale_unit(np.full((3, 5, 7), 7, np.int16))


def test_zscore_by_hand():
    """Above 0 stand 1, 3: mean 2, deviation 1; both are applied to every voxel."""
    scored = zscore_positive(np.array([0, 0, 1, 3], np.float32))
    assert scored.dtype == np.float32
    assert scored.tolist() == [-2, -2, -1, 1]


def test_zscore_leaves_mean_0_and_deviation_1_above_zero():
    image = np.random.default_rng(0).uniform(-1, 3, (5, 7, 9)).astype(np.float32)
    scored = zscore_positive(image)[image > 0]
    assert abs(scored.mean()) < 1e-5
    assert scored.std() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("voxels", [np.zeros(8), np.array([0.0, 0.5, 0.5]), np.array([-1.0, -2.0]), np.array([0, 1.0])])
def test_zscore_without_contrast_is_refused(voxels):
    with pytest.raises(ValueError, match="constant image, no contrast among its voxels above 0"):
        zscore_positive(voxels.astype(np.float32))


def test_the_input_is_not_changed():
    image = np.array([0.0, 1.0, 3.0], np.float32)
    rescale_unit(image)
    zscore_positive(image)
    assert image.tolist() == [0, 1, 3]


INTENSITY = Intensity(
    mean=50.0, sd=20.0, median=48.0, min=-900.0, max=900.0, percentile_00_5=10.0, percentile_99_5=90.0
)


@pytest.mark.parametrize(
    ("scheme", "given", "wanted"),
    [
        ("ct", [-1000, 10, 50, 90, 2000], [-2, -2, 0, 2, 2]),
        ("zscore", [0, 0, 4, 4], [-1, -1, 1, 1]),
        ("zscore", [7, 7, 7], [0, 0, 0]),
        ("zscore_mask", [1e6, 0, 4, 1e6], [0, -1, 1, 0]),
        ("rescale", [10, 20, 30], [0, 0.5, 1]),
        ("rescale", [10, 10], [0, 0]),
        ("rgb", [0, 51, 255], [0, 0.2, 1]),
        ("none", [3, -4], [3, -4]),
    ],
)
def test_schemes_by_hand(scheme, given, wanted):
    voxels = np.array(given, np.float32)
    before = voxels.copy()
    found = normalize(voxels, scheme, intensity=INTENSITY, mask=voxels < 1e5)
    assert found.dtype == np.float32
    assert found.tolist() == pytest.approx(wanted)
    assert np.array_equal(voxels, before)


def test_a_mask_that_is_empty_gives_zeros():
    assert not normalize(np.ones((2, 3, 4), np.float32), "zscore_mask", mask=np.zeros((2, 3, 4), bool)).any()


def test_large_and_far_values_keep_their_digits():
    """In float32 alone the sum of 3 million values near 1e6 would be off in its sixth digit."""
    rng = np.random.default_rng(0)
    voxels = (1e6 + rng.standard_normal((30, 300, 340))).astype(np.float32)
    mean, deviation = mean_and_deviation(voxels)
    assert mean == pytest.approx(voxels.astype(np.float64).mean(), rel=1e-12)
    assert deviation == pytest.approx(voxels.astype(np.float64).std(), rel=1e-9)


@pytest.mark.parametrize("values", [[-1.0, 3.0], [0.0, 256.0]])
def test_colours_outside_their_range_are_refused(values):
    with pytest.raises(ValueError, match="a colour channel holds 0 to 255"):
        normalize(np.array(values), "rgb")


def test_an_unknown_scheme_is_refused():
    with pytest.raises(ValueError, match="scheme must be one of ct, zscore.*, got 'magic'"):
        normalize(np.zeros(3), "magic")
