"""A made-up data set in PROMISE12's layout: T2-like prostate MR of simple shapes, for trying and testing everything.

Positions are in mm from the gland's centre, axes (z, y, x) = (to the head, to the back, to the left), unless said
otherwise; intensities are relative, fat about 0.8 and water about 1.1.
"""

import errno
from dataclasses import dataclass
from math import pi
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from scipy import ndimage
from scipy.spatial.transform import Rotation

from mindvoxel.errors import InputError
from mindvoxel.files import replacing_folder
from mindvoxel.headers import check_header
from mindvoxel.log import progress
from mindvoxel.volume import Volume, reserve

_LABEL_TYPES = (np.int8, np.uint8, np.int16)  # all three occur among public prostate labels
_AIR = 0.015


@dataclass(frozen=True)
class Ellipsoid:
    """One soft-edged part of the body. centre_mm, half_mm: (z, y, x); value: its relative intensity."""

    centre_mm: tuple[float, float, float]
    half_mm: tuple[float, float, float]
    value: float
    edge_mm: float = 1.5

    def radius(self, positions: np.ndarray) -> np.ndarray:
        """(D, H, W) distance from the centre as a part of the half axes: 1 on the surface. positions: (3, D, H, W)."""
        radius = np.zeros(positions.shape[1:], np.float32)
        for axis, centre, half in zip(positions, self.centre_mm, self.half_mm, strict=True):
            radius += np.square((axis - np.float32(centre)) * np.float32(1 / half))
        return np.sqrt(radius, out=radius)

    def paint(self, image: np.ndarray, positions: np.ndarray) -> None:
        """Lay the part over `image` in place."""
        weight = np.clip(0.5 + (1 - self.radius(positions)) * np.float32(min(self.half_mm) / self.edge_mm), 0, 1)
        image += weight * (np.float32(self.value) - image)


def write_phantom(root: str | Path, num_cases: int = 12, seed: int = 0, size_scale: float = 1.0) -> None:
    """Write root/img/CaseNN.mhd and root/gt/CaseNN_segmentation.mhd, each with its .raw, for `num_cases` cases.

    A case depends on `seed` and its number alone. size_scale: voxels along each axis, as a part of the usual number,
    over the same field of view. Everything is written beside `root` and renamed, so no part of a set can remain.
    Raises InputError where `root` exists and is not an empty folder, OSError where it cannot be written.
    """
    if num_cases < 1:
        raise InputError(f"num_cases must be 1 or more, got {num_cases}")
    with replacing_folder(root) as partial:
        for folder in ("img", "gt"):
            (partial / folder).mkdir()
        for case in progress(range(num_cases), what="phantom scans", unit="case"):
            image, label = make_case(seed, case, size_scale)
            _write_pair(partial / "img" / f"Case{case:02d}.mhd", image)
            _write_pair(partial / "gt" / f"Case{case:02d}_segmentation.mhd", label)


def _write_pair(path: Path, volume: Volume) -> None:
    """Write an .mhd and its .raw. Raises OSError where the disk is full, which SimpleITK may not say."""
    reserve(path, volume.voxels.nbytes)  # in the header's place: the .raw comes after it
    try:
        sitk.WriteImage(volume.to_image(), str(path), useCompression=False)
        check_header(path)
    except (RuntimeError, InputError) as error:
        raise OSError(errno.EIO, "the image could not be written; is the disk full?", str(path)) from error


