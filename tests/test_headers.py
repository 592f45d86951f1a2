"""Files that SimpleITK would misread, abort on, or report badly: each is one InputError sentence that names it."""

import gzip
import json
import os
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from mindvoxel.errors import InputError
from mindvoxel.headers import check_header
from mindvoxel.volume import Volume, read_volume

SHARED = os.environ.get("MINDVOXEL_TEST_DATA", Path(__file__).parents[2] / "shared" / "data")
EDGE = Path(SHARED) / "edge"
SHAPE = (5, 7, 9)
VOXELS = np.random.default_rng(0).integers(0, 999, SHAPE).astype(np.int16)
META = "NDims = 3\nDimSize = 9 7 5\nElementSpacing = 0.7 0.5 3\nElementType = MET_SHORT\nElementDataFile = a.raw\n"


def refused(path: Path, *parts: str, read=read_volume) -> None:
    """`path` is refused in one line that names it and has all `parts`."""
    with pytest.raises(InputError) as caught:
        read(path)
    message = str(caught.value)
    assert "\n" not in message
    for part in (path.name.partition(".")[0], *parts):
        assert part in message


def nifti(dims=(3, 9, 7, 5), spacing=(0.7, 0.5, 3.0), code=4, bits=16, voxels=VOXELS, order="<", size=348) -> bytes:
    """A NIfTI-1 file by hand: the fields that a reader needs, at their published offsets."""
    head = bytearray(352)
    struct.pack_into(order + "i", head, 0, size)
    struct.pack_into(f"{order}{len(dims)}h", head, 40, *dims)
    struct.pack_into(order + "2h", head, 70, code, bits)
    struct.pack_into(order + "4f", head, 76, 1.0, *spacing)
    struct.pack_into(order + "f", head, 108, 352.0)
    struct.pack_into(order + "2f", head, 112, 1.0, 0.0)
    head[344:348] = b"n+1\0"
    return bytes(head) + voxels.astype(voxels.dtype.newbyteorder(order)).tobytes()


def with_sform(value: float) -> bytes:
    """A NIfTI whose sform, the scanner's own, holds `value`."""
    data = bytearray(nifti())
    struct.pack_into("<h", data, 254, 1)
    struct.pack_into("<12f", data, 280, -0.7, 0, 0, 1, 0, -0.5, value, 2, 0, 0, 3, 5)
    return bytes(data)


def meta_pair(folder: Path, header: str = META, voxels: bytes = VOXELS.tobytes()) -> Path:
    (folder / "a.mhd").write_text(header)
    (folder / "a.raw").write_bytes(voxels)
    return folder / "a.mhd"


def itk_file(path: Path, compressed: bool = True) -> Path:
    sitk.WriteImage(Volume(VOXELS, (3.0, 0.5, 0.7)).to_image(), str(path), useCompression=compressed)
    return path


def cut(path: Path, keep: float) -> Path:
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep)])
    return path


@pytest.mark.parametrize("order", ["<", ">"], ids=["little-endian", "big-endian"])
@pytest.mark.parametrize("dims", [(3, 9, 7, 5), (4, 9, 7, 5, 1)], ids=["3-D", "4-D of one volume"])
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_a_nifti_by_hand_is_read(tmp_path, order, dims, suffix):
    data = nifti(dims, order=order)
    path = tmp_path / f"a{suffix}"
    path.write_bytes(gzip.compress(data) if suffix.endswith("gz") else data)
    volume = read_volume(path)
    assert np.array_equal(volume.voxels, VOXELS)
    assert volume.spacing_mm == pytest.approx((3.0, 0.5, 0.7))


@pytest.mark.parametrize(
    ("dims", "shape"),
    [
        ((5, 1, 2, 3, 1, 3), "5-D image (1×2×3×1×3)"),
        ((4, 9, 7, 5, 2), "4-D image (9×7×5×2)"),
        ((2, 9, 7), "2-D"),
        ((7, 1, 1, 1, 1, 1, 1, 1), "7-D"),
        ((-3, 9, 7, 5), "-3-D"),
        ((3, 9, 0, 5), "damaged header"),
        ((3, 9, -7, 5), "damaged header"),
    ],
)
def test_a_nifti_that_is_not_three_dimensional_is_refused(tmp_path, dims, shape):
    (tmp_path / "a.nii").write_bytes(nifti(dims))
    refused(tmp_path / "a.nii", shape, read=check_header)  # SimpleITK would end the whole process on some of these


