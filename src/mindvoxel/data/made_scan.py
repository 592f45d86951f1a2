"""A made scan without any patient: awkward on purpose, to compare two programs on all that lies before the network.

Its spacing is not the network's, its axes are oblique, its origin is not 0, a border of zeros surrounds it, and one
axis takes two windows. Intensities are smooth blobs.
"""

from collections.abc import Callable
from math import cos, radians, sin

import numpy as np
from scipy import ndimage

from mindvoxel.data.plan import Plan
from mindvoxel.data.preprocess import anisotropic_axis, new_shape, target_spacing
from mindvoxel.volume import Vector, Volume

SEED = 8
_COARSER = 1.25  # times the network's spacing
_BORDER = ((2, 3), (3, 2), (2, 2))  # voxels of 0 in front of and behind each network axis
_ORIGIN_MM = (-31.5, 17.25, 8.0)
_UNIT = (0.0, 1000.0)  # intensities of a scan whose network takes any


def scan_for_plan(plan: Plan, configuration: str, overlap: float) -> Volume:
    """A scan (C, D, H, W) float32 for a configuration, in the plan's intensities; overlap: of its windows."""
    chosen = plan.configurations[configuration]
    window = (2, *chosen.patch_size) if chosen.dim == 2 else chosen.patch_size
    rule, rounding = chosen.preprocessing.anisotropy, chosen.preprocessing.rounding
    old_mm = _scan_spacing(chosen.spacing_mm, rule)
    new_mm = target_spacing(old_mm, chosen)
    long_axis, shape = 3 - chosen.dim, []
    for axis in range(3):
        if (chosen.dim, axis) == (2, 0):
            shape.append(2)  # slices
            continue

        def size_of(count: int, axis: int = axis) -> int:
            return new_shape((count,) * 3, old_mm, new_mm, rounding)[axis]

        shape.append(_count(size_of, window[axis], overlap, axis == long_axis))
    intensities = [_range_of(plan, chosen.preprocessing, channel) for channel in range(len(plan.channels))]
    inside = np.stack([_blobs(shape, limits, channel) for channel, limits in enumerate(intensities)])
    if chosen.preprocessing.crop == "positive":
        inside = np.maximum(inside, 1e-3 * np.abs(inside).max())
    inside[inside == 0] = 1e-3 * np.abs(inside).max()  # the crop ends where the border begins
    axes = [plan.axes.index(axis) for axis in range(3)]
    voxels = np.pad(inside, [(0, 0), *_BORDER]).transpose(0, *(axis + 1 for axis in axes))
    return _placed(voxels, tuple(old_mm[axis] for axis in axes))


def scan_for_vnet(spacing_mm: Vector, window: tuple[int, int, int], overlap: float, *, cover: bool) -> Volume:
    """The same for V-Net's preprocessing (mindvoxel.data.prepare), whose grid has `window` voxels or more."""
    old_mm = tuple(float(np.float32(_COARSER * mm)) for mm in spacing_mm)
    shape = []
    for axis, (old, new) in enumerate(zip(old_mm, spacing_mm, strict=True)):

        def size_of(count: int, old: float = old, new: float = new) -> int:
            return int(np.ceil((count - 1) * old / new - 1e-6)) + 1 if cover else int(count * (old / new))

        shape.append(_count(size_of, window[axis], overlap, axis == 0))
    border = [(1, 1) if n > 4 else (0, 0) for n in shape]  # within the grid, none of which is cut off
    inside = _blobs([n - sum(ends) for n, ends in zip(shape, border, strict=True)], _UNIT, 0)
    return _placed(np.pad(inside, border), old_mm)


def _scan_spacing(spacing_mm: tuple[float, ...] | None, rule: str) -> Vector:
    """Coarser than the network's, so that the same axis, or none, is resampled apart; as NIfTI holds it, float32."""
    if spacing_mm is None:
        return (1.5, 1.0, 1.0)
    if len(spacing_mm) == 2:
        spacing_mm = (2 * max(spacing_mm), *spacing_mm)
    apart, ratio = anisotropic_axis(spacing_mm, spacing_mm, rule), max(spacing_mm) / min(spacing_mm)
    factors = [_COARSER] * 3
    for axis, mm in enumerate(spacing_mm):  # away from the ratio where the rule changes
        if axis == apart:
            factors[axis] *= 1.04
        elif apart is None and ratio <= 3 and mm == max(spacing_mm) > min(spacing_mm):
            factors[axis] *= 0.96
    return tuple(float(np.float32(factor * mm)) for factor, mm in zip(factors, spacing_mm, strict=True))


def _count(size_of: Callable[[int], int], window: int, overlap: float, is_long: bool) -> int:
    """Voxels of an axis of the scan, which size_of brings to the network's grid: two windows there, or one."""
    step = max(int(window * (1 - overlap)), 1)
    least, most, wanted = 1, window, window - window // 8
    if is_long:
        least, most, wanted = window + 1, window + step, window + (step + 1) // 2
    known = {count: size_of(count) for count in range(1, 2 * (window + step) + 2)}
    fitting = [count for count, size in known.items() if least <= size <= most]
    return min(fitting or known, key=lambda count: abs(known[count] - wanted))


def _range_of(plan: Plan, way, channel: int) -> tuple[float, float]:
    """A little more than the range of the training cases' foreground, so that what is clipped is clipped."""
    if way.normalization[channel] == "rgb":
        return (0.0, 255.0)
    known = plan.intensities[channel]
    low, high = known.percentile_00_5, known.percentile_99_5
    more = 0.1 * (high - low)
    return (low - more, high + more) if high > low else _UNIT


def _blobs(shape: list[int], limits: tuple[float, float], channel: int) -> np.ndarray:
    """(D, H, W) float32 smooth noise over `limits`, whole numbers where these lie apart."""
    noise = np.random.default_rng([SEED, channel]).standard_normal(shape)
    noise = ndimage.gaussian_filter(noise, [max(n / 12, 0.5) for n in shape], mode="reflect")
    noise -= noise.min()
    noise /= noise.max() or 1.0
    low, high = limits
    values = low + (high - low) * noise
    return (np.rint(values) if high - low > 200 else values).astype(np.float32)


def _placed(voxels: np.ndarray, spacing_mm: Vector) -> Volume:
    """Turned by 20° about the third axis of the world, then by 10° about the first."""
    a, b = radians(20), radians(10)
    turn = np.array([[cos(a), -sin(a), 0], [sin(a), cos(a), 0], [0, 0, 1]])
    tilt = np.array([[1, 0, 0], [0, cos(b), -sin(b)], [0, sin(b), cos(b)]])
    direction = tuple(float(value) for value in (tilt @ turn).ravel())
    return Volume(np.ascontiguousarray(voxels), spacing_mm, _ORIGIN_MM, direction)
