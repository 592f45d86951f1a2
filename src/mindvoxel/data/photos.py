"""Photographs for a classifier: read as RGB, resized and cropped, brought to what its network takes.

Evaluation as in the MLPerf reference: the short side to 256, the 224×224 pixels in the middle, minus the mean of each
colour. Training: a random part of the photo, resized, mirrored by half. Every resize is bilinear: the centres of pixels
lie at half numbers, and nothing is smoothed before a photo is made smaller.
"""

import errno
from dataclasses import dataclass
from math import ceil, floor, sqrt
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from mindvoxel.data.pictures import read_jpeg_head
from mindvoxel.errors import InputError
from mindvoxel.headers import require_utf8
from mindvoxel.volume import itk_errors, reserve

SUFFIXES = (".jpg", ".jpeg", ".png")
MOST_PIXELS = 2**28  # of a photo: a small file may claim 65,535 along both sides
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_ATTEMPTS = 100


@dataclass(frozen=True)
class PhotoForm:
    """What a network takes: size×size pixels out of the middle of a photo whose short side has short_side pixels, each
    colour (red, green, blue, 0 to 255) minus its mean, over its sd."""

    size: int
    short_side: int
    mean: tuple[float, ...]
    sd: tuple[float, ...]


def read_photo(path: str | Path) -> np.ndarray:
    """A JPEG or PNG file, whatever its name: (H, W, 3) uint8, RGB; grey is repeated, transparency is dropped.

    What EXIF says of the camera's orientation is ignored, as is common with ImageNet, and so are colour profiles.
    Raises InputError, in one sentence that names the file, where it is missing, of another type, cut short, in CMYK, of
    more than 8 bits a value, grey with transparency, or above 2²⁸ pixels. Compressed pixels that are damaged inside
    decode to something in a JPEG, and nobody sees it; in a PNG they are an error.
    """
    path = Path(path)
    reader = sitk.ImageFileReader()
    reader.SetImageIO(check_photo(path))
    reader.SetFileName(str(path))
    with itk_errors(path):
        pixels = sitk.GetArrayFromImage(reader.Execute())
    if pixels.ndim == 2:
        return np.repeat(pixels[..., None], 3, axis=-1)
    return np.ascontiguousarray(pixels[..., :3])


