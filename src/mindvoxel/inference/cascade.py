"""Two stages: the first one's classes on the grid of the second, whose network takes them as channels."""

from collections import deque
from collections.abc import Iterator, Sequence

import numpy as np

from mindvoxel.data.augment.cascade import class_channels
from mindvoxel.data.crop import Shape
from mindvoxel.data.grid import CaseGrid
from mindvoxel.data.plan import Configuration
from mindvoxel.data.preprocess import new_shape, target_spacing
from mindvoxel.inference.labels import Member, class_planes, network_planes, resized, values_array
from mindvoxel.inference.restore import largest_class
from mindvoxel.inference.stream import Predictor
from mindvoxel.volume import Vector, Volume


def reading_classes(predict: Predictor, num_classes: int) -> Predictor:
    """The network of a second stage for an image whose last channel holds the first one's classes as numbers.

    They become a channel for each foreground class in the window alone, so that memory does not grow with classes.
    """

    def predict_with_classes(window: np.ndarray) -> np.ndarray:
        return predict(np.concatenate([window[:-1], class_channels(window[-1], num_classes)]))

    return predict_with_classes


def next_classes(member: Member, num_classes: int, following: Configuration) -> np.ndarray:
    """A case's classes (D, H, W), uint8 up to 256 of them, on its preprocessed grid of the following stage."""
    shape, spacing_mm = _next_grid(member.grid, following)
    classes = np.empty(shape, _kind(num_classes))
    for z, plane in enumerate(class_planes(member, num_classes, shape, spacing_mm)):
        classes[z] = largest_class(plane)
    return classes


def segment_for_next(
    member: Member, label_values: Sequence[int], following: Configuration
) -> tuple[Volume, np.ndarray]:
    """What `segment` and `next_classes` give, by one pass of the network: each plane serves both grids.

    Neither grid runs ahead of the other, so that a few planes wait at any time.
    """
    grid, num_classes = member.grid, len(label_values)
    scan_mm = tuple(grid.source_spacing_mm[axis] for axis in grid.axes)
    planes = _both(network_planes(member, num_classes))
    targets = ((grid.crop.shape, scan_mm), _next_grid(grid, following))
    streams = [resized(member, source, *target) for source, target in zip(planes, targets, strict=True)]
    found = [np.empty(shape, _kind(num_classes)) for shape, _ in targets]
    turns = sorted(((z + 0.5) / len(part), which, z) for which, part in enumerate(found) for z in range(len(part)))
    for _, which, z in turns:
        found[which][z] = largest_class(next(streams[which]))
    values = values_array(label_values)
    labels = np.full(grid.crop.full, values[0])
    labels[grid.crop.slices] = values[found[0]]
    return grid.volume(labels), found[1]


def _both(planes: Iterator[np.ndarray]) -> tuple[Iterator[np.ndarray], Iterator[np.ndarray]]:
    """Copies of all planes, twice; a plane is kept until both have taken it (itertools.tee keeps up to 57 longer)."""

    def stream(own: deque, other: deque) -> Iterator[np.ndarray]:
        while True:
            if not own:
                plane = next(planes, None)
                if plane is None:
                    return
                plane = plane.copy()
                own.append(plane)
                other.append(plane)
            yield own.popleft()

    waiting = deque(), deque()
    return stream(*waiting), stream(*reversed(waiting))


def _next_grid(grid: CaseGrid, following: Configuration) -> tuple[Shape, Vector]:
    """Shape and spacing that preprocessing gives this case in the following configuration, network axes."""
    scan_mm = tuple(grid.source_spacing_mm[axis] for axis in grid.axes)
    spacing_mm = target_spacing(scan_mm, following)
    return new_shape(grid.crop.shape, scan_mm, spacing_mm, following.preprocessing.rounding), spacing_mm


def _kind(num_classes: int) -> type:
    return np.uint8 if num_classes <= 256 else np.uint16
