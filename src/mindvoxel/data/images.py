"""Any image file that a data set may hold, as channels on a 3-D grid: 3-D, 4-D of channels, and 2-D pictures."""

from pathlib import Path

import numpy as np
import SimpleITK as sitk

from mindvoxel.data.pictures import PICTURES, check_picture, grey_bmp, refuse_alpha
from mindvoxel.errors import InputError
from mindvoxel.headers import check_header, require_finite
from mindvoxel.volume import SUFFIXES, Vector, Volume, check_axes, itk_errors, stem_of

IMAGES = SUFFIXES + PICTURES


def is_picture(path: Path) -> bool:
    return path.name.lower().endswith(PICTURES)


def suffix_of(path: str | Path) -> str:
    """`Case00.nii.gz` -> `.nii.gz`; of a file that is no image: nothing."""
    return Path(path).name.removeprefix(name_of(path))


def name_of(path: str | Path) -> str:
    """File name without its image suffix: `Case00.nii.gz` -> `Case00`."""
    return stem_of(path, IMAGES)


def read_channels(path: str | Path, spacing_mm: Vector | None = None, dtype=None) -> Volume:
    """Read an image file: voxels (C, D, H, W), as stored or as `dtype`.

    Several values a voxel and the fourth axis of a 4-D image become channels; a 2-D image becomes one slice, as thick
    as the longer side of its pixels. spacing_mm: (z, y, x), taken where the file knows none, as pictures never do.
    Raises InputError, in one sentence that names the file, where it is missing, truncated, of other dimensions, without
    spacing, with an alpha channel, on axes that are not orthonormal, or holds a value that is not finite.
    """
    return _read(Path(path), spacing_mm, dtype, voxels=True)


def read_information(path: str | Path, spacing_mm: Vector | None = None) -> Volume:
    """As read_channels, without reading the voxels: they are all one 0, which takes no memory."""
    return _read(Path(path), spacing_mm, None, voxels=False)


def _read(path: Path, spacing_mm: Vector | None, dtype, voxels: bool) -> Volume:
    known = _check(path, spacing_mm, voxels)
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    with itk_errors(path):
        if voxels:
            source = reader.Execute()
            components = source.GetNumberOfComponentsPerPixel()
        else:
            reader.ReadImageInformation()
            source, components = reader, reader.GetNumberOfComponents()
    _check_kind(path, source, components)
    if voxels:
        view = sitk.GetArrayViewFromImage(source)
        with np.errstate(over="ignore"):  # what float32 cannot hold is refused as infinite
            stored = np.array(view, dtype)
        if view.dtype.kind == "f":
            require_finite(path, stored)
    else:
        stored = _no_voxels(source, components)
    if components > 1:
        stored = np.moveaxis(stored, -1, 0)[: 1 if grey_bmp(path) else components]
        stored = np.ascontiguousarray(stored) if voxels else stored
    num_dims = source.GetDimension()
    shape = stored.shape[-min(num_dims, 3) :]
    stored = stored.reshape(-1, *(1,) * (3 - len(shape)), *shape)
    return _on_grid(path, source, stored, None if known else spacing_mm)


def _check(path: Path, spacing_mm: Vector | None, voxels: bool) -> bool:
    """Whether the file knows its spacing; raises InputError where it, or SimpleITK, must not be used."""
    if not path.name.lower().endswith(IMAGES):
        raise InputError(f"{path}: unknown image type; one of {', '.join(IMAGES)} is needed")
    known = False
    if is_picture(path):
        check_picture(path)
    else:
        known = check_header(path, dims=(2, 3, 4), needs_spacing=False, voxels=voxels)
    if not known and spacing_mm is None:
        raise InputError(
            f"{path}: knows no spacing; give the spacing_mm of its voxels along z,y,x (1,1,1 counts in pixels)"
        )
    return known


def _check_kind(path: Path, reader: sitk.ImageFileReader | sitk.Image, components: int) -> None:
    num_dims = reader.GetDimension()
    if num_dims not in (2, 3, 4) or (num_dims == 4 and components > 1):
        size = "×".join(map(str, reader.GetSize()))
        raise InputError(
            f"{path}: {num_dims}-D image of size {size} with {components} values a voxel; an image of 2 or 3 "
            "dimensions is needed, or a 4-D one whose fourth axis is its channels"
        )
    if reader.GetPixelID() in (sitk.sitkComplexFloat32, sitk.sitkComplexFloat64):
        raise InputError(f"{path}: complex values; save their magnitude, or real and imaginary part as two channels")
    if is_picture(path):
        refuse_alpha(path, components)


def _no_voxels(reader: sitk.ImageFileReader, components: int) -> np.ndarray:
    """One 0, seen at every place of the array that reading would give."""
    shape = (*reader.GetSize()[::-1], *((components,) if components > 1 else ()))
    pixel = sitk.Image([1] * len(reader.GetSize()), reader.GetPixelID(), components)
    return np.broadcast_to(sitk.GetArrayFromImage(pixel).ravel()[:1], shape)


def _on_grid(
    path: Path, reader: sitk.ImageFileReader | sitk.Image, voxels: np.ndarray, spacing_mm: Vector | None
) -> Volume:
    """`voxels` (C, D, H, W) with the geometry that the file gives, on three axes."""
    num_dims = reader.GetDimension()
    used = min(num_dims, 3)
    direction = np.eye(3)
    direction[:used, :used] = np.array(reader.GetDirection()).reshape(num_dims, num_dims)[:used, :used]
    check_axes(path, direction)
    origin = (*reader.GetOrigin()[:used], 0.0)[:3]
    in_file = reader.GetSpacing()[:used]
    if spacing_mm is None:
        spacing_mm = (*in_file, max(in_file))[:3][::-1]
    if not all(s > 0 for s in spacing_mm):
        raise InputError(f"{path}: spacing {spacing_mm} mm in (z, y, x); every axis needs a spacing above 0")
    return Volume(voxels, tuple(map(float, spacing_mm)), origin, tuple(map(float, direction.ravel())))
