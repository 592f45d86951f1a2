"""What the training cases have in common: sizes, spacings and intensities."""

from dataclasses import dataclass

from mindvoxel.data.crop import Shape
from mindvoxel.data.plan import Intensity
from mindvoxel.volume import Vector


@dataclass(frozen=True)
class CaseFingerprint:
    """shape: of the cropped scan, (D, H, W), scan axes."""

    case: str
    shape: Shape
    spacing_mm: Vector
    source_shape: Shape


@dataclass(frozen=True)
class Fingerprint:
    """size_after_crop: median share of voxels kept.  label_voxels: value -> count."""

    cases: tuple[CaseFingerprint, ...]
    intensities: tuple[Intensity, ...]
    size_after_crop: float
    label_voxels: dict[int, int]
