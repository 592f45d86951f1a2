"""V-Net's preprocessing, and the way back to the grid of the scan."""

from dataclasses import dataclass

import numpy as np

from mindvoxel.data.crop import Crop
from mindvoxel.data.normalize import rescale_unit, zscore_positive
from mindvoxel.data.resample import resample_like, resample_to_spacing
from mindvoxel.errors import InputError
from mindvoxel.volume import Vector, Volume, check_same_grid, read_volume


@dataclass(frozen=True)
class Prepared:
    """A case as a network takes it, and what is needed to undo that.

    image: (D, H, W) float32, z-scored.  label: (D, H, W) uint8, or None.
    source: the scan as it was read.  grid: the resampled grid, without its voxels.  crop: the part of it in `image`.
    """

    case: str
    image: np.ndarray
    label: np.ndarray | None
    source: Volume
    truth: Volume | None
    grid: Volume
    crop: Crop

    def restore(self, probability: np.ndarray, order: str) -> Volume:
        """A probability (D, H, W) on the shape of `image` -> on the grid of the scan, 0 outside; float32."""
        whole = self.crop.undo(probability.astype(np.float32))
        return resample_like(self.grid.with_voxels(whole), self.source, order=order)


def prepare_case(
    case: str,
    image_path,
    label_path=None,
    *,
    spacing_mm: Vector,
    patch_size: tuple[int, int, int],
    centre_crop: bool,
) -> Prepared:
    """Read a case and bring it to the network's grid.

    Intensities go to [0, 1] over the whole scan; it is resampled linearly to `spacing_mm` (z, y, x) with at least
    `patch_size` voxels (D, H, W), cropped to the `patch_size` in the middle where `centre_crop` (else the grid covers
    the whole scan), and z-scored over the voxels above 0. The label is resampled linearly and cut at 0.5. Published
    V-Net: (1.5, 1, 1) mm, (64, 128, 128), centre crop. Label values above 0.5 are the gland, as published.

    Raises InputError for files that cannot be used.
    """
    source = read_volume(image_path)
    truth = None
    if label_path is not None:
        truth = read_volume(label_path)
        check_same_grid(source, truth, (str(image_path), str(label_path)))
        truth = truth.with_voxels(truth.voxels > 0.5)
    try:
        return prepare_volume(
            case, source, truth, spacing_mm=spacing_mm, patch_size=patch_size, centre_crop=centre_crop
        )
    except ValueError as error:
        raise InputError(f"{image_path}: {error}") from error


def prepare_volume(
    case: str,
    source: Volume,
    truth: Volume | None = None,
    *,
    spacing_mm: Vector,
    patch_size: tuple[int, int, int],
    centre_crop: bool,
) -> Prepared:
    """As prepare_case, for a scan (D, H, W) that is read already; truth: bool voxels on its grid.

    Raises ValueError for a scan without contrast.
    """
    unit = source.with_voxels(rescale_unit(source.voxels))
    grid = resample_to_spacing(unit, spacing_mm, min_shape=patch_size, cover=not centre_crop)
    shape = grid.voxels.shape
    crop = Crop.centre(shape, patch_size if centre_crop else shape)
    image = zscore_positive(crop.apply(grid.voxels))
    label = None
    if truth is not None:
        resampled = resample_to_spacing(truth, spacing_mm, min_shape=patch_size, cover=not centre_crop)
        label = (crop.apply(resampled.voxels) > 0.5).astype(np.uint8)
    empty = grid.with_voxels(np.broadcast_to(np.float32(0), shape))  # of the grid only its geometry is needed
    return Prepared(case, image, label, source, truth, empty, crop)
