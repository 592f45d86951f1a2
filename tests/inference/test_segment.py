"""Streamed inference against the plain way: all logits at once, every class resized whole, then the largest."""

import numpy as np
import pytest
from scipy import ndimage

from mindvoxel.data.crop import Crop
from mindvoxel.data.grid import CaseGrid
from mindvoxel.inference import Member, Sliding, blend_weight, segment, windows

# source shape, axes, crop (start, shape; permuted axes), preprocessed shape, spacings (scan axes; network axes), window
CASES = {
    "as it is": ((9, 13, 11), (0, 1, 2), ((0, 0, 0), (9, 13, 11)), (9, 13, 11), (1, 1, 1), (1, 1, 1), (4, 6, 5)),
    "cropped": ((9, 17, 11), (0, 1, 2), ((1, 3, 2), (7, 13, 8)), (7, 13, 8), (1, 1, 1), (1, 1, 1), (4, 6, 5)),
    "larger": ((9, 13, 11), (0, 1, 2), ((0, 1, 0), (9, 12, 11)), (13, 17, 15), (1.4, 1.4, 1.4), (1, 1, 1), (5, 8, 6)),
    "smaller": ((15, 21, 19), (0, 1, 2), ((0, 0, 0), (15, 20, 19)), (7, 9, 9), (1, 1, 1), (2.1, 2.2, 2.1), (4, 5, 9)),
    "permuted": ((13, 9, 11), (2, 0, 1), ((1, 2, 3), (9, 10, 6)), (12, 8, 7), (1, 1, 1.3), (1, 1.2, 0.9), (5, 8, 3)),
    "separate z": ((7, 21, 19), (0, 1, 2), ((1, 0, 2), (6, 21, 15)), (11, 17, 16), (5, 1, 1), (3, 1.2, 0.9), (4, 8, 9)),
    "separate y": ((15, 7, 12), (0, 1, 2), ((0, 0, 0), (15, 7, 12)), (13, 9, 14), (1, 4, 1), (1.1, 3, 0.9), (5, 4, 8)),
    "small": ((5, 9, 6), (1, 0, 2), ((0, 0, 0), (9, 5, 6)), (7, 6, 5), (1, 1, 1), (1.3, 0.8, 1.2), (8, 9, 7)),
    "one slice": ((1, 17, 14), (0, 1, 2), ((0, 2, 1), (1, 13, 11)), (1, 11, 15), (1, 1, 1), (1, 1.2, 0.7), (1, 8, 8)),
    "2-D": ((6, 17, 14), (0, 1, 2), ((1, 2, 1), (5, 13, 11)), (5, 11, 15), (5, 1, 1), (5, 1.2, 0.7), (8, 8)),
}
SEPARATE = {"separate z": 0, "separate y": 1, "2-D": 0}
VALUES = (0, 1, 4, 7)
PADS = {"separate z": ((1, 2), (0, 3), (2, 0)), "2-D": ((0, 0), (1, 0), (0, 2)), "larger": ((0, 1), (0, 0), (0, 0))}


def make(name: str, channels: int = 2) -> tuple[np.ndarray, CaseGrid, Sliding]:
    source, axes, crop, shape, source_mm, network_mm, window = CASES[name]
    pad = PADS.get(name, ((0, 0),) * 3)
    full = tuple(source[axis] for axis in axes)
    direction = (0.0, 1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, -1.0)
    grid = CaseGrid(source, source_mm, (3.0, -2.0, 1.0), direction, axes, Crop(*crop, full), shape, network_mm, pad)
    padded = [n + sum(pair) for n, pair in zip(shape, pad, strict=True)]
    noise = np.random.default_rng(len(name)).standard_normal((channels, *padded))
    image = np.stack([ndimage.gaussian_filter(values, 1.5) for values in noise]) * 10
    return image.astype(np.float32), grid, Sliding(window)


def network(seed: int):
    """A stand-in with 4 classes: not linear, not symmetric, and other at each place of its window."""

    def predict(window: np.ndarray) -> np.ndarray:
        lean = np.linspace(-0.2, 0.2, window.shape[-1])
        return np.stack([np.sin(window + seed + 1.5 * c).sum(0) + c * lean for c in range(len(VALUES))])

    return predict


def plain_softmax(logits):
    e = np.exp(logits.astype(np.float64))
    return e / e.sum(0)


