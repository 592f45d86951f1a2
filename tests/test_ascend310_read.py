"""The C++ harness reads what Python reads, voxel for voxel and on the same grid, and refuses what Python refuses."""

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from mindvoxel.data.images import read_channels
from mindvoxel.errors import InputError
from mindvoxel.volume import Volume, read_volume, write_volume

from .harness import dumped, run
from .test_headers import EDGE, META, VOXELS, cut, itk_file, meta_pair, nifti, with_sform


@pytest.fixture(scope="session")
def program(harness) -> Path:
    return harness / "prepare_dump"


def assert_alike(program: Path, tmp_path: Path, path: Path) -> None:
    """Both read the same, to the last bit."""
    wanted = read_channels(path, None, np.float32)
    found, grid = dumped(program, "read", tmp_path, path)
    assert (grid["channels"], *grid["shape"]) == wanted.voxels.shape
    assert np.array_equal(found.reshape(wanted.voxels.shape), wanted.voxels)
    assert tuple(grid["spacing_mm"]) == wanted.spacing_mm
    assert tuple(grid["origin_mm"]) == wanted.origin_mm
    assert tuple(grid["direction"]) == wanted.direction


def refused(program: Path, tmp_path: Path, path: Path, *parts: str) -> None:
    with pytest.raises(InputError) as caught:
        dumped(program, "read", tmp_path, path)
    for part in (path.name, *parts):
        assert part in str(caught.value)


@pytest.mark.skipif(not EDGE.is_dir(), reason=f"needs the odd files in {EDGE}")
def test_every_real_odd_file_is_read_as_python_reads_it_or_refused_as_it_does(program, tmp_path):
    for path in sorted(EDGE.iterdir()):
        try:
            read_channels(path)
        except InputError:
            refused(program, tmp_path, path)
        else:
            assert_alike(program, tmp_path, path)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".mha", ".mhd", ".nrrd", ".NII.GZ"])
@pytest.mark.parametrize("kind", ["u1", "i1", "u2", "i2", "u4", "i4", "i8", "f4", "f8"])
def test_every_type_of_number_in_every_type_of_file(program, tmp_path, suffix, kind):
    voxels = np.random.default_rng(0).normal(0, 60, (4, 5, 6)).astype(kind)
    volume = Volume(voxels, (2.5, 0.75, 0.5), (3.0, -7.5, 11.25), (0.8, -0.6, 0.0, 0.6, 0.8, 0.0, 0.0, 0.0, -1.0))
    path = tmp_path / f"a{suffix.lower()}"
    sitk.WriteImage(volume.to_image(), str(path), useCompression=suffix != ".nii")
    assert_alike(program, tmp_path, path.rename(tmp_path / f"a{suffix}"))


@pytest.mark.parametrize("suffix", [".nii.gz", ".mha", ".nrrd"])
@pytest.mark.parametrize("shape", [(5, 7), (3, 4, 5, 6), (1, 4, 5, 6)])
def test_slices_and_four_axes(program, tmp_path, suffix, shape):
    path = tmp_path / f"a{suffix}"
    voxels = np.random.default_rng(1).normal(0, 60, shape).astype(np.float32)
    sitk.WriteImage(sitk.GetImageFromArray(voxels, isVector=False), str(path), useCompression=True)
    assert_alike(program, tmp_path, path)


