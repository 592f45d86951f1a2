"""Reading and writing keep voxels and geometry; a write that fails leaves nothing and says so."""

import os
import subprocess
import sys

import numpy as np
import pytest
import SimpleITK as sitk
from scipy.spatial.transform import Rotation

from mindvoxel.errors import InputError
from mindvoxel.volume import SUFFIXES, WRITABLE, Volume, check_same_grid, read_volume, stem_of, write_volume

OBLIQUE = tuple(Rotation.from_euler("xyz", (14, -5, 3), degrees=True).as_matrix().ravel())


def make_volume(dtype: type = np.int16, direction: tuple = OBLIQUE) -> Volume:
    voxels = (np.arange(5 * 7 * 9).reshape(5, 7, 9) % 120).astype(dtype)
    return Volume(voxels, (3.3, 0.55, 0.7), (-12.5, 40.25, 301.0), direction)


def assert_same(read: Volume, written: Volume, tolerance_mm: float = 1e-3) -> None:
    assert np.array_equal(read.voxels, written.voxels)
    assert read.spacing_mm == pytest.approx(written.spacing_mm, rel=1e-6)
    check_same_grid(written, read, ("written", "read"), tolerance_mm)


def run_child(code: str, *args: object) -> str:
    """Output of `code` in a process of its own, which may limit itself."""
    command = [sys.executable, "-c", code, *map(str, args)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("suffix", WRITABLE)
@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.float32])
def test_a_round_trip_keeps_voxels_type_and_oblique_geometry(tmp_path, suffix, dtype):
    volume = make_volume(dtype)
    write_volume(tmp_path / f"Case00{suffix}", volume)
    read = read_volume(tmp_path / f"Case00{suffix}")
    assert_same(read, volume)
    assert read.voxels.dtype == dtype
    assert [path.name for path in tmp_path.iterdir()] == [f"Case00{suffix}"]


@pytest.mark.parametrize("compressed", [False, True], ids=["raw", "zraw"])
def test_a_metaimage_pair_is_read(tmp_path, compressed):
    sitk.WriteImage(make_volume().to_image(), str(tmp_path / "a.mhd"), useCompression=compressed)
    assert (tmp_path / ("a.zraw" if compressed else "a.raw")).exists()
    assert_same(read_volume(tmp_path / "a.mhd"), make_volume(), tolerance_mm=1e-9)


@pytest.mark.parametrize(
    "direction", [(-1, 0, 0, 0, -1, 0, 0, 0, 1), (0, 0, 1, 1, 0, 0, 0, -1, 0)], ids=["RAS", "coronal"]
)
@pytest.mark.parametrize("suffix", WRITABLE)
def test_flipped_and_permuted_axes_survive(tmp_path, suffix, direction):
    volume = make_volume(direction=tuple(map(float, direction)))
    write_volume(tmp_path / f"a{suffix}", volume)
    assert_same(read_volume(tmp_path / f"a{suffix}"), volume)


def test_a_mask_is_written_as_zeros_and_ones(tmp_path):
    mask = make_volume().voxels > 60
    write_volume(tmp_path / "mask.nii.gz", make_volume().with_voxels(mask))
    read = read_volume(tmp_path / "mask.nii.gz")
    assert read.voxels.dtype == np.uint8
    assert np.array_equal(read.voxels, mask)


def test_spacing_is_z_y_x_and_origin_x_y_z():
    image = make_volume().to_image()
    assert image.GetSize() == (9, 7, 5)
    assert image.GetSpacing() == (0.7, 0.55, 3.3)
    assert image.GetOrigin() == (-12.5, 40.25, 301.0)


def test_corners_are_those_of_simpleitk():
    volume = make_volume()
    image = volume.to_image()
    corners = {tuple(np.round(corner, 6)) for corner in volume.corners_mm()}
    points = {
        tuple(np.round(image.TransformIndexToPhysicalPoint((x, y, z)), 6))
        for x in (0, 8)
        for y in (0, 6)
        for z in (0, 4)
    }
    assert corners == points


def test_other_voxels_must_keep_the_shape():
    with pytest.raises(ValueError, match=r"must keep the shape \(5, 7, 9\), got \(5, 7, 8\)"):
        make_volume().with_voxels(np.zeros((5, 7, 8)))


def test_same_grid_tolerates_rounding_only():
    image = make_volume()
    check_same_grid(image, Volume(image.voxels, image.spacing_mm, (-12.45, 40.25, 301.0), OBLIQUE), ("i", "l"))
    for other in (
        Volume(image.voxels, image.spacing_mm, (-12.3, 40.25, 301.0), OBLIQUE),
        Volume(image.voxels, (3.4, 0.55, 0.7), image.origin_mm, OBLIQUE),
        Volume(image.voxels, image.spacing_mm, image.origin_mm),
    ):
        with pytest.raises(InputError, match=r"^label\.mhd: its grid lies up to .* mm away from that of image\.mhd"):
            check_same_grid(image, other, ("image.mhd", "label.mhd"))


def test_fine_voxels_have_a_finer_tolerance():
    """0.1 mm would be ten voxels."""
    image = Volume(make_volume().voxels, (0.01, 0.01, 0.01))
    check_same_grid(image, Volume(image.voxels, image.spacing_mm, (0.004, 0.0, 0.0)), ("i", "l"))
    with pytest.raises(InputError, match=r"up to 0.006 mm away from that of i \(tolerance 0.005 mm\)"):
        check_same_grid(image, Volume(image.voxels, image.spacing_mm, (0.006, 0.0, 0.0)), ("i", "l"))


