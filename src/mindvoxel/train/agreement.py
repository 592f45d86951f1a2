"""Whether an exported file computes what the network does: answers to the same windows, compared."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import mindspore as ms
import numpy as np
from mindspore import nn

from mindvoxel.errors import WorkError
from mindvoxel.train.openvino_cpu import compile_onnx, openvino_version

# Largest difference of a logit, relative to the largest logit, of a file in float32 (another order of sums).
TOLERANCE = 1e-3
LEAST_DICE = 0.99  # of each class, of a file that computes in half precision
_MANY_VOXELS = 100  # of a class with fewer, one voxel at its border moves Dice too much to tell anything

Run = Callable[[np.ndarray], np.ndarray]  # batch (N, C, [D,] H, W) -> logits (N, K, [D,] H, W), float32
Pairs = Sequence[tuple[np.ndarray, np.ndarray]]  # such batches, and what the network in float32 answers


@dataclass(frozen=True)
class Agreement:
    """largest_difference: of a logit, relative to the largest one.  dice: the smallest of any class, the background
    among them, that has 100 voxels or more in either.  runtime: what computed it."""

    largest_difference: float
    dice: float
    runtime: str

    def __str__(self) -> str:
        return f"largest difference {self.largest_difference:.2g}, Dice {self.dice:.4f}, by {self.runtime}"


def mindir_runner(path: Path) -> tuple[Run, str]:
    """What computes a MINDIR file on this process's device, and its name."""
    graph = nn.GraphCell(ms.load(str(path)))
    return network_runner(graph)


def network_runner(network: nn.Cell) -> tuple[Run, str]:
    """What computes a network itself, in evaluation mode, and its name."""
    network.set_train(False)

    def run(batch: np.ndarray) -> np.ndarray:
        answer = network(ms.Tensor(batch))
        if isinstance(answer, tuple | list):
            raise WorkError(f"the network gives {len(answer)} outputs; one is needed, its deepest head's")
        return answer.asnumpy()

    return run, f"mindspore {ms.__version__}"


def onnx_runner(path: Path, precision: str = "f32") -> tuple[Run, str]:
    """What computes an ONNX file on the CPU in f32 or bf16, and its name."""
    compiled = compile_onnx(path, precision)
    if len(compiled.outputs) != 1:
        raise WorkError(f"{path}: has {len(compiled.outputs)} outputs; one is needed, its deepest head's")
    return lambda batch: compiled(batch)[0], f"openvino {openvino_version()}, {precision}"


def agreement(runner: tuple[Run, str], pairs: Pairs, where: str) -> Agreement:
    """Of all answers; raises WorkError, which `where` begins, where one has another shape or is not finite."""
    run, runtime = runner
    difference = largest = 0.0
    overlap = []
    for batch, expected in pairs:
        found = run(batch)
        if expected.shape != found.shape:
            raise WorkError(f"{where}: output of shape {found.shape}, the network's is {expected.shape}; not kept")
        if not np.isfinite(found).all():
            raise WorkError(
                f"{where}: its output is not finite by {runtime}; not kept, export in f32 or mend the checkpoint"
            )
        difference = max(difference, float(np.abs(expected - found).max()))
        largest = max(largest, float(np.abs(expected).max()))
        overlap.append(_counts(expected.argmax(1), found.argmax(1), expected.shape[1]))
    return Agreement(difference / max(largest, 1e-6), _least_dice(np.sum(overlap, 0)), runtime)


def _counts(expected: np.ndarray, found: np.ndarray, num_classes: int) -> np.ndarray:
    """(3, K) voxels of each class in both, in the one, in the other."""
    sets = (expected[expected == found], expected, found)
    return np.stack([np.bincount(labels.ravel(), minlength=num_classes) for labels in sets])


def _least_dice(counts: np.ndarray) -> float:
    both, one, other = counts
    voxels = np.maximum(one, other)
    known = voxels >= min(_MANY_VOXELS, voxels.max())
    return float((2 * both[known] / (one + other)[known]).min())


def require_agreement(found: Agreement, where: str, *, half: bool) -> None:
    """Raise WorkError where it is worse than a file in float32 may be or, half, one in half precision."""
    if half and not found.dice >= LEAST_DICE:
        raise WorkError(
            f"{where}: in half precision Dice of a class falls to {found.dice:.4f}, {LEAST_DICE} is needed; not kept, "
            "export in f32"
        )
    if not half and not found.largest_difference <= TOLERANCE:
        raise WorkError(
            f"{where}: its output differs from the network's by up to {found.largest_difference:.3g} of the largest, "
            f"{TOLERANCE:g} is allowed; not kept"
        )
