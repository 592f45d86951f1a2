"""Time and peak memory of UNet++ on the CPU, head by head: what --prune saves.

    python benchmarks/pruning.py [--only NAME] [--repeat 10] [--json FILE]

One window through the network in evaluation, each level in a process of its own; the fastest of all, since other work
on the machine only adds, and the peak of the whole process. The weights are random, on which neither depends. The
Liver's network, of the plan for 128x128x128, is given a smaller window.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
FILTERS = (32, 64, 128, 256, 320, 320)
# work -> (poolings, window (D, H, W))
WORKS = {"hippocampus": (3, (40, 56, 40)), "liver": (5, (96, 96, 96))}


def build(poolings: int, level: int):
    """UNet++ of a plan that halves every axis, pruned to `level`."""
    from mindvoxel.train import device

    device.prepare("CPU")
    from unetpp.network import build as build_network

    strides = ((1, 1, 1), *[(2, 2, 2)] * poolings)
    kernels = ((3, 3, 3),) * (poolings + 1)
    network = build_network(1, 3, strides, kernels, FILTERS[: poolings + 1])
    network.set_train(False)
    network.prune(level)
    return network


def num_parameters(network, level: int) -> int:
    """Of what head `level` needs."""
    nodes = [node for i, row in enumerate(network.rows) for node in row[: max(level - i, 0)]]
    cells = [*network.downs[: level + 1], *nodes, network.heads[level - 1]]
    return sum(p.size for cell in cells for p in cell.get_parameters())


def measure(work: str, level: int, repeat: int) -> dict:
    """One row, in this process."""
    import resource

    import numpy as np

    poolings, window = WORKS[work]
    network = build(poolings, level)
    import mindspore as ms

    image = ms.Tensor(np.random.default_rng(0).standard_normal((1, 1, *window), np.float32))
    times = []
    for _ in range(repeat + 2):  # the first compiles, the second fills the memory
        start = time.perf_counter()
        network(image).asnumpy()
        times.append(time.perf_counter() - start)
    row = {"work": work, "window": "x".join(map(str, window)), "level": level}
    row |= {"parameters": num_parameters(network, level), "seconds": round(min(times[2:]), 4)}
    return row | {"peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)}


def in_own_process(work: str, level: int, repeat: int) -> dict:
    words = [sys.executable, __file__, "--only", work, "--level", str(level), "--repeat", str(repeat)]
    paths = f"{HERE.parent}:{HERE.parent / 'src'}:{os.environ.get('PYTHONPATH', '')}"
    done = subprocess.run(words, env=os.environ | {"PYTHONPATH": paths}, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--only", choices=WORKS, help="one of the networks")
    parser.add_argument("--repeat", type=int, default=10, help="windows that are timed")
    parser.add_argument("--json", type=Path, help="write the rows there, too")
    parser.add_argument("--level", type=int, help=argparse.SUPPRESS)  # the process of one level
    args = parser.parse_args()
    if args.level:
        sys.stdout.write(json.dumps(measure(args.only, args.level, args.repeat)) + "\n")
        return
    rows = []
    for work in [args.only] if args.only else WORKS:
        for level in range(1, WORKS[work][0] + 1):
            rows.append(in_own_process(work, level, args.repeat))
            row = rows[-1]
            sys.stdout.write(
                f"{row['work']:12} {row['window']:>10}  level {row['level']}  {row['parameters']:>11,} parameters  "
                f"{row['seconds']:8.4f} s  {row['peak_mb']:>6} MB\n"
            )
            sys.stdout.flush()
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
