"""The C++ program reads a photograph as Python does: the same pixels, the same refusals, the same preprocessing."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mindvoxel.bundle import PHOTO_FILES, network_part, photo_part, write_deploy
from mindvoxel.data.photos import PhotoForm, prepare_photo, read_photo
from mindvoxel.errors import InputError

from .harness import dumped
from .photos import a_photo, write_photo

PLAIN = a_photo(1, (37, 53), np.random.default_rng(3))


def coded(mode: str, kind: str, **options) -> bytes:
    file = io.BytesIO()
    Image.fromarray(PLAIN).convert(mode).save(file, kind, **options)
    return file.getvalue()


def as_file(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


@pytest.fixture(scope="module")
def program(harness) -> Path:
    return harness / "prepare_dump"


def pixels_of(program: Path, tmp_path: Path, path: Path) -> np.ndarray:
    found, head = dumped(program, "photo", tmp_path, path)
    return found.reshape(head["shape"])


def with_text(png: bytes, text: bytes) -> bytes:
    """A PNG with a comment behind its header."""
    chunk = b"tEXtComment\0" + text
    return png[:33] + struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk)) + png[33:]


SAME = {
    "rgb.png": coded("RGB", "PNG"),
    "grey.PNG": coded("L", "PNG"),
    "one_bit.png": coded("1", "PNG"),
    "palette.png": coded("P", "PNG"),
    "clear.png": coded("RGBA", "PNG"),
    "clear_palette.png": coded("P", "PNG", transparency=3),
    "text.png": with_text(coded("L", "PNG"), b"tRNS"),
    "a_png.JPEG": coded("RGB", "PNG"),
    "grey.jpg": coded("L", "JPEG"),
    "full_colour.jpeg": coded("RGB", "JPEG", subsampling=0),
    "half_colour.jpg": coded("RGB", "JPEG", subsampling=2),
    "progressive.jpg": coded("RGB", "JPEG", subsampling=2, progressive=True),
    "rgb.jpg": coded("RGB", "JPEG", keep_rgb=True),
    "restarts.jpg": coded("RGB", "JPEG", subsampling=2, quality=20, restart_marker_blocks=2),
    "more.jpg": coded("L", "JPEG") + b"more",
}


def test_pixels_are_equal(program, tmp_path):
    for name, data in SAME.items():
        path = as_file(tmp_path / name, data)
        assert np.array_equal(pixels_of(program, tmp_path, path), read_photo(path)), name


def test_colours_at_half_width_alone_are_spread_otherwise(program, tmp_path):
    """Debian's libjpeg-turbo, which Pillow has, too, interpolates them; libjpeg 9 of SimpleITK transforms them."""
    path = as_file(tmp_path / "a.jpg", coded("RGB", "JPEG", subsampling=1))
    apart = np.abs(pixels_of(program, tmp_path, path) - read_photo(path).astype(float))
    assert 0 < apart.max() <= 16
    assert apart.mean() < 1.5


JPEG = coded("RGB", "JPEG")
REFUSED = {
    "cut.jpg": (JPEG[: len(JPEG) // 2], "truncated after"),
    "without_end.jpg": (JPEG[:-1], "truncated after"),
    "two_frames.jpg": (JPEG[:2] + bytes.fromhex("ffc0 0008 08 ffff ffff 03") + JPEG[2:], "65535×65535 pixels"),
    "cut.png": (SAME["rgb.png"][:-200], "cannot read it|cannot be decoded"),
    "without_end.png": (SAME["rgb.png"][:-12], "cannot read it|cannot be decoded"),
    "header.png": (SAME["palette.png"].replace(b"PLTE", b"PLTE\xff", 1), "cannot read it|cannot be decoded"),
    "no_header.png": (SAME["rgb.png"][:20], "damaged, no PNG header"),
    "cmyk.jpg": (coded("CMYK", "JPEG"), "CMYK; convert it to RGB or grey"),
    "clear_grey.png": (coded("LA", "PNG"), "grey with transparency"),
    "clear_value.png": (coded("L", "PNG", transparency=3), "grey with transparency"),
    "hidden_value.png": (with_text(coded("L", "PNG", transparency=3), b"IDAT"), "grey with transparency"),
    "deep.png": (coded("I;16", "PNG"), "16 bits a value"),
    "a.bmp": (coded("RGB", "BMP"), "neither JPEG nor PNG"),
    "empty.jpg": (b"", "neither JPEG nor PNG"),
}


def test_both_refuse_the_same(program, tmp_path):
    for name, (data, said) in REFUSED.items():
        path = as_file(tmp_path / name, data)
        for read in (read_photo, lambda path: pixels_of(program, tmp_path, path)):
            with pytest.raises(InputError, match=said) as caught:
                read(path)
            assert name in str(caught.value)


SHAPES = [(37, 53), (53, 37), (7, 7), (1, 3), (90, 61), (40, 400)]


def test_preprocessing_is_equal(program, tmp_path):
    form = PhotoForm(17, 19, (123.68, 116.78, 103.94), (1.0, 2.0, 57.0))
    data = {"size": form.size, "short_side": form.short_side, "mean": form.mean, "sd": form.sd}
    bundle = tmp_path / "bundle"
    (bundle / "reference").mkdir(parents=True)
    for name in PHOTO_FILES:
        (bundle / name).write_bytes(b"made up")
    network = network_part((3, 17, 17), (2,), "f32")
    write_deploy(bundle, {"model": "made up", "network": network} | photo_part(data, ("a", "b")))
    for number, shape in enumerate(SHAPES):
        path = write_photo(tmp_path / "a.png", a_photo(number, shape, np.random.default_rng(number)))
        found, _ = dumped(program, "photo", tmp_path, path, bundle)
        assert np.abs(found.reshape(3, 17, 17) - prepare_photo(read_photo(path), form)).max() < 1e-4
