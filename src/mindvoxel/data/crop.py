"""Boxes that can be undone: in the middle, or around what is not empty; and the mask of what is not."""

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk

Shape = tuple[int, int, int]


@dataclass(frozen=True)
class Crop:
    """A box of `shape` (D, H, W) that starts at voxel `start` of an array of shape `full`."""

    start: Shape
    shape: Shape
    full: Shape

    @classmethod
    def centre(cls, full: Shape, shape: Shape) -> "Crop":
        """The box in the middle; an odd rest leaves one voxel more behind than in front."""
        if any(s > f for s, f in zip(shape, full, strict=True)):
            raise ValueError(f"crop {shape} exceeds the array {full}; pad it first")
        return cls(tuple((f - s) // 2 for f, s in zip(full, shape, strict=True)), tuple(shape), tuple(full))

    @property
    def slices(self) -> tuple[slice, slice, slice]:
        return tuple(slice(a, a + n) for a, n in zip(self.start, self.shape, strict=True))

    def apply(self, array: np.ndarray) -> np.ndarray:
        """(D, H, W) full -> the box, a copy."""
        return array[self.slices].copy()

    def undo(self, array: np.ndarray) -> np.ndarray:
        """The box -> (D, H, W) full, 0 outside it."""
        whole = np.zeros(self.full, array.dtype)
        whole[self.slices] = array
        return whole


def nonzero_box(voxels: np.ndarray, positive: bool = False) -> Crop:
    """The smallest box that holds every voxel of (C, D, H, W) that is not 0, or is above 0, in any channel.

    The whole array where there is no such voxel. Holes of the mask lie inside it, so filling them changes no box.
    """
    depth, *plane_shape = voxels.shape[1:]
    filled, seen = np.zeros(depth, bool), np.zeros(plane_shape, bool)
    for z in range(depth):  # a slice at a time: a mask of a whole CT would take as long as reading it
        plane = _kept(voxels[:, z], positive)
        filled[z] = plane.any()
        seen |= plane
    full = tuple(voxels.shape[1:])
    if not seen.any():
        return Crop((0, 0, 0), full, full)
    ends = [np.flatnonzero(profile)[[0, -1]] for profile in (filled, seen.any(1), seen.any(0))]
    return Crop(tuple(int(a) for a, _ in ends), tuple(int(b - a) + 1 for a, b in ends), full)


def nonzero_mask(voxels: np.ndarray) -> np.ndarray:
    """(D, H, W) bool: where any channel of (C, D, H, W) is not 0, and the holes in there (nnU-Net's mask).

    Fast where `voxels` are cut to their nonzero_box, which gives the same mask.
    """
    mask = sitk.GetImageFromArray(_kept(voxels, positive=False).astype(np.uint8))
    return sitk.GetArrayFromImage(sitk.BinaryFillhole(mask, fullyConnected=False, foregroundValue=1)) > 0


def _kept(voxels: np.ndarray, positive: bool) -> np.ndarray:
    return np.any(voxels > 0 if positive else voxels != 0, axis=0)
