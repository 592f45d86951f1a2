"""Where windows lie, how their voxels count and what a plan says of them, by hand."""

import numpy as np
import pytest

from mindvoxel.data.plan import Configuration, Plan, Preprocessing
from mindvoxel.inference import Sliding, blend_weight, sliding_of, sliding_window, window_starts, windows

WINDOW = (4, 6, 8)


@pytest.mark.parametrize(
    ("size", "window", "overlap", "starts"),
    [
        (10, 4, 0.5, [0, 2, 4, 6]),
        (10, 4, 0.0, [0, 3, 6]),  # 2.5 windows do not fit: spread evenly
        (11, 4, 0.0, [0, 4, 7]),  # 3.5, rounded
        (12, 4, 0.0, [0, 4, 8]),
        (9, 4, 0.5, [0, 2, 3, 5]),  # 0, 1.67, 3.33, 5
        (4, 4, 0.5, [0]),
        (5, 4, 0.5, [0, 1]),
        (6, 4, 0.99, [0, 1, 2]),  # a step of one voxel at least
        (3, 1, 0.5, [0, 1, 2]),
    ],
)
def test_starts_by_hand(size, window, overlap, starts):
    assert window_starts(size, window, overlap) == starts


@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.5, 0.75, 0.9])
def test_windows_cover_every_voxel_and_overlap_at_least_as_asked(overlap):
    for size in range(5, 40):
        starts = window_starts(size, 5, overlap)
        assert (starts[0], starts[-1]) == (0, size - 5)
        assert max(np.diff(starts), default=0) <= 5 - int(5 * overlap)
        assert set(starts) == set(np.unique(starts))
        assert {v for start in starts for v in range(start, start + 5)} == set(range(size))


@pytest.mark.parametrize("overlap", [-0.1, 1.0, 1.5, float("nan")])
def test_an_overlap_that_is_none_is_refused(overlap):
    with pytest.raises(ValueError, match=r"overlap must be in \[0, 1\)"):
        window_starts(10, 4, overlap)


def test_a_window_larger_than_the_image_is_refused():
    with pytest.raises(ValueError, match="window 11 exceeds axis length 10; pad the volume first"):
        window_starts(10, 11, 0.5)
    with pytest.raises(ValueError, match="window 6 exceeds axis length 5"):
        sliding_window(np.zeros((9, 5, 21), np.float32), lambda patch: patch, window=WINDOW)


def test_boxes_run_in_z_y_x_order():
    boxes = windows((4, 7, 10), (4, 6, 8), 0.0)
    assert [tuple(s.start for s in box) for box in boxes] == [(0, 0, 0), (0, 0, 2), (0, 1, 0), (0, 1, 2)]
    assert all(tuple(s.stop - s.start for s in box) == (4, 6, 8) for box in boxes)


def test_gaussian_weights_by_hand():
    """Deviation 1/8 of the axis: the middle of 5 is 1, one voxel on exp(-(8/5)²/2) = 0.278, two on 0.006."""
    weight = blend_weight((1, 5, 1), "gaussian").ravel()
    assert weight.tolist() == pytest.approx([5.976e-3, 0.2780, 1, 0.2780, 5.976e-3], rel=1e-3)


def test_gaussian_weights_are_symmetric_with_a_peak_of_1_and_a_floor():
    weight = blend_weight((6, 9, 16), "gaussian")
    assert (weight.dtype, weight.max(), weight.min()) == (np.float32, 1, np.float32(1e-3))
    for axis in range(3):
        assert np.allclose(weight, np.flip(weight, axis))
    assert weight[2, 4, 7] == weight[3, 4, 8] == 1


def test_constant_weights_and_an_unknown_blend():
    assert (blend_weight(WINDOW, "constant") == 1).all()
    with pytest.raises(ValueError, match="blend must be one of gaussian, nnunet, nvidia, constant, got 'cosine'"):
        blend_weight(WINDOW, "cosine")


@pytest.mark.parametrize(
    ("size", "window", "overlap", "starts"),
    [
        (10, 4, 0.5, [0, 2, 4, 6]),
        (11, 4, 0.5, [0, 2, 4, 6, 7]),  # evenly spread they would be 0, 1.75, 3.5, 5.25, 7
        (10, 4, 0.25, [0, 3, 6]),
        (11, 4, 0.25, [0, 3, 6, 7]),
        (10, 5, 0.5, [0, 2, 4, 5]),  # a step of 2.5, cut to 2
        (4, 4, 0.5, [0]),
    ],
)
def test_starts_that_are_not_spread_end_with_the_axis(size, window, overlap, starts):
    assert window_starts(size, window, overlap, spread=False) == starts


def test_nnunet_s_weights_peak_at_voxel_n_2_and_reach_their_smallest_without_a_floor():
    """4 voxels around voxel 2, deviation 0.5: exp(-8), exp(-2), 1, exp(-2)."""
    weight = blend_weight((1, 4, 1), "nnunet").ravel()
    assert weight.tolist() == pytest.approx([np.exp(-8), np.exp(-2), 1, np.exp(-2)], rel=1e-6)
    assert blend_weight((4, 4, 4), "nnunet").min() == pytest.approx(np.exp(-24), rel=1e-6)


def test_nvidia_s_weights_are_the_cube_root():
    """4 voxels around 1.5, deviation 0.5: 1.5 voxels off exp(-4.5), 0.5 off exp(-0.5), each ^ 1/3, by the largest."""
    weight = blend_weight((1, 4, 1), "nvidia").ravel()
    assert weight.tolist() == pytest.approx([np.exp(-4 / 3), 1, 1, np.exp(-4 / 3)], rel=1e-6)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"window": (4,)}, "window must have 2 or 3 axes"),
        ({"window": (4, 4), "mirror_axes": (2,)}, "mirror_axes must be axes of the window"),
        ({"window": (4, 4), "average": "votes"}, "average must be logits or probabilities, got 'votes'"),
    ],
)
def test_sliding_that_cannot_be_is_refused(values, message):
    with pytest.raises(ValueError, match=message):
        Sliding(**values)


@pytest.mark.parametrize(
    ("planner", "overlap", "blend", "spread", "average"),
    [
        ("nnunet_v2", 0.5, "nnunet", True, "logits"),
        ("nnunet_v1", 0.5, "nnunet", True, "probabilities"),
        ("nvidia", 0.25, "constant", False, "logits"),
    ],
)
def test_windows_slide_as_in_the_system_of_the_plan(planner, overlap, blend, spread, average):
    way = Preprocessing(("ct",))
    config = Configuration((5, 6, 7), 2, (1.0,) * 3, (9, 9, 9), ((1, 1, 1),), ((3, 3, 3),), (32,), way)
    plan = Plan(planner, "a", 8.0, ("CT",), {"background": 0, "a": 1}, (0, 1, 2), (), {"3d_fullres": config})
    assert sliding_of(plan, "3d_fullres", (0,)) == Sliding((5, 6, 7), overlap, blend, spread, (0,), average)
