"""From preprocessed images to labels, and on request probabilities, on the grid of the scan."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mindvoxel.data.crop import Shape
from mindvoxel.data.grid import CaseGrid
from mindvoxel.data.plan import Plan
from mindvoxel.data.preprocess import anisotropic_axis
from mindvoxel.inference.probabilities import ProbabilityStore
from mindvoxel.inference.restore import largest_class, resize_planes
from mindvoxel.inference.stream import Predictor, Sliding, softmax, stream_planes
from mindvoxel.log import progress
from mindvoxel.volume import Vector, Volume


@dataclass(frozen=True)
class Member:
    """What one configuration contributes: a case as it is preprocessed for it, and its networks.

    image: (C, D, H, W), with the padding of `grid`.  predictors: networks of one configuration (its folds), averaged
    as `sliding` says.  anisotropy: Preprocessing.anisotropy of the plan.
    """

    image: np.ndarray
    grid: CaseGrid
    predictors: Sequence[Predictor]
    sliding: Sliding
    anisotropy: str = "above_3"

    def __post_init__(self):
        shape = tuple(n + front + behind for n, (front, behind) in zip(self.grid.shape, self.grid.pad, strict=True))
        if self.image.ndim != 4 or self.image.shape[1:] != shape:
            raise ValueError(f"image must be (C, {', '.join(map(str, shape))}) by its grid, got {self.image.shape}")
        if min(map(min, self.grid.pad)) < 0:
            raise ValueError(f"pad {self.grid.pad} cut a part of the scan off; preprocess it whole for inference")
        if not self.predictors:
            raise ValueError("at least one predictor is needed, got none")

    @property
    def padding(self) -> list[tuple[int, int]]:
        """What the image lacks of a window, per axis in front and behind; the odd voxel goes behind."""
        lacks = [max(w - n, 0) for w, n in zip(self.sliding.box, self.image.shape[1:], strict=True)]
        return [(lack // 2, lack - lack // 2) for lack in lacks]

    def num_windows(self) -> int:
        shape = (n + sum(pad) for n, pad in zip(self.image.shape[1:], self.padding, strict=True))
        return len(self.sliding.boxes(tuple(shape)))


def sliding_of(plan: Plan, configuration: str, mirror_axes: tuple[int, ...] = ()) -> Sliding:
    """Windows as the plan's system slides them: nnU-Net v2, nnU-Net v1 (averages probabilities) or NVIDIA."""
    window = plan.configurations[configuration].patch_size
    if plan.planner == "nvidia":
        return Sliding(window, overlap=0.25, blend="constant", spread=False, mirror_axes=mirror_axes)
    average = "probabilities" if plan.planner == "nnunet_v1" else "logits"
    return Sliding(window, mirror_axes=mirror_axes, average=average)


def segment(
    members: Sequence[Member],
    label_values: Sequence[int],
    *,
    probability_paths: Sequence[str | Path] | None = None,
    what: str | None = None,
) -> Volume:
    """The labels of a case on the grid of its scan, uint8 where the values allow it, else int16.

    members: one, or several configurations of one plan; their probabilities are averaged on the scan's grid.
    label_values: the value of each class (Plan.label_values); outside the crop lies the first, the background.
    probability_paths: an image file for each class, written in the scan's geometry, float32.
    what: the name of a progress bar with windows and the time left; None: no bar.

    Planes along the first network axis are predicted, resized, decided and pasted one after the other. Beside images
    and labels, memory holds (K + 1) float32 planes for each plane of every member's window, and a few more.
    """
    if not members:
        raise ValueError("at least one member is needed, got none")
    grid = members[0].grid
    if any((member.grid.axes, member.grid.crop) != (grid.axes, grid.crop) for member in members):
        raise ValueError("members must share axes and crop to be averaged; take configurations of one plan")
    if probability_paths is not None and len(probability_paths) != len(label_values):
        raise ValueError(f"{len(label_values)} probability_paths are needed, got {len(probability_paths)}")
    values = values_array(label_values)
    labels = np.full(grid.crop.full, values[0])
    inside = labels[grid.crop.slices]
    total = sum(member.num_windows() for member in members)
    bar = progress(total=total, what=what, unit="window") if what else nullcontext()
    store = ProbabilityStore(probability_paths, grid) if probability_paths is not None else nullcontext()
    with store, bar:
        tick = bar.update if what else lambda: None
        for z, plane in enumerate(_scan_planes(members, len(values), probability_paths is not None, tick)):
            inside[z] = values[largest_class(plane)]
            if probability_paths is not None:
                store.put(z, plane)
        if probability_paths is not None:
            store.write()
    return grid.volume(labels)


def values_array(label_values: Sequence[int]) -> np.ndarray:
    """Of each class, uint8 where they allow it, else int16."""
    values = np.array(label_values)
    return values.astype(np.uint8 if values.min() >= 0 and values.max() < 256 else np.int16)


def class_planes(
    member: Member, num_classes: int, shape: Shape, spacing_mm: Vector, tick: Callable[[], object] = lambda: None
) -> Iterator[np.ndarray]:
    """A member's mean, planes (K, H, W), resized to a grid of `shape` (D, H, W) and `spacing_mm` over the same extent.

    That grid is the crop of the scan, or that of the next configuration of a cascade; both in network axes.
    """
    return resized(member, network_planes(member, num_classes, tick), shape, spacing_mm)


def network_planes(member: Member, num_classes: int, tick: Callable[[], object] = lambda: None) -> Iterator[np.ndarray]:
    """A member's mean, planes (K, H, W) on its own grid without padding; each holds until the next is asked for."""
    image, before = member.image, [front for front, _ in member.grid.pad]
    if any(map(any, member.padding)):
        image = np.pad(image, [(0, 0), *member.padding], constant_values=member.sliding.pad_value)
        before = [front + more for front, (more, _) in zip(before, member.padding, strict=True)]
    planes = stream_planes(image, member.predictors, num_classes, member.sliding, tick)
    return _unpadded(planes, before, member.grid.shape)


def resized(member: Member, planes: Iterator[np.ndarray], shape: Shape, spacing_mm: Vector) -> Iterator[np.ndarray]:
    """Planes on a member's own grid -> those on a grid of `shape` (D, H, W) and `spacing_mm` over the same extent."""
    axis = anisotropic_axis(member.grid.spacing_mm, spacing_mm, member.anisotropy)
    return resize_planes(planes, member.grid.shape, shape, axis)


def _unpadded(planes: Iterator[np.ndarray], before: list[int], shape: Shape) -> Iterator[np.ndarray]:
    rows, columns = (slice(front, front + n) for front, n in zip(before[1:], shape[1:], strict=True))
    for z, plane in enumerate(planes):
        if before[0] <= z < before[0] + shape[0]:
            yield plane[:, rows, columns]


def _scan_planes(
    members: Sequence[Member], num_classes: int, probabilities: bool, tick: Callable[[], object]
) -> Iterator[np.ndarray]:
    """Planes (K, H, W) over the crop of the scan: one member's mean, or as probabilities, or those of several."""
    grid = members[0].grid
    scan_mm = tuple(grid.source_spacing_mm[axis] for axis in grid.axes)
    streams = [class_planes(member, num_classes, grid.crop.shape, scan_mm, tick) for member in members]
    for planes in zip(*streams, strict=True):
        if len(planes) == 1 and not probabilities:
            yield planes[0]
            continue
        each = (
            softmax(plane) if member.sliding.average == "logits" else plane
            for member, plane in zip(members, planes, strict=True)
        )
        yield sum(each) / len(planes)
