"""Weak scaling: the time of a training step on 1, 2, … processes, each with the same batch.

    python benchmarks/scaling.py [--device_target CPU] [--ranks 1,2] [--steps 20] [--json FILE]

For each number of processes a V-Net trains on made-up scans through the real loader, step and all-reduce, started by
msrun on this server. Columns: ms a step; of it ms that rank 0 waits for data; ms that an all-reduce of all gradients
takes by itself; patches a second on all processes; efficiency, the step's time on one process as a share of it. On the
CPU the processes share the cores, so that the efficiency of 2 on the same cores can hardly be above 0.5.
"""

import argparse
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve()
ROOT = HERE.parents[1]
WARMUP_STEPS = 3
COLUMNS = ("ranks", "step_ms", "data_wait_ms", "all_reduce_ms", "patches_per_s", "efficiency")


def build(device, args):
    """The parts of a run on eight made-up cases."""
    import numpy as np
    from easydict import EasyDict

    from mindvoxel.config import load_recipe, override
    from mindvoxel.train import builder

    size = tuple(int(n) for n in args.patch_size.split(","))
    changes = {"data.patch_size": size, "train.batch_size": args.batch_size, "network.width": args.width}
    changes |= {"train.epochs": args.steps + 20, "train.repeats": args.batch_size * device.num_ranks}
    recipe = override(load_recipe("vnet", "default"), changes)
    rng, cases = np.random.default_rng(0), []
    for number in range(8):
        label = np.zeros([n + 16 for n in size], np.uint8)
        label[tuple(slice(n // 4, 3 * n // 4) for n in size)] = 1
        image = rng.standard_normal(label.shape).astype(np.float32)
        cases.append(EasyDict(case=f"case_{number}", image=image, label=label))
    return builder.build(recipe, cases, device)


def all_reduce_ms(parts, device, steps: int) -> float:
    """Median ms of the all-reduce of gradients, of the shapes of all weights, by itself."""
    import mindspore as ms
    from mindspore import nn, ops

    if device.num_ranks == 1:
        return 0.0

    class Reduce(nn.Cell):
        def __init__(self, weights):
            super().__init__(auto_prefix=False)
            self.reduce = nn.DistributedGradReducer(weights, mean=True, degree=device.num_ranks)

        def construct(self, grads):
            return self.reduce(grads)

    weights = parts.optimizer.parameters
    reduce, grads = Reduce(weights), tuple(ops.ones_like(ms.Tensor(weight.asnumpy())) for weight in weights)
    times = []
    for _ in range(steps + WARMUP_STEPS):
        start = time.perf_counter()
        reduce(grads)[0].asnumpy()
        times.append(1000 * (time.perf_counter() - start))
    return statistics.median(times[WARMUP_STEPS:])


def work(args) -> None:
    """One process of the measurement; rank 0 writes its figures to the file --one_rank."""
    from mindvoxel.train import device as devices
    from mindvoxel.train.benchmark import time_training

    device = devices.prepare(
        args.device_target, int(os.environ.get("DEVICE_ID", "0")), distributed="MS_ROLE" in os.environ
    )
    devices.set_cpu_precision(device.target, "f32")
    parts = build(device, args)
    told = time_training(parts.trainer, args.batch_size, args.steps, WARMUP_STEPS)
    reduce_ms = all_reduce_ms(parts, device, args.steps)
    if device.is_main:
        figures = {
            "ranks": device.num_ranks,
            "step_ms": told["latency_train_mean"],
            "data_wait_ms": told["data_wait_mean"],
        }
        figures |= {"all_reduce_ms": round(reduce_ms, 3), "patches_per_s": told["throughput_train"]}
        Path(args.one_rank).write_text(json.dumps(figures))


def measure(num_ranks: int, args) -> dict:
    """The figures of `num_ranks` processes."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "figures.json"
        own = [str(HERE), *sys.argv[1:], "--one_rank", str(out)]
        words = [sys.executable, *own]
        if num_ranks > 1:
            with socket.socket() as place:
                place.bind(("127.0.0.1", 0))
                port = place.getsockname()[1]
            words = [sys.executable, "-m", "mindspore.parallel.cluster.run", f"--worker_num={num_ranks}"]
            words += [
                f"--local_worker_num={num_ranks}",
                f"--master_port={port}",
                "--join=True",
                f"--log_dir={folder}",
                *own,
            ]
        cores = len(os.sched_getaffinity(0))
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        variables = {"PATH": path, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}
        if args.device_target == "CPU":
            variables["OMP_NUM_THREADS"] = str(max(cores // num_ranks, 1))
        done = subprocess.run(words, env=os.environ | variables, capture_output=True, text=True, check=False)
        if done.returncode or not out.exists():
            sys.exit(f"{num_ranks} processes failed:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
        return json.loads(out.read_text())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device_target", default="CPU", help="Ascend, GPU or CPU")
    parser.add_argument(
        "--ranks", default="1,2", help="numbers of processes, the first of which the others are compared to"
    )
    parser.add_argument("--batch_size", type=int, default=1, help="patches a step and process")
    parser.add_argument("--patch_size", default="32,64,64", help="voxels along z,y,x")
    parser.add_argument("--width", type=int, default=16, help="channels of the V-Net's first stage")
    parser.add_argument("--steps", type=int, default=20, help="steps that are timed")
    parser.add_argument("--json", metavar="FILE", help="write the figures here, too")
    parser.add_argument("--one_rank", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.one_rank:
        work(args)
        return
    rows = [measure(int(number), args) for number in args.ranks.split(",")]
    print(*COLUMNS, sep="\t")  # noqa: T201
    for row in rows:
        row["efficiency"] = round(rows[0]["step_ms"] / row["step_ms"], 3)
        print(*(row[name] for name in COLUMNS), sep="\t")  # noqa: T201
    if args.json:
        Path(args.json).write_text(json.dumps(rows, indent=1) + "\n")


if __name__ == "__main__":
    main()
