"""One window of V-Net through every runtime, for deploy.py.

    python deploy_network.py CKPT WINDOW.bin mindspore|f32|bf16 ANSWER.npy

is the process of a Python side: MindSpore's own kernels, or this project's operator in f32 or bf16. It reads "step"
lines, answers each with the seconds of one window, and at the end of input leaves its logits and prints its peak
memory in MB.
"""

import json
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from seeded_bundle import VNET_WINDOW
from train_step import ALLOCATOR, HERE, Side

PROGRAM = {"C++ f32": "f32", "C++ bf16": "bf16"}
PYTHON = {"Python, MindSpore's own kernels": "mindspore", "Python f32": "f32", "Python bf16": "bf16"}
TORCH = {"PyTorch f32": "f32", "PyTorch bf16": "bf16"}


class Program:
    """The C++ program, a process a step: three windows that warm up, then the one that counts."""

    def __init__(self, infer: Path, bundle: Path, window: Path, precision: str):
        self.folder = window.parent / f"answers {precision}"
        self.peak = 0.0
        inputs = window.parent / "four"
        inputs.mkdir(exist_ok=True)
        for name in ("a.bin", "b.bin", "c.bin", "d.bin"):
            if not (inputs / name).exists():
                (inputs / name).symlink_to(window)
        self.words = [infer, "--bundle", bundle, "--stage", "network", "--device", "cpu", "--precision", precision]
        self.words += ["--input", inputs, "--output", self.folder, "--overwrite"]

    def step(self) -> float:
        subprocess.run([str(word) for word in self.words], check=True, capture_output=True)
        report = json.loads((self.folder / "report.json").read_text(encoding="utf-8"))
        self.peak = max(self.peak, report["peak_memory_mb"])
        return report["windows"]["call_s"][-1]

    def stop(self) -> float:
        return self.peak

    def answer(self) -> np.ndarray:
        return np.fromfile(self.folder / "d_0.bin", np.float32)


def best_torch(python: str, window: Path, precision: str) -> Side:
    """PyTorch at the faster of channels_last_3d or not, after three windows each."""

    def start(last: bool) -> Side:
        return Side.start([python, HERE / "torch_forward.py", window, *VNET_WINDOW, precision, int(last)], ALLOCATOR)

    times = {}
    for last in (False, True):
        side = start(last)
        times[last] = min(side.step() for _ in range(3))
        side.stop()
    return start(times[True] < times[False])


def start_sides(infer: Path, folder: Path, torch_python: str | None) -> dict:
    """Every side by its name; `folder` is what seeded_bundle.py made."""
    window = folder / "window.bin"
    np.random.default_rng(0).standard_normal((1, 1, *VNET_WINDOW), np.float32).tofile(window)
    sides = {name: Program(infer, folder / "bundle", window, precision) for name, precision in PROGRAM.items()}
    for name, kernels in PYTHON.items():
        words = [sys.executable, __file__, folder / "last.ckpt", window, kernels, folder / f"{kernels}.npy"]
        sides[name] = Side.start(words, {})
    for name, precision in TORCH.items() if torch_python else ():
        sides[name] = best_torch(torch_python, window, precision)
    return sides


def measure(infer: Path, folder: Path, torch_python: str | None, repeat: int) -> list[dict]:
    """A row a side: median s of a window, peak MB of the process, largest difference from Python's f32 logits."""
    sides = start_sides(infer, folder, torch_python)
    times: dict[str, list] = {name: [] for name in sides}
    for turn in range(repeat + 1):  # the first warms up
        for name, side in sides.items():
            seconds = side.step()
            sys.stderr.write(f"{name}: {seconds:.3f} s\n")
            if turn:
                times[name].append(seconds)
    peaks = {name: side.stop() for name, side in sides.items()}
    expected = np.load(folder / "f32.npy").ravel()
    rows = []
    for name, side in sides.items():
        row = {"side": name, "s a window": round(statistics.median(times[name]), 4), "MB": round(peaks[name])}
        if name not in TORCH:  # whose weights are others
            found = side.answer() if isinstance(side, Program) else np.load(folder / f"{PYTHON[name]}.npy").ravel()
            row["difference"] = float(f"{np.abs(found - expected).max() / np.abs(expected).max():.2g}")
        rows.append(row)
    return rows


def serve(ckpt: Path, window: Path, kernels: str, answer: Path) -> None:
    """The process of a Python side."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # whatever logs goes to standard error
    from mindvoxel.ops import library
    from mindvoxel.train import device

    if kernels == "mindspore":
        library.load = lambda: None  # as where the operator is not built
    device.prepare("CPU")
    from mindvoxel.prediction.engines import load_engine

    engine = load_engine(ckpt, "vnet", "mindspore", "f32" if kernels == "mindspore" else kernels)
    image = np.fromfile(window, np.float32).reshape(1, *VNET_WINDOW)
    logits = None
    for line in sys.stdin:
        if line.strip() != "step":
            break
        start = time.perf_counter()
        logits = engine.logits(image)
        answers.write(f"{time.perf_counter() - start}\n")
    np.save(answer, logits)
    answers.write(f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}\n")


if __name__ == "__main__":
    serve(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], Path(sys.argv[4]))
