"""Patches cut out of a case, turned and scaled in one interpolation; flips and zooms of a patch."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from scipy import ndimage
from scipy.spatial.transform import Rotation

from mindvoxel.data.augment.axis import resize_cubic, resize_nearest, take_linear
from mindvoxel.volume import Vector

Shape = tuple[int, int, int]
# Stands for a cell between voxels of several classes: never a class, nor the −1 outside the non-zero mask.
_MIXED = -2
# Points that are weighed at once: a weight for each of a hundred classes then takes megabytes, not gigabytes.
_AT_ONCE = 2**13


def affine_matrix(angles_deg: Vector, scale: Vector, spacing_mm: Vector = (1.0, 1.0, 1.0)) -> np.ndarray:
    """(3, 3): from an offset in the patch to one in the case, both in voxels (z, y, x).

    angles_deg: about (z, y, x), turned about z first.  scale: above 1 magnifies.  spacing_mm: of the case, so that
    millimetres are turned; (1, 1, 1) turns voxels.
    """
    # array axes are (z, y, x): the rotation about z turns the last two
    matrix = Rotation.from_euler("zyx", angles_deg, degrees=True).as_matrix()[::-1, ::-1] / np.array(scale)
    return matrix * np.array(spacing_mm) / np.array(spacing_mm)[:, None]  # voxels to mm and back


def cut_box(array: np.ndarray, start: Sequence[int], shape: Sequence[int], outside: float) -> np.ndarray:
    """A copy of the box at `start` of the last three axes, which may reach out of the array; there lies `outside`."""
    inner, place = [slice(None)] * (array.ndim - 3), [slice(None)] * (array.ndim - 3)
    for first, count, size in zip(start, shape, array.shape[-3:], strict=True):
        low, high = min(max(first, 0), size), min(max(first + count, 0), size)
        inner.append(slice(low, high))
        place.append(slice(low - first, high - first))
    part = array[tuple(inner)]
    if part.shape[-3:] == tuple(shape):
        return np.array(part)
    box = np.full((*array.shape[:-3], *shape), outside, array.dtype)
    box[tuple(place)] = part
    return box


def _read_around(array: np.ndarray, centre: Vector, matrix: np.ndarray, patch_size: Shape, outside: float):
    """The box of `array` that a patch around `centre` needs, and where the patch's first voxel lies in it."""
    middle = (np.array(patch_size) - 1) / 2
    half = np.abs(matrix) @ middle
    # two voxels beyond the case hold what lies outside; further out nothing need be read
    size = np.array(array.shape[-3:])
    low = np.clip(np.floor(np.array(centre) - half).astype(int) - 1, -2, size)
    high = np.clip(np.ceil(np.array(centre) + half).astype(int) + 2, 0, size + 2)
    return cut_box(array, low, high - low, outside), np.array(centre) - low - matrix @ middle


def _axis_points(box: np.ndarray, matrix: np.ndarray, offset: np.ndarray, patch_size: Shape) -> list | None:
    """Where the patch's voxels lie on each axis of the box, where nothing is turned; None where something is."""
    if np.count_nonzero(matrix - np.diag(np.diag(matrix))):
        return None
    points = [first + step * np.arange(n) for first, step, n in zip(offset, np.diag(matrix), patch_size, strict=True)]
    # the border of a box that reaches over the case holds what lies outside
    return [np.clip(at, 0, size - 1) for at, size in zip(points, box.shape[-3:], strict=True)]


def turn_image(image: np.ndarray, centre: Vector, matrix: np.ndarray, patch_size: Shape, outside: float) -> np.ndarray:
    """The patch (…, D, H, W) float32 around `centre`, interpolated linearly at `matrix` times its voxels."""
    box, offset = _read_around(image, centre, matrix, patch_size, outside)
    points = _axis_points(box, matrix, offset, patch_size)
    if points is not None:  # an axis after another is faster than all at once
        return take_linear(box, points)
    patch = np.empty((*image.shape[:-3], *patch_size), np.float32)
    for index in np.ndindex(image.shape[:-3]):
        ndimage.affine_transform(box[index], matrix, offset, order=1, cval=outside, output=patch[index])
    return patch


