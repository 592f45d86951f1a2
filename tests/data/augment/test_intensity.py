"""Intensities: each transform fires as often and as far as it says, and does what a hand computation says."""

import numpy as np
import pytest

from mindvoxel.data.augment.intensity import (
    ClearOutside,
    RandomBlur,
    RandomBrightness,
    RandomBrightnessContrast,
    RandomLowResolution,
    RandomNoise,
    RandomRangeContrast,
    RandomRetainingGamma,
    num_taps,
)
from mindvoxel.data.augment.sets import nnunet_set, nvidia_set

LABEL = np.zeros((1, 3, 4, 5), np.int16)


def image(channels=2, shape=(5, 8, 7), seed=0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((channels, *shape)).astype(np.float32)


def numbers(value) -> list[float]:
    """All numbers of a draw; None, of channels that are left alone, left out."""
    if value is None:
        return []
    return [x for part in value for x in numbers(part)] if isinstance(value, tuple) else [float(value)]


NNUNET, NVIDIA = nnunet_set(3), nvidia_set(3)


@pytest.mark.parametrize(
    ("transform", "key", "probability", "low", "high", "middle"),
    [
        # the last: half of all draws lie below it
        (NNUNET[0], "deviation", 0.1, 0.0, 0.1, 0.05),
        (NNUNET[1], "sigmas", 0.2, 0.5, 1.0, 0.75),
        (NNUNET[2], "factors", 0.15, 0.75, 1.25, 1.0),
        (NNUNET[3], "factors", 0.15, 0.75, 1.25, 1.0),
        (NNUNET[4], "zooms", 0.25, 0.5, 1.0, 0.75),
        (NNUNET[5], "gammas", 0.1, 0.7, 1.5, 1.0),
        (NNUNET[6], "gammas", 0.3, 0.7, 1.5, 1.0),
        (NVIDIA[2], "deviation", 0.15, 0.0, 0.3, 0.15),
        (NVIDIA[3], "sigmas", 0.15, 0.5, 1.5, 1.0),
        (NVIDIA[4], "brightness", 0.15, 0.7, 1.3, 1.0),
        (NVIDIA[4], "contrast", 0.15, 0.65, 1.5, 1.075),
    ],
    ids=lambda value: type(value).__name__ if hasattr(value, "draw") else str(value),
)
def test_a_transform_fires_with_its_probability_and_range(transform, key, probability, low, high, middle):
    rng, two = np.random.default_rng(0), image()
    drawn = [transform.draw(rng, two, LABEL) for _ in range(4000)]
    fired = [d for d in drawn if d is not None and d[key] != 0]
    assert len(fired) / 4000 == pytest.approx(probability, abs=0.025)
    values = np.array([x for d in fired for x in numbers(d[key])])
    assert low <= values.min() < low + 0.03 * (high - low)
    assert high - 0.03 * (high - low) < values.max() <= high
    assert (values < middle).mean() == pytest.approx(0.5, abs=0.06)


@pytest.mark.parametrize(("transform", "key"), [(NNUNET[1], "sigmas"), (NNUNET[4], "zooms")])
def test_each_channel_takes_part_half_the_time(transform, key):
    rng, three = np.random.default_rng(0), image(3)
    drawn = [d[key] for _ in range(6000) if (d := transform.draw(rng, three, LABEL)) is not None]
    assert all(len(channels) == 3 for channels in drawn)
    assert np.mean([c is not None for channels in drawn for c in channels]) == pytest.approx(0.5, abs=0.03)


def test_channels_and_axes_draw_apart_and_nvidia_s_together():
    blur = RandomBlur(1.0, (0.5, 1.0), per_channel=1.0).draw(np.random.default_rng(0), image(), LABEL)["sigmas"]
    assert len({s for channel in blur for s in channel}) == 6
    blur = RandomBlur(1.0, (0.5, 1.5), per_channel=None).draw(np.random.default_rng(0), image(), LABEL)["sigmas"]
    assert len({s for channel in blur for s in channel}) == 1
    for transform, key in ((RandomBrightness(1.0), "factors"), (RandomRetainingGamma(1.0, False), "gammas")):
        assert len(set(transform.draw(np.random.default_rng(0), image(), LABEL)[key])) == 2


def test_noise_has_its_deviation_and_its_seed():
    quiet = np.zeros((2, 30, 30, 30), np.float32)
    noisy, label = RandomNoise().apply(quiet, LABEL, deviation=0.2, seed=5)
    assert noisy.std(axis=(1, 2, 3)) == pytest.approx([0.2, 0.2], rel=0.02)
    assert not np.array_equal(noisy[0], noisy[1])
    assert noisy.dtype == np.float32
    assert label is LABEL
    assert np.array_equal(noisy, RandomNoise().apply(quiet, LABEL, deviation=0.2, seed=5)[0])


def test_brightness_and_contrast_by_hand():
    two = np.array([[[[-1.0, 0.0, 3.0, 6.0]]], [[[1.0, 1.0, 1.0, 1.0]]]], np.float32)
    bright, _ = RandomBrightness().apply(two.copy(), LABEL, factors=(np.float32(0.5), np.float32(2.0)))
    assert bright.reshape(2, 4).tolist() == [[-0.5, 0, 1.5, 3], [2, 2, 2, 2]]
    # mean 2: x -> 2 + 1.25 (x - 2), clipped to [-1, 6]; a flat channel stays
    spread, _ = RandomRangeContrast().apply(two.copy(), LABEL, factors=(np.float32(1.25), np.float32(0.8)))
    assert spread.reshape(2, 4) == pytest.approx(np.array([[-1, -0.5, 3.25, 6], [1, 1, 1, 1]]))
    # 1.2 (0.5 + 0.5 (x - 0.5)) = 0.3 + 0.6 x
    joint, _ = RandomBrightnessContrast().apply(two.copy(), LABEL, brightness=1.2, contrast=0.5)
    assert joint.reshape(2, 4) == pytest.approx(np.array([[-0.3, 0.3, 2.1, 3.9], [0.9] * 4]))


@pytest.mark.parametrize("inverted", [False, True])
def test_gamma_keeps_mean_and_deviation_and_is_the_textbook_s(inverted):
    two = image()
    changed, _ = RandomRetainingGamma(1.0, inverted).apply(two.copy(), LABEL, gammas=(np.float32(1.4), np.float32(0.7)))
    for before, after, gamma in zip(two.astype(float), changed, (1.4, 0.7), strict=True):
        x = -before if inverted else before
        y = ((x - x.min()) / np.ptp(x)) ** gamma * np.ptp(x) + x.min()
        y = (y - y.mean()) / y.std() * x.std() + x.mean()
        assert after == pytest.approx(-y if inverted else y, abs=2e-5)
        assert (after.mean(), after.std()) == (
            pytest.approx(before.mean(), abs=1e-5),
            pytest.approx(before.std(), rel=1e-4),
        )


def test_gamma_leaves_a_flat_channel():
    flat = np.full((1, 3, 3, 3), 2.0, np.float32)
    assert (RandomRetainingGamma(1.0, False).apply(flat, LABEL, gammas=(np.float32(0.7),))[0] == 2).all()


def test_blur_keeps_the_sum_spreads_a_point_and_leaves_a_channel():
    two = np.zeros((2, 9, 9, 9), np.float32)
    two[:, 4, 4, 4] = 1
    blurred, _ = RandomBlur(1.0, (0.5, 1.0), 0.5).apply(two.copy(), LABEL, sigmas=((0.5, 0.8, 1.0), None))
    assert blurred[0].sum() == pytest.approx(1, abs=1e-5)
    assert [len(np.unique(np.argwhere(blurred[0] > 0)[:, axis])) for axis in range(3)] == [3, 5, 7]
    assert np.array_equal(blurred[1], two[1])
    sliced, _ = RandomBlur(1.0, (0.5, 1.0), 0.5, flat=True).apply(two.copy(), LABEL, sigmas=((0.5, 0.8, 1.0), None))
    assert np.unique(np.argwhere(sliced[0] > 0)[:, 0]).tolist() == [4]


def test_the_number_of_taps():
    assert [num_taps(s) for s in (0.5, 0.58, 0.6, 0.75, 0.95, 1.0, 1.5)] == [3, 3, 5, 5, 7, 7, 9]


@pytest.mark.parametrize("flat", [False, True])
def test_low_resolution_repeats_what_coarser_voxels_see(flat):
    """Halved and brought back linearly: a step between voxels 3 and 4 becomes a ramp of 1/4, 3/4."""
    two = np.zeros((2, 8, 8, 8), np.float32)
    two[:, 4:] = 1
    low, _ = RandomLowResolution(flat=flat).apply(two.copy(), LABEL, zooms=(None, 0.5))
    assert np.array_equal(low[0], two[0])
    assert low[1, :, 3, 3].tolist() == ([0, 0, 0, 0, 1, 1, 1, 1] if flat else [0, 0, 0, 0.25, 0.75, 1, 1, 1])


def test_what_lies_outside_the_mask():
    label = np.array([[[[-1, 0, 2]]], [[[3, -1, 1]]]], np.int16)  # a label and the previous stage's
    two = np.ones((2, 1, 1, 3), np.float32)
    cleared, classes = ClearOutside((1,)).apply(two, label)
    assert cleared.tolist() == [[[[1, 1, 1]]], [[[0, 1, 1]]]]
    assert classes.tolist() == [[[[0, 0, 2]]], [[[3, 0, 1]]]]
