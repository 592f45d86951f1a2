"""Count augmented patches a second, side by side with nnU-Net v2's own pipeline on the same cores.

    python benchmarks/pipeline.py [--peer_python PYTHON] [--only NAME] [--workers 2] [--turns 7] [--json FILE]

Both sides cut, augment and stack the same made-up preprocessed cases at two plans of nnU-Net: Liver (CT-sized cases,
patch 128 × 128 × 128, batch 2) and Hippocampus (40 × 56 × 40, batch 9). Theirs is nnUNetDataLoader over its blosc2
files with nnUNetTrainer.get_training_transforms and its NonDetMultiThreadedAugmenter, one PyTorch thread a worker
process, without the labels for deep supervision; ours is PatchSource over raw NumPy files, with as many threads. The
sides run in turn, 6 s each, while the other's processes are stopped; the medians of the turns and of their ratios
count. cpu_ms is processor time a patch, of all processes of a side: what is left of the comparison where other programs
use the machine too. Without a Python that has nnunetv2 (--peer_python, or this one) ours is timed alone. A gigabyte of
disk is needed for the time it runs.
"""

import argparse
import contextlib
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
from scipy import ndimage

from mindvoxel.data.augment.sets import nnunet_set, nnunet_turn
from mindvoxel.data.crop import Crop
from mindvoxel.data.grid import CaseGrid
from mindvoxel.data.patches import PatchRecipe, PatchSource
from mindvoxel.data.sampling import ForegroundOversampling
from mindvoxel.data.store import StoredCase, list_cases, open_case, write_case

