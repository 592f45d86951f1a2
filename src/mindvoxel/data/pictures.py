"""Looks at a picture file (PNG, JPEG, BMP) before SimpleITK opens it.

SimpleITK 2.5 fills what is missing of a cut JPEG with grey and reads a cut BMP as whatever was in memory, both without
an error, and takes a grey BMP for a coloured one. Of TIFF and PNG it sees the faults itself.
"""

import re
import struct
from dataclasses import dataclass
from pathlib import Path

from mindvoxel.errors import InputError
from mindvoxel.headers import require_utf8

PICTURES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp")
_PNG_ALPHA = {4: 2, 6: 4}  # values a pixel of the colour types grey with alpha and RGB with alpha
_JPEG_FRAMES = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # markers before the size of the image
_JPEG_END = 0xD9
_JPEG_MARKER = re.compile(rb"\xff[^\x00\x01\xff\xd0-\xd7]")  # but those that stand inside compressed pixels


def check_picture(path: Path) -> None:
    """Raise InputError where the picture is missing, cut short unseen by SimpleITK, or has an alpha channel."""
    require_utf8(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    suffix = path.suffix.lower()
    if suffix == ".png":
        _check_png(path)
    elif suffix in {".jpg", ".jpeg"}:
        read_jpeg_head(path, path.read_bytes())
    elif suffix == ".bmp":
        _check_bmp(path)


def refuse_alpha(path: Path, num_values: int) -> None:
    """Raise InputError where a pixel of the picture has 2 values (grey, alpha) or 4 and more (colour, alpha)."""
    if num_values not in (1, 3):
        raise InputError(
            f"{path}: {num_values} values a pixel, which counts its transparency (alpha channel); save it as RGB or "
            "grey without one"
        )


def grey_bmp(path: Path) -> bool:
    """Whether a BMP file holds grey values; SimpleITK gives three equal channels for these."""
    if path.suffix.lower() != ".bmp":
        return False
    with path.open("rb") as file:
        head = file.read(1078)
    offset, header_size, bits = (struct.unpack_from(f, head, at)[0] for f, at in (("<I", 10), ("<I", 14), ("<H", 28)))
    colours = head[14 + header_size : min(offset, 1078)]
    return bits == 8 and all(len(set(colours[i : i + 3])) == 1 for i in range(0, len(colours) - 3, 4))


@dataclass(frozen=True)
class JpegHead:
    """What a JPEG file says of itself: pixels along x and y, values a pixel, bits a value."""

    width: int
    height: int
    num_values: int
    bits: int


def read_jpeg_head(path: Path, data: bytes) -> JpegHead:
    """The head of the JPEG file `path`, whose bytes are `data`; raises InputError where the file does not go on to its
    end marker.

    Markers are followed from one to the next (ITU T.81, annex B), so that the end of a thumbnail is not taken for the
    file's own, and what stands after the end is not looked at.
    """
    if data[:2] != b"\xff\xd8":
        raise InputError(f"{path}: not a JPEG file; convert it")
    head, at = None, 2
    while found := _JPEG_MARKER.search(data, at):
        code, at = found[0][1], found.end()
        if code == _JPEG_END and head is not None:
            return head
        length = int.from_bytes(data[at : at + 2], "big")
        if code == _JPEG_END or length < 2 or at + length > len(data):
            break
        if code in _JPEG_FRAMES and length >= 8 and head is None:  # libjpeg, too, goes by the first
            bits, height, width, num_values = struct.unpack_from(">BHHB", data, at + 2)
            head = JpegHead(width, height, num_values, bits)
        at += length
    raise InputError(f"{path}: truncated after {len(data)} bytes, its end is missing; copy it again")


def _check_png(path: Path) -> None:
    with path.open("rb") as file:
        head = file.read(33)
    if head[:8] != b"\x89PNG\r\n\x1a\n" or len(head) < 33:
        raise InputError(f"{path}: not a PNG file; convert it")
    if head[25] in _PNG_ALPHA:
        refuse_alpha(path, _PNG_ALPHA[head[25]])


def _check_bmp(path: Path) -> None:
    with path.open("rb") as file:
        head = file.read(54)
    if head[:2] != b"BM" or len(head) < 54:
        raise InputError(f"{path}: not a BMP file; convert it")
    (offset,) = struct.unpack_from("<I", head, 10)
    width, height, _, bits, compression = struct.unpack_from("<iiHHI", head, 18)
    if compression != 0 or width <= 0 or height == 0 or bits not in (8, 24):
        raise InputError(
            f"{path}: BMP of {width}×{height} pixels with {bits} bits each, compression {compression}; save it as PNG, "
            "or as BMP with 8 or 24 bits, not compressed"
        )
    found, needed = path.stat().st_size, offset + (width * bits + 31) // 32 * 4 * abs(height)
    if found < needed:
        raise InputError(f"{path}: truncated, {found} bytes where its header asks for {needed}; copy it again")
