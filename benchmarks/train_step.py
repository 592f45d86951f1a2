"""Time whole training steps on the CPU, side by side with PyTorch, and their peak memory.

    python benchmarks/train_step.py [--torch_python PYTHON] [--only NAME] [--repeat 5] [--json FILE]

Each side is a process of its own with its own settings: ours as mindvoxel.train.device sets them;
PyTorch with glibc's allocator thresholds raised, in f32 and in bf16 autocast, each with and without channels_last_3d,
of which the faster after three steps is kept. Then the sides take a step each in turn; medians count. Without a Python
that has torch (--torch_python, or this one) ours is timed alone.
"""

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
# work -> (network, batch, patch (D, H, W))
WORKS = {
    "vnet 1x1x64x64x32": ("vnet", 1, (64, 64, 32)),
    "vnet 1x1x128x128x64": ("vnet", 1, (128, 128, 64)),
    "unet 2x1x40x56x40": ("unet", 2, (40, 56, 40)),
    "unet 7x1x40x56x40": ("unet", 7, (40, 56, 40)),
}
ALLOCATOR = {
    "MALLOC_MMAP_THRESHOLD_": "4294967296",
    "MALLOC_TRIM_THRESHOLD_": "68719476736",
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TOP_PAD_": "67108864",
}


@dataclass
class Side:
    """A process that makes one step whenever it is asked."""

    process: subprocess.Popen

    @classmethod
    def start(cls, command: list, variables: dict) -> "Side":
        words = list(map(str, command))
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("OMP_", "KMP_"))} | variables
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        return cls(subprocess.Popen(words, env=environment, **pipes))

    def step(self) -> float:
        self.process.stdin.write("step\n")
        self.process.stdin.flush()
        return float(self.process.stdout.readline())

    def stop(self) -> float:
        """Peak resident memory, MB."""
        self.process.stdin.close()
        peak = float(self.process.stdout.readline())
        self.process.wait()
        return peak


def start_ours(work: str, precision: str) -> Side:
    words = [sys.executable, __file__, "--worker", work, "--cpu_precision", precision]
    return Side.start(words, {"PYTHONPATH": f"{HERE.parent}:{os.environ.get('PYTHONPATH', '')}"})


def start_torch(python: str, work: str, precision: str, channels_last: bool) -> Side:
    kind, batch, patch = WORKS[work]
    words = [python, HERE / "torch_step.py", kind, batch, *patch, precision, int(channels_last)]
    return Side.start(words, ALLOCATOR)


def best_layout(python: str, work: str, precision: str) -> bool:
    """Whether PyTorch is faster with channels_last_3d here."""
    times = {}
    for channels_last in (False, True):
        side = start_torch(python, work, precision, channels_last)
        times[channels_last] = min(side.step() for _ in range(3))
        side.stop()
    return times[True] < times[False]


def compare(work: str, python: str | None, repeat: int, precision: str) -> dict:
    """Median seconds and peak memory of every side of `work`."""
    starts = {"ours": lambda: start_ours(work, precision)}
    for name in ("f32", "bf16") if python else ():
        last = best_layout(python, work, name)
        starts[f"torch_{name}"] = lambda name=name, last=last: start_torch(python, work, name, last)
    sides = {name: start() for name, start in starts.items()}
    for side in sides.values():
        for _ in range(2):
            side.step()
    times = {name: [] for name in sides}
    for _ in range(repeat):
        for name, side in sides.items():
            times[name].append(side.step())
    peaks = {name: side.stop() for name, side in sides.items()}
    row = {"work": work} | {f"{name}_s": round(statistics.median(values), 4) for name, values in times.items()}
    row["ours_rss_mb"] = round(peaks["ours"])
    if python:
        best = min(("torch_f32", "torch_bf16"), key=lambda name: row[f"{name}_s"])
        row |= {"ratio": round(row[f"{best}_s"] / row["ours_s"], 2), "torch_rss_mb": round(peaks[best])}
    return row


def serve(work: str, precision: str) -> None:
    """The process of our side."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # whatever logs goes to standard error
    make_step = build(work, precision)
    for line in sys.stdin:
        if line.strip() != "step":
            break
        start = time.perf_counter()
        make_step()
        answers.write(f"{time.perf_counter() - start}\n")
    import resource

    answers.write(f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}\n")


def build(work: str, precision: str):
    """A call that makes one step of `work`, the same as mindvoxel.train makes it."""
    from mindvoxel.train import device

    device.prepare("CPU")
    import mindspore as ms
    import numpy as np

    from mindvoxel.losses import DiceCELoss, ForegroundDiceLoss
    from mindvoxel.ops import set_cpu_precision
    from mindvoxel.train.optim import adam, sgd
    from mindvoxel.train.step import TrainStep
    from mindvoxel.zoo import build_network
    from unet3d.network import build as build_unet

    sys.stderr.write(f"{work}: {set_cpu_precision(precision)}\n")
    kind, batch, patch = WORKS[work]
    rng = np.random.default_rng(0)
    image = rng.standard_normal((batch, 1, *patch), np.float32)
    noise = None
    if kind == "vnet":
        network, loss = build_network("vnet"), ForegroundDiceLoss()
        optimizer = adam(network.trainable_params(), [1e-3] * 1000)
        label = rng.integers(0, 2, (batch, *patch)).astype(np.uint8)
        noise = rng.uniform(size=(batch, network.noise_channels)).astype(np.float32)
    else:
        stages = ((1, 1, 1), *[(2, 2, 2)] * 3), ((3, 3, 3),) * 4, (32, 64, 128, 256)  # Task04_Hippocampus
        network, loss = build_unet(1, 3, *stages, form="nvidia"), DiceCELoss()
        optimizer = sgd(network.trainable_params(), [1e-2] * 1000)
        label = rng.integers(0, 3, (batch, *patch)).astype(np.int32)
    step = TrainStep(network, loss, optimizer)

    def make_step() -> float:
        drawn = None if noise is None else ms.Tensor(noise)
        value, finite = step(ms.Tensor(image), ms.Tensor(label), drawn, None)
        finite.asnumpy()
        return float(value.asnumpy())

    return make_step


def table(rows: list[dict]) -> str:
    names = ["work", "ours_s", "torch_f32_s", "torch_bf16_s", "ratio", "ours_rss_mb", "torch_rss_mb"]
    lines = [names] + [[str(row.get(name, "-")) for name in names] for row in rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(names))]
    return "\n".join("  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)) for line in lines)


def has_torch(python: str) -> bool:
    with contextlib.suppress(OSError):
        return subprocess.run([python, "-c", "import torch"], capture_output=True, check=False).returncode == 0
    return False


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--torch_python", default=sys.executable, help="a Python that has torch")
    parser.add_argument("--only", default="", help="works whose name holds this")
    parser.add_argument("--repeat", type=int, default=5, help="steps that count")
    parser.add_argument("--cpu_precision", default="auto", choices=("f32", "bf16", "auto"), help="of our side")
    parser.add_argument("--json", help="also write the rows to this file")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        serve(args.worker, args.cpu_precision)
        return
    python = args.torch_python if has_torch(args.torch_python) else None
    if python is None:
        sys.stderr.write(f"{args.torch_python} has no torch: ours is timed alone\n")
    rows = [compare(work, python, args.repeat, args.cpu_precision) for work in WORKS if args.only in work]
    sys.stdout.write(table(rows) + "\n")
    if args.json:
        Path(args.json).write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
