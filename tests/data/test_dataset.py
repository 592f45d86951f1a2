"""Images of a case, whatever files hold them, become channels on one 3-D grid; labels become whole numbers."""

import json
import os
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from mindvoxel.data.dataset import Case, image_header, read_image, read_label
from mindvoxel.errors import InputError
from mindvoxel.volume import Volume, write_volume

# Real scans, where they are: see tests/conftest.py
SHARED = Path(os.environ.get("MINDVOXEL_TEST_DATA", Path(__file__).resolve().parents[3] / "shared" / "data"))
SHAPE = (5, 7, 9)
SPACING = (3.0, 0.5, 0.75)
OBLIQUE = (0.8, 0.6, 0.0, -0.6, 0.8, 0.0, 0.0, 0.0, 1.0)
ORIGIN = (10.0, -20.0, 30.5)
RNG = np.random.default_rng(0)
VOXELS = RNG.integers(-99, 999, (3, *SHAPE)).astype(np.int16)
RED = RNG.integers(0, 256, (3, 11, 13)).astype(np.uint8)


def volume(voxels, spacing_mm=SPACING, origin_mm=ORIGIN, direction=OBLIQUE) -> Volume:
    return Volume(voxels, spacing_mm, origin_mm, direction)


def case(*images, label=None) -> Case:
    return Case("a", tuple(images), label)


def picture(path, channels: np.ndarray):
    """Write (C, H, W) values as a picture."""
    vector = channels.shape[0] > 1
    image = sitk.GetImageFromArray(np.moveaxis(channels, 0, -1) if vector else channels[0], isVector=vector)
    sitk.WriteImage(image, str(path))
    return path


def refused(path, *parts, spacing_mm=None, read=read_image) -> None:
    with pytest.raises(InputError) as caught:
        read(case(path, label=path), spacing_mm)
    assert "\n" not in str(caught.value)
    for part in (path.name, *parts):
        assert part in str(caught.value)


def same(found: Volume, voxels, spacing_mm=SPACING, origin_mm=ORIGIN, direction=OBLIQUE) -> None:
    assert np.array_equal(found.voxels, voxels)
    assert found.spacing_mm == pytest.approx(spacing_mm)
    assert found.origin_mm == pytest.approx(origin_mm)
    assert found.direction == pytest.approx(direction, abs=1e-6)


def header_agrees(images: Case, spacing_mm=None) -> Volume:
    """image_header tells what read_image finds."""
    found, header = read_image(images, spacing_mm), image_header(images, spacing_mm)
    assert header.voxels.shape == found.voxels.shape
    assert header.num_channels == found.num_channels == found.voxels.shape[0]
    assert not header.voxels.any()
    assert header.voxels.strides == (0, 0, 0, 0)
    assert (header.spacing_mm, header.origin_mm, header.direction) == (
        found.spacing_mm,
        found.origin_mm,
        found.direction,
    )
    return found


@pytest.mark.parametrize("suffix", [".nii.gz", ".nii", ".nrrd", ".mha"])
def test_a_file_a_channel_and_all_in_one_are_the_same_image(tmp_path, suffix):
    single = []
    for k, voxels in enumerate(VOXELS):
        single.append(tmp_path / f"a_{k}{suffix}")
        write_volume(single[k], volume(voxels))
    write_volume(tmp_path / f"all{suffix}", volume(VOXELS))
    assert sitk.ReadImage(str(tmp_path / f"all{suffix}")).GetSize() == (9, 7, 5, 3)
    for images in (case(*single), case(tmp_path / f"all{suffix}")):
        found = header_agrees(images)
        assert found.voxels.dtype == np.float32
        same(found, VOXELS)
    assert image_header(case(*single)).voxels.dtype == np.int16


def test_several_values_a_voxel_are_channels(tmp_path):
    image = sitk.GetImageFromArray(np.moveaxis(VOXELS, 0, -1), isVector=True)
    image.SetSpacing(SPACING[::-1])
    sitk.WriteImage(image, str(tmp_path / "a.mha"))
    same(header_agrees(case(tmp_path / "a.mha")), VOXELS, SPACING, (0, 0, 0), np.eye(3).ravel())


