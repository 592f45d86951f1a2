"""Looks at an image file before SimpleITK opens it.

SimpleITK 2.5 reads a truncated NIfTI or a damaged compressed file without a word, turns the NaN of a NIfTI file into
0, reports a truncated MetaImage as "No such file", takes a spacing that is no number for 1 mm, and ends the whole
process on a NIfTI file of five dimensions or a name that is not UTF-8. So the few fields that decide, and the
checksums, are looked at here first.
"""

import gzip
import struct
import zlib
from collections.abc import Iterable, Iterator
from math import inf, isfinite, prod
from pathlib import Path

import numpy as np

from mindvoxel.errors import InputError

_META_BYTES = {"CHAR": 1, "UCHAR": 1, "SHORT": 2, "USHORT": 2, "INT": 4, "UINT": 4, "LONG": 4, "ULONG": 4}
_META_BYTES |= {"FLOAT": 4, "DOUBLE": 8, "LONG_LONG": 8, "ULONG_LONG": 8}

# NIfTI-1's datatype codes and their bits a voxel; readers go by the code and not by the header's own bitpix.
_NIFTI_BITS = {2: 8, 4: 16, 8: 32, 16: 32, 32: 64, 64: 64, 128: 24, 256: 8, 512: 16, 768: 32, 1024: 64, 1280: 64}
_NIFTI_BITS |= {1792: 128, 2304: 32}
_NIFTI_FLOATS = {16: "f4", 64: "f8"}


def require_utf8(path: Path) -> None:
    """Raise InputError where the path holds bytes that are no UTF-8, as an archive of another system leaves them."""
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        raise InputError(f"{str(path)!a}: its name is not UTF-8, which SimpleITK needs; rename it") from error