def plain_mean(image: np.ndarray, predictors, sliding: Sliding) -> np.ndarray:
    """(K, D, H, W) float64 over the image padded to the window, and without that padding again."""
    window = sliding.window if len(sliding.window) == 3 else (1, *sliding.window)
    lacks = [max(w - n, 0) for w, n in zip(window, image.shape[1:], strict=True)]
    before = [lack // 2 for lack in lacks]
    padded = np.pad(image, [(0, 0)] + [(b, lack - b) for b, lack in zip(before, lacks, strict=True)])
    total = np.zeros((len(VALUES), *padded.shape[1:]))
    norm = np.zeros(padded.shape[1:])
    weight = blend_weight(window, sliding.blend).astype(np.float64)
    flat = len(sliding.window) == 2
    for box in windows(padded.shape[1:], window, sliding.overlap, spread=sliding.spread):
        patch = padded[(slice(None), *box)]
        answers = []
        for predict in predictors:
            for bits in range(2 ** len(sliding.mirror_axes)):
                axes = [a + 1 + flat for i, a in enumerate(sliding.mirror_axes) if bits >> i & 1]
                turned = np.ascontiguousarray(np.flip(patch, axes))
                answer = predict(turned[:, 0])[:, None] if flat else predict(turned)
                answer = plain_softmax(answer) if sliding.average == "probabilities" else answer.astype(np.float64)
                answers.append(np.flip(answer, axes))
        total[(slice(None), *box)] += np.mean(answers, axis=0) * weight
        norm[box] += weight
    inner = tuple(slice(b, b + n) for b, n in zip(before, image.shape[1:], strict=True))
    return (total / norm)[(slice(None), *inner)]


def plain_resize(values: np.ndarray, shape, nearest_axis) -> np.ndarray:
    """One class, (D, H, W) float64, by SciPy: new voxel o lies at (o + 0.5) · old / new - 0.5, edges are repeated."""
    positions = [(np.arange(new) + 0.5) * (old / new) - 0.5 for old, new in zip(values.shape, shape, strict=True)]
    if nearest_axis is not None:
        old = values.shape[nearest_axis]
        positions[nearest_axis] = np.clip(np.floor(positions[nearest_axis] + 0.5), 0, old - 1)
    grid = np.meshgrid(*positions, indexing="ij")
    return ndimage.map_coordinates(values, grid, order=1, mode="nearest")


def plain_probabilities(image, grid: CaseGrid, predictors, sliding: Sliding, nearest_axis, softmax: bool):
    """(K, D, H, W) on the crop of the scan, network axes."""
    mean = plain_mean(image, predictors, sliding)
    mean = mean[(slice(None), *(slice(a, a + n) for (a, _), n in zip(grid.pad, grid.shape, strict=True)))]
    scan = np.stack([plain_resize(values, grid.crop.shape, nearest_axis) for values in mean])
    return plain_softmax(scan) if softmax and sliding.average == "logits" else scan


def plain_labels(scan: np.ndarray, grid: CaseGrid) -> np.ndarray:
    whole = grid.crop.undo(np.array(VALUES)[scan.argmax(0)])
    return np.transpose(whole, [grid.axes.index(axis) for axis in range(3)])


def change(sliding: Sliding, **values) -> Sliding:
    return Sliding(**{**sliding.__dict__, **values})


@pytest.mark.parametrize("average", ["logits", "probabilities"])
@pytest.mark.parametrize("name", CASES)
def test_streamed_labels_are_those_of_the_plain_way(name, average):
    image, grid, sliding = make(name)
    axes = (1,) if len(sliding.window) == 2 else (0, 2)
    sliding = change(sliding, average=average, mirror_axes=axes)
    predictors = [network(1), network(2)]
    scan = plain_probabilities(image, grid, predictors, sliding, SEPARATE.get(name), softmax=False)
    wanted = plain_labels(scan, grid)
    found = segment([Member(image, grid, predictors, sliding)], VALUES)
    assert found.voxels.dtype == np.uint8
    assert np.array_equal(found.voxels, wanted)
    assert set(VALUES) == set(np.unique(wanted))  # the picture is worth comparing
    assert (found.spacing_mm, found.origin_mm, found.direction) == (CASES[name][4], (3.0, -2.0, 1.0), grid.direction)