def test_a_4d_nifti_of_the_decathlon_by_hand(tmp_path):
    """x runs fastest, then y, z and the channel: the file's own order."""
    head = bytearray(352)
    struct.pack_into("<i", head, 0, 348)
    struct.pack_into("<5h", head, 40, 4, 9, 7, 5, 3)
    struct.pack_into("<2h", head, 70, 4, 16)
    struct.pack_into("<5f", head, 76, 1.0, 0.75, 0.5, 3.0, 1.0)
    struct.pack_into("<3f", head, 108, 352.0, 1.0, 0.0)
    head[344:348] = b"n+1\0"
    (tmp_path / "a.nii").write_bytes(bytes(head) + VOXELS.tobytes())
    found = read_image(case(tmp_path / "a.nii"))
    assert np.array_equal(found.voxels, VOXELS)
    assert found.spacing_mm == SPACING
    (tmp_path / "cut.nii").write_bytes(bytes(head) + VOXELS.tobytes()[:-1])
    refused(tmp_path / "cut.nii", "truncated, 2241 bytes where its header asks for 2242")


def test_channels_on_different_grids_are_refused(tmp_path):
    write_volume(tmp_path / "a.mha", volume(VOXELS[0]))
    write_volume(tmp_path / "b.mha", volume(VOXELS[1], origin_mm=(10.0, -20.0, 31.5)))
    write_volume(tmp_path / "c.mha", volume(VOXELS[1, 1:]))
    for read in (read_image, image_header):
        with pytest.raises(InputError, match=r"b\.mha: its grid lies up to 1 mm away from that of .*a\.mha"):
            read(case(tmp_path / "a.mha", tmp_path / "b.mha"))
        with pytest.raises(InputError, match=r"c\.mha: its shape \(z, y, x\) is \(4, 7, 9\)"):
            read(case(tmp_path / "a.mha", tmp_path / "c.mha"))


def test_nan_in_any_channel_and_what_float32_cannot_hold_is_refused(tmp_path):
    voxels = VOXELS.astype(np.float64)
    voxels[2, 1, 1, 1] = np.nan
    for name in ("a.nii.gz", "a.nrrd", "a.mha"):
        sitk.WriteImage(volume(voxels).to_image(), str(tmp_path / name))
        refused(tmp_path / name, "1 of 945 voxels are NaN or infinite")
    voxels[2, 1, 1, 1] = 1e300
    write_volume(tmp_path / "b.nii.gz", volume(voxels))
    refused(tmp_path / "b.nii.gz", "1 of 945 voxels are NaN or infinite")


# Two dimensions


@pytest.mark.parametrize("suffix", [".png", ".tif", ".tiff", ".bmp", ".PNG"])
def test_pictures_are_one_slice_and_colours_are_channels(tmp_path, suffix):
    for count in (1, 3):
        path = picture(tmp_path / f"a{count}{suffix}", RED[:count])
        found = header_agrees(case(path), (1.0, 0.5, 0.25))
        same(found, RED[:count, None], (1.0, 0.5, 0.25), (0, 0, 0), np.eye(3).ravel())


def test_a_jpeg_is_read_and_may_differ_a_little(tmp_path):
    smooth = np.broadcast_to(np.arange(13, dtype=np.uint8) * 10, (3, 11, 13))
    found = header_agrees(case(picture(tmp_path / "a.jpg", smooth)), (1.0, 1.0, 1.0))
    assert np.abs(found.voxels - smooth[:, None]).max() < 10


def test_pictures_know_no_spacing_and_a_2d_image_of_other_types_does(tmp_path):
    refused(picture(tmp_path / "a.png", RED), "knows no spacing; give the spacing_mm")
    image = sitk.GetImageFromArray(RED[0])
    image.SetSpacing((0.25, 0.5))
    image.SetOrigin((3, 4))
    for name in ("a.mha", "a.nrrd", "a.nii.gz"):
        sitk.WriteImage(image, str(tmp_path / name))
        found = header_agrees(case(tmp_path / name), (9.0, 9.0, 9.0))
        same(found, RED[:1, None], (0.5, 0.5, 0.25), (3, 4, 0), np.eye(3).ravel())


