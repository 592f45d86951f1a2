"""From the grid of a scan to the network's, and back: axes permuted, cropped, resampled; one object does and undoes."""

from dataclasses import asdict, dataclass

import numpy as np

from mindvoxel.data.crop import Crop, Shape
from mindvoxel.volume import Vector, Volume


@dataclass(frozen=True)
class CaseGrid:
    """How one case lies on the network's grid.

    source_*: shape (D, H, W), spacing (z, y, x), origin and direction of the scan, as in Volume.
    axes: network axis i is scan axis axes[i].
    crop: the box that was kept, in permuted axes.
    shape: of the preprocessed array, permuted axes: the crop's own where nothing is resampled, before any padding.
    spacing_mm: of the preprocessed array, permuted axes.
    pad: voxels added in front of and behind each axis afterwards; below 0: cut off.
    """

    source_shape: Shape
    source_spacing_mm: Vector
    origin_mm: Vector
    direction: tuple[float, ...]
    axes: tuple[int, int, int]
    crop: Crop
    shape: Shape
    spacing_mm: Vector
    pad: tuple[tuple[int, int], ...] = ((0, 0), (0, 0), (0, 0))

    def permute(self, voxels: np.ndarray) -> np.ndarray:
        """(…, D, H, W) of the scan -> permuted axes; a view."""
        lead = voxels.ndim - 3
        return voxels.transpose(*range(lead), *(lead + axis for axis in self.axes))

    def unpermute(self, voxels: np.ndarray) -> np.ndarray:
        """Permuted axes -> (…, D, H, W) of the scan; a view."""
        lead = voxels.ndim - 3
        return voxels.transpose(*range(lead), *(lead + self.axes.index(axis) for axis in range(3)))

    def volume(self, voxels: np.ndarray) -> Volume:
        """Voxels (D, H, W) on the whole permuted grid of the scan -> a Volume in the scan's own axes and geometry."""
        voxels = np.ascontiguousarray(self.unpermute(voxels))
        return Volume(voxels, self.source_spacing_mm, self.origin_mm, self.direction)

    def to_json(self) -> dict:
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict) -> "CaseGrid":
        def fixed(value):
            return tuple(map(fixed, value)) if isinstance(value, list) else value

        crop = Crop(**{key: fixed(value) for key, value in values["crop"].items()})
        return cls(**{key: fixed(value) for key, value in values.items()} | {"crop": crop})
