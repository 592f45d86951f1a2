"""The way back: planes on the network's grid become planes on the scan's, each class linearly, two held at once."""

from collections.abc import Iterator

import numpy as np

from mindvoxel.data.crop import Shape
from mindvoxel.data.resample import nearest_voxels

Taps = tuple[np.ndarray, np.ndarray, np.ndarray]


def axis_taps(size: int, new_size: int, nearest: bool) -> Taps:
    """For each voxel of a resized axis its lower and upper source voxel and the upper one's share, float32.

    Voxel o lies at (o + 0.5) · size / new_size - 0.5, kept within the axis. nearest: that voxel alone, halves up.
    """
    if nearest:
        low = nearest_voxels(size, new_size)
        return low, low, np.zeros(new_size, np.float32)
    position = np.clip((np.arange(new_size) + 0.5) * (size / new_size) - 0.5, 0, size - 1)
    low = np.floor(position).astype(np.intp)
    return low, np.minimum(low + 1, size - 1), (position - low).astype(np.float32)


def resize_planes(
    planes: Iterator[np.ndarray], shape: Shape, new_shape: Shape, nearest_axis: int | None = None
) -> Iterator[np.ndarray]:
    """Planes (K, H, W) along the first of the axes `shape` (D, H, W) -> planes of `new_shape`, linearly.

    nearest_axis: across it the nearest voxel is taken (data.preprocess.anisotropic_axis).  Each plane holds until the
    next is asked for.
    """
    if tuple(shape) == tuple(new_shape):
        yield from planes
        return
    (low, high, share), rows, columns = (
        axis_taps(n, new, nearest_axis == axis) for axis, (n, new) in enumerate(zip(shape, new_shape, strict=True))
    )
    wanted = {*low.tolist(), *high.tolist()}
    held, index = None, -1  # the last two planes, resized within themselves: plane i lies at i modulo 2
    for below, above, fraction in zip(low, high, share, strict=True):
        while index < above:
            index += 1
            plane = next(planes)
            if held is None:
                held = np.empty((2, len(plane), *new_shape[1:]), np.float32)
                mixed = np.empty_like(held[0])
            if index in wanted:
                _resize_plane(plane, rows, columns, held[index % 2])
        if fraction == 0:
            yield held[below % 2]
            continue
        for one, other, out in zip(held[below % 2], held[above % 2], mixed, strict=True):
            _mix(one, other, fraction, out)
        yield mixed


def _resize_plane(plane: np.ndarray, rows: Taps, columns: Taps, out: np.ndarray) -> None:
    """(K, H, W) -> `out` (K, H', W'), class by class, so that each stays in the cache."""
    if plane.shape == out.shape:
        out[:] = plane
        return
    one, other = np.empty((2, len(rows[0]), plane.shape[2]), np.float32)
    right = np.empty(out.shape[1:], np.float32)
    for values, left in zip(plane, out, strict=True):
        values.take(rows[0], 0, out=one, mode="clip")  # clip: raise, the default, would copy `out`
        values.take(rows[1], 0, out=other, mode="clip")
        _mix(one, other, rows[2][:, None], one)
        one.take(columns[0], 1, out=left, mode="clip")
        one.take(columns[1], 1, out=right, mode="clip")
        _mix(left, right, columns[2], left)


def _mix(low: np.ndarray, high: np.ndarray, share: np.ndarray | np.float32, out: np.ndarray) -> None:
    """out = low + share · (high - low); `out` may be `low`."""
    difference = np.subtract(high, low)
    difference *= share
    np.add(low, difference, out=out)


def largest_class(plane: np.ndarray) -> np.ndarray:
    """(K, H, W) -> the class of the largest value, the first of equals, (H, W) uint8 or, above 256 classes, uint16."""
    best = plane[0].copy()
    kind = np.uint8 if len(plane) <= 256 else np.uint16
    classes = np.zeros(best.shape, kind)
    for index, values in enumerate(plane[1:], 1):
        larger = np.greater(values, best)
        np.maximum(classes, larger * kind(index), out=classes)  # the index grows: several times as fast as a mask
        np.maximum(best, values, out=best)
    return classes
