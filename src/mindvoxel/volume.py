"""Volume: voxels that never travel without their geometry; reading and writing through SimpleITK."""

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from mindvoxel.errors import InputError, naming
from mindvoxel.files import replacing
from mindvoxel.headers import check_header, require_finite, require_utf8

SUFFIXES = (".mhd", ".mha", ".nii.gz", ".nii", ".nrrd")
WRITABLE = SUFFIXES[1:]
Vector = tuple[float, float, float]


@dataclass(frozen=True)
class Volume:
    """A 3-D image on its grid.

    voxels: (D, H, W), axes (z, y, x); (C, D, H, W) where there are several channels.
    spacing_mm: distance of neighbouring voxel centres along (z, y, x).
    origin_mm: world position of voxel (0, 0, 0) as SimpleITK gives it: (x, y, z), LPS.
    direction: the 3×3 direction cosines, row by row, as SimpleITK gives them.
    """

    voxels: np.ndarray
    spacing_mm: Vector
    origin_mm: Vector = (0.0, 0.0, 0.0)
    direction: tuple[float, ...] = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)

    @classmethod
    def from_image(cls, image: sitk.Image) -> "Volume":
        return cls(
            sitk.GetArrayFromImage(image), image.GetSpacing()[::-1], image.GetOrigin(), tuple(image.GetDirection())
        )

    @property
    def shape(self) -> tuple[int, int, int]:
        """(D, H, W), without channels."""
        return self.voxels.shape[-3:]

    @property
    def num_channels(self) -> int:
        return 1 if self.voxels.ndim == 3 else self.voxels.shape[0]

    def to_image(self) -> sitk.Image:
        """As SimpleITK has it; several channels become the fourth axis of a 4-D image."""
        if self.voxels.ndim == 4:
            channels = [self.with_voxels(channel).to_image() for channel in self.voxels]
            return channels[0] if len(channels) == 1 else sitk.JoinSeries(channels)
        voxels = self.voxels.astype(np.uint8) if self.voxels.dtype == bool else self.voxels
        image = sitk.GetImageFromArray(voxels)
        image.SetSpacing(self.spacing_mm[::-1])
        image.SetOrigin(self.origin_mm)
        image.SetDirection(self.direction)
        return image

    def with_voxels(self, voxels: np.ndarray) -> "Volume":
        """Other voxels on this grid, of the same (D, H, W)."""
        if voxels.shape[-3:] != self.shape:
            raise ValueError(f"voxels must keep the shape {self.shape}, got {voxels.shape}")
        return replace(self, voxels=voxels)

    def corners_mm(self) -> np.ndarray:
        """(8, 3) world positions (x, y, z) of the outermost voxel centres."""
        last = [n - 1 for n in self.shape[::-1]]
        index = np.array(list(product(*((0, n) for n in last))), float) * np.array(self.spacing_mm[::-1])
        return np.array(self.origin_mm) + index @ np.array(self.direction).reshape(3, 3).T


def read_volume(path: str | Path) -> Volume:
    """Read a 3-D image with one value a voxel from MetaImage, NIfTI-1 or NRRD.

    Raises InputError, in one sentence that names the file, where it is missing, truncated, not 3-D, of several
    components, without a valid spacing, on axes that are not orthonormal, or holds a value that is not finite.
    """
    path = Path(path)
    if not path.name.lower().endswith(SUFFIXES):
        raise InputError(f"{path}: unknown image type; one of {', '.join(SUFFIXES)} is needed")
    check_header(path)
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    with itk_errors(path):
        reader.ReadImageInformation()
        _check_information(path, reader)
        volume = Volume.from_image(reader.Execute())
    require_finite(path, volume.voxels)
    return volume


@contextmanager
def itk_errors(path: Path) -> Iterator[None]:
    """SimpleITK's own errors while it reads `path` as one InputError: its last line says why."""
    try:
        yield
    except RuntimeError as error:
        reason = re.sub(r"\(0x\w+\)", "", " ".join(str(error).rpartition("ERROR:")[2].split()))
        raise InputError(f"{path}: SimpleITK cannot read it: {reason}") from error


def _check_information(path: Path, reader: sitk.ImageFileReader) -> None:
    size, spacing = reader.GetSize(), reader.GetSpacing()
    if len(size) != 3:
        raise InputError(f"{path}: {len(size)}-D image of size {'×'.join(map(str, size))}; a 3-D image is needed")
    if reader.GetNumberOfComponents() != 1:
        raise InputError(f"{path}: {reader.GetNumberOfComponents()} values a voxel; an image with one is needed")
    if not all(s > 0 for s in spacing):
        raise InputError(f"{path}: spacing {spacing} mm in (x, y, z); every axis needs a spacing above 0")
    check_axes(path, np.array(reader.GetDirection()).reshape(3, 3))