def make_case(seed: int, case: int, size_scale: float = 1.0) -> tuple[Volume, Volume]:
    """Image (int16) and gland label (1 in the gland) of one case, on an oblique, anisotropic grid of its own."""
    if not 0 < size_scale <= 2:
        raise InputError(f"size_scale must be above 0 and at most 2, got {size_scale}")
    rng = np.random.default_rng([seed, case])
    gland = _draw_gland(rng)
    grid, positions = _draw_grid(rng, size_scale, max(gland.half_mm))
    positions = _bend(positions, rng, amplitude_mm=2.0, wavelength_mm=90)
    radius = gland.radius(_bend(positions, rng, amplitude_mm=2.0, wavelength_mm=45))
    volume_vox = 4 / 3 * pi * np.prod(gland.half_mm) / np.prod(grid.spacing_mm)
    surface = np.partition(radius.ravel(), int(volume_vox))[int(volume_vox)]  # bending must not change the volume
    signal = _signal(positions, radius / surface, gland, grid.spacing_mm, rng)
    signal *= np.exp(_bend_field(positions, rng, wavelength_mm=200) * rng.uniform(0.1, 0.25))
    noise = rng.standard_normal((2, *signal.shape), np.float32) * np.float32(rng.uniform(0.02, 0.045))
    image = np.hypot(signal + noise[0], noise[1]) * rng.uniform(250, 2500)  # Rician, on a scanner's arbitrary scale
    label = (radius <= surface).astype(_LABEL_TYPES[case % len(_LABEL_TYPES)])
    return grid.with_voxels(np.clip(np.rint(image), 0, 32767).astype(np.int16)), grid.with_voxels(label)


def _draw_gland(rng: np.random.Generator) -> Ellipsoid:
    """An ellipsoid of 20 to 80 ml, wider than deep."""
    proportions = np.array([1.0, 0.85, 1.18]) * rng.uniform(0.92, 1.08, 3)
    mean_half_mm = (rng.uniform(20, 80) * 1000 * 3 / (4 * pi) / np.prod(proportions)) ** (1 / 3)
    return Ellipsoid((0.0, 0.0, 0.0), tuple(float(x) for x in mean_half_mm * proportions), 0.3)


def _draw_grid(rng: np.random.Generator, size_scale: float, gland_half_mm: float) -> tuple[Volume, np.ndarray]:
    """A grid that holds the whole gland, up to 15 mm off its centre, and the (3, D, H, W) positions of its voxels."""
    in_plane = rng.uniform(0.55, 1.0)
    spacing = np.array([rng.uniform(2.5, 4.0), in_plane, in_plane]) / size_scale
    extent = np.array([rng.uniform(66, 90), rng.uniform(120, 160), rng.uniform(120, 160)])
    shape = np.maximum(np.rint(extent / spacing).astype(int), 3)
    room = shape * spacing / 2 - 1.1 * gland_half_mm - spacing
    off_centre = rng.uniform(-1, 1, 3) * np.clip(room, 0, 15)
    degrees = rng.uniform(-1, 1, 3) * (4, 14, 4)  # the slices of prostate MR are tilted about the left-right axis
    direction = Rotation.from_euler("yxz", degrees, degrees=True).as_matrix()  # rows and columns (x, y, z)
    gland_world = rng.uniform(-1, 1, 3) * (20, 40, 80)
    first = -(shape - 1) / 2 * spacing - off_centre  # of voxel (0, 0, 0) from the gland, along the grid's axes
    axes = [start + np.arange(n) * step for start, n, step in zip(first, shape, spacing, strict=True)]
    on_grid = np.stack(np.meshgrid(*axes, indexing="ij")).astype(np.float32)
    positions = np.tensordot(direction[::-1, ::-1].astype(np.float32), on_grid, axes=1)
    origin = gland_world + direction @ first[::-1]
    grid = Volume(
        np.broadcast_to(np.int16(0), tuple(shape)),
        tuple(map(float, spacing)),
        tuple(map(float, origin)),
        tuple(map(float, direction.ravel())),
    )
    return grid, positions


def _bend_field(positions: np.ndarray, rng: np.random.Generator, wavelength_mm: float) -> np.ndarray:
    """(D, H, W) smooth random field of about unit size: three plane waves."""
    field = np.zeros(positions.shape[1:], np.float32)
    for _ in range(3):
        wave = rng.standard_normal(3)
        wave *= 2 * pi / wavelength_mm / np.linalg.norm(wave)
        field += np.sin(np.tensordot(wave.astype(np.float32), positions, axes=1) + np.float32(rng.uniform(0, 2 * pi)))
    return field * np.float32((2 / 3) ** 0.5)