def test_a_given_spacing_is_for_files_that_know_none(tmp_path):
    voxels = VOXELS[0].tobytes()
    header = "ObjectType = Image\nNDims = 3\nDimSize = 9 7 5\nElementType = MET_SHORT\nElementDataFile = LOCAL\n"
    (tmp_path / "a.mha").write_bytes(header.encode() + voxels)
    nrrd = "NRRD0004\ntype: short\ndimension: 3\nsizes: 9 7 5\nendian: little\nencoding: raw\n\n"
    (tmp_path / "a.nrrd").write_bytes(nrrd.encode() + voxels)
    write_volume(tmp_path / "a.nii", Volume(VOXELS[0], (1.0, 1.0, 1.0)))
    data = bytearray((tmp_path / "a.nii").read_bytes())
    struct.pack_into("<3f", data, 80, 0, 0, 0)
    (tmp_path / "a.nii").write_bytes(data)
    for name in ("a.mha", "a.nrrd", "a.nii"):
        refused(tmp_path / name, "knows no spacing")
        found = header_agrees(case(tmp_path / name), SPACING)
        assert found.spacing_mm == SPACING
        assert np.array_equal(found.voxels[0], VOXELS[0])
    struct.pack_into("<3f", data, 80, 0.5, -1, 1)
    (tmp_path / "a.nii").write_bytes(data)
    refused(tmp_path / "a.nii", "every axis needs a spacing above 0", spacing_mm=SPACING)


def test_transparency_is_refused_in_words_that_say_what_to_do(tmp_path):
    rgba = RNG.integers(0, 256, (4, 11, 13)).astype(np.uint8)
    for name in ("a.png", "a.tif"):
        path = picture(tmp_path / name, rgba)
        for read in (read_image, image_header, read_label):
            refused(path, "4 values a pixel", "save it as RGB or grey", spacing_mm=SPACING, read=read)
    refused(picture(tmp_path / "b.png", rgba[:2]), "2 values a pixel", spacing_mm=SPACING)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".tif"])
@pytest.mark.parametrize("keep", [0.0, 0.02, 0.3, 0.7, 0.97])
def test_a_picture_cut_anywhere_is_refused(tmp_path, suffix, keep, capfd):
    """SimpleITK fills a cut JPEG with grey, and a cut BMP with what lies in memory."""
    path = picture(tmp_path / f"a{suffix}", np.repeat(np.repeat(RED, 4, 1), 4, 2))
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * keep)])
    refused(path, spacing_mm=SPACING)


def test_a_picture_with_something_behind_its_end_is_whole(tmp_path):
    path = picture(tmp_path / "a.png", RED)
    path.write_bytes(path.read_bytes() + b"what a viewer appended" * 9)
    assert np.array_equal(read_image(case(path), SPACING).voxels[:, 0], RED)


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.bmp", "a.tif", "a.nii.gz", "a.mha", "a.nrrd"])
@pytest.mark.parametrize("content", [b"", b"<html>" * 99, bytes(range(256)) * 9], ids=["empty", "html", "binary"])
def test_what_is_no_image_is_refused(tmp_path, name, content, capfd):
    (tmp_path / name).write_bytes(content)
    for read in (read_image, image_header, read_label):
        refused(tmp_path / name, spacing_mm=SPACING, read=read)


def test_other_files_are_refused(tmp_path):
    (tmp_path / "a.txt").touch()
    refused(tmp_path / "a.txt", "unknown image type; one of .mhd")
    for name in ("b.png", "b.jpg", "b.bmp", "b.tif", "b.nii.gz", "b.mha", "b.nrrd"):
        refused(tmp_path / name, "no such file", spacing_mm=SPACING)
    sitk.WriteImage(sitk.Image([4, 3, 2], sitk.sitkComplexFloat32), str(tmp_path / "d.nii.gz"))
    refused(tmp_path / "d.nii.gz", "complex values; save their magnitude")
    sitk.WriteImage(sitk.Image([4, 3, 2, 2], sitk.sitkVectorUInt8, 2), str(tmp_path / "c.mha"))
    refused(tmp_path / "c.mha", "4-D image of size 4×3×2×2 with 2 values a voxel")


# Labels


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int16, np.uint16, np.int32, np.float32, np.float64])
def test_whole_numbers_of_any_type_are_labels(tmp_path, dtype):
    values = RNG.integers(0, 5, SHAPE).astype(dtype)
    write_volume(tmp_path / "a.nii.gz", volume(values))
    found = read_label(case(label=tmp_path / "a.nii.gz"))
    assert found.voxels.dtype == np.int16
    same(found, values)