def check_header(path: Path, dims: tuple[int, ...] = (3,), needs_spacing: bool = True, voxels: bool = True) -> bool:
    """Whether the file at `path` knows its spacing; raises InputError where SimpleITK cannot take it.

    That is where it is missing, truncated, damaged, or its image does not have one of `dims` axes. Without
    `needs_spacing`, a file that knows none is fine; without `voxels`, compressed voxels are not unpacked to look at
    them.
    """
    require_utf8(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    name = path.name.lower()
    if name.endswith((".nii", ".nii.gz")):
        return _check_nifti(path, dims, needs_spacing, voxels)
    if name.endswith((".mhd", ".mha")):
        return _check_meta(path, needs_spacing, voxels)
    if name.endswith(".nrrd"):
        return _check_nrrd(path, needs_spacing, voxels)
    return True


def _check_nifti(path: Path, wanted: tuple[int, ...], needs_spacing: bool, voxels: bool) -> bool:
    if _gzipped(path) and path.with_suffix("").is_file():
        raise InputError(
            f"{path}: {path.stem} lies beside it, whose voxels SimpleITK would read in its place; move one of them away"
        )
    head, order = _nifti_head(path)
    dims = struct.unpack(order + "8h", head[40:56])
    num_dims = 3 if dims[:1] + dims[4:5] == (4, 1) else dims[0]  # a fourth axis of one volume is dropped by ITK
    if num_dims not in wanted:
        shape = "×".join(map(str, dims[1 : 1 + max(0, min(dims[0], 7))]))
        needed = "a 3-D image is needed, split it into one file a volume" if wanted == (3,) else _wanted(wanted)
        raise InputError(f"{path}: {dims[0]}-D image ({shape}); {needed}")
    size = dims[1 : 1 + num_dims]
    spacing = struct.unpack(order + "3f", head[80:92])[: min(num_dims, 3)]
    known = all(0 < s < inf for s in spacing)
    if not all(0 < s < inf or (s == 0 and not needs_spacing) for s in spacing):
        raise InputError(f"{path}: spacing {spacing} mm in (x, y, z); every axis needs a spacing above 0")
    _check_sform(path, head, order)
    (code,) = struct.unpack(order + "h", head[70:72])
    bits = _NIFTI_BITS.get(code, 0)
    (offset,) = struct.unpack(order + "f", head[108:112])
    if not 0 <= offset < 2**31 or not all(n > 0 for n in size) or bits <= 0:
        raise InputError(
            f"{path}: damaged header: size {size}, voxels of type {code} ({bits} bits) at byte {offset}; copy it again"
        )
    needed = int(offset) + prod(size) * bits // 8
    compressed, found, bad = _gzipped(path), needed, 0
    if voxels and code in _NIFTI_FLOATS:  # ITK would turn NaN into 0
        chunks = _inflated(path) if compressed else _raw(path)
        found, bad = _count_floats(chunks, int(offset), prod(size), np.dtype(order + _NIFTI_FLOATS[code]))
    elif compressed:
        found = sum(map(len, _inflated(path))) if voxels else needed
    else:
        found = path.stat().st_size
    _require_bytes(path, found, needed)
    _refuse_infinite(path, bad, prod(size))
    return known


def _check_sform(path: Path, head: bytes, order: str) -> None:
    """SimpleITK may look for its axes for ever."""
    (code,) = struct.unpack(order + "h", head[254:256])
    if code > 0 and not all(map(isfinite, struct.unpack(order + "12f", head[280:328]))):
        raise InputError(f"{path}: damaged header: its sform holds NaN or infinity; write it anew")


def _gzipped(path: Path) -> bool:
    return path.name.lower().endswith(".gz")


def _wanted(dims: tuple[int, ...]) -> str:
    *first, last = sorted(dims)
    return f"an image of {', '.join(map(str, first))} or {last} dimensions is needed"


def _nifti_head(path: Path) -> tuple[bytes, str]:
    """The first 352 bytes, and their byte order."""
    try:
        with gzip.open(path) if _gzipped(path) else path.open("rb") as file:
            head = file.read(352)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: not a readable gzip file ({error}); write it anew") from error
    order = next((o for o in "<>" if len(head) >= 348 and struct.unpack(o + "i", head[:4])[0] in (348, 540)), None)
    if order is None:
        raise InputError(f"{path}: not a NIfTI file (its header does not start with the size 348); convert it")
    if struct.unpack(order + "i", head[:4])[0] == 540:
        raise InputError(f"{path}: NIfTI-2, which SimpleITK does not read; convert it to NIfTI-1, NRRD or MetaImage")
    return head, order


def _count_floats(chunks: Iterable[bytes], offset: int, count: int, dtype: np.dtype) -> tuple[int, int]:
    """Bytes in all `chunks`, and how many of the `count` numbers from byte `offset` on are NaN or infinite."""
    found, bad, rest = 0, 0, b""
    end = offset + count * dtype.itemsize
    for chunk in chunks:
        part = rest + chunk[max(offset - found, 0) : max(end - found, 0)]
        whole = len(part) // dtype.itemsize
        if whole:
            bad += whole - int(np.isfinite(np.frombuffer(part, dtype, whole)).sum())
        rest = part[whole * dtype.itemsize :]
        found += len(chunk)
    return found, bad


def _raw(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            yield chunk


def require_finite(path: Path, voxels: np.ndarray) -> None:
    """Raise InputError where `voxels` of the file at `path` hold NaN or infinity."""
    bad = voxels.size - int(np.isfinite(voxels).sum()) if voxels.dtype.kind == "f" else 0
    _refuse_infinite(path, bad, voxels.size)


def _refuse_infinite(path: Path, bad: int, count: int) -> None:
    if bad:
        raise InputError(f"{path}: {bad} of {count} voxels are NaN or infinite; mend the image")


def _inflated(path: Path, start: int = 0) -> Iterator[bytes]:
    """What the gzip or zlib stream at `start` unpacks to. Raises InputError where it is damaged or cut short.

    Worth the time, about 3 s a gigabyte: ITK fills what it cannot unpack with whatever was in memory, and goes on.
    """
    count, unpack = 0, zlib.decompressobj(wbits=47)  # 47: gzip and zlib both
    try:
        with path.open("rb") as file:
            file.seek(start)
            while chunk := file.read(1 << 16):
                part = unpack.decompress(chunk)
                while unpack.eof and unpack.unused_data[:2] == b"\x1f\x8b":  # the next member, as bgzip writes them
                    chunk, unpack = unpack.unused_data, zlib.decompressobj(wbits=47)
                    part += unpack.decompress(chunk)
                count += len(part)
                yield part
    except zlib.error as error:
        raise InputError(f"{path}: damaged, its compressed voxels do not unpack ({error}); copy it again") from error
    if not unpack.eof:
        raise InputError(f"{path}: truncated, its compressed voxels end after {count} bytes unpacked; copy it again")


def _check_meta(path: Path, needs_spacing: bool, voxels: bool) -> bool:
    fields, header_bytes = _meta_fields(path)
    data_file = fields.get("ElementDataFile")
    if data_file is None or "DimSize" not in fields:
        raise InputError(f"{path}: not a MetaImage header (no DimSize or ElementDataFile); write it anew")
    if data_file.startswith("LIST") or "%" in data_file:
        return _meta_spacing(fields) is not None  # one file a slice: ITK checks these itself
    local = data_file.upper() == "LOCAL"
    data_path = path if local else path.parent / data_file
    if not data_path.is_file():
        raise InputError(f"{path}: its voxels should lie in {data_path}, which is not there; copy both files together")
    size = _META_BYTES.get(fields.get("ElementType", "").removeprefix("MET_").removesuffix("_ARRAY"))
    if size is None:
        found = fields.get("ElementType", "nothing")
        raise InputError(f"{path}: {found} as ElementType; one of MET_SHORT, MET_FLOAT and so on is needed")
    channels = fields.get("ElementNumberOfChannels", "1")
    needed = prod(_meta_size(path, fields, needs_spacing)) * size * (int(channels) if channels.isdecimal() else 1)
    skipped = fields.get("HeaderSize", "0")  # bytes before the voxels of a raw file; -1: the voxels end the file
    start = header_bytes if local else int(skipped) if skipped.isdecimal() else 0
    compressed = fields.get("CompressedData", "False").startswith(("T", "t", "1"))  # as ITK reads it
    found = data_path.stat().st_size - start
    if not compressed:
        _require_bytes(data_path, found, needed)
        return _meta_spacing(fields) is not None
    _check_compressed_size(data_path, fields.get("CompressedDataSize"), found, local)
    if voxels:
        _require_bytes(data_path, sum(map(len, _inflated(data_path, start))), needed)
    return _meta_spacing(fields) is not None


def _check_compressed_size(path: Path, stated: str | None, found: int, local: bool) -> None:
    """ITK unpacks as many bytes as the header states, and leaves the rest of the voxels as memory was; of a file of
    voxels alone it takes all where nothing is stated."""
    if stated is None and not local:
        return
    number = int(stated) if (stated or "").isdecimal() else 0
    if number > found:
        _require_bytes(path, found, number)
    if number < found:
        raise InputError(
            f"{path}: damaged, its compressed voxels take {found} bytes, and CompressedDataSize is {number}; write it "
            "anew"
        )


def _meta_spacing(fields: dict[str, str]) -> str | None:
    return fields.get("ElementSpacing", fields.get("ElementSize"))


def _meta_size(path: Path, fields: dict[str, str], needs_spacing: bool) -> list[int]:
    """DimSize, one whole number above 0 for each of NDims axes; the spacing must have as many values."""
    size, spacing = fields["DimSize"].split(), _meta_spacing(fields)
    num_dims = fields.get("NDims", "")
    if not all(n.isdecimal() and int(n) > 0 for n in size) or num_dims != str(len(size)):
        raise InputError(
            f"{path}: DimSize = {fields['DimSize']} with NDims = {num_dims}; a size above 0 is needed an axis"
        )
    if spacing is None and needs_spacing and len(size) == 3:
        raise InputError(f"{path}: no ElementSpacing; the distance of voxels in mm is needed along every axis")
    if spacing is not None and len(spacing.split()) != len(size):
        raise InputError(f"{path}: spacing {spacing} for {len(size)} axes; one value an axis is needed")
    if spacing is not None and not all(map(_above_0, spacing.split())):
        raise InputError(f"{path}: spacing {spacing} mm in (x, y, z); every axis needs a spacing above 0")
    return [int(n) for n in size]


def _above_0(word: str) -> bool:
    try:
        return 0 < float(word) < inf
    except ValueError:
        return False


def _meta_fields(path: Path) -> tuple[dict[str, str], int]:
    """`key = value` lines up to ElementDataFile, and how many bytes they take."""
    fields: dict[str, str] = {}
    with path.open("rb") as file:
        for line in file:
            key, equals, value = line[:1000].decode("latin-1").partition("=")
            if not equals:
                break
            fields[key.strip()] = value.strip()
            if key.strip() == "ElementDataFile":
                break
        return fields, file.tell()


def _check_nrrd(path: Path, needs_spacing: bool, voxels: bool) -> bool:
    """The checksum of voxels that lie gzipped behind the header; teem looks after the other forms itself."""
    gzipped, detached, spaced = False, False, False
    with path.open("rb") as file:
        while line := file.readline(10_000).strip().lower():
            gzipped |= line in (b"encoding: gzip", b"encoding: gz")
            spaced |= line.startswith(b"space directions:")
            spaced |= line.startswith(b"spacings:") and set(line.split()[1:]) != {b"nan"}
            detached |= line.startswith((b"data file:", b"datafile:"))
        start = file.tell()
    if not spaced and not detached and needs_spacing:
        raise InputError(f"{path}: no spacings; the distance of voxels in mm is needed along every axis")
    if gzipped and not detached and voxels:
        sum(map(len, _inflated(path, start)))  # raises where it is damaged
    return spaced


def _require_bytes(path: Path, found: int, needed: int) -> None:
    if found < needed:
        raise InputError(f"{path}: truncated, {found} bytes where its header asks for {needed}; copy it again")
