"""Peak resident memory and time of inference on a whole CT, stage by stage; the network is a stand-in.

    python benchmarks/inference_memory.py [--classes 25,3] [--shape 600,512,512] [--patch 128,128,128] [--json FILE]

A CT is made and written as int16 NIfTI; then, in a process for each number of classes: read it, resize it linearly and
normalise it, predict in windows (overlap 0.5, Gaussian) with the labels streamed to the scan's grid, write them. The
stand-in answers with one buffer again and again, a class for each range of intensity; its time, which a network would
take, is told apart. Peaks are those of the whole process in a stage (Linux). Last, windows a second of the weighted sum
alone, over 192 voxels an axis: ours, and the plain sum over whole arrays; they take turns, medians of 5.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from mindvoxel.data.crop import Crop
from mindvoxel.data.dataset import Case, read_image
from mindvoxel.data.grid import CaseGrid
from mindvoxel.inference import Member, Sliding, blend_weight, segment, stream_planes
from mindvoxel.inference.restore import resize_planes
from mindvoxel.volume import Volume, write_volume

SOURCE_MM = (1.0, 0.75, 0.75)
NETWORK_MM = (1.0, 0.7676, 0.7676)  # nnU-Net's for Liver
COLUMNS = ("classes", "stage", "seconds", "peak_mb", "note")


def make_ct(path: Path, shape: tuple[int, int, int], spacing_mm: tuple[float, float, float] = SOURCE_MM) -> None:
    """Smooth waves in a body of ellipses, in air, with a little noise; int16, slice by slice."""
    rng = np.random.default_rng(0)
    z, y, x = (np.linspace(-1, 1, n, dtype=np.float32) for n in shape)
    y = y[:, None]
    voxels = np.empty(shape, np.int16)
    for index, height in enumerate(z):
        wave = np.sin(7 * x + 3 * height) * np.cos(6 * y - 4 * height) + np.sin(9 * y * x + 5 * height)
        slice_hu = np.where(x**2 + (1.3 * y) ** 2 < 0.9 - 0.3 * height**2, 40 + 150 * wave, -1000)
        voxels[index] = slice_hu + rng.integers(-4, 5, shape[1:])
    write_volume(path, Volume(voxels, spacing_mm))


class StandIn:
    """Window (1, D, H, W) -> logits (K, D, H, W), largest for the class whose intensity is nearest; timed."""

    def __init__(self, num_classes: int, patch: tuple[int, int, int]):
        self.centres = np.linspace(-2.5, 2.5, num_classes, dtype=np.float32)
        self.logits = np.empty((num_classes, *patch), np.float32)
        self.seconds, self.calls = 0.0, 0

    def __call__(self, window: np.ndarray) -> np.ndarray:
        start = time.perf_counter()
        for centre, logits in zip(self.centres, self.logits, strict=True):
            for plane, values in zip(logits, window[0], strict=True):
                np.multiply(values, centre, out=plane)
                plane -= centre * centre / 2
        self.seconds += time.perf_counter() - start
        self.calls += 1
        return self.logits


class Stages:
    """Seconds and peak resident memory of one stage after the other."""

    def __init__(self, classes: int):
        self.classes, self.rows = classes, []
        self._reset()

    def _reset(self) -> None:
        Path("/proc/self/clear_refs").write_text("5")  # the peak becomes what is resident now
        self.start = time.perf_counter()

    def end(self, stage: str, note: str = "") -> None:
        seconds = time.perf_counter() - self.start
        status = Path("/proc/self/status").read_text()
        peak_kb = int(status.split("VmHWM:")[1].split()[0])
        values = (self.classes, stage, round(seconds, 2), peak_kb // 1024, note)
        self.rows.append(dict(zip(COLUMNS, values, strict=True)))
        self._reset()


def resized(image: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    planes = resize_planes((plane[None] for plane in image), image.shape, shape)
    whole = np.empty(shape, np.float32)
    for target, plane in zip(whole, planes, strict=True):
        target[:] = plane[0]
    return whole


def measure(path: Path, num_classes: int, patch: tuple[int, int, int]) -> list[dict]:
    stages = Stages(num_classes)
    stages.end("start", "Python with its packages")
    scan = read_image(Case("ct", (path,), None))
    stages.end("read", f"{'×'.join(map(str, scan.shape))} as float32: {scan.voxels.nbytes >> 20} MB")
    shape = tuple(round(n * s / t) for n, s, t in zip(scan.shape, SOURCE_MM, NETWORK_MM, strict=True))
    crop = Crop((0, 0, 0), scan.shape, scan.shape)
    grid = CaseGrid(scan.shape, scan.spacing_mm, scan.origin_mm, scan.direction, (0, 1, 2), crop, shape, NETWORK_MM)
    image = resized(scan.voxels[0], shape)[None]
    del scan
    np.clip(image, -200, 300, out=image)
    image -= 40
    image /= 100
    stages.end("resize", f"to {'×'.join(map(str, shape))}, normalise")
    network = StandIn(num_classes, patch)
    sliding = Sliding(patch)
    start = time.perf_counter()
    labels = segment([Member(image, grid, [network], sliding)], range(num_classes))
    ours = time.perf_counter() - start - network.seconds
    slab_mb = 4 * (num_classes + 1) * patch[0] * shape[1] * shape[2] >> 20
    rate = f"{network.calls} windows, stand-in {network.seconds:.1f} s, rest {ours:.1f} s"
    stages.end("segment", f"slab {slab_mb} MB; {rate}")
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        write_volume(Path(folder) / "labels.nii.gz", labels)
    stages.end("write", f"labels {labels.voxels.dtype} in 0..{labels.voxels.max()}")
    return stages.rows


def plain_sum(image: np.ndarray, network: StandIn, sliding: Sliding) -> None:
    """What is written first: everything in memory, whole windows at a time."""
    total = np.zeros((len(network.centres), *image.shape[1:]), np.float32)
    norm = np.zeros(image.shape[1:], np.float32)
    weight = blend_weight(sliding.box, sliding.blend)
    for box in sliding.boxes(image.shape[1:]):
        total[(slice(None), *box)] += network(image[(slice(None), *box)]) * weight
        norm[box] += weight
    total /= norm


def streamed_sum(image: np.ndarray, network: StandIn, sliding: Sliding) -> None:
    for _ in stream_planes(image, [network], len(network.centres), sliding):
        pass


def harness(num_classes: int, patch: tuple[int, int, int], repeat: int = 5) -> dict:
    """Windows a second without the stand-in's own time."""
    image = np.random.default_rng(0).standard_normal((1, 192, 192, 192), np.float32)
    network, sliding = StandIn(num_classes, patch), Sliding(patch)
    rates = {streamed_sum: [], plain_sum: []}
    for _ in range(repeat):
        for way, found in rates.items():
            network.seconds, network.calls, start = 0.0, 0, time.perf_counter()
            way(image, network, sliding)
            found.append(network.calls / (time.perf_counter() - start - network.seconds))
    ours, plain = (statistics.median(found) for found in rates.values())
    note = f"windows/s {ours:.1f}, plain {plain:.1f}: {ours / plain:.2f} times as fast"
    return dict(zip(COLUMNS, (num_classes, "sum alone", "-", "-", note), strict=True))


