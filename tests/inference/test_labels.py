"""Streamed inference against the plain way: all logits at once, every class resized whole, then the largest."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from mindvoxel.data.crop import Crop
from mindvoxel.data.grid import CaseGrid
from mindvoxel.errors import WorkError
from mindvoxel.inference import (
    Member,
    Sliding,
    blend_weight,
    class_planes,
    largest_class,
    segment,
    windows,
)
from mindvoxel.volume import check_same_grid, read_volume

# source shape, axes, crop (start, shape; permuted axes), preprocessed shape, spacings (scan axes; network axes), window
CASES = {
    "as it is": ((9, 13, 11), (0, 1, 2), ((0, 0, 0), (9, 13, 11)), (9, 13, 11), (1, 1, 1), (1, 1, 1), (4, 6, 5)),
    "cropped": ((9, 17, 11), (0, 1, 2), ((1, 3, 2), (7, 13, 8)), (7, 13, 8), (1, 1, 1), (1, 1, 1), (4, 6, 5)),
    "larger": ((9, 13, 11), (0, 1, 2), ((0, 1, 0), (9, 12, 11)), (13, 17, 15), (1.4, 1.4, 1.4), (1, 1, 1), (5, 8, 6)),
    "smaller": ((15, 21, 19), (0, 1, 2), ((0, 0, 0), (15, 20, 19)), (7, 9, 9), (1, 1, 1), (2.1, 2.2, 2.1), (4, 5, 9)),
    "permuted": ((13, 9, 11), (2, 0, 1), ((1, 2, 3), (9, 10, 6)), (12, 8, 7), (1, 1, 1.3), (1, 1.2, 0.9), (5, 8, 3)),
    "separate z": ((7, 21, 19), (0, 1, 2), ((1, 0, 2), (6, 21, 15)), (11, 17, 16), (5, 1, 1), (3, 1.2, 0.9), (4, 8, 9)),
    "separate y": ((15, 7, 12), (0, 1, 2), ((0, 0, 0), (15, 7, 12)), (13, 9, 14), (1, 4, 1), (1.1, 3, 0.9), (5, 4, 8)),
    "small": ((5, 9, 6), (1, 0, 2), ((0, 0, 0), (9, 5, 6)), (7, 6, 5), (1, 1, 1), (1.3, 0.8, 1.2), (8, 9, 8)),
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


@pytest.mark.parametrize("blend", ["nnunet", "nvidia", "gaussian", "constant"])
@pytest.mark.parametrize("spread", [True, False])
def test_every_blend_and_spread_streams_as_it_is_plainly(blend, spread):
    image, grid, sliding = make("larger")
    sliding = change(sliding, blend=blend, spread=spread, overlap=0.3)
    scan = plain_probabilities(image, grid, [network(1)], sliding, None, softmax=False)
    found = segment([Member(image, grid, [network(1)], sliding)], VALUES)
    assert np.array_equal(found.voxels, plain_labels(scan, grid))


def two_configurations() -> list[Member]:
    """A 3-D and a 2-D member of one plan: other grids, windows and networks over the same crop."""
    image, grid, sliding = make("2-D")
    flat = Member(image, grid, [network(3)], sliding)
    shape = (8, 9, 12)
    deep = np.random.default_rng(9).standard_normal((2, *shape))
    deep = (ndimage.gaussian_filter(deep, (0, 1.5, 1.5, 1.5)) * 10).astype(np.float32)
    other = replace(grid, shape=shape, spacing_mm=(3.1, 1.4, 0.8), pad=((0, 0),) * 3)
    return [Member(deep, other, [network(1), network(2)], Sliding((5, 4, 8), average="probabilities")), flat]


def plain_ensemble(members: list[Member]) -> np.ndarray:
    return np.mean([plain_probabilities(m.image, m.grid, m.predictors, m.sliding, 0, softmax=True) for m in members], 0)


def test_an_ensemble_of_configurations_is_averaged_as_probabilities_on_the_scan_s_grid():
    members = two_configurations()
    wanted = plain_labels(plain_ensemble(members), members[0].grid)
    assert np.array_equal(segment(members, VALUES).voxels, wanted)
    alone = [segment([member], VALUES).voxels for member in members]
    assert all((wanted != one).any() for one in alone)  # each has its say


@pytest.mark.parametrize("name", ["cropped", "permuted", "ensemble"])
def test_probabilities_come_in_the_geometry_of_the_scan(name, tmp_path):
    if name == "ensemble":
        members = two_configurations()
        wanted = plain_ensemble(members)
    else:
        image, grid, sliding = make(name)
        members = [Member(image, grid, [network(1)], sliding)]
        wanted = plain_probabilities(image, grid, [network(1)], sliding, SEPARATE.get(name), softmax=True)
    grid = members[0].grid
    paths = [tmp_path / f"a_{value}.nii.gz" for value in VALUES]
    labels = segment(members, VALUES, probability_paths=paths)
    assert sorted(tmp_path.iterdir()) == sorted(paths)  # nothing else is left
    found = [read_volume(path) for path in paths]
    for index, volume in enumerate(found):
        whole = np.full(grid.crop.full, float(index == 0))
        whole[grid.crop.slices] = wanted[index]
        assert np.abs(volume.voxels - grid.unpermute(whole)).max() < 1e-5
        assert volume.voxels.dtype == np.float32
        check_same_grid(labels, volume, ("labels", "probabilities"), tolerance_mm=1e-4)
    stacked = np.stack([volume.voxels for volume in found])
    assert np.allclose(stacked.sum(0), 1, atol=1e-5)
    assert np.array_equal(labels.voxels, np.array(VALUES)[stacked.argmax(0)])


def test_the_first_stage_of_a_cascade_gives_classes_on_the_grid_of_the_second():
    image, grid, sliding = make("smaller")
    member = Member(image, grid, [network(1)], sliding)
    planes = class_planes(member, len(VALUES), (11, 16, 14), (1.3, 1.2, 1.4))
    found = np.stack([largest_class(plane) for plane in planes])
    logits = plain_mean(image, [network(1)], sliding)
    wanted = np.stack([plain_resize(values, (11, 16, 14), None) for values in logits]).argmax(0)
    assert np.array_equal(found, wanted)


def test_memory_is_that_of_a_slab_not_of_all_logits():
    """20 classes of 96 planes: 15 MB; the slab of 8 planes 1.3 MB."""
    shape, classes = (96, 44, 44), 20
    grid = CaseGrid(
        (100, 48, 48), (1.0,) * 3, (0.0,) * 3, (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0), (0, 1, 2),
        Crop((0, 0, 0), (100, 48, 48), (100, 48, 48)), shape, (1.0,) * 3,
    )  # fmt: skip
    image = np.zeros((1, *shape), np.float32)
    answer = np.zeros((classes, 8, 16, 16), np.float32)
    tracemalloc.start()
    segment([Member(image, grid, [lambda window: answer], Sliding((8, 16, 16)))], range(classes))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4e6


def test_values_above_255_make_int16_and_those_below_uint8():
    image, grid, sliding = make("as it is")
    member = Member(image, grid, [network(1)], sliding)
    small, large = segment([member], VALUES).voxels, segment([member], (0, 1, 4, 700)).voxels
    assert (small.dtype, large.dtype) == (np.uint8, np.int16)
    assert np.array_equal(large, np.where(small == 7, 700, small.astype(np.int16)))
    below = segment([member], (-1, 1, 4, 7)).voxels
    assert below.dtype == np.int16
    assert np.array_equal(below, np.where(small == 0, -1, small.astype(np.int16)))


def test_a_predictor_may_change_its_window():
    """The window is the whole image: mirrors, other predictors and the caller's image must not see the change."""
    image, grid, _ = make("as it is")
    kept, sliding = image.copy(), Sliding(image.shape[1:], mirror_axes=(0, 1))
    network_of_its_own = network(1)

    def careless(window):
        answer = np.array(network_of_its_own(window))
        window[:] = 0
        return answer

    found, expected = (segment([Member(image, grid, [p], sliding)], VALUES) for p in (careless, network_of_its_own))
    assert np.array_equal(found.voxels, expected.voxels)
    assert np.array_equal(image, kept)


