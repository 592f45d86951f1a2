"""Interpolation and smoothing along axes, by hand and against SciPy."""

import numpy as np
import pytest
from scipy import ndimage

from mindvoxel.data.augment.axis import resize_cubic, resize_linear, resize_nearest, smooth, take_linear


def test_nearest_by_hand():
    row = np.array([10, 20, 30, 40])
    assert resize_nearest(row, (2,)).tolist() == [20, 40]  # centres at 0.5 and 2.5 round up
    assert resize_nearest(row, (8,)).tolist() == [10, 10, 20, 20, 30, 30, 40, 40]
    assert resize_nearest(row, (4,)) is row


def test_linear_by_hand():
    row = np.array([0, 4], np.float32)
    assert resize_linear(row, (4,)).tolist() == [0, 1, 3, 4]  # centres at -0.25, 0.25, 0.75, 1.25
    assert take_linear(row, [np.array([0.0, 0.75, 1.0])]).tolist() == [0, 3, 4]


def test_cubic_keeps_a_ramp_and_its_own_voxels():
    ramp = np.arange(9, dtype=np.float32)
    middle = resize_cubic(ramp, (18,))[6:12]
    assert middle == pytest.approx(np.arange(6, 12) / 2 - 0.25, abs=1e-6)  # exact for straight lines
    assert np.array_equal(resize_cubic(ramp, (9,)), ramp)
    peak = np.array([0, 0, 0, 1, 0, 0, 0], np.float32)
    assert resize_cubic(peak, (14,))[6] == pytest.approx(0.8672, abs=1e-4)  # Keys at 1/4: 1.5/64 - 2.5/16 + 1


@pytest.mark.parametrize("function", [resize_linear, resize_nearest, resize_cubic])
def test_axes_are_independent_and_leading_ones_stay(function):
    array = np.random.default_rng(0).standard_normal((2, 5, 7, 9)).astype(np.float32)
    whole = function(array, (8, 4, 9))
    assert (whole.shape, whole.dtype) == ((2, 8, 4, 9), np.float32)
    one = function(array[1], (8, 7, 9))
    assert np.allclose(function(one, (8, 4, 9)), whole[1], atol=1e-6)


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize(("sigma", "size"), [(0.5, 3), (0.8, 5), (1.0, 7)])
def test_smoothing_is_scipy_s_correlation(axis, sigma, size):
    array = np.random.default_rng(0).standard_normal((6, 9, 11)).astype(np.float32)
    taps = np.exp(-0.5 * ((np.arange(size) - size // 2) / sigma) ** 2)
    wanted = ndimage.correlate1d(array.astype(float), taps / taps.sum(), axis, mode="mirror")
    assert np.abs(smooth(array, sigma, size, axis) - wanted).max() < 1e-6


def test_a_single_slice_and_a_single_tap_stay():
    array = np.ones((1, 4, 5), np.float32)
    assert smooth(array, 1.0, 7, 0) is array
    assert smooth(array, 0.1, 1, 1) is array
    short = np.array([[1.0, 2.0]], np.float32)  # two voxels, mirrored more than once
    assert smooth(short, 1.0, 7, 1).sum() == pytest.approx(3)
