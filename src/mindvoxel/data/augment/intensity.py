"""Augmentations of intensities; the label is untouched.

An image is (C, D, H, W); where a draw is per channel, the drawn tuple has one entry a channel, None leaves it.
"""

from dataclasses import dataclass

import numpy as np

from mindvoxel.data.augment.axis import resize_linear, resize_nearest, smooth
from mindvoxel.data.augment.transform import draw_factor


@dataclass(frozen=True)
class RandomNoise:
    """Add Gaussian noise, its deviation uniform in [0, highest] and the same for all channels."""

    highest: float = 0.1
    probability: float = 0.15

    def draw(self, rng: np.random.Generator, image: np.ndarray, label: np.ndarray) -> dict:
        deviation = float(rng.uniform(0, self.highest))
        return {"deviation": deviation if rng.uniform() < self.probability else 0.0, "seed": int(rng.integers(2**31))}

    def apply(self, image, label, *, deviation, seed):
        if deviation == 0:
            return image, label
        noise = np.random.default_rng(seed).standard_normal(image.shape, np.float32)
        noise *= np.float32(deviation)
        noise += image
        return noise, label


@dataclass(frozen=True)
class RandomBlur:
    """Smooth with a Gaussian, its deviation uniform in `sigma` voxels.

    per_channel: the probability that a channel takes part; each of its axes gets its own deviation (nnU-Net). None: all
    channels and axes get one (NVIDIA).  flat: slices only.
    """

    probability: float
    sigma: tuple[float, float]
    per_channel: float | None
    flat: bool = False

    def draw(self, rng: np.random.Generator, image: np.ndarray, label: np.ndarray) -> dict | None:
        if rng.uniform() >= self.probability:
            return None
        if self.per_channel is None:
            return {"sigmas": ((float(rng.uniform(*self.sigma)),) * 3,) * len(image)}
        takes_part = rng.uniform(size=len(image)) < self.per_channel
        return {"sigmas": tuple(tuple(rng.uniform(*self.sigma, 3).tolist()) if yes else None for yes in takes_part)}

    def apply(self, image, label, *, sigmas):
        for channel, of_axes in zip(image, sigmas, strict=True):
            if of_axes is not None:
                smoothed = channel
                for axis in range(1 if self.flat else 0, 3):
                    smoothed = smooth(smoothed, of_axes[axis], num_taps(of_axes[axis]), axis)
                channel[...] = smoothed
        return image, label


