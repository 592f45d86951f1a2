"""The pair that benchmarks/metrics.py scores: an abdominal CT's worth of labels and a prediction of them.

    python benchmarks/metric_pair.py FILE.npz [--scale 1.0]

300×512×512 voxels of (1.0, 0.77, 0.77) mm, uint8: 1 a large organ with a wavy surface, about 1.5 million voxels and
shifted and swollen in the prediction; 2 vessels, thin tubes that branch; 3 tumours of a few mm to cm, one of them
missed. Specks of every class lie far away in the prediction. `--scale` shrinks every axis.
"""

import argparse
from pathlib import Path

import numpy as np

SHAPE = (300, 512, 512)
SPACING_MM = (1.0, 0.77, 0.77)
Point = tuple[float, float, float]


def make_pair(scale: float = 1.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """(pred, truth), each (D, H, W) uint8 of values 0 to 3."""
    rng = np.random.default_rng(seed)
    shape = tuple(max(round(n * scale), 12) for n in SHAPE)
    truth, pred = np.zeros((2, *shape), np.uint8)
    draw_organ(truth, (0.5, 0.45, 0.35), swell=1.0)
    draw_organ(pred, (0.506, 0.452, 0.348), swell=1.02)
    draw_vessels(truth, np.random.default_rng(seed + 1), thick=0.006)
    draw_vessels(pred, np.random.default_rng(seed + 1), thick=0.007)
    tumours = [((0.45, 0.40, 0.30), 0.025), ((0.55, 0.5, 0.4), 0.012), ((0.6, 0.42, 0.36), 0.006)]
    for centre, radius in tumours:
        draw_ball(truth, centre, radius, 3)
    for centre, radius in tumours[:2]:
        draw_ball(pred, tuple(c + 0.002 for c in centre), 1.1 * radius, 3)
    for value in (1, 2, 3):
        for centre in rng.uniform(0.03, 0.97, (5, 3)):
            draw_ball(pred, tuple(centre), 0.004, value)
    return pred, truth


def draw_organ(labels: np.ndarray, centre: Point, swell: float) -> None:
    """Value 1 in an ellipsoid whose radius waves with the direction."""
    z, y, x = offsets(labels.shape, centre)
    radius = np.sqrt((z / 0.22) ** 2 + (y / 0.16) ** 2 + (x / 0.155) ** 2) + 1e-9
    wave = 1 + 0.06 * np.sin(40 * z) * np.cos(30 * y) + 0.05 * np.sin(25 * x + 30 * y)
    labels[radius <= swell * wave] = 1


def draw_vessels(labels: np.ndarray, rng: np.random.Generator, thick: float) -> None:
    """Value 2 along random walks from the organ's gate; every fourth starts a thinner branch."""
    for branch in range(24):
        point, heading = np.array([0.5, 0.45, 0.42]), rng.normal(size=3)
        for _ in range(90):
            heading = 0.85 * heading / np.linalg.norm(heading) + 0.25 * rng.normal(size=3)
            point = np.clip(point + 0.004 * heading / np.linalg.norm(heading), 0.25, 0.75)
            draw_ball(labels, tuple(point), thick * (1 if branch < 6 else 0.6), 2)


def draw_ball(labels: np.ndarray, centre: Point, radius: float, value: int) -> None:
    """A ball; the radius is a share of the last axis, and at least one voxel is drawn."""
    middle = np.array([c * (n - 1) for c, n in zip(centre, labels.shape, strict=True)])
    reach = np.maximum(radius * labels.shape[2] * SPACING_MM[2] / np.array(SPACING_MM), 0.6)
    first = np.maximum(np.floor(middle - reach), 0).astype(int)
    last = np.minimum(np.ceil(middle + reach) + 1, labels.shape).astype(int)
    box = tuple(slice(a, b) for a, b in zip(first, last, strict=True))
    index = np.meshgrid(*(np.arange(a, b) for a, b in zip(first, last, strict=True)), indexing="ij")
    inside = sum(((i - m) / r) ** 2 for i, m, r in zip(index, middle, reach, strict=True)) <= 1
    labels[box][inside] = value


def offsets(shape: tuple[int, int, int], centre: Point) -> list[np.ndarray]:
    """Positions along each axis as a share of it, from the centre, ready to broadcast; float32."""
    axes = [np.arange(n, dtype=np.float32) / n - c for n, c in zip(shape, centre, strict=True)]
    return [axes[0][:, None, None], axes[1][None, :, None], axes[2][None, None, :]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("path", type=Path, help="file to write: pred and truth as uint8")
    parser.add_argument("--scale", type=float, default=1.0, help="of every axis")
    args = parser.parse_args()
    pred, truth = make_pair(args.scale)
    np.savez(args.path, pred=pred, truth=truth)


if __name__ == "__main__":
    main()