def test_float_labels_that_are_not_whole_are_refused_with_their_values(tmp_path):
    values = RNG.integers(0, 3, SHAPE).astype(np.float32)
    values[1, 2, 3] += np.float32(1e-5)  # what rounding leaves
    write_volume(tmp_path / "a.nii.gz", volume(values))
    assert read_label(case(label=tmp_path / "a.nii.gz")).voxels[1, 2, 3] == round(values[1, 2, 3])
    values[0, 0, :2] = (0.5, 1.25)
    write_volume(tmp_path / "b.nii.gz", volume(values))
    refused(tmp_path / "b.nii.gz", "2 of 315 label voxels are no whole number (0.5, 1.25)", read=read_label)


@pytest.mark.parametrize("value", [-32769, 32768, 70000])
def test_label_values_out_of_range_are_refused(tmp_path, value):
    values = np.zeros(SHAPE, np.int32)
    values[0, 0, 0] = value
    write_volume(tmp_path / "a.nii.gz", volume(values))
    refused(tmp_path / "a.nii.gz", str(value), "-32768 to 32767 is needed", read=read_label)


def test_the_ends_of_the_range_are_labels(tmp_path):
    values = np.zeros(SHAPE, np.int32)
    values[0, 0, :2] = (-32768, 32767)
    write_volume(tmp_path / "a.nii.gz", volume(values))
    assert np.array_equal(read_label(case(label=tmp_path / "a.nii.gz")).voxels, values)


def test_a_label_of_several_channels_is_refused_and_a_grey_picture_is_one(tmp_path):
    refused(
        picture(tmp_path / "a.png", RED),
        "3 values a voxel in a label",
        "colour table",
        spacing_mm=SPACING,
        read=read_label,
    )
    for name in ("b.png", "b.bmp"):  # SimpleITK takes a grey BMP for a coloured one
        path = picture(tmp_path / name, RED[:1])
        same(read_label(case(label=path), SPACING), RED[:1], SPACING, (0, 0, 0), np.eye(3).ravel())


# Real files

READ_EACH = """
import json, sys
from pathlib import Path
from mindvoxel.data.dataset import Case, image_header, read_image, read_label
from mindvoxel.errors import InputError

for path in sorted(Path(sys.argv[1]).iterdir()):
    for read in (image_header, read_image, read_label):
        try:
            found = list(read(Case("a", (path,), path)).voxels.shape)
        except InputError as error:
            found = str(error)
        print(json.dumps([path.name, read.__name__, found]), flush=True)
"""


@pytest.mark.skipif(not (SHARED / "edge").is_dir(), reason=f"needs the odd files in {SHARED / 'edge'}")
def test_every_real_odd_file_is_read_or_refused_in_one_sentence():
    command = [sys.executable, "-c", READ_EACH, str(SHARED / "edge")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    found = {(name, read): what for name, read, what in map(json.loads, done.stdout.splitlines())}
    assert len(found) == 3 * len(list((SHARED / "edge").iterdir()))
    for (name, _), what in found.items():
        assert isinstance(what, list) or (name in what and "\n" not in what)
    images = {name: what for (name, read), what in found.items() if read == "read_image"}
    assert images["example4d.nii.gz"] == [2, 24, 96, 128]
    assert images["functional.nii"] == [20, 3, 21, 17]
    assert images["BrainProtonDensitySliceBorder20.mhd"] == [1, 1, 257, 221]
    assert "5-D image" in images["5D_small.nii"]
    assert "knows no spacing" in images["mask_fixed.mhd"]


@pytest.mark.skipif(not (SHARED / "Task04_Hippocampus").is_dir(), reason=f"needs Task04_Hippocampus in {SHARED}")
def test_a_hippocampus_label_stored_as_float32():
    path = SHARED / "Task04_Hippocampus" / "labelsTr" / "hippocampus_003.nii.gz"
    assert sitk.ReadImage(str(path)).GetPixelID() == sitk.sitkFloat32
    assert np.unique(read_label(case(label=path)).voxels).tolist() == [0, 1, 2]