@pytest.mark.parametrize("wrong", [0.0, float("nan"), -0.5, float("inf")])
def test_a_nifti_without_a_spacing_above_zero_is_refused(tmp_path, wrong):
    (tmp_path / "a.nii").write_bytes(nifti(spacing=(0.7, wrong, 3.0)))
    refused(tmp_path / "a.nii", "every axis needs a spacing above 0")


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(("code", "dtype"), [(16, np.float32), (64, np.float64)])
def test_nan_in_a_nifti_is_seen_though_itk_reads_zero(tmp_path, order, code, dtype):
    voxels = VOXELS.astype(dtype)
    voxels[2, 3, 4] = np.nan
    (tmp_path / "a.nii.gz").write_bytes(
        gzip.compress(nifti(code=code, bits=dtype().itemsize * 8, voxels=voxels, order=order))
    )
    refused(tmp_path / "a.nii.gz", "1 of 315 voxels are NaN or infinite")


def test_nifti_2_is_named_as_such(tmp_path):
    (tmp_path / "a.nii").write_bytes(nifti(size=540))
    refused(tmp_path / "a.nii", "NIfTI-2", "convert it")


@pytest.mark.parametrize("content", [b"", b"abc", b"<html>" * 200], ids=["empty", "short", "html"])
def test_what_is_not_nifti_is_refused(tmp_path, content):
    (tmp_path / "a.nii").write_bytes(content)
    refused(tmp_path / "a.nii", "not a NIfTI file")
    (tmp_path / "b.nii.gz").write_bytes(gzip.compress(content))
    refused(tmp_path / "b.nii.gz", "not a NIfTI file")
    if content:
        (tmp_path / "c.nii.gz").write_bytes(content)
        refused(tmp_path / "c.nii.gz", "not a readable gzip file")


def test_a_nifti_header_of_nonsense_is_refused(tmp_path):
    data = bytearray(nifti())
    for offset in (float("nan"), -8.0, 1e30):
        struct.pack_into("<f", data, 108, offset)
        (tmp_path / "a.nii").write_bytes(data)
        refused(tmp_path / "a.nii", "damaged header")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_sform_that_is_not_finite_is_refused(tmp_path, value):
    """SimpleITK may look for its axes for ever."""
    (tmp_path / "a.nii").write_bytes(with_sform(value))
    refused(tmp_path / "a.nii", "its sform holds NaN or infinity", read=check_header)
    (tmp_path / "b.nii").write_bytes(with_sform(0))
    read_volume(tmp_path / "b.nii")


def test_a_nifti_is_measured_by_its_type_as_its_reader_does(tmp_path):
    """ITK goes by the type and not by the bits: it would read past the end, and says nothing."""
    (tmp_path / "a.nii").write_bytes(nifti(code=8, bits=16))
    refused(tmp_path / "a.nii", "truncated, 982 bytes where its header asks for 1612")
    (tmp_path / "b.nii").write_bytes(nifti(code=4, bits=99))
    assert np.array_equal(read_volume(tmp_path / "b.nii").voxels, VOXELS)
    (tmp_path / "c.nii").write_bytes(nifti(code=5))
    refused(tmp_path / "c.nii", "damaged header", "voxels of type 5")


