"""What the planners share: target spacing, order of axes, a patch that fits into memory, the spacing of the low
resolution."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from mindvoxel.data.fingerprint import Fingerprint
from mindvoxel.data.planning.topology import Topology
from mindvoxel.errors import InputError

ANISOTROPY = 3  # an axis this many times coarser than the next is another kind of axis
MASK_BELOW = 3 / 4  # median share of voxels after the crop below which intensities are taken inside the mask


@dataclass(frozen=True)
class Grid:
    """What all configurations of a data set start from; scan axes until `axes` permutes them."""

    spacing_mm: np.ndarray
    median_mm: np.ndarray
    axes: tuple[int, int, int]
    median_slices: int

    @property
    def permuted_mm(self) -> np.ndarray:
        return self.spacing_mm[list(self.axes)]


def common_grid(fingerprint: Fingerprint) -> Grid:
    """The full resolution of a data set: median spacing, finer along an axis that is far coarser than the rest; the
    coarsest axis first (nnU-Net), or the one without a second slice, so that 2-D images stay 2-D.
    """
    spacings, shapes = cases_of(fingerprint)
    spacing = target_spacing(spacings, shapes)
    sizes = np.median(shapes, axis=0)
    first = int(np.argmax(spacing)) if sizes.min() > 1 else int(np.argmin(sizes))
    axes = (first, *(axis for axis in range(3) if axis != first))
    return Grid(spacing, np.percentile(spacings, 50, axis=0), axes, int(round(sizes[first])))


def cases_of(fingerprint: Fingerprint) -> tuple[np.ndarray, np.ndarray]:
    """Spacings (cases, 3) and cropped shapes (cases, 3) of the training cases, scan axes."""
    spacings = np.array([case.spacing_mm for case in fingerprint.cases], float)
    return spacings, np.array([case.shape for case in fingerprint.cases], float)


def target_spacing(spacings: np.ndarray, shapes: np.ndarray) -> np.ndarray:
    """Median spacing along each axis; where the coarsest axis is over 3 times coarser than the others and has under a
    third of their voxels, its 10th percentile, yet no finer than the others (nnU-Net, planner v2.1 and v2).
    """
    target, sizes = np.percentile(spacings, 50, axis=0), np.percentile(shapes, 50, axis=0)
    worst = int(np.argmax(target))
    others = [axis for axis in range(3) if axis != worst]
    coarsest = target[others].max()
    if target[worst] > ANISOTROPY * coarsest and sizes[worst] * ANISOTROPY < sizes[others].min():
        finer = np.percentile(spacings[:, worst], 10)
        target[worst] = finer if finer >= coarsest else coarsest + 1e-5
    return target


def shrink_to_fit(
    patch_size: Sequence[float],
    median_shape: Sequence[float],
    derive: Callable[[Sequence[float]], Topology],
    fits: Callable[[Topology], bool],
) -> Topology:
    """Shorten, step by step, the axis along which the patch covers most of the median case, until the network fits.

    The step is what the shortened patch must be a multiple of, so that no size in between is missed (nnU-Net). Raises
    InputError where not even the smallest patch fits.
    """
    topology = derive(patch_size)
    seen = set()
    while not fits(topology):
        seen.add(topology.patch_size)
        covered = np.divide(topology.patch_size, median_shape)
        axis = int(np.argsort(covered, kind="stable")[-1])
        shorter = _less(topology.patch_size, axis, topology.divisor[axis])
        shorter = _less(topology.patch_size, axis, derive(shorter).divisor[axis])
        topology = derive(shorter)
        if topology.patch_size in seen:  # another axis was padded in exchange: there is nothing smaller
            raise _too_little_memory(topology.patch_size)
    return topology


def _less(patch_size: tuple[int, ...], axis: int, step: int) -> tuple[int, ...]:
    shorter = tuple(n - step if i == axis else n for i, n in enumerate(patch_size))
    if shorter[axis] < 1:
        raise _too_little_memory(patch_size)
    return shorter


def _too_little_memory(patch_size: Sequence[int]) -> InputError:
    shown = ",".join(map(str, patch_size))
    return InputError(f"--memory_gb is too small for a network on a patch of {shown} voxels; give more")


def coarser(spacing_mm: np.ndarray, factor: float) -> np.ndarray:
    """One step towards the low resolution: the finer axes alone while any is over 2 times finer than the coarsest."""
    fine = spacing_mm.max() / spacing_mm > 2
    return np.where(fine if fine.any() else True, spacing_mm * factor, spacing_mm)


def uses_mask(fingerprint: Fingerprint) -> bool:
    """Whether scans are mostly black around what was cropped out, as brains without skull are."""
    return fingerprint.size_after_crop < MASK_BELOW


def is_shallow(patch_size: Sequence[int]) -> bool:
    """Whether a patch is so much longer than deep that it is augmented slice by slice."""
    return max(patch_size) / patch_size[0] > ANISOTROPY
