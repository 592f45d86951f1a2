"""Whether an exported file computes what the network does: answers to the same windows, compared."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import mindspore as ms
import numpy as np
from mindspore import nn

from mindvoxel.errors import WorkError
from mindvoxel.inference.stream import softmax
from mindvoxel.train.openvino_cpu import compile_onnx, openvino_version

# Largest difference of a logit, relative to the largest logit, of a file in float32 (another order of sums).
TOLERANCE = 1e-3
# Of a file that computes in half precision:
LEAST_DICE = 0.99  # of each class
MOST_APART = 0.05  # a probability
_MANY_VOXELS = 100  # of a class with fewer, one voxel at its border moves Dice too much to tell anything
_CLEAR = 0.02  # the lead of a photo's class, relative to the largest logit, above which rounding does not take it

# batch (N, C, [D,] H, W) -> logits (N, K, [D,] H, W), of a classifier (N, K); float32
Run = Callable[[np.ndarray], np.ndarray]
Pairs = Sequence[tuple[np.ndarray, np.ndarray]]  # such batches, and what the network in float32 answers


@dataclass(frozen=True)
class Agreement:
    """largest_difference: of a logit, relative to the largest one.  runtime: what computed it."""

    largest_difference: float
    runtime: str

    def __str__(self) -> str:
        return f"largest difference {self.largest_difference:.2g}, {self._told()}, by {self.runtime}"

    def _told(self) -> str:
        raise NotImplementedError

    def shortfall(self) -> str:
        """What is too little for a file in half precision, in words; empty: nothing."""
        raise NotImplementedError


@dataclass(frozen=True)
class VoxelAgreement(Agreement):
    """dice: the smallest of any class, the background among them, that has 100 voxels or more in either."""

    dice: float

    def _told(self) -> str:
        return f"Dice {self.dice:.4f}"

    def shortfall(self) -> str:
        return "" if self.dice >= LEAST_DICE else f"Dice of a class falls to {self.dice:.4f}, {LEAST_DICE} is needed"


@dataclass(frozen=True)
class ClassAgreement(Agreement):
    """num_clear: photos whose likeliest class leads by more than 2 % of the largest logit, so that rounding does not
    change it.  num_changed: those of them that have another one.  probability_difference: the largest of any photo."""

    num_clear: int
    num_changed: int
    probability_difference: float

    def _told(self) -> str:
        return (
            f"{self.num_clear - self.num_changed} of {self.num_clear} photos of the same class, probabilities within "
            f"{self.probability_difference:.2g}"
        )

    def shortfall(self) -> str:
        if not self.num_clear:
            return "no photo has a class that leads by 2 % of the largest logit, so that nothing is compared"
        if self.num_changed:
            return f"{self.num_changed} of {self.num_clear} photos change their class"
        if not self.probability_difference <= MOST_APART:
            return f"a probability changes by {self.probability_difference:.4f}, {MOST_APART} is allowed"
        return ""


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
    measures = []
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
        measures.append(_classes(expected, found) if expected.ndim == 2 else _counts(expected, found))
    difference /= max(largest, 1e-6)
    if expected.ndim == 2:
        clear, changed, apart = zip(*measures, strict=True)
        return ClassAgreement(difference, runtime, sum(clear), sum(changed), max(apart))
    return VoxelAgreement(difference, runtime, _least_dice(np.sum(measures, 0)))


def _classes(expected: np.ndarray, found: np.ndarray) -> tuple[int, int, float]:
    """Of photos with logits (N, K): how many are clear, how many of these change, the largest change of a
    probability."""
    second, first = np.sort(expected, 1)[:, -2:].T
    clear = first - second > _CLEAR * np.abs(expected).max(1)
    changed = clear & (expected.argmax(1) != found.argmax(1))
    apart = np.abs(softmax(expected.T) - softmax(found.T)).max()
    return int(clear.sum()), int(changed.sum()), float(apart)


def _counts(expected: np.ndarray, found: np.ndarray) -> np.ndarray:
    """Of voxels with logits (N, K, [D,] H, W): (3, K), how many of each class are in both, in the one, in the other."""
    num_classes = expected.shape[1]
    expected, found = expected.argmax(1), found.argmax(1)
    sets = (expected[expected == found], expected, found)
    return np.stack([np.bincount(labels.ravel(), minlength=num_classes) for labels in sets])


def _least_dice(counts: np.ndarray) -> float:
    both, one, other = counts
    voxels = np.maximum(one, other)
    known = voxels >= min(_MANY_VOXELS, voxels.max())
    return float((2 * both[known] / (one + other)[known]).min())


def require_agreement(found: Agreement, where: str, *, half: bool) -> None:
    """Raise WorkError where it is worse than a file in float32 may be or, half, one in half precision."""
    if half and found.shortfall():
        raise WorkError(f"{where}: in half precision {found.shortfall()}; not kept, export in f32")
    if not half and not found.largest_difference <= TOLERANCE:
        raise WorkError(
            f"{where}: its output differs from the network's by up to {found.largest_difference:.3g} of the largest, "
            f"{TOLERANCE:g} is allowed; not kept"
        )
