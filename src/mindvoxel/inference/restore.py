"""The way back: planes on the network's grid become planes on the scan's, each class linearly, two held at once."""

from collections.abc import Iterator

import numpy as np

Shape = tuple[int, int, int]
Taps = tuple[np.ndarray, np.ndarray, np.ndarray]


def separate_axis(spacing_mm: tuple[float, ...], other_mm: tuple[float, ...], rule: str = "above_3") -> int | None:
    """The axis across which nothing is blended: the coarsest, where one of the two grids is anisotropic.

    Anisotropic: its largest spacing is more than 3 times (above_3, nnU-Net) or at least 3 times (from_3, NVIDIA) its
    smallest. None where neither is, or where two axes are the coarsest together.
    """
    for spacing in (np.array(spacing_mm), np.array(other_mm)):
        ratio = spacing.max() / spacing.min()
        if ratio > 3 or (rule == "from_3" and ratio == 3):
            coarsest = np.flatnonzero(spacing == spacing.max())
            return int(coarsest[0]) if len(coarsest) == 1 else None
    return None


def axis_taps(size: int, new_size: int, nearest: bool) -> Taps:
    """For each voxel of a resized axis its lower and upper source voxel and the upper one's share, float32.

    Voxel o lies at (o + 0.5) · size / new_size - 0.5, kept within the axis. nearest: that voxel alone, halves up.
    """
    position = np.clip((np.arange(new_size) + 0.5) * (size / new_size) - 0.5, 0, size - 1)
    if nearest:
        low = np.minimum(np.floor(position + 0.5).astype(np.intp), size - 1)
        return low, low, np.zeros(new_size, np.float32)
    low = np.floor(position).astype(np.intp)
    return low, np.minimum(low + 1, size - 1), (position - low).astype(np.float32)


def resize_planes(
    planes: Iterator[np.ndarray], shape: Shape, new_shape: Shape, nearest_axis: int | None = None
) -> Iterator[np.ndarray]:
    """Planes (K, H, W) along the first of the axes `shape` (D, H, W) -> planes of `new_shape`, linearly.

    nearest_axis: across it the nearest voxel is taken (separate_axis).  Each plane holds until the next is asked for.
    """
    if tuple(shape) == tuple(new_shape):
        yield from planes
        return
    (low, high, share), rows, columns = (
        axis_taps(n, new, nearest_axis == axis) for axis, (n, new) in enumerate(zip(shape, new_shape, strict=True))
    )
    wanted = {*low.tolist(), *high.tolist()}
    held, index, mixed = {}, -1, None
    for below, above, fraction in zip(low, high, share, strict=True):
        while index < above:
            index += 1
            plane = next(planes)
            held.pop(index - 2, None)
            if index in wanted:
                held[index] = _resize_plane(plane, rows, columns)
        if fraction == 0:
            yield held[below]
            continue
        mixed = np.empty_like(held[below]) if mixed is None else mixed
        for out, one, other in zip(mixed, held[below], held[above], strict=True):
            np.subtract(other, one, out=out)
            out *= fraction
            out += one
        yield mixed


def _resize_plane(plane: np.ndarray, rows: Taps, columns: Taps) -> np.ndarray:
    """(K, H, W) -> (K, H', W'), a new array; class by class, so that each stays in the cache."""
    if plane.shape[1:] == (len(rows[0]), len(columns[0])):
        return plane.copy()
    resized = np.empty((len(plane), len(rows[0]), len(columns[0])), np.float32)
    for out, values in zip(resized, plane, strict=True):
        tall = _mix(values.take(rows[0], 0), values.take(rows[1], 0), rows[2][:, None])
        out[:] = _mix(tall.take(columns[0], 1), tall.take(columns[1], 1), columns[2])
    return resized


def _mix(low: np.ndarray, high: np.ndarray, share: np.ndarray) -> np.ndarray:
    """low + share · (high - low), in the memory of `low`."""
    high -= low
    high *= share
    low += high
    return low


def largest_class(plane: np.ndarray) -> np.ndarray:
    """(K, H, W) -> the class of the largest value, the first of equals, (H, W) uint8 or, above 256 classes, uint16."""
    best = plane[0].copy()
    classes = np.zeros(best.shape, np.uint8 if len(plane) <= 256 else np.uint16)
    for index, values in enumerate(plane[1:], 1):
        np.copyto(classes, index, where=values > best)
        np.maximum(best, values, out=best)
    return classes