def num_taps(sigma: float) -> int:
    """The odd number nearest to 6 sigma + 0.5 (batchgeneratorsv2)."""
    return 2 * int((6 * sigma + 0.5) // 2) + 1


@dataclass(frozen=True)
class RandomBrightness:
    """Multiply each channel by its own factor, half of them below 1."""

    probability: float = 0.15
    factor: tuple[float, float] = (0.75, 1.25)

    def draw(self, rng: np.random.Generator, image: np.ndarray, label: np.ndarray) -> dict | None:
        if rng.uniform() >= self.probability:
            return None
        return {"factors": tuple(draw_factor(rng, *self.factor) for _ in image)}

    def apply(self, image, label, *, factors):
        for channel, factor in zip(image, factors, strict=True):
            channel *= factor
        return image, label


@dataclass(frozen=True)
class RandomRangeContrast:
    """Spread each channel about its mean by its own factor, half of them below 1, and clip it to its old range."""

    probability: float = 0.15
    factor: tuple[float, float] = (0.75, 1.25)

    def draw(self, rng: np.random.Generator, image: np.ndarray, label: np.ndarray) -> dict | None:
        if rng.uniform() >= self.probability:
            return None
        return {"factors": tuple(draw_factor(rng, *self.factor) for _ in image)}

    def apply(self, image, label, *, factors):
        for channel, factor in zip(image, factors, strict=True):
            mean, low, high = channel.mean(), channel.min(), channel.max()
            channel *= factor
            channel += mean * (1 - factor)
            np.clip(channel, low, high, out=channel)
        return image, label


@dataclass(frozen=True)
class RandomBrightnessContrast:
    """b · (0.5 + c · (x − 0.5)) with one b and one c for all channels (NVIDIA nnU-Net, through DALI)."""

    probability: float = 0.15
    brightness: tuple[float, float] = (0.7, 1.3)
    contrast: tuple[float, float] = (0.65, 1.5)

    def draw(self, rng: np.random.Generator, image: np.ndarray, label: np.ndarray) -> dict | None:
        if rng.uniform() >= self.probability:
            return None
        return {"brightness": float(rng.uniform(*self.brightness)), "contrast": float(rng.uniform(*self.contrast))}

    def apply(self, image, label, *, brightness, contrast):
        image *= np.float32(brightness * contrast)
        image += np.float32(brightness * 0.5 * (1 - contrast))
        return image, label


@dataclass(frozen=True)
class RandomLowResolution:
    """Show a channel as if it had been scanned with larger voxels: nearest down, linear up again.

    zoom: uniform, one for the axes of a channel.  per_channel: the probability that a channel takes part.
    flat: the first axis keeps its resolution (2-D, and 3-D whose slices lie far apart).
    """

    probability: float = 0.25
    zoom: tuple[float, float] = (0.5, 1.0)
    per_channel: float = 0.5
    flat: bool = False

    def draw(self, rng: np.random.Generator, image: np.ndarray, label: np.ndarray) -> dict | None:
        if rng.uniform() >= self.probability:
            return None
        takes_part = rng.uniform(size=len(image)) < self.per_channel
        return {"zooms": tuple(float(rng.uniform(*self.zoom)) if yes else None for yes in takes_part)}

    def apply(self, image, label, *, zooms):
        for channel, zoom in zip(image, zooms, strict=True):
            if zoom is not None:
                shape = channel.shape
                small = [n if self.flat and axis == 0 else max(round(n * zoom), 1) for axis, n in enumerate(shape)]
                channel[...] = resize_linear(resize_nearest(channel, small), shape)
        return image, label


@dataclass(frozen=True)
class RandomRetainingGamma:
    """Raise each channel, brought to [0, 1], to its own power, half of them below 1; its mean and deviation stay.

    inverted: the dark end is stretched instead of the bright one.
    """

    probability: float
    inverted: bool
    gamma: tuple[float, float] = (0.7, 1.5)

    def draw(self, rng: np.random.Generator, image: np.ndarray, label: np.ndarray) -> dict | None:
        if rng.uniform() >= self.probability:
            return None
        return {"gammas": tuple(draw_factor(rng, *self.gamma) for _ in image)}

    def apply(self, image, label, *, gammas):
        sign = np.float32(-1 if self.inverted else 1)
        for channel, gamma in zip(image, gammas, strict=True):
            low, high, mean, deviation = channel.min(), channel.max(), channel.mean(), channel.std()
            if not high - low > 1e-7:  # no contrast, nothing to change
                continue
            channel -= high if self.inverted else low
            channel *= sign / (high - low)
            np.power(channel, gamma, out=channel)
            factor = sign * deviation / max(channel.std(), np.float32(1e-7))
            shift = mean - factor * channel.mean()
            channel *= factor
            channel += shift
        return image, label


@dataclass(frozen=True)
class ClearOutside:
    """What lies outside the non-zero mask: 0 in the `channels` that were normalised inside it, background (0, not −1)
    in the label."""

    channels: tuple[int, ...] = ()

    def draw(self, rng: np.random.Generator, image: np.ndarray, label: np.ndarray) -> dict:
        return {}

    def apply(self, image, label):
        outside = label < 0
        if self.channels:
            anywhere = outside.reshape(-1, *image.shape[-3:])[0]
            for channel in self.channels:
                image[channel][anywhere] = 0
        label[outside] = 0
        return image, label