def check_axes(path: Path, axes: np.ndarray) -> None:
    """Raise InputError unless the direction cosines `axes` (3, 3) are orthonormal."""
    if not np.allclose(axes.T @ axes, np.eye(3), atol=1e-3):
        raise InputError(
            f"{path}: its axes are not at right angles (direction {' '.join(f'{a:g}' for a in axes.ravel())}); "
            "resample it to a grid that is"
        )


def require_writable(path: Path) -> None:
    """Raise ValueError for a suffix that `write_volume` does not write."""
    if not path.name.endswith(WRITABLE):
        raise ValueError(f"{path}: images are written as one of {', '.join(WRITABLE)}; give it that suffix")


def write_volume(path: str | Path, volume: Volume) -> None:
    """Write `volume` compressed, beside its place first, then renamed; what was written is read back and compared.

    Several channels, voxels (C, D, H, W), become the fourth axis of a 4-D file. The type follows the suffix: .mha,
    .nii.gz, .nii or .nrrd; .mhd is refused, its two files cannot be replaced at once. Raises OSError where the folder
    cannot be written or the disk is full.
    """
    path = Path(path)
    require_writable(path)
    require_utf8(path)
    image = volume.to_image()
    try:
        with replacing(path) as partial:
            reserve(partial, volume.voxels.nbytes)
            sitk.WriteImage(image, str(partial), useCompression=True)
            check_header(partial, dims=(3, 4))  # truncated, yet read back as zeros: a mask would compare equal
            written = sitk.GetArrayFromImage(sitk.ReadImage(str(partial)))  # a view would outlive its image
            if not np.array_equal(written, sitk.GetArrayViewFromImage(image), equal_nan=True):
                raise OSError(errno.EIO, "what was written does not read back; is the disk full?", str(path))
    except (RuntimeError, InputError) as error:  # SimpleITK does not tell a full disk from another fault
        raise OSError(errno.EIO, "SimpleITK could not write the image; is the disk full?", str(path)) from error


def reserve(path: Path, num_bytes: int) -> None:
    """Make the file `path` with room for `num_bytes`, which the next writer takes over.

    Raises OSError with the system's own reason where the folder cannot be written or the disk is full: the libraries
    below SimpleITK complain about either in their own words, on standard error.
    """
    with naming(path), path.open("wb") as file:
        try:
            os.posix_fallocate(file.fileno(), 0, max(num_bytes, 1))
        except OSError as error:
            if error.errno not in {errno.ENOSPC, errno.EFBIG, errno.EDQUOT}:
                return  # a file system that cannot reserve
            raise OSError(error.errno, f"{os.strerror(error.errno)}; is the disk full?") from error


def check_same_grid(image: Volume, label: Volume, names: tuple[str, str], tolerance_mm: float = 0.1) -> None:
    """Raise InputError unless both volumes have one shape and their corners lie within `tolerance_mm`.

    Where voxels are finer than twice that, within half the shortest side of one.
    """
    if image.shape != label.shape:
        raise InputError(
            f"{names[1]}: its shape (z, y, x) is {label.shape}, that of {names[0]} is {image.shape}; "
            "both are needed on one grid"
        )
    apart = float(np.linalg.norm(image.corners_mm() - label.corners_mm(), axis=1).max())
    tolerance_mm = min(tolerance_mm, min(image.spacing_mm) / 2)
    if apart > tolerance_mm:
        raise InputError(
            f"{names[1]}: its grid lies up to {apart:.3g} mm away from that of {names[0]} (tolerance "
            f"{tolerance_mm:.3g} mm); write both with the same spacing, origin and direction"
        )


def stem_of(path: str | Path, suffixes: tuple[str, ...] = SUFFIXES) -> str:
    """File name without its image suffix, in small letters or capitals: `Case00.nii.gz` -> `Case00`."""
    name = Path(path).name
    suffix = next((s for s in suffixes if name.lower().endswith(s)), "")
    return name[: len(name) - len(suffix)]


def single_file_suffix(path: str | Path) -> str:
    """The type of an image to write beside one like `path`, in one file: MetaImage's pair of header and data becomes
    .mha, and what is no volume, such as a picture, .nii.gz."""
    suffix = next((s for s in SUFFIXES if Path(path).name.lower().endswith(s)), ".nii.gz")
    return ".mha" if suffix == ".mhd" else suffix