HERE = Path(__file__).resolve().parent
# work -> (number of cases, shape of a case, patch, batch size)
WORKS = {
    "liver": (3, (300, 420, 420), (128, 128, 128), 2),
    "hippocampus": (50, (36, 50, 35), (40, 56, 40), 9),
}
SECONDS = 6  # a turn
THROWN_AWAY = 4  # batches at the start of a turn
VARIABLES = {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}
VARIABLES |= {name: "unused" for name in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results")}  # it warns otherwise


def make_case(name: str, shape: tuple, seed: int) -> StoredCase:
    """Smooth structures with noise; an organ (1) of a tenth of the box and a lesion (2) in it."""
    rng = np.random.default_rng(seed)
    coarse = rng.standard_normal([n // 6 + 1 for n in shape]).astype(np.float32)
    image = ndimage.zoom(coarse, [n / c for n, c in zip(shape, coarse.shape, strict=True)], order=1)
    image += np.float32(0.1) * rng.standard_normal(shape, np.float32)
    grid = np.ogrid[tuple(slice(-1, 1, n * 1j) for n in shape)]
    distance = sum((axis - at) ** 2 for axis, at in zip(grid, (0.0, -0.2, -0.3), strict=True))
    label = (distance < 0.58**2).astype(np.int8) + (distance < 0.12**2)
    locations = {k: rng.permutation(np.argwhere(label == k))[:10000].astype(np.int32) for k in (1, 2)}
    ones, whole = (1.0, 1.0, 1.0), Crop((0, 0, 0), shape, shape)
    place = CaseGrid(shape, ones, ones, tuple(np.eye(3).ravel().tolist()), (0, 1, 2), whole, shape, ones)
    return StoredCase(name, image[None], label, locations, place)


def serve(work: str, folder: str, workers: int) -> None:
    """The process of our side: for each line of standard input, a number of seconds, its batches a second."""
    _, _, patch, batch_size = WORKS[work]
    recipe = PatchRecipe(patch, ForegroundOversampling(), nnunet_turn(patch, False), nnunet_set(3))
    names = list_cases(folder)
    source = PatchSource(names, partial(open_case, folder), recipe, batch_size, 10**6, seed=0, num_workers=workers)
    batches = source.epoch(0)
    for line in sys.stdin:
        sys.stdout.write(f"{rate(batches, float(line))}\n")
        sys.stdout.flush()
    batches.close()


def rate(batches: Iterator, seconds: float) -> float:
    """Batches a second over `seconds`."""
    for _ in range(THROWN_AWAY):
        next(batches)
    start, count = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        next(batches)
        count += 1
    return count / (time.perf_counter() - start)


def start(command: list) -> subprocess.Popen:
    """A side with all its processes in a group of their own."""
    options = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True, "start_new_session": True}
    return subprocess.Popen([str(word) for word in command], env=dict(os.environ) | VARIABLES, **options)


def turn(side: subprocess.Popen) -> tuple[float, float]:
    """Batches a second of a side, and its processor seconds a batch; its processes stand still before and after."""
    os.killpg(side.pid, signal.SIGCONT)
    before = cpu_seconds(side.pid)
    with contextlib.suppress(BrokenPipeError):  # it has ended: then it gives no answer either
        side.stdin.write(f"{SECONDS}\n")
        side.stdin.flush()
    answer = side.stdout.readline()
    if not answer:
        raise SystemExit(f"{' '.join(side.args[:2])} … ended without an answer; its message stands above")
    rate = float(answer)
    used = cpu_seconds(side.pid) - before
    os.killpg(side.pid, signal.SIGSTOP)
    return rate, used / (rate * SECONDS + THROWN_AWAY)


def cpu_seconds(group: int) -> float:
    """User and system time of all processes of a group (Linux)."""
    ticks = 0
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = path.read_text().rpartition(")")[2].split()
            if int(fields[2]) == group:
                ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def compare(work: str, folder: Path, python: str | None, workers: int, turns: int) -> dict:
    """Median patches a second of each side of `work`."""
    count, shape, patch, batch_size = WORKS[work]
    for number in range(count):
        write_case(folder, make_case(f"case_{number:03d}", shape, number), compress=False)
    commands = {"ours": [sys.executable, __file__, "--serve", work, folder, workers]}
    if python:
        commands["nnunet"] = [python, HERE / "nnunet_pipeline.py", folder, *patch, batch_size, workers, THROWN_AWAY]
    sides, rates, costs = {}, {name: [] for name in commands}, {name: [] for name in commands}
    try:
        for name, command in commands.items():
            sides[name] = start(command)
            turn(sides[name])  # files come into memory, and theirs times its choices
        for _ in range(turns):
            for name, side in sides.items():
                batches, seconds = turn(side)
                rates[name].append(batches * batch_size)
                costs[name].append(1e3 * seconds / batch_size)
    finally:
        for side in sides.values():  # a process that stands still would stay for ever
            with contextlib.suppress(ProcessLookupError):
                os.killpg(side.pid, signal.SIGKILL)
            side.wait()
    row = {"work": work, "workers": workers}
    row |= {f"{name}_patches_s": round(statistics.median(values), 1) for name, values in rates.items()}
    row |= {f"{name}_cpu_ms": round(statistics.median(values), 1) for name, values in costs.items()}
    if python:
        ratios = [ours / theirs for ours, theirs in zip(rates["ours"], rates["nnunet"], strict=True)]
        row |= {"ratio": round(statistics.median(ratios), 2), "ratios": [round(r, 2) for r in sorted(ratios)]}
    return row


def table(rows: list[dict]) -> str:
    names = ["work", "ours_patches_s", "nnunet_patches_s", "ratio", "ratios", "ours_cpu_ms", "nnunet_cpu_ms"]
    lines = [names] + [[str(row.get(name, "-")) for name in names] for row in rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(names))]
    return "\n".join("  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)) for line in lines)


def has_nnunet(python: str) -> bool:
    command = [python, "-c", "import importlib.util as u, sys; sys.exit(u.find_spec('nnunetv2') is None)"]
    with contextlib.suppress(OSError):
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    return False


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer_python", default=sys.executable, help="a Python that has nnunetv2")
    parser.add_argument("--only", default="", help="works whose name holds this")
    parser.add_argument("--workers", type=int, default=2, help="threads of ours, processes of theirs")
    parser.add_argument("--turns", type=int, default=7, help="turns of each side that count")
    parser.add_argument("--json", help="also write the rows to this file")
    parser.add_argument("--serve", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.serve:
        serve(args.serve[0], args.serve[1], int(args.serve[2]))
        return
    python = args.peer_python if has_nnunet(args.peer_python) else None
    if python is None:
        sys.stderr.write(f"{args.peer_python} has no nnunetv2: ours is timed alone\n")
    rows = []
    for work in (name for name in WORKS if args.only in name):
        with tempfile.TemporaryDirectory(prefix=f"pipeline-{work}-") as folder:
            rows.append(compare(work, Path(folder), python, args.workers, args.turns))
    sys.stdout.write(table(rows) + "\n")
    if args.json:
        Path(args.json).write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