def _bend(positions: np.ndarray, rng: np.random.Generator, amplitude_mm: float, wavelength_mm: float) -> np.ndarray:
    """Positions moved smoothly, so that no part stays an exact ellipsoid."""
    return positions + np.float32(amplitude_mm) * np.stack(
        [_bend_field(positions, rng, wavelength_mm) for _ in range(3)]
    )


def _texture(shape: tuple[int, ...], spacing_mm: tuple, size_mm: float, rng: np.random.Generator) -> np.ndarray:
    """(D, H, W) noise of unit variance, smooth over `size_mm`."""
    noise = ndimage.gaussian_filter(rng.standard_normal(shape, np.float32), size_mm / np.array(spacing_mm))
    return noise / noise.std()


def _signal(
    positions: np.ndarray, radius: np.ndarray, gland: Ellipsoid, spacing_mm: tuple, rng: np.random.Generator
) -> np.ndarray:
    """(D, H, W) intensities without bias and noise. radius: of the gland, 1 on its surface."""
    signal = np.full(radius.shape, _AIR, np.float32)
    for part in _pelvis(gland.half_mm, rng):
        part.paint(signal, positions)
    strands = np.exp(-np.square(_texture(radius.shape, spacing_mm, 3.5, rng) / np.float32(0.13)))
    signal += np.float32(0.45) * strands * (np.minimum(signal, np.float32(0.4)) - np.float32(0.6) * signal)
    signal *= 1 + np.float32(0.09) * _texture(radius.shape, spacing_mm, 1.2, rng)
    inside = np.full_like(signal, rng.uniform(0.72, 0.95))  # peripheral zone
    for part in _zones(gland.half_mm, rng):
        part.paint(inside, positions)
    inside *= 1 + np.float32(0.17) * _texture(radius.shape, spacing_mm, 1.6, rng)
    depth_mm = (1 - radius) * np.float32(min(gland.half_mm))
    visible = np.clip(0.4 + 0.5 * _bend_field(positions, rng, wavelength_mm=30), 0, 1)
    # the dark capsule, which comes and goes, so that its line alone does not solve the task
    inside += visible * np.clip(1 - np.abs(depth_mm - 0.5), 0, 1) * (np.float32(0.25) - inside)
    return signal + np.clip(0.5 + depth_mm / np.float32(1.2), 0, 1) * (inside - signal)


def _both_sides(centre: tuple, half: tuple, value: float, edge_mm: float = 1.5) -> list[Ellipsoid]:
    z, y, x = centre
    return [Ellipsoid((z, y, side * x), half, value, edge_mm) for side in (-1, 1)]


def _layers(centre: tuple, half: tuple, wall_mm: float, wall: float, lumen: float) -> list[Ellipsoid]:
    """A wall and what it holds: bladder, rectum, bone."""
    return [Ellipsoid(centre, half, wall), Ellipsoid(centre, tuple(h - wall_mm for h in half), lumen)]


