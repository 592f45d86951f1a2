"""Windows over a preprocessed image, their weighted mean plane by plane: the sum lives in a slab one window deep."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from mindvoxel.data.crop import Shape
from mindvoxel.errors import WorkError
from mindvoxel.inference.windows import blend_weight, flips, windows

# (C, D, H, W) or, of a 2-D network, (C, H, W), float32 -> logits (K, D, H, W) or (K, H, W)
Predictor = Callable[[np.ndarray], np.ndarray]
AVERAGES = ("logits", "probabilities")


@dataclass(frozen=True)
class Sliding:
    """How a network's windows slide over an image, and how their answers are averaged.

    window: the network's patch, (D, H, W); two values (H, W) for a 2-D network, which goes slice by slice.
    overlap, spread: see window_starts.  blend: see blend_weight.
    mirror_axes: of the window; each is also predicted mirrored, in all combinations.
    average: over windows, mirrors and networks, of `logits` (nnU-Net v2, NVIDIA, MLPerf) or of `probabilities`, their
        softmax (nnU-Net v1).
    pad_value: what an image smaller than the window is padded with, as much in front as behind.
    """

    window: tuple[int, ...]
    overlap: float = 0.5
    blend: str = "nnunet"
    spread: bool = True
    mirror_axes: tuple[int, ...] = ()
    average: str = "logits"
    pad_value: float = 0.0

    def __post_init__(self):
        if len(self.window) not in (2, 3):
            raise ValueError(f"window must have 2 or 3 axes, got {self.window}")
        if not set(self.mirror_axes) <= set(range(len(self.window))):
            raise ValueError(f"mirror_axes must be axes of the window {self.window}, got {self.mirror_axes}")
        if self.average not in AVERAGES:
            raise ValueError(f"average must be logits or probabilities, got {self.average!r}")

    @property
    def box(self) -> Shape:
        """The window in 3-D, (D, H, W); 2-D: one slice."""
        return self.window if len(self.window) == 3 else (1, *self.window)

    def boxes(self, shape: Shape) -> list[tuple[slice, slice, slice]]:
        """All windows over an image of `shape` (D, H, W), in the order in which they are predicted."""
        return windows(shape, self.box, self.overlap, spread=self.spread)


def stream_planes(
    image: np.ndarray,
    predictors: Sequence[Predictor],
    num_classes: int,
    sliding: Sliding,
    tick: Callable[[], object] = lambda: None,
) -> Iterator[np.ndarray]:
    """The mean of all predictors, mirrors and windows: planes (K, H, W) float32 in order along the first axis.

    image: (C, D, H, W), at least as large as the window.  tick: called after each window.  Each plane is a view that
    holds until the next is asked for; there are D of them. Memory: (K + 1) float32 planes for each plane of a window.
    Raises ValueError where a predictor answers in another shape, WorkError where its answer is not finite.
    """
    calls = [(predict, axes) for predict in predictors for axes in flips(sliding.mirror_axes)]
    boxes = sliding.boxes(image.shape[1:])
    slab, done = _Slab(num_classes, image.shape[1:], sliding), 0
    for box in boxes:
        for z in range(done, box[0].start):
            yield from slab.finish(z)
        done = box[0].start
        patch = np.ascontiguousarray(image[(slice(None), *box)], np.float32)
        for predict, axes in calls:
            slab.add(box, _ask(predict, patch, axes, num_classes, len(sliding.window) == 2))
        tick()
    for z in range(done, image.shape[1]):
        yield from slab.finish(z)


def _ask(predict: Predictor, patch: np.ndarray, axes: tuple[int, ...], num_classes: int, flat: bool) -> np.ndarray:
    """One mirror image of `patch` (C, D, H, W) predicted and mirrored back, (K, D, H, W)."""
    window = patch[:, 0] if flat else patch
    axes = tuple(axis + 1 for axis in axes)
    answer = np.asarray(predict(np.flip(window, axes).copy()))  # a copy: what it does to its window is its own affair
    if answer.shape != (num_classes, *window.shape[1:]):
        raise ValueError(
            f"the predictor answered a window {window.shape} with {answer.shape}; "
            f"{(num_classes, *window.shape[1:])} is needed, one channel for each of {num_classes} classes"
        )
    answer = np.flip(answer, axes)
    return answer[:, None] if flat else answer


class _Slab:
    """The weighted sum of windows for as many planes as a window is deep; plane z lies at z modulo that depth."""

    def __init__(self, num_classes: int, shape: Shape, sliding: Sliding):
        self.shape, self.depth = shape, sliding.box[0]
        self.softmax = sliding.average == "probabilities"
        self.weight = blend_weight(sliding.box, sliding.blend)
        self.total = np.zeros((self.depth, num_classes, *shape[1:]), np.float32)
        self.norm = np.zeros((self.depth, *shape[1:]), np.float32)
        self.scratch = np.empty((num_classes, *sliding.box[1:]), np.float32)

    def add(self, box: tuple[slice, slice, slice], answer: np.ndarray) -> None:
        """Plane by plane, so that the product stays in the cache."""
        with np.errstate(over="ignore", invalid="ignore"):  # finish() speaks of it
            for z, weight in enumerate(self.weight):
                part = softmax(answer[:, z]) if self.softmax else answer[:, z]
                np.multiply(part, weight, out=self.scratch)
                place = (box[0].start + z) % self.depth
                self.total[place, :, box[1], box[2]] += self.scratch
                self.norm[place, box[1], box[2]] += weight

    def finish(self, z: int) -> Iterator[np.ndarray]:
        """Yield the mean of plane `z`, then make its room free for plane z + depth."""
        plane, norm = self.total[z % self.depth], self.norm[z % self.depth]
        with np.errstate(over="ignore", invalid="ignore"):
            plane /= norm
            finite = np.isfinite(plane.sum())
        if not finite:
            raise WorkError(
                f"the network's answer is not finite in plane {z + 1} of {self.shape[0]} of the preprocessed image; "
                "predict in float32, or take another checkpoint"
            )
        yield plane
        plane[:] = 0
        norm[:] = 0


def softmax(logits: np.ndarray) -> np.ndarray:
    """Over the first axis; float32."""
    found = np.exp(logits - logits.max(0), dtype=np.float32)
    found /= found.sum(0)
    return found
