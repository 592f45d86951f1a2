"""Time the CPU convolutions, layer by layer: mindvoxel's operator in f32 and bf16 against MindSpore's own kernels.

    ONEDNN_MAX_CPU_ISA=AVX2 python benchmarks/conv.py [--only vnet] [--own] [--json FILE]

Times are the fastest of --repeat calls in graph mode, in ms; backward is both gradients (of the first layers, whose
input is the image, only the weights'). --own times MindSpore's kernels too; without ONEDNN_MAX_CPU_ISA=AVX2 those
of MindSpore 2.10 run many times slower.
"""

import argparse
import json
import math
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import mindspore as ms
import numpy as np
from mindspore import nn, ops

from mindvoxel.nn.conv import Conv2d, Conv3d, Conv3dTranspose
from mindvoxel.nn.exporting import exportable
from mindvoxel.ops import library, set_cpu_precision


@dataclass(frozen=True)
class Case:
    """One layer and its input."""

    name: str
    cell: type
    channels: tuple[int, int]
    kernel: int | tuple[int, ...]
    size: tuple[int, ...]
    stride: int = 1
    batch: int = 1

    def build(self) -> nn.Cell:
        if self.cell is Conv3dTranspose:
            return Conv3dTranspose(*self.channels, self.kernel, weight_init="he_normal")
        kernel = self.kernel if isinstance(self.kernel, tuple) else (self.kernel,) * len(self.size)
        padding = tuple(k // 2 for k in kernel) if self.stride == 1 else 0
        return self.cell(*self.channels, self.kernel, weight_init="he_normal", stride=self.stride, padding=padding)


def cases() -> list[Case]:
    vnet = [
        Case("vnet 1-16 5^3", Conv3d, (1, 16), 5, (128, 128, 64)),
        Case("vnet 16-16 5^3", Conv3d, (16, 16), 5, (128, 128, 64)),
        Case("vnet 16-32 2^3 down", Conv3d, (16, 32), 2, (128, 128, 64), stride=2),
        Case("vnet 32-32 5^3", Conv3d, (32, 32), 5, (64, 64, 32)),
        Case("vnet 64-64 5^3", Conv3d, (64, 64), 5, (32, 32, 16)),
        Case("vnet 128-128 5^3", Conv3d, (128, 128), 5, (16, 16, 8)),
        Case("vnet 256-256 5^3", Conv3d, (256, 256), 5, (8, 8, 4)),
        Case("vnet 64-16 2^3 up", Conv3dTranspose, (64, 16), 2, (64, 64, 32)),
        Case("vnet 32-2 5^3", Conv3d, (32, 2), 5, (128, 128, 64)),
        Case("vnet 2-2 1^3", Conv3d, (2, 2), 1, (128, 128, 64)),
        Case("vnet-s 16-16 5^3", Conv3d, (16, 16), 5, (64, 64, 32)),
        Case("vnet-s 128-128 5^3", Conv3d, (128, 128), 5, (8, 8, 4)),
        Case("vnet-s 256-256 5^3", Conv3d, (256, 256), 5, (4, 4, 2)),
    ]
    unet = [
        Case("unet 1-32 3^3", Conv3d, (1, 32), 3, (40, 56, 40), batch=2),
        Case("unet 32-32 3^3", Conv3d, (32, 32), 3, (40, 56, 40), batch=2),
        Case("unet 64-32 3^3", Conv3d, (64, 32), 3, (40, 56, 40), batch=2),
        Case("unet 32-32 1x3x3", Conv3d, (32, 32), (1, 3, 3), (40, 56, 40), batch=2),
        Case("unet 32-64 3^3 s2", Conv3d, (32, 64), 3, (41, 57, 41), stride=2, batch=2),
        Case("unet 64-64 3^3", Conv3d, (64, 64), 3, (20, 28, 20), batch=2),
        Case("unet 64-32 2^3 up", Conv3dTranspose, (64, 32), 2, (20, 28, 20), batch=2),
        Case("unet 128-128 3^3", Conv3d, (128, 128), 3, (10, 14, 10), batch=2),
        Case("unet 256-256 3^3", Conv3d, (256, 256), 3, (5, 7, 5), batch=2),
        Case("unet 32-3 1^3", Conv3d, (32, 3), 1, (40, 56, 40), batch=2),
        Case("unet++ 32-32 3^2", Conv2d, (32, 32), 3, (96, 96), batch=16),
    ]
    return vnet + unet


def wait_for(result: object) -> None:
    """Until every tensor of a result is computed: MindSpore may return before that."""
    if isinstance(result, tuple):
        for part in result:
            wait_for(part)
    else:
        result.asnumpy()


def fastest_ms(work: Callable[[], object], repeat: int) -> float:
    wait_for(work())
    times = []
    for _ in range(repeat):
        start = time.perf_counter()
        wait_for(work())
        times.append(time.perf_counter() - start)
    return 1e3 * min(times)


def measure(cell: nn.Cell, x: ms.Tensor, repeat: int) -> tuple[float, float]:
    """Forward and backward time in ms; the backward time holds no forward pass."""
    dout = ops.ones_like(cell(x))
    get_all = x.shape[1] > 1
    grad = ops.GradOperation(get_all=get_all, get_by_list=True, sens_param=True)(cell, cell.trainable_params())
    return fastest_ms(lambda: cell(x), repeat), fastest_ms(lambda: grad(x, dout), repeat)


def flops(case: Case, weight: ms.Parameter, y_shape: tuple[int, ...]) -> float:
    voxels = math.prod(case.size) if case.cell is Conv3dTranspose else math.prod(y_shape[2:])
    return 2.0 * case.batch * voxels * math.prod(weight.shape)


def run(case: Case, repeat: int, own: bool, bf16: bool) -> dict:
    rng = np.random.default_rng(0)
    x = ms.Tensor(rng.normal(size=(case.batch, case.channels[0], *case.size)).astype(np.float32))
    cell = case.build()
    row = {"case": case.name, "gflop": round(flops(case, cell.weight, cell(x).shape) * 1e-9, 2)}
    for precision in ("f32", "bf16") if bf16 else ("f32",):
        set_cpu_precision(precision)
        row[f"{precision}_forward_ms"], row[f"{precision}_backward_ms"] = measure(cell, x, repeat)
    if own:
        with exportable():
            cell = case.build()
        row["own_forward_ms"], row["own_backward_ms"] = measure(cell, x, 1)
    return row


def print_table(rows: list[dict]) -> None:
    keys = list(rows[0])
    cells = [keys, *[[str(r[k]) if isinstance(r[k], str) else f"{r[k]:.2f}" for k in keys] for r in rows]]
    widths = [max(len(line[i]) for line in cells) for i in range(len(keys))]
    for line in cells:
        sys.stdout.write("  ".join(text.rjust(width) for text, width in zip(line, widths, strict=True)) + "\n")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="only the cases whose name holds this")
    parser.add_argument("--repeat", type=int, default=5, help="calls to take the fastest of")
    parser.add_argument("--own", action="store_true", help="time MindSpore's own kernels too (slow)")
    parser.add_argument("--json", type=Path, help="write the rows to this file")
    args = parser.parse_args()
    lib = library.load()
    if lib is None:
        sys.stderr.write(f"the operator is not usable here; build it: {library.BUILD_COMMAND}\n")
        return 1
    ms.set_device("CPU")
    ms.set_context(mode=ms.GRAPH_MODE)
    bf16 = bool(lib.mindvoxel_has_bf16())
    rows = [run(case, args.repeat, args.own, bf16) for case in cases() if args.only in case.name]
    if not rows:
        sys.stderr.write(f"no case holds {args.only!r}\n")
        return 2
    print_table(rows)
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