def test_another_shape_is_another_grid():
    with pytest.raises(InputError, match=r"label\.mhd: its shape \(z, y, x\) is \(5, 7, 8\), that of image.mhd is"):
        other = Volume(make_volume().voxels[..., :8], (3.3, 0.55, 0.7))
        check_same_grid(make_volume(), other, ("image.mhd", "label.mhd"))


@pytest.mark.parametrize(
    ("name", "stem"),
    [("Case00.nii.gz", "Case00"), ("a/b/Case00.mhd", "Case00"), ("Case.01.nrrd", "Case.01"), ("Case02", "Case02")]
    + [("CASE03.NII.GZ", "CASE03"), ("Case04.Mha", "Case04")],
)
def test_stems(name, stem):
    assert stem_of(name) == stem


def test_a_name_that_is_not_utf8_cannot_be_written(tmp_path):
    with pytest.raises(InputError, match="its name is not UTF-8"):
        write_volume(tmp_path / os.fsdecode(b"M\xfcller.mha"), make_volume())
    assert not list(tmp_path.iterdir())


def test_an_unknown_suffix_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"a\.png: unknown image type"):
        read_volume(tmp_path / "a.png")
    for name in ("a.mhd", "a.png"):
        with pytest.raises(ValueError, match=r"images are written as one of \.mha, \.nii\.gz, \.nii, \.nrrd"):
            write_volume(tmp_path / name, make_volume())
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", WRITABLE)
def test_nan_and_infinity_are_refused(tmp_path, suffix):
    voxels = make_volume(np.float32).voxels.copy()
    voxels[1, 2, 3], voxels[4, 5, 6] = np.nan, np.inf
    sitk.WriteImage(make_volume().with_voxels(voxels).to_image(), str(tmp_path / f"a{suffix}"), useCompression=True)
    with pytest.raises(InputError, match=rf"a{suffix}: 2 of 315 voxels are NaN or infinite; mend the image"):
        read_volume(tmp_path / f"a{suffix}")


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_colour_images_are_refused(tmp_path, suffix):
    image = sitk.GetImageFromArray(np.zeros((3, 5, 7, 3), np.uint8), isVector=True)
    sitk.WriteImage(image, str(tmp_path / f"a{suffix}"))
    with pytest.raises(InputError, match="3 values a voxel|5-D image") as caught:
        read_volume(tmp_path / f"a{suffix}")
    assert "\n" not in str(caught.value)


def test_an_existing_file_is_replaced_and_a_failed_write_leaves_it(tmp_path, monkeypatch):
    write_volume(tmp_path / "a.mha", make_volume())
    write_volume(tmp_path / "a.mha", make_volume(np.uint8))
    assert read_volume(tmp_path / "a.mha").voxels.dtype == np.uint8

    def fail(*_, **__):
        raise RuntimeError("sitk::ERROR: something\nof several lines")

    monkeypatch.setattr(sitk, "WriteImage", fail)
    with pytest.raises(OSError, match="could not write the image; is the disk full"):
        write_volume(tmp_path / "a.mha", make_volume())
    assert read_volume(tmp_path / "a.mha").voxels.dtype == np.uint8
    assert [path.name for path in tmp_path.iterdir()] == ["a.mha"]


FULL_DISK = """
import resource, sys
from pathlib import Path
import numpy as np
from mindvoxel.volume import WRITABLE, Volume, write_volume

rng = np.random.default_rng(0)
noise = Volume(rng.integers(0, 9999, (20, 50, 50)).astype(np.int16), (3.0, 0.5, 0.5))
zeros = noise.with_voxels(np.zeros((20, 50, 50), np.uint8))  # cut short, it would read back as the same zeros
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
for name, volume in [(f"noise{suffix}", noise) for suffix in WRITABLE] + [("zeros.nii", zeros)]:
    try:
        write_volume(Path(sys.argv[1]) / name, volume)
        print(name, "was written")
    except OSError as error:
        print(name, error.filename.endswith(name), "disk full" in error.strerror)
"""


def test_a_full_disk_is_an_oserror_and_leaves_nothing(tmp_path):
    lines = run_child(FULL_DISK, tmp_path).splitlines()
    assert lines == [f"{name} True True" for name in (*(f"noise{suffix}" for suffix in WRITABLE), "zeros.nii")]
    assert not list(tmp_path.iterdir())


READ_ONLY = """
import os, sys
from pathlib import Path
import numpy as np
from mindvoxel.volume import Volume, write_volume

if os.getuid() == 0:  # root may write anywhere
    try:
        os.setuid(65534)
    except OSError:
        sys.exit(print("no other user"))
try:
    write_volume(Path(sys.argv[1]) / "a.nii.gz", Volume(np.zeros((3, 5, 7), np.uint8), (3.0, 0.5, 0.5)))
except PermissionError as error:
    print(error.filename)
"""


def test_a_read_only_folder_is_a_permission_error_that_names_it(tmp_path):
    folder = tmp_path / "read_only"
    folder.mkdir(mode=0o555)
    output = run_child(READ_ONLY, folder)
    if "no other user" in output:
        pytest.skip("runs as root where no other user can be had: no folder is read-only")
    assert str(folder) in output
    assert not list(folder.iterdir())


def test_a_folder_that_is_not_there_is_an_oserror(tmp_path):
    with pytest.raises(FileNotFoundError):
        write_volume(tmp_path / "none" / "a.mha", make_volume())


def test_volumes_of_a_real_scan_survive(tmp_path, prostate_t2):
    volume = read_volume(prostate_t2 / "img" / "Case00.mhd")
    for suffix in (".mha", ".nii.gz"):
        write_volume(tmp_path / f"a{suffix}", volume)
        assert_same(read_volume(tmp_path / f"a{suffix}"), volume)
    check_same_grid(volume, read_volume(prostate_t2 / "gt" / "Case00_segmentation.mhd"), ("image", "label"))