@pytest.mark.parametrize("suffix", [".nii", ".mha", ".nrrd"])
def test_colours_side_by_side_become_channels(program, tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    colours = np.random.default_rng(2).integers(0, 256, (5, 7, 9, 3)).astype(np.uint8)
    if suffix == ".nii":
        path.write_bytes(nifti(code=128, bits=24, voxels=colours))
    else:
        sitk.WriteImage(sitk.GetImageFromArray(colours, isVector=True), str(path))
    assert_alike(program, tmp_path, path)


def with_forms(qform: int, sform: int, seed: int, units: int = 2, stretched: float = 1.0) -> bytes:
    """A NIfTI whose two forms turn it differently, far away from the origin.  stretched: the sform's scale."""
    rng = np.random.default_rng(seed)
    head = bytearray(nifti())
    quaternion = rng.normal(size=4)
    quaternion *= np.sign(quaternion[0]) / np.linalg.norm(quaternion)
    turned = np.linalg.qr(rng.normal(size=(3, 3)))[0] * (0.7, 0.5, 3.0) * stretched
    struct.pack_into("<f", head, 76, -1.0)
    struct.pack_into("<2h", head, 252, qform, sform)
    struct.pack_into("<6f", head, 256, *quaternion[1:], *rng.uniform(-2000, 2000, 3))
    struct.pack_into("<12f", head, 280, *np.column_stack([turned, rng.uniform(-2000, 2000, 3)]).ravel())
    head[123] = units
    return bytes(head)


@pytest.mark.parametrize("forms", [(0, 0), (1, 0), (0, 1), (0, 2), (1, 1), (2, 1), (1, 2), (1, 4)])
@pytest.mark.parametrize("units", [0, 1, 2, 3, 10])
def test_which_form_of_a_nifti_counts(program, tmp_path, forms, units):
    for seed in range(3):
        path = tmp_path / "a.nii"
        path.write_bytes(with_forms(*forms, seed, units))
        assert_alike(program, tmp_path, path)


def test_a_form_whose_scale_is_not_the_spacing(program, tmp_path):
    path = tmp_path / "a.nii"
    path.write_bytes(with_forms(0, 1, 0, stretched=1.7))
    assert_alike(program, tmp_path, path)


@pytest.mark.parametrize("slope", [(0.0, 0.0), (1.0, -1024.0), (0.37, 5.5), (-2.0, 0.0), (0.0, 3.0)])
@pytest.mark.parametrize(("code", "kind"), [(2, "u1"), (4, "i2"), (8, "i4"), (16, "f4"), (64, "f8"), (1024, "i8")])
@pytest.mark.parametrize("order", ["<", ">"])
def test_a_niftis_scale_and_byte_order(program, tmp_path, slope, code, kind, order):
    voxels = np.random.default_rng(3).integers(0, 200, (5, 7, 9)).astype(kind)
    data = bytearray(nifti(code=code, bits=8 * voxels.itemsize, voxels=voxels, order=order))
    struct.pack_into(order + "2f", data, 112, *slope)
    path = tmp_path / "a.nii"
    path.write_bytes(bytes(data))
    assert_alike(program, tmp_path, path)


def test_a_nifti_beside_its_compressed_self_is_the_one_that_was_named(program, tmp_path):
    """nifti_clib, below SimpleITK, takes the voxels of a.nii for those of a.nii.gz."""
    (tmp_path / "a.nii").write_bytes(nifti(voxels=VOXELS * 0))
    (tmp_path / "a.nii.gz").write_bytes(gzip.compress(nifti()))
    found, _ = dumped(program, "read", tmp_path, tmp_path / "a.nii.gz")
    assert np.array_equal(found, VOXELS.ravel())


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".mha", ".nrrd"])
@pytest.mark.parametrize("keep", [0.05, 0.5, 0.98])
def test_a_truncated_file(program, tmp_path, suffix, keep):
    refused(program, tmp_path, cut(itk_file(tmp_path / f"a{suffix}"), keep))


@pytest.mark.parametrize("suffix", [".nii.gz", ".mha", ".nrrd"])
def test_one_changed_byte_among_compressed_voxels(program, tmp_path, suffix):
    path = itk_file(tmp_path / f"a{suffix}")
    data = bytearray(path.read_bytes())
    data[-40] ^= 0x10
    path.write_bytes(bytes(data))
    refused(program, tmp_path, path)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".mha", ".nrrd"])