def _pelvis(gland_half_mm: tuple[float, float, float], rng: np.random.Generator) -> list[Ellipsoid]:
    """Everything around the gland, from the outside in."""
    gz, gy, gx = gland_half_mm
    s = rng.uniform(0.92, 1.08)
    fat, muscle, marrow = rng.uniform(0.7, 0.85), rng.uniform(0.14, 0.24), rng.uniform(0.4, 0.6)
    back, top = gy + rng.uniform(13, 17), gz + rng.uniform(10, 20)
    rectum = (rng.uniform(11, 14), rng.uniform(11, 16))
    filling = rng.choice([0.03, 0.45, 0.6])  # gas, or stool
    parts = [
        Ellipsoid((0, 4, 0), (400, 74 * s, 96 * s), fat, 2.0),
        Ellipsoid((0, 6, 0), (400, 63 * s, 86 * s), muscle, 3.0),
        Ellipsoid((0, 4, 0), (400, 38 * s + 8, gx + 13), fat, 3.0),
        *_both_sides((-14, 46 * s, 22 * s), (42, 19, 17), fat, 4.0),
        *_both_sides((-20, -30 * s, 46 * s), (34, 12, 9), fat, 5.0),
    ]
    for side in (-1, 1):
        parts += _layers((-6, 34, side * 66 * s), (30, 11, 10), 1.8, 0.07, marrow)
        parts += _layers((10, -6, side * 76 * s), (25, 25, 23), 2.5, 0.06, marrow + 0.1)
        parts += _layers((-24, -44 * s, side * 13), (18, 9, 11), 1.8, 0.07, marrow)
    parts += [Ellipsoid((0, -1, 0), (gz + 2, gy + 4, gx + 5), rng.uniform(0.42, 0.55), 4.0)]  # fascia and veins
    parts += _both_sides((-12, 6, gx + 7), (gz + 12, 24, 3.2), muscle)  # levator, which meets below the gland
    parts += _both_sides((-gz - 16, 8, 0.5 * gx + 2), (18, 24, 5), muscle)
    parts += _layers((-gz - 12, 0, 0), (15, 8, 9), 4.5, muscle + 0.08, 0.55)  # urethral sphincter
    parts += _both_sides((gz + 3, gy - 3, 11), (6, 5, 12), rng.uniform(0.7, 1.0))
    parts += _layers((top, -10, 0), (17, 21, 30), 3.5, 0.2, rng.uniform(1.0, 1.25))
    parts += _layers((-4, back, rng.uniform(-4, 4)), (90, *rectum), 3.2, rng.uniform(0.26, 0.36), filling)
    parts += _both_sides((0, gy * 0.75, gx * 0.85 + 2), (gz, 2.2, 2.6), rng.uniform(0.75, 1.0))
    for _ in range(10):  # vessels, bright or dark, along the walls
        angle, distance = rng.uniform(0, 2 * pi), rng.uniform(1.15, 1.5)
        centre = (rng.uniform(-30, 30), distance * (gy + 4) * np.sin(angle), distance * (gx + 4) * np.cos(angle))
        parts.append(Ellipsoid(centre, (rng.uniform(8, 25), 1.8, 1.8), rng.choice([0.08, 1.0])))
    return parts


def _zones(gland_half_mm: tuple[float, float, float], rng: np.random.Generator) -> list[Ellipsoid]:
    """What the gland holds: transition zone with its nodules, anterior stroma, urethra, and at times a lesion."""
    gz, gy, gx = gland_half_mm
    zone = np.array([0.12 * gz, -0.22 * gy, 0.0]), np.array([0.72 * gz, 0.62 * gy, 0.7 * gx])
    parts = _layers(tuple(zone[0]), tuple(zone[1]), 1.2, 0.2, rng.uniform(0.36, 0.48))
    for _ in range(rng.integers(4, 10)):
        centre = zone[0] + rng.uniform(-0.55, 0.55, 3) * zone[1]
        parts += _layers(tuple(centre), tuple(rng.uniform(3.5, 7.0, 3)), 0.9, 0.22, rng.uniform(0.25, 0.85))
    parts.append(Ellipsoid((0, -0.85 * gy, 0), (0.8 * gz, 0.24 * gy, 0.45 * gx), 0.18, 3.0))
    parts.append(Ellipsoid((0, -0.05 * gy, 0), (0.9 * gz, 1.7, 1.7), 0.8))
    if rng.random() < 0.5:
        side = rng.choice([-1, 1])
        parts.append(Ellipsoid((rng.uniform(-0.5, 0.4) * gz, 0.62 * gy, side * 0.5 * gx), (6, 4, 5), 0.28, 2.0))
    return parts