def table(rows: list[dict]) -> str:
    lines = [COLUMNS, *([str(row[name]) for name in COLUMNS] for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(COLUMNS))]
    return "\n".join("  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)).rstrip() for line in lines)


def main() -> None:
    def triple(text: str) -> tuple[int, ...]:
        return tuple(map(int, text.split(",")))

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--classes", type=triple, default=(25, 3), help="numbers of classes, one run each")
    parser.add_argument("--shape", type=triple, default=(600, 512, 512), help="of the CT (D, H, W)")
    parser.add_argument("--patch", type=triple, default=(128, 128, 128), help="of the network (D, H, W)")
    parser.add_argument("--json", help="also write the rows to this file")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        rows = [*measure(Path(args.worker), args.classes[0], args.patch), harness(args.classes[0], args.patch)]
        Path(args.json).write_text(json.dumps(rows), encoding="utf-8")
        return
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ct.nii.gz"
        make_ct(path, args.shape)
        for classes in args.classes:
            words = [f"--classes={classes}", f"--patch={','.join(map(str, args.patch))}"]
            found = Path(folder) / "rows.json"
            subprocess.run([sys.executable, __file__, *words, f"--json={found}", f"--worker={path}"], check=True)
            rows += json.loads(found.read_text(encoding="utf-8"))
    sys.stdout.write(table(rows) + "\n")
    if args.json:
        Path(args.json).write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