def test_what_is_not_finite(program, tmp_path, suffix):
    for value in (np.nan, np.inf, 1e300):
        voxels = np.zeros((3, 4, 5))
        voxels[1, 2, 3] = value
        path = tmp_path / f"a{suffix}"
        sitk.WriteImage(sitk.GetImageFromArray(voxels), str(path))
        refused(program, tmp_path, path, "1 of 60 voxels are NaN or infinite")


@pytest.mark.parametrize(
    ("data", "part"),
    [
        (b"", "not a NIfTI-1 file"),
        (nifti()[:200], "not a NIfTI-1 file"),
        (nifti(size=540), "NIfTI-2"),
        (nifti(dims=(5, 9, 7, 5, 1, 3)), "5-D image (9×7×5×1×3)"),
        (nifti(dims=(3, 9, -7, 5)), "damaged header"),
        (nifti(code=3), "damaged header"),
        (nifti(dims=(4, 32767, 32767, 32767, 32767)), "truncated"),
        (nifti(spacing=(0.7, -0.5, 3.0)), "every axis needs a spacing above 0"),
        (nifti(spacing=(0.7, float("nan"), 3.0)), "every axis needs a spacing above 0"),
        (nifti(spacing=(0.7, 0.0, 3.0)), "knows no spacing"),
        (nifti(code=32, bits=64), "complex values"),
        (with_sform(float("inf")), "its sform holds NaN or infinity"),
    ],
)
@pytest.mark.parametrize("compressed", [False, True])
def test_niftis_that_are_none(program, tmp_path, data, part, compressed):
    path = tmp_path / ("a.nii.gz" if compressed else "a.nii")
    path.write_bytes(gzip.compress(data) if compressed else data)
    refused(program, tmp_path, path, part)


@pytest.mark.parametrize(
    ("old", "new", "part"),
    [
        ("DimSize = 9 7 5", "DimSize = 9 7 0", "a size above 0"),
        ("DimSize = 9 7 5", "DimSize = 9 7", "a size above 0"),
        ("DimSize = 9 7 5", "DimSize = 99999999999 99999999999 5", "truncated"),
        ("NDims = 3", "NDims = three", "a size above 0"),
        ("ElementSpacing = 0.7 0.5 3", "ElementSpacing = 0.7 0 3", "every axis needs a spacing above 0"),
        ("ElementSpacing = 0.7 0.5 3", "ElementSpacing = 0.7 3", "one value an axis is needed"),
        ("ElementSpacing = 0.7 0.5 3\n", "", "knows no spacing"),
        ("MET_SHORT", "MET_STRING", "one of MET_SHORT"),
        ("a.raw", "b.raw", "its voxels should lie in"),
        ("ElementDataFile = a.raw\n", "", "not a MetaImage header"),
        ("ElementType", "TransformMatrix = 1 0.5 0 0 1 0 0 0 1\nElementType", "not at right angles"),
        ("ElementType", "Offset = nan 0 0\nElementType", "cannot read it"),
    ],
)
def test_metaimages_that_are_none(program, tmp_path, old, new, part):
    assert old in META
    path = meta_pair(tmp_path, META.replace(old, new))
    with pytest.raises(InputError, match=part):
        dumped(program, "read", tmp_path, path)


def test_compressed_voxels_whose_size_is_not_said(program, tmp_path):
    """MetaIO would leave memory as it was where they should be."""
    path = itk_file(tmp_path / "a.mha")
    path.write_bytes(path.read_bytes().replace(b"CompressedDataSize", b"CompressedDataSoze"))
    refused(program, tmp_path, path, "CompressedDataSize is 0")


