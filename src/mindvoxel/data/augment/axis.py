"""Interpolation and smoothing along one axis after another, in the type of the array."""

from collections.abc import Sequence

import numpy as np


def along(values: np.ndarray, axis: int, ndim: int) -> np.ndarray:
    """A vector shaped so that it broadcasts along `axis` of an array of `ndim` axes."""
    shape = [1] * ndim
    shape[axis] = -1
    return values.reshape(shape)


def centres(count: int, size: int) -> np.ndarray:
    """Where the centres of `count` voxels that fill an axis of `size` voxels lie on it."""
    return (np.arange(count) + 0.5) * size / count - 0.5


def resize_nearest(array: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """The last len(shape) axes brought to `shape`, each voxel the one its centre lies in."""
    for axis, count in zip(range(-len(shape), 0), shape, strict=True):
        if array.shape[axis] != count:
            array = np.take(array, np.floor(centres(count, array.shape[axis]) + 0.5).astype(int), axis)
    return array


def resize_linear(array: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """The last len(shape) axes brought to `shape` linearly; beyond the first and last centre their values stay."""
    sizes = array.shape[-len(shape) :]
    at = [np.clip(centres(count, size), 0, size - 1) for count, size in zip(shape, sizes, strict=True)]
    return take_linear(array, at)


def take_linear(array: np.ndarray, at: Sequence[np.ndarray]) -> np.ndarray:
    """The last len(at) axes at the points `at`, one vector of voxels an axis, all inside; linear between voxels."""
    for axis, points in zip(range(-len(at), 0), at, strict=True):
        size = array.shape[axis]
        low = np.floor(points).astype(int)
        if len(points) == size and (points == np.arange(size)).all():
            continue
        start = np.take(array, low, axis)
        step = np.take(array, np.minimum(low + 1, size - 1), axis)
        step -= start
        step *= along((points - low).astype(array.dtype), axis, array.ndim)
        start += step
        array = start
    return array


def resize_cubic(array: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """The last len(shape) axes brought to `shape` by cubic convolution (Keys 1981, a = -0.5), the edges repeated."""
    for axis, count in zip(range(-len(shape), 0), shape, strict=True):
        size = array.shape[axis]
        if size == count:
            continue
        at = centres(count, size)
        low = np.floor(at).astype(int)
        total = None
        for offset, weight in zip((-1, 0, 1, 2), _keys(at - low), strict=True):
            part = np.take(array, np.clip(low + offset, 0, size - 1), axis)
            part *= along(weight.astype(array.dtype), axis, array.ndim)
            total = part if total is None else np.add(total, part, out=total)
        array = total
    return array


def _keys(t: np.ndarray) -> tuple[np.ndarray, ...]:
    """Weights of the four voxels around a point `t` behind the second of them."""
    return (
        -0.5 * t**3 + t**2 - 0.5 * t,
        1.5 * t**3 - 2.5 * t**2 + 1,
        -1.5 * t**3 + 2 * t**2 + 0.5 * t,
        0.5 * t**3 - 0.5 * t**2,
    )


def smooth(array: np.ndarray, sigma: float, size: int, axis: int) -> np.ndarray:
    """Convolve with a Gaussian of deviation `sigma` voxels on `size` (odd) taps along `axis`, mirrored at the ends."""
    radius = size // 2
    if radius == 0 or array.shape[axis] == 1:
        return array
    taps = np.exp(-0.5 * (np.arange(radius + 1) / sigma) ** 2)
    taps = (taps / (taps[0] + 2 * taps[1:].sum())).astype(array.dtype)
    widths = [(0, 0)] * array.ndim
    widths[axis] = (radius, radius)
    padded = np.moveaxis(np.pad(array, widths, mode="reflect"), axis, 0)
    count = array.shape[axis]
    total = padded[radius : radius + count] * taps[0]
    for k in range(1, radius + 1):
        pair = padded[radius - k : radius - k + count] + padded[radius + k : radius + k + count]
        pair *= taps[k]
        total += pair
    return np.moveaxis(total, 0, axis)
