"""Which voxels a training patch shows."""

from dataclasses import dataclass, field

import numpy as np
from scipy import ndimage

from mindvoxel.data.store import StoredCase

Shape = tuple[int, int, int]
Box = tuple[tuple[int, int], ...]  # (first voxel, one past the last) an axis


def draw_patch_centre(
    label: np.ndarray, patch_size: Shape, rng: np.random.Generator, foreground_fraction: float
) -> tuple[float, float, float]:
    """Centre (z, y, x) of a patch, in voxels: with probability `foreground_fraction` a random foreground voxel, else
    uniform; kept so that the patch lies inside the array (D, H, W) wherever the axis is long enough."""
    shape = np.array(label.shape)
    half = (np.array(patch_size) - 1) / 2
    low, high = np.minimum(half, (shape - 1) / 2), np.maximum(shape - 1 - half, (shape - 1) / 2)
    centre = rng.uniform(low, high)
    if rng.uniform() < foreground_fraction:
        voxels = np.flatnonzero(label)
        if voxels.size:
            centre = np.array(np.unravel_index(voxels[rng.integers(voxels.size)], label.shape), float)
    return tuple(float(c) for c in np.clip(centre, low, high))


@dataclass(frozen=True)
class ForegroundOversampling:
    """nnU-Net's rule: the last patches of a batch, `share` of them, hold foreground; the others lie anywhere.

    Such a patch has a stored voxel of a class in its middle, each class of the case being as likely as another. It may
    reach over the far end of an axis, not over the near end (nnU-Net v2, nnUNetDataLoader.get_bbox). A case smaller
    than the patch lies in its middle.
    """

    share: float = 0.33

    def draw(self, rng: np.random.Generator, case: StoredCase, patch_size: Shape, place: tuple[int, int]) -> Shape:
        """First voxel (z, y, x) of a patch, number place[0] of the place[1] in its batch; below 0 over the border."""
        spare = np.array(case.label.shape) - patch_size
        low, high = np.minimum(spare // 2, 0), np.maximum(spare, -(-spare // 2))
        number, batch_size = place
        present = [voxels for key, voxels in sorted(case.locations.items()) if key > 0 and len(voxels)]
        if number < round(batch_size * (1 - self.share)) or not present:
            return tuple(rng.integers(low, high, endpoint=True).tolist())
        voxels = present[rng.integers(len(present))]
        voxel = np.array(voxels[rng.integers(len(voxels))])
        return tuple(np.maximum(low, voxel - np.array(patch_size) // 2).tolist())


@dataclass(frozen=True)
class BlobOversampling:
    """NVIDIA's and MLPerf's rule: with `probability`, and for every patch alike, a patch is drawn around a blob.

    A class of the case at random, then one of the two of its face-connected blobs whose boxes are largest: the patch
    contains the box, or lies inside where the box is larger. Otherwise the box is the whole case. Over the border it
    may reach (NVIDIA, probability 0.33), or is moved inside (`inside`; MLPerf, 0.4).

    boxes: filled on the way; the blobs of a case are looked for once.
    """

    probability: float = 0.33
    inside: bool = False
    boxes: dict[str, list[list[Box]]] = field(default_factory=dict, compare=False, repr=False)

    def draw(self, rng: np.random.Generator, case: StoredCase, patch_size: Shape, place: tuple[int, int]) -> Shape:
        """First voxel (z, y, x) of a patch, below 0 over the border; `place` in the batch does not matter."""
        box = tuple((0, n) for n in case.label.shape)
        if rng.uniform() < self.probability:
            if case.case not in self.boxes:
                self.boxes[case.case] = largest_boxes(case.label)
            if classes := self.boxes[case.case]:
                blobs = classes[rng.integers(len(classes))]
                box = blobs[rng.integers(len(blobs))]
        start = [rng.integers(*sorted((a, b - n)), endpoint=True) for (a, b), n in zip(box, patch_size, strict=True)]
        if self.inside:
            start = [min(max(a, 0), max(n - p, 0)) for a, n, p in zip(start, case.label.shape, patch_size, strict=True)]
        return tuple(map(int, start))


def largest_boxes(label: np.ndarray, count: int = 2) -> list[list[Box]]:
    """For each class above 0 that is in (D, H, W): the boxes of its face-connected blobs, the `count` largest."""
    found = []
    label = np.maximum(label, 0)
    for value, around in enumerate(ndimage.find_objects(label), 1):
        if around is None:
            continue
        blobs, _ = ndimage.label(label[around] == value)
        boxes = [
            tuple((s.start + a.start, s.stop + a.start) for s, a in zip(blob, around, strict=True))
            for blob in ndimage.find_objects(blobs)
        ]
        boxes.sort(key=lambda box: -np.prod([b - a for a, b in box]))
        found.append(boxes[:count])
    return found