def turn_label(label: np.ndarray, centre: Vector, matrix: np.ndarray, patch_size: Shape, outside: int) -> np.ndarray:
    """The patch (D, H, W) of classes around `centre`: of each point the class of largest weight among the eight voxels
    around it, weighed linearly; of equal ones the smallest class.

    Between eight voxels of one class there is nothing to weigh. So the cells between voxels are sampled, and only what
    falls into a mixed one, at the borders of structures, is weighed.
    """
    box, offset = _read_around(label, centre, matrix, patch_size, outside)
    cells = _cells(box.astype(np.result_type(label.dtype, np.int8)))
    points = _axis_points(cells, matrix, offset, patch_size)
    if points is not None:
        patch = cells[np.ix_(*(np.floor(at).astype(int) for at in points))]
    else:
        # cell i covers [i, i + 1), and so has its centre at i + 0.5; a point outside is next to a cell outside
        patch = ndimage.affine_transform(cells, matrix, offset - 0.5, patch_size, order=0, mode="nearest")
    mixed = np.flatnonzero(patch == _MIXED)
    for first in range(0, len(mixed), _AT_ONCE):
        some = mixed[first : first + _AT_ONCE]
        at = np.stack(np.unravel_index(some, patch.shape), axis=1)
        patch.flat[some] = _weigh(box, at @ matrix.T + offset)
    return patch.astype(label.dtype)


def _cells(box: np.ndarray) -> np.ndarray:
    """Of each cube of eight neighbouring voxels the class, or _MIXED; one less an axis than the box."""
    low = high = box
    for axis in range(3):
        front, back = [slice(None)] * 3, [slice(None)] * 3
        front[axis], back[axis] = slice(None, -1), slice(1, None)
        low = np.minimum(low[tuple(front)], low[tuple(back)])
        high = np.maximum(high[tuple(front)], high[tuple(back)])
    low[low != high] = _MIXED
    return low


def _weigh(box: np.ndarray, points: np.ndarray) -> np.ndarray:
    """The class of largest linear weight at points (N, 3) of a box, none of them outside it."""
    first = np.floor(points).astype(int)
    share = (1 - (points - first).T, (points - first).T)
    base = np.ravel_multi_index(first.T, box.shape)
    classes = box.ravel()
    least, every = int(box.min()), np.arange(len(points))
    weights = np.zeros((int(box.max()) - least + 1, len(points)))
    for z, y, x in product((0, 1), repeat=3):
        step = (z * box.shape[1] + y) * box.shape[2] + x
        weights[classes[base + step].astype(int) - least, every] += share[z][0] * share[y][1] * share[x][2]
    return weights.argmax(axis=0) + least


@dataclass(frozen=True)
class RandomTurn:
    """Turn and scale, each with its own probability; drawn before a patch is cut, so that it is cut in one go.

    rotation_deg: largest angle about (z, y, x), 0: not about this axis.  scale: the factor by which things shrink, one
    for all axes but those left out.  scaled: whether each axis is scaled.  Voxels are turned, not millimetres, as in
    nnU-Net v2 (batchgeneratorsv2, SpatialTransform): where an axis is coarser, what is turned is sheared a little.
    """

    rotation_deg: Vector
    scaled: tuple[bool, bool, bool] = (True, True, True)
    rotation_probability: float = 0.2
    scale: tuple[float, float] = (0.7, 1.4)
    scale_probability: float = 0.2

    def draw(self, rng: np.random.Generator) -> np.ndarray | None:
        """The matrix of a patch, as of `affine_matrix`; None: nothing turns."""
        turns, scales = rng.uniform(size=2) < (self.rotation_probability, self.scale_probability)
        angles = rng.uniform(-1, 1, 3) * self.rotation_deg * turns
        factor = rng.uniform(*self.scale) if scales else 1.0
        if not (turns or scales):
            return None
        return affine_matrix(tuple(angles), tuple(1 / factor if axis else 1.0 for axis in self.scaled))


@dataclass(frozen=True)
class RandomFlip:
    """Mirror each of the last axes (z, y, x) with its own probability."""

    probability: tuple[float, float, float] = (0.5, 0.5, 0.5)

    def draw(self, rng: np.random.Generator, image: np.ndarray, label: np.ndarray) -> dict:
        return {"axes": tuple(axis for axis in range(3) if rng.uniform() < self.probability[axis])}

    def apply(self, image, label, *, axes):
        last = tuple(axis - 3 for axis in axes)
        return np.flip(image, last).copy(), np.flip(label, last).copy()


@dataclass(frozen=True)
class RandomZoom:
    """Magnify the middle of a patch: cubic for the image, nearest for the label; the first axis stays in 2-D."""

    probability: float = 0.15
    share: tuple[float, float] = (0.7, 1.0)
    flat: bool = False

    def draw(self, rng: np.random.Generator, image: np.ndarray, label: np.ndarray) -> dict | None:
        share = rng.uniform(*self.share)
        return {"share": float(share)} if rng.uniform() < self.probability else None

    def apply(self, image, label, *, share):
        shape = image.shape[-3:]
        kept = [n if self.flat and axis == 0 else max(round(n * share), 1) for axis, n in enumerate(shape)]
        box = (..., *(slice((n - k) // 2, (n - k) // 2 + k) for n, k in zip(shape, kept, strict=True)))
        return resize_cubic(image[box], shape), resize_nearest(label[box], shape)