@pytest.mark.parametrize("member", [1, 3, 351, 353, 1001])
def test_floats_are_looked_at_whatever_the_pieces_they_come_in(tmp_path, member):
    """Gzip members of a few bytes, and two megabytes of something behind the voxels, which is not theirs."""
    voxels = VOXELS.astype(np.float32)
    data = nifti(code=16, bits=32, voxels=voxels) + np.full(1 << 19, np.nan, np.float32).tobytes()
    pieces = [data[i : i + member] for i in range(0, 1612, member)] + [data[-(-1612 // member) * member :]]
    (tmp_path / "a.nii.gz").write_bytes(b"".join(map(gzip.compress, pieces)))
    assert np.array_equal(read_volume(tmp_path / "a.nii.gz").voxels, voxels)
    voxels[-1, -1, -1] = np.inf
    voxels[0, 0, 0] = np.nan
    data = nifti(code=16, bits=32, voxels=voxels)
    (tmp_path / "b.nii.gz").write_bytes(
        b"".join(gzip.compress(data[i : i + member]) for i in range(0, len(data), member))
    )
    refused(tmp_path / "b.nii.gz", "2 of 315 voxels are NaN or infinite")


@pytest.mark.parametrize("missing", [1, 300])
def test_a_truncated_nifti_is_refused(tmp_path, missing):
    (tmp_path / "a.nii").write_bytes(nifti()[:-missing])
    refused(tmp_path / "a.nii", f"truncated, {982 - missing} bytes where its header asks for 982")
    (tmp_path / "b.nii.gz").write_bytes(gzip.compress(nifti()[:-missing]))  # a whole gzip file of too little
    refused(tmp_path / "b.nii.gz", f"truncated, {982 - missing} bytes where its header asks for 982")


@pytest.mark.parametrize("name", ["a.nii.gz", "a.mha", "a.nrrd"])
@pytest.mark.parametrize("keep", [0.02, 0.3, 0.6, 0.9, 0.999])
def test_a_compressed_file_cut_anywhere_is_refused(tmp_path, name, keep):
    refused(cut(itk_file(tmp_path / name), keep))


@pytest.mark.parametrize("name", ["a.nii", "a.mha", "a.nrrd"])
@pytest.mark.parametrize("keep", [0.0, 0.02, 0.6, 0.999])
def test_an_uncompressed_file_cut_anywhere_is_refused(tmp_path, name, keep):
    refused(cut(itk_file(tmp_path / name, compressed=False), keep))


def test_a_suffix_in_capitals_is_looked_at_as_well(tmp_path):
    (tmp_path / "a.NII").write_bytes(nifti(dims=(5, 3, 3, 5, 7, 1)))  # SimpleITK ends the process on it
    refused(tmp_path / "a.NII", "5-D image", read=check_header)
    voxels = VOXELS.astype(np.float32)
    voxels[2, 3, 4] = np.nan
    (tmp_path / "b.NII.GZ").write_bytes(gzip.compress(nifti(code=16, bits=32, voxels=voxels)))
    refused(tmp_path / "b.NII.GZ", "1 of 315 voxels are NaN", read=check_header)
    for name in ("c.mha", "c.nrrd"):
        path = cut(itk_file(tmp_path / name), 0.9)
        refused(path.rename(path.with_suffix(path.suffix.upper())), read=check_header)


def test_a_name_that_is_not_utf8_is_refused(tmp_path):
    """SimpleITK ends the process on it."""
    path = tmp_path / os.fsdecode(b"M\xfcller.nii")
    path.write_bytes(nifti())
    with pytest.raises(InputError, match=r"M\\udcfcller\.nii': its name is not UTF-8, .* rename it"):
        read_volume(path)


@pytest.mark.parametrize("name", ["a.nii.gz", "a.mha", "a.nrrd", "a.zraw"])
@pytest.mark.parametrize("where", [0.7, 0.9])
def test_damaged_compressed_voxels_are_refused(tmp_path, name, where):
    """SimpleITK reads most of these without a word, and with whatever was in memory for the rest."""
    path = tmp_path / name
    opened = itk_file(path.with_suffix(".mhd") if path.suffix == ".zraw" else path)
    data = bytearray(path.read_bytes())
    data[int(len(data) * where)] ^= 0x55
    path.write_bytes(data)
    refused(opened, "damaged, its compressed voxels do not unpack")


def test_a_gzip_file_of_several_members_is_read(tmp_path):
    data = nifti()
    (tmp_path / "a.nii.gz").write_bytes(b"".join(gzip.compress(data[i : i + 100]) for i in range(0, len(data), 100)))
    assert np.array_equal(read_volume(tmp_path / "a.nii.gz").voxels, VOXELS)


def test_a_metaimage_by_hand_is_read(tmp_path):
    volume = read_volume(meta_pair(tmp_path))
    assert np.array_equal(volume.voxels, VOXELS)
    assert volume.spacing_mm == (3.0, 0.5, 0.7)


def test_a_missing_file_is_refused(tmp_path):
    for name in ("a.mhd", "a.nii.gz", "a.nrrd"):
        refused(tmp_path / name, "no such file")


def test_a_missing_raw_is_refused_by_its_name(tmp_path):
    path = meta_pair(tmp_path)
    (tmp_path / "a.raw").unlink()
    refused(path, "a.raw, which is not there", "copy both files together")


def test_a_truncated_raw_is_refused_by_its_name(tmp_path):
    refused(
        meta_pair(tmp_path, voxels=VOXELS.tobytes()[:-1]), "a.raw: truncated, 629 bytes where its header asks for 630"
    )


@pytest.mark.parametrize("with_size", [True, False], ids=["with size", "without size"])
def test_a_truncated_zraw_is_refused_by_its_name(tmp_path, with_size):
    path = itk_file(tmp_path / "a.mhd")
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(line for line in lines if with_size or not line.startswith("CompressedDataSize")))
    assert np.array_equal(read_volume(path).voxels, VOXELS)
    cut(tmp_path / "a.zraw", 0.5)
    refused(path, "a.zraw: truncated")


@pytest.mark.parametrize(
    ("name", "new"), [("a.mha", ""), ("a.mha", "CompressedDataSize = 20\n"), ("a.mhd", "CompressedDataSize = 20\n")]
)
def test_a_compressed_size_that_is_missing_or_wrong_is_refused(tmp_path, name, new):
    path = itk_file(tmp_path / name)
    head, mark, voxels = path.read_bytes().partition(b"CompressedDataSize = ")
    assert mark
    path.write_bytes(head + new.encode() + voxels.partition(b"\n")[2])
    stated = 20 if new else 0
    refused(path, "damaged, its compressed voxels take", f"CompressedDataSize is {stated}; write it anew")


@pytest.mark.parametrize("word", ["T", "1", "true"])
def test_a_compressed_file_says_so_in_several_ways(tmp_path, word):
    path = itk_file(tmp_path / "a.mha")
    assert b"CompressedData = True" in path.read_bytes()
    path.write_bytes(path.read_bytes().replace(b"CompressedData = True", b"CompressedData = " + word.encode()))
    assert np.array_equal(read_volume(path).voxels, VOXELS)


def test_a_nifti_beside_its_gzipped_name_is_told_from_it(tmp_path):
    path = itk_file(tmp_path / "a.nii.gz")
    other = sitk.GetImageFromArray(VOXELS + 1)
    sitk.WriteImage(other, str(tmp_path / "a.nii"))  # SimpleITK would read this one by either name
    refused(path, "a.nii.gz: a.nii lies beside it", "move one of them away")
    assert np.array_equal(read_volume(tmp_path / "a.nii").voxels, VOXELS + 1)


def test_a_zraw_of_too_few_voxels_is_refused(tmp_path):
    path = itk_file(tmp_path / "a.mhd")
    path.write_text(path.read_text().replace("DimSize = 9 7 5", "DimSize = 9 7 6"))
    refused(path, "a.zraw: truncated, 630 bytes where its header asks for 756")


@pytest.mark.parametrize(
    ("old", "new", "part"),
    [
        ("0.7 0.5 3", "0.7 0 3", "every axis needs a spacing above 0"),
        ("0.7 0.5 3", "0.7 -0.5 3", "every axis needs a spacing above 0"),
        ("0.7 0.5 3", "nan 0.5 3", "spacing nan 0.5 3 mm in (x, y, z); every axis needs a spacing above 0"),
        ("0.7 0.5 3", "0.7 inf 3", "every axis needs a spacing above 0"),
        ("0.7 0.5 3", "0.7 x 3", "every axis needs a spacing above 0"),
        ("0.7 0.5 3", "0.7 0.5", "spacing 0.7 0.5 for 3 axes"),
        ("9 7 5", "9 7 x", "DimSize = 9 7 x"),
        ("9 7 5", "9 7 0", "DimSize = 9 7 0"),
        ("9 7 5", "9 7 -5", "DimSize = 9 7 -5"),
        ("9 7 5", "63 5", "DimSize = 63 5 with NDims = 3"),
        ("NDims = 3\nDimSize = 9 7 5", "NDims = 4\nDimSize = 9 7 5 1", "for 4 axes"),
        ("DimSize", "Nonsense", "not a MetaImage header"),
        ("ElementDataFile = a.raw\n", "", "not a MetaImage header"),
        ("MET_SHORT", "MET_NONSENSE", "a.mhd"),
    ],
)
def test_a_metaimage_header_of_nonsense_is_refused(tmp_path, old, new, part):
    assert old in META
    refused(meta_pair(tmp_path, META.replace(old, new)), part)


@pytest.mark.parametrize(
    ("ndims", "size", "spacing"), [(2, "63 5", "1 1"), (4, "9 7 1 5", "1 1 1 1")], ids=["2-D", "4-D"]
)
def test_a_metaimage_that_is_not_three_dimensional_is_refused(tmp_path, ndims, size, spacing):
    header = META.replace("NDims = 3", f"NDims = {ndims}").replace("9 7 5", size).replace("0.7 0.5 3", spacing)
    refused(meta_pair(tmp_path, header), f"{ndims}-D image", "3-D image is needed")


def test_an_empty_or_binary_metaimage_is_refused(tmp_path):
    for content in (b"", bytes(range(256)) * 4):
        (tmp_path / "a.mha").write_bytes(content)
        refused(tmp_path / "a.mha", "not a MetaImage header")


READ_EACH = """
import json, sys
from pathlib import Path
from mindvoxel.errors import InputError
from mindvoxel.volume import read_volume

for path in sorted(Path(sys.argv[1]).iterdir()):
    try:
        print(json.dumps([path.name, "read", list(read_volume(path).voxels.shape)]), flush=True)
    except InputError as error:
        print(json.dumps([path.name, "refused", str(error)]), flush=True)
"""


@pytest.mark.skipif(not EDGE.is_dir(), reason=f"needs the odd files in {EDGE}")
def test_every_real_odd_file_is_read_or_refused_in_one_sentence():
    """In a process of its own: one of the files would end it, were it to reach SimpleITK."""
    command = [sys.executable, "-c", READ_EACH, str(EDGE)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    results = [json.loads(line) for line in done.stdout.splitlines()]
    assert [name for name, _, _ in results] == sorted(path.name for path in EDGE.iterdir())
    for name, outcome, what in results:
        if outcome == "refused":
            assert name in what
            assert "\n" not in what
        else:
            assert len(what) == 3
    outcomes = {name: what for name, _, what in results}
    assert outcomes["BallBinary30x30x30.nrrd"] == [30, 30, 30]
    assert outcomes["aniso_vox.nii.gz"] == [24, 58, 58]
    for name, part in {
        "5D_small.nii": "5-D image",
        "example4d.nii.gz": "4-D image",
        "example_nifti2.nii.gz": "NIfTI-2",
        "not-nifti.nii": "not a NIfTI file",
        "mask_fixed.mhd": "2-D image",
        "S0_10slices.nii.gz": "orthonormal",
    }.items():
        assert part in outcomes[name]


def test_metaimage_without_spacing(tmp_path):
    path = tmp_path / "a.mha"
    path.write_bytes(
        b"ObjectType = Image\nNDims = 3\nDimSize = 2 2 2\nElementType = MET_UCHAR\nElementDataFile = LOCAL\n"
        + b"\1" * 8
    )
    with pytest.raises(InputError, match="no ElementSpacing"):
        read_volume(path)


@pytest.mark.parametrize("line", [b"", b"spacings: NaN NaN nan\n"])  # teem's word for not known
def test_nrrd_without_spacing(tmp_path, line):
    path = tmp_path / "a.nrrd"
    path.write_bytes(b"NRRD0004\ntype: uchar\ndimension: 3\nsizes: 2 2 2\n" + line + b"encoding: raw\n\n" + b"\1" * 8)
    with pytest.raises(InputError, match="no spacings"):
        read_volume(path)
