"""Photographs: what is read and what is refused, resizing against a plain loop, and the random crop."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image

from mindvoxel.data.photos import PhotoForm, RandomCropFlip, prepare_photo, read_photo, write_png
from mindvoxel.errors import InputError

from ..photos import a_photo, write_photo

RNG = np.random.default_rng(3)
PLAIN = a_photo(1, (37, 53), RNG)
FORM = PhotoForm(8, 8, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0))


def coded(mode: str, kind: str, **options) -> bytes:
    file = io.BytesIO()
    Image.fromarray(PLAIN).convert(mode).save(file, kind, **options)
    return file.getvalue()


def as_file(tmp_path, data: bytes, name: str = "a.JPEG"):
    (tmp_path / name).write_bytes(data)
    return tmp_path / name


def refused(tmp_path, data: bytes, match: str, name: str = "a.JPEG"):
    with pytest.raises(InputError, match=match) as error:
        read_photo(as_file(tmp_path, data, name))
    assert str(error.value).startswith(f"{tmp_path / name}: ")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["a.JPEG", "a.png", "a.PNG", "without_suffix"])
@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_the_first_bytes_say_the_type_and_not_the_name(tmp_path, kind, name):
    """ImageNet has a PNG that is called n02105855_2933.JPEG."""
    photo = read_photo(as_file(tmp_path, coded("RGB", kind, quality=95), name))
    assert (photo.shape, photo.dtype, photo.flags.c_contiguous) == (PLAIN.shape, np.uint8, True)
    assert np.abs(photo.astype(int) - PLAIN).mean() < (0.01 if kind == "PNG" else 8)


@pytest.mark.parametrize("subsampling", [0, 2])
@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_blocks": 2}])
def test_every_way_to_code_a_jpeg_reads_as_pillow_reads_it(tmp_path, options, subsampling):
    data = coded("RGB", "JPEG", quality=90, subsampling=subsampling, **options)
    theirs = np.asarray(Image.open(io.BytesIO(data))).astype(int)
    apart = np.abs(read_photo(as_file(tmp_path, data)) - theirs)
    assert apart.max() <= (1 if subsampling == 0 else 16)  # two versions of libjpeg spread halved colours differently
    assert apart.mean() < 1.5


def test_grey_is_repeated_and_palettes_are_unfolded(tmp_path):
    grey = np.asarray(Image.fromarray(PLAIN).convert("L"))
    for data in (coded("L", "PNG"), coded("P", "PNG"), coded("1", "PNG")):
        expected = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
        assert np.array_equal(read_photo(as_file(tmp_path, data)), expected)
    photo = read_photo(as_file(tmp_path, coded("L", "JPEG", quality=100)))
    assert np.array_equal(photo[..., 0], photo[..., 2])
    assert np.abs(photo[..., 1].astype(int) - grey).max() < 4


def test_transparency_is_dropped_and_grey_with_it_refused(tmp_path):
    file = io.BytesIO()
    clear = np.concatenate([PLAIN, np.full((*PLAIN.shape[:2], 1), 7, np.uint8)], axis=-1)
    Image.fromarray(clear).save(file, "PNG")
    for data in (file.getvalue(), coded("RGB", "PNG", transparency=(1, 2, 3))):
        assert np.array_equal(read_photo(as_file(tmp_path, data)), PLAIN)
    for data in (coded("LA", "PNG"), coded("L", "PNG", transparency=3)):
        refused(tmp_path, data, "grey with transparency; save it as RGB")


def test_what_a_text_says_is_no_transparency(tmp_path):
    """And a text that says IDAT does not hide one."""

    def png(*middle: tuple[bytes, bytes]) -> bytes:
        chunks = [(b"IHDR", struct.pack(">IIBBBBB", 3, 1, 8, 0, 0, 0, 0)), *middle]
        chunks += [(b"IDAT", zlib.compress(b"\0\5\6\7")), (b"IEND", b"")]
        whole = [struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in chunks]
        return b"\x89PNG\r\n\x1a\n" + b"".join(whole)

    said = png((b"tEXt", b"Comment\0tRNS"))
    assert read_photo(as_file(tmp_path, said)).tolist() == [[[5] * 3, [6] * 3, [7] * 3]]
    refused(tmp_path, png((b"tEXt", b"Comment\0IDAT"), (b"tRNS", b"\0\6")), "grey with transparency")


def test_the_orientation_that_a_camera_noted_is_ignored(tmp_path):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    assert read_photo(as_file(tmp_path, coded("RGB", "JPEG", exif=exif.tobytes()))).shape == PLAIN.shape


def cut_with_thumbnail() -> bytes:
    """A JPEG that ends right after its thumbnail, whose end marker is not its own."""
    thumbnail = coded("RGB", "JPEG", quality=5)
    exif = b"Exif\0\0" + thumbnail
    return b"\xff\xd8\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif


def test_a_cut_jpeg_is_never_grey_pixels(tmp_path):
    whole, progressive = coded("RGB", "JPEG"), coded("RGB", "JPEG", progressive=True)
    for data in (whole, progressive):
        for length in (3, 20, len(data) // 3, len(data) // 2, len(data) - 2, len(data) - 1):
            refused(tmp_path, data[:length], f"truncated after {length} bytes")
        refused(tmp_path, data[: len(data) // 2] + bytes(len(data) // 2), "truncated after")
    refused(tmp_path, cut_with_thumbnail(), "truncated after")
    refused(tmp_path, b"\xff\xd8\xff\xd9", "truncated after 4 bytes")
    assert np.array_equal(read_photo(as_file(tmp_path, whole + b"more")), read_photo(as_file(tmp_path, whole)))


def test_a_cut_or_damaged_png_is_refused(tmp_path):
    data = coded("RGB", "PNG")
    refused(tmp_path, data[:20], "damaged, no PNG header")
    refused(tmp_path, data[: len(data) // 2], "SimpleITK cannot read it")
    middle = len(data) // 2
    refused(tmp_path, data[:middle] + bytes([data[middle] ^ 255]) + data[middle + 1 :], "SimpleITK cannot read it")


def test_what_would_come_out_wrong_is_refused(tmp_path):
    deep = io.BytesIO()
    Image.fromarray(PLAIN[..., 0].astype(np.uint16) * 257).save(deep, "PNG")
    refused(tmp_path, deep.getvalue(), "16 bits a value; save it with 8")
    refused(tmp_path, coded("CMYK", "JPEG"), "CMYK; convert it to RGB or grey")
    ycck = bytearray(coded("CMYK", "JPEG"))
    ycck[ycck.find(b"Adobe") + 11] = 2  # the transform: SimpleITK does not look at it
    refused(tmp_path, bytes(ycck), "CMYK; convert it")
    for kind in ("BMP", "GIF", "WEBP", "TIFF"):
        refused(tmp_path, coded("RGB", kind), "neither JPEG nor PNG")
    refused(tmp_path, b"", "neither JPEG nor PNG")
    with pytest.raises(InputError, match="no such file"):
        read_photo(tmp_path)


def png_of(width: int, height: int) -> bytes:
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunk = struct.pack(">I", 13) + b"IHDR" + head + struct.pack(">I", zlib.crc32(b"IHDR" + head))
    return b"\x89PNG\r\n\x1a\n" + chunk + bytes(20)


def test_a_small_file_cannot_ask_for_all_memory(tmp_path):
    refused(tmp_path, png_of(60_000, 60_000), "60000×60000 pixels; 1 to 268,435,456 are taken")
    jpeg = coded("RGB", "JPEG")
    at = jpeg.find(b"\xff\xc0") + 5
    refused(tmp_path, jpeg[:at] + b"\xff\xff\xff\xff" + jpeg[at + 4 :], "65535×65535 pixels")
    refused(tmp_path, jpeg[:at] + bytes(2) + jpeg[at + 2 :], "53×0 pixels")


def resized(photo: np.ndarray, height: int, width: int) -> np.ndarray:
    """Bilinear by a plain loop in double: half-pixel centres, edges repeated."""
    out = np.empty((height, width, 3))
    for i in range(height):
        y = min(max((i + 0.5) * photo.shape[0] / height - 0.5, 0), photo.shape[0] - 1)
        for j in range(width):
            x = min(max((j + 0.5) * photo.shape[1] / width - 0.5, 0), photo.shape[1] - 1)
            top, left = int(y), int(x)
            bottom, right = min(top + 1, photo.shape[0] - 1), min(left + 1, photo.shape[1] - 1)
            down, along = y - top, x - left
            above = photo[top, left] * (1 - along) + photo[top, right] * along
            below = photo[bottom, left] * (1 - along) + photo[bottom, right] * along
            out[i, j] = above * (1 - down) + below * down
    return out


@pytest.mark.parametrize(
    ("shape", "grown"), [((37, 53), (19, 27)), ((53, 37), (27, 19)), ((7, 7), (19, 19)), ((1, 3), (19, 57))]
)
def test_a_photo_is_resized_then_its_middle_cut_out(shape, grown):
    photo = a_photo(2, shape, RNG)
    form = PhotoForm(16, 19, (123.68, 116.78, 103.94), (1.0, 2.0, 4.0))
    top, left = (grown[0] - 16) // 2, (grown[1] - 16) // 2
    middle = resized(photo, *grown)[top : top + 16, left : left + 16]
    expected = np.moveaxis((middle - form.mean) / form.sd, -1, 0)
    found = prepare_photo(photo, form)
    assert (found.shape, found.dtype, found.flags.c_contiguous) == ((3, 16, 16), np.float32, True)
    assert np.abs(found - expected).max() < 1e-4


def test_a_resize_that_can_be_checked_by_hand():
    """4 pixels become 8: a quarter of the way to the neighbour, and the edge stays."""
    row = np.array([0, 40, 80, 120], np.uint8)
    photo = np.broadcast_to(row[:, None, None], (4, 4, 3))
    assert prepare_photo(photo, FORM)[0, 0].tolist() == [0, 0, 0, 0, 0, 0, 0, 0]
    assert prepare_photo(photo, FORM)[1, :, 3].tolist() == [0, 10, 30, 50, 70, 90, 110, 120]


def test_the_long_side_is_rounded_half_up():
    """2×3 with the short side to 3: the long one would be 4.5 and becomes 5, its middle begins at (5 − 3) / 2."""
    photo = np.arange(18, dtype=np.uint8).reshape(2, 3, 3)
    expected = resized(photo, 3, 5)[:, 1:4]
    assert (
        np.abs(prepare_photo(photo, PhotoForm(3, 3, (0.0,) * 3, (1.0,) * 3)) - np.moveaxis(expected, -1, 0)).max()
        < 1e-5
    )


def test_the_longest_photo_takes_no_more_than_its_middle():
    photo = np.full((1, 65_535, 3), 9, np.uint8)
    assert np.array_equal(prepare_photo(photo, FORM), np.full((3, 8, 8), 9, np.float32))


def test_a_crop_is_the_resized_box_and_nothing_beyond_it():
    photo = a_photo(4, (41, 29), RNG)
    box = photo[5:28, 3:24]
    crop = RandomCropFlip(11)
    plain = crop.apply(photo, box=(5, 3, 23, 21), flip=False)
    assert plain.dtype == np.float32
    assert np.abs(plain - resized(box, 11, 11)).max() < 1e-4
    assert np.array_equal(crop.apply(photo, box=(5, 3, 23, 21), flip=True), plain[:, ::-1])


def test_crops_keep_to_their_bounds_and_use_all_of_them():
    crop, rng = RandomCropFlip(8, area=(0.05, 1.0), aspect=(0.75, 1.3333)), np.random.default_rng(0)
    height, width = 375, 500
    drawn = [crop.draw(rng, height, width) for _ in range(2000)]
    top, left, tall, wide = np.array([d["box"] for d in drawn]).T
    assert (top >= 0).all() and (left >= 0).all()
    assert (top + tall <= height).all() and (left + wide <= width).all()
    area, aspect = tall * wide / (height * width), wide / tall
    assert area.min() >= 0.05 and area.max() <= 1 and area.min() < 0.06 and area.max() > 0.9
    assert aspect.min() > 0.74 and aspect.max() < 1.345 and aspect.min() < 0.77 and aspect.max() > 1.31
    assert 0.46 < np.mean([d["flip"] for d in drawn]) < 0.54
    assert 0.45 < np.mean(left / np.maximum(width - wide, 1)) < 0.55


def test_one_generator_gives_one_crop_and_a_photo_that_no_crop_fits_stays_whole():
    crop = RandomCropFlip(8)
    assert crop.draw(np.random.default_rng(7), 40, 60) == crop.draw(np.random.default_rng(7), 40, 60)
    assert crop.draw(np.random.default_rng(7), 3, 4000)["box"] == (0, 0, 3, 4000)
    assert crop.draw(np.random.default_rng(7), 1, 1)["box"] == (0, 0, 1, 1)


def test_a_png_reads_back_and_a_full_disk_is_told(tmp_path):
    write_png(tmp_path / "a.png", PLAIN)
    assert np.array_equal(read_photo(tmp_path / "a.png"), PLAIN)
    with pytest.raises(OSError, match="is the disk full"):
        write_png(Path("/dev/full"), PLAIN)
    with pytest.raises(FileNotFoundError):
        write_png(tmp_path / "absent" / "a.png", PLAIN)


def test_photos_of_a_helper_are_what_they_say(tmp_path):
    pixels = a_photo(0, (9, 12), np.random.default_rng(0))
    assert np.array_equal(read_photo(write_photo(tmp_path / "a" / "b.png", pixels)), pixels)