def check_photo(path: Path) -> str:
    """SimpleITK's reader for the file, whose pixels are not decoded; raises InputError where it must not be used.

    SimpleITK 2.5 fills a cut JPEG with grey, and takes YCCK for CMYK, both without an error.
    """
    require_utf8(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    data = path.read_bytes()
    if data.startswith(_PNG_SIGNATURE):
        width, height, bits, colours = _png_head(path, data)
        if bits == 16:
            raise InputError(f"{path}: 16 bits a value; save it with 8")
        if colours == 4 or (colours == 0 and _is_transparent(data)):
            raise InputError(f"{path}: grey with transparency; save it as RGB, or as grey without it")
    elif data.startswith(b"\xff\xd8"):
        head = read_jpeg_head(path, data)
        width, height = head.width, head.height
        if head.bits != 8:
            raise InputError(f"{path}: {head.bits} bits a value; save it with 8")
        if head.num_values not in (1, 3):
            what = "CMYK" if head.num_values == 4 else f"{head.num_values} values a pixel"
            raise InputError(f"{path}: {what}; convert it to RGB or grey")
    else:
        raise InputError(f"{path}: neither JPEG nor PNG, by its first bytes; convert it")
    if not 0 < width * height <= MOST_PIXELS:
        raise InputError(f"{path}: {width}×{height} pixels; 1 to {MOST_PIXELS:,} are taken, make it smaller")
    return "PNGImageIO" if data.startswith(_PNG_SIGNATURE) else "JPEGImageIO"


def write_png(path: Path, photo: np.ndarray) -> None:
    """(H, W, 3) uint8 as a PNG, which every program decodes alike; raises OSError where it cannot be written."""
    try:
        reserve(path, photo.nbytes)
        sitk.WriteImage(sitk.GetImageFromArray(photo, isVector=True), str(path), useCompression=True)
        if np.array_equal(read_photo(path), photo):
            return
    except (RuntimeError, InputError) as error:
        raise OSError(errno.EIO, "SimpleITK could not write the photo; is the disk full?", str(path)) from error
    raise OSError(errno.EIO, "what was written does not read back; is the disk full?", str(path))


def _png_head(path: Path, data: bytes) -> tuple[int, int, int, int]:
    """Width, height, bits a value and colour type of a PNG file."""
    if len(data) < 33 or data[12:16] != b"IHDR":
        raise InputError(f"{path}: damaged, no PNG header; copy it again")
    return int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big"), data[24], data[25]


def _is_transparent(data: bytes) -> bool:
    """Whether a chunk of a PNG file says which of its colours are transparent; what texts say does not count."""
    at = len(_PNG_SIGNATURE)
    while (name := data[at + 4 : at + 8]) not in (b"tRNS", b"IDAT", b""):
        at += 12 + int.from_bytes(data[at : at + 4], "big")
    return name == b"tRNS"


def prepare_photo(photo: np.ndarray, form: PhotoForm) -> np.ndarray:
    """(H, W, 3) uint8 -> (3, size, size) float32, as a network is evaluated on it.

    The long side becomes length · short_side / short, rounded half up. form.size must not exceed form.short_side.
    """
    short = min(photo.shape[:2])
    lines = []
    for length in photo.shape[:2]:
        resized = max(form.short_side, (2 * length * form.short_side + short) // (2 * short))
        places = np.arange(form.size) + (resized - form.size) // 2
        lines.append(_Line.at(places, length / resized, length))
    return normalize_photo(_sample(photo, *lines), form)


def normalize_photo(pixels: np.ndarray, form: PhotoForm) -> np.ndarray:
    """(H, W, 3) float32, 0 to 255 -> (3, H, W) float32: minus the mean, over the sd."""
    planes = np.ascontiguousarray(np.moveaxis(pixels, -1, 0))  # what follows is much faster on these
    mean, sd = (np.array(values, np.float32)[:, None, None] for values in (form.mean, form.sd))
    return (planes - mean) / sd


@dataclass(frozen=True)
class RandomCropFlip:
    """A random part of a photo as size×size pixels, mirrored left to right by half.

    area: least and largest share of the photo's.  aspect: least and largest width over height. As TensorFlow's
    sample_distorted_bounding_box draws it without bounding boxes: the aspect uniformly, then the height among those
    that give such an area and lie in the photo, then the place; after 100 draws that do not fit, the whole photo.
    """

    size: int
    area: tuple[float, float] = (0.05, 1.0)
    aspect: tuple[float, float] = (0.75, 4 / 3)

    def draw(self, rng: np.random.Generator, height: int, width: int) -> dict:
        """box: (top, left, height, width), pixels.  flip: whether it is mirrored."""
        flip = bool(rng.uniform() < 0.5)
        for _ in range(_ATTEMPTS):
            box = self._draw_box(rng, height, width)
            if box is not None:
                return {"box": box, "flip": flip}
        return {"box": (0, 0, height, width), "flip": flip}

    def _draw_box(self, rng: np.random.Generator, height: int, width: int) -> tuple[int, int, int, int] | None:
        aspect, whole = rng.uniform(*self.aspect), height * width
        least = ceil(sqrt(self.area[0] * whole / aspect))
        most = floor(min(sqrt(self.area[1] * whole / aspect), height, width / aspect))
        if least > most:
            return None
        tall = int(rng.integers(least, most + 1))
        wide = round(tall * aspect)
        if not 0 < wide <= width or not self.area[0] <= tall * wide / whole <= self.area[1]:
            return None  # by rounding
        return int(rng.integers(height - tall + 1)), int(rng.integers(width - wide + 1)), tall, wide

    def apply(self, photo: np.ndarray, *, box: tuple[int, int, int, int], flip: bool) -> np.ndarray:
        """(H, W, 3) uint8 -> (size, size, 3) float32, 0 to 255; what lies outside the box is not looked at."""
        top, left, tall, wide = box
        places = np.arange(self.size)
        rows = _Line.at(places, tall / self.size, tall)
        columns = _Line.at(places[::-1] if flip else places, wide / self.size, wide)
        return _sample(photo[top : top + tall, left : left + wide], rows, columns)


@dataclass(frozen=True)
class _Line:
    """Where along one axis a resized photo looks: between the pixels low and high, (1 − weight, weight) of each."""

    low: np.ndarray
    high: np.ndarray
    weight: np.ndarray

    @classmethod
    def at(cls, places: np.ndarray, scale: float, length: int) -> "_Line":
        """places: pixels of the resized photo.  scale: old length over new.  length: the old one, pixels."""
        source = np.clip((places + 0.5) * scale - 0.5, 0, length - 1)
        low = source.astype(np.intp)
        return cls(low, np.minimum(low + 1, length - 1), (source - low).astype(np.float32))


def _sample(photo: np.ndarray, rows: _Line, columns: _Line) -> np.ndarray:
    """(H, W, 3) uint8 -> (len(rows), len(columns), 3) float32, linear between neighbours along both axes."""
    left, right = columns.low.min(), columns.high.max() + 1
    above = photo[rows.low, left:right].astype(np.float32)
    below = photo[rows.high, left:right]
    above += (below - above) * rows.weight[:, None, None]
    pixels = np.take(above, columns.low - left, axis=1)  # takes half as long as indexing
    pixels += (np.take(above, columns.high - left, axis=1) - pixels) * columns.weight[:, None]
    return pixels