def test_outside_the_crop_lies_the_background_value():
    image, grid, sliding = make("cropped")
    found = segment([Member(image, grid, [lambda w: np.ones((4, *w.shape[1:]))], sliding)], (2, 3, 4, 5))
    assert (found.voxels == 2).all()  # outside, and inside where the first of equals wins


def test_the_bar_counts_every_window(capsys):
    members = two_configurations()
    segment(members, VALUES, what="case a")
    total = sum(member.num_windows() for member in members)
    assert total == 3 * 4 * 2 + 5 * 2 * 4
    assert f"{total}/{total}" in capsys.readouterr().err
    segment(members, VALUES)
    assert capsys.readouterr().err == ""


def answering(answer):
    image, grid, sliding = make("as it is")
    return Member(image, grid, [lambda window: answer(window)], sliding)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_an_answer_that_is_not_finite_ends_the_work(bad):
    def answer(window):
        logits = np.ones((4, *window.shape[1:]), np.float32)
        logits[2, -1, 0, 0] = bad
        return logits

    with pytest.raises(WorkError, match=r"not finite in plane 4 of 9 .*; predict in float32, or"):
        segment([answering(answer)], VALUES)


def test_an_answer_of_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"window \(2, 4, 6, 5\) with \(3, 4, 6, 5\); \(4, 4, 6, 5\) is needed"):
        segment([answering(lambda window: np.ones((3, *window.shape[1:])))], VALUES)
    with pytest.raises(ValueError, match=r"with \(4, 4, 6\); \(4, 4, 6, 5\) is needed"):
        segment([answering(lambda window: np.ones((4, 4, 6)))], VALUES)


def test_members_that_do_not_fit_are_refused(tmp_path):
    image, grid, sliding = make("as it is")
    member = Member(image, grid, [network(1)], sliding)
    other = replace(grid, crop=Crop((0, 0, 0), (9, 13, 10), (9, 13, 11)))
    with pytest.raises(ValueError, match="members must share axes and crop"):
        segment([member, Member(image, other, [network(1)], sliding)], VALUES)
    with pytest.raises(ValueError, match="4 probability_paths are needed, got 1"):
        segment([member], VALUES, probability_paths=[tmp_path / "a.nii.gz"])
    with pytest.raises(ValueError, match="at least one member"):
        segment([], VALUES)
    never = Member(image, grid, [lambda window: pytest.fail("the network ran first")], sliding)
    with pytest.raises(ValueError, match=r"d\.jpg: images are written as one of"):
        segment([never], VALUES, probability_paths=[tmp_path / name for name in ("a.mha", "b.mha", "c.mha", "d.jpg")])
    with pytest.raises(ValueError, match=r"image must be \(C, 9, 13, 11\) by its grid, got \(2, 9, 13, 10\)"):
        Member(image[..., :-1], grid, [network(1)], sliding)
    with pytest.raises(ValueError, match="cut a part of the scan off"):
        Member(image[..., :-1], replace(grid, pad=((0, 0), (0, 0), (0, -1))), [network(1)], sliding)
    with pytest.raises(ValueError, match="at least one predictor"):
        Member(image, grid, [], sliding)
