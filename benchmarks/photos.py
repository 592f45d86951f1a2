"""Photos a second of a training loader's work: read a JPEG, cut out and resize a random part, subtract the mean.

    python benchmarks/photos.py [--repeat 5] [--photos 200] [--json FILE]

Made-up photos of 500×375 pixels, JPEG of quality 90 (Pillow writes them), 224×224 pixels out of each. By one thread,
two threads, and two processes, which take turns; medians count. Each step is timed alone, too, by one thread.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from mindvoxel.data.photos import PhotoForm, RandomCropFlip, normalize_photo, prepare_photo, read_photo

FORM = PhotoForm(224, 256, (123.68, 116.78, 103.94), (1.0, 1.0, 1.0))
CROP = RandomCropFlip(224)


def make(folder: Path, count: int) -> list[Path]:
    """Smooth colours under noise, as JPEG."""
    from PIL import Image  # SimpleITK writes progressive JPEG, which ImageNet's is not

    y, x = np.mgrid[:375, :500].astype(np.float32)
    colours = [120 + 90 * np.sin(y / 23 + x / 41), 110 + 80 * np.cos(y / 31), 100 + 70 * np.sin(x / 17)]
    for number in range(count):
        noise = np.random.default_rng(number).normal(0, 12, (375, 500, 3))
        pixels = (np.stack(colours, -1) + noise).clip(0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.jpg", quality=90)
    return sorted(folder.glob("*.jpg"))


def train_work(paths: Sequence[Path]) -> int:
    """What a loader does to each photo; the number of them."""
    rng = np.random.default_rng(0)
    for path in paths:
        photo = read_photo(path)
        normalize_photo(CROP.apply(photo, **CROP.draw(rng, *photo.shape[:2])), FORM)
    return len(paths)


def rate(pool: Executor, workers: int, paths: Sequence[Path]) -> float:
    """Photos a second of `workers` that share `paths`."""
    shares = [paths[i::workers] for i in range(workers)]
    start = time.perf_counter()
    done = sum(pool.map(train_work, shares))
    return done / (time.perf_counter() - start)


def milliseconds(work: Callable, photos: Sequence) -> float:
    start = time.perf_counter()
    for photo in photos:
        work(photo)
    return (time.perf_counter() - start) / len(photos) * 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--photos", type=int, default=200)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        paths = make(Path(folder), args.photos)
        size = sum(path.stat().st_size for path in paths) / len(paths) / 1000
        print(f"{len(paths)} photos of 500×375 pixels, {size:.0f} kB each")  # noqa: T201
        pools = {
            "1 thread": (ThreadPoolExecutor(1), 1),
            "2 threads": (ThreadPoolExecutor(2), 2),
            "2 processes": (ProcessPoolExecutor(2, get_context("spawn")), 2),
        }
        found: dict[str, list[float]] = {name: [] for name in pools}
        for number in range(args.repeat + 1):
            for name, (pool, workers) in pools.items():
                speed = rate(pool, workers, paths)
                if number:  # the first warms up
                    found[name].append(speed)
        for pool, _ in pools.values():
            pool.shutdown()
        photos, rng = [read_photo(path) for path in paths], np.random.default_rng(0)
        steps = {
            "read": milliseconds(read_photo, paths),
            "random part, resized": milliseconds(lambda p: CROP.apply(p, **CROP.draw(rng, *p.shape[:2])), photos),
            "as in evaluation": milliseconds(lambda p: prepare_photo(p, FORM), photos),
        }
    medians = {name: statistics.median(speeds) for name, speeds in found.items()}
    for name, speed in medians.items():
        print(f"{name:24}{speed:8.0f} photos a second")  # noqa: T201
    for name, duration in steps.items():
        print(f"{name:24}{duration:8.2f} ms")  # noqa: T201
    if args.json:
        args.json.write_text(json.dumps({"photos_a_second": medians, "ms": steps}, indent=1) + "\n")


if __name__ == "__main__":
    main()