def test_nrrds_that_are_none(program, tmp_path):
    path = tmp_path / "a.nrrd"
    head = b"NRRD0004\ntype: short\ndimension: 3\nsizes: 9 7 5\nspacings: 1 1 1\nendian: little\nencoding: raw\n\n"
    for data, part in (
        (head.replace(b"9 7 5", b"90000 90000 90000") + VOXELS.tobytes(), "truncated"),
        (head.replace(b"9 7 5", b"9000 9000 900").replace(b"raw", b"txt") + VOXELS.tobytes(), "truncated"),
        (head.replace(b"spacings: 1 1 1", b"spacings: nan nan nan") + VOXELS.tobytes(), "knows no spacing"),
        (head.replace(b"9 7 5", b"9 7") + VOXELS.tobytes(), "cannot read it"),
        (head + VOXELS.tobytes()[:-9], "cannot read it: _nrrdEncodingRaw_read: fread got only"),
        (head[:60], ""),
        (b"\0" * 20_000, ""),
    ):
        path.write_bytes(data)
        refused(program, tmp_path, path, part)
    path.write_bytes(head + VOXELS.tobytes())
    assert_alike(program, tmp_path, path)


def test_names_and_folders(program, tmp_path):
    (tmp_path / "scan").write_bytes(nifti())
    refused(program, tmp_path, tmp_path / "scan", "a name without a dot")
    (tmp_path / "scan.dcm").write_bytes(nifti())
    refused(program, tmp_path, tmp_path / "scan.dcm", "unknown image type")
    (tmp_path / "scan.png").write_bytes(b"")
    refused(program, tmp_path, tmp_path / "scan.png", "a picture, which only predict.py reads")
    (tmp_path / "folder.nii").mkdir()
    refused(program, tmp_path, tmp_path / "folder.nii", "no such file")
    refused(program, tmp_path, tmp_path / "absent.mha", "no such file")


def test_channels_that_lie_apart(program, tmp_path):
    grid = Volume(VOXELS, (3.0, 0.5, 0.7))
    write_volume(tmp_path / "a.mha", grid)
    write_volume(tmp_path / "b.mha", Volume(VOXELS, (3.0, 0.5, 0.7), (0.4, 0.0, 0.0)))
    write_volume(tmp_path / "c.mha", Volume(VOXELS[:-1], (3.0, 0.5, 0.7)))
    with pytest.raises(InputError, match=r"b\.mha: its grid lies up to 0\.4 mm away"):
        dumped(program, "read", tmp_path, tmp_path / "a.mha", tmp_path / "b.mha")
    with pytest.raises(InputError, match=r"its shape \(z, y, x\) is \(4, 7, 9\), that of .*a\.mha is \(5, 7, 9\)"):
        dumped(program, "read", tmp_path, tmp_path / "a.mha", tmp_path / "c.mha")


@pytest.mark.parametrize("suffix", [".mha", ".nii.gz", ".nii", ".nrrd"])
@pytest.mark.parametrize("values", [(0, 255), (-3, 300)])
def test_labels_lie_where_python_would_write_them(program, tmp_path, suffix, values):
    """Of the same type, on the very same grid, as SimpleITK reads both."""
    rng = np.random.default_rng(5)
    voxels = rng.integers(values[0], values[1] + 1, (5, 8, 7)).astype(np.int16)
    voxels.flat[:2] = values
    rotation = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    scan = Volume(voxels, (2.4999, 0.703125, 0.7), (-1250.3, 87.125, 0.1), tuple(rotation.ravel()))
    source = tmp_path / f"scan{suffix}"
    write_volume(source, scan)
    run(program, "labels", tmp_path / f"found{suffix}", source)
    scan = read_volume(source)
    kind = np.uint8 if values[0] >= 0 else np.int16
    write_volume(tmp_path / f"wanted{suffix}", scan.with_voxels(voxels.astype(kind)))
    wanted, found = (sitk.ReadImage(str(tmp_path / f"{name}{suffix}")) for name in ("wanted", "found"))
    assert found.GetPixelID() == wanted.GetPixelID()
    assert np.array_equal(sitk.GetArrayFromImage(found), sitk.GetArrayFromImage(wanted))
    for what in ("GetSpacing", "GetOrigin", "GetDirection"):
        assert getattr(found, what)() == getattr(wanted, what)()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        f"{name}{suffix}" for name in ("found", "scan", "wanted")
    )
