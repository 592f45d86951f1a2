"""Centre crop that can be undone."""

from dataclasses import dataclass

import numpy as np

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
