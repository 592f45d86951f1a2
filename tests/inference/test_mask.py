"""V-Net's way to a mask, by hand; the predictors are plain functions."""

import numpy as np
import pytest

from mindvoxel.data.crop import Crop
from mindvoxel.data.prepare import Prepared, prepare_case
from mindvoxel.inference import blend_weight, segment_case, sliding_window
from mindvoxel.volume import Volume, write_volume

SHAPE, WINDOW = (9, 13, 21), (4, 6, 8)


def picture(shape=SHAPE) -> np.ndarray:
    return np.random.default_rng(0).uniform(0, 1, shape).astype(np.float32)


@pytest.mark.parametrize("blend", ["gaussian", "constant"])
@pytest.mark.parametrize("overlap", [0.0, 0.5, 0.8])
@pytest.mark.parametrize("mirror_axes", [(), (2,), (0, 1, 2)])
def test_a_predictor_that_gives_back_its_window_gives_back_the_image(blend, overlap, mirror_axes):
    image = picture()
    found = sliding_window(
        image, lambda patch: patch, window=WINDOW, overlap=overlap, blend=blend, mirror_axes=mirror_axes
    )
    assert (found.shape, found.dtype) == (SHAPE, np.float32)
    assert np.abs(found - image).max() < 2e-5


def test_one_window_is_one_call():
    calls = []

    def predict(patch):
        calls.append(patch.shape)
        return patch * 0.5

    image = picture(WINDOW)
    assert np.allclose(sliding_window(image, predict, window=WINDOW), image * 0.5)
    assert calls == [WINDOW]


def test_two_windows_are_averaged_by_their_weights():
    """Windows [0, 4) and [2, 6) that answer 0 and 1: alone each counts whole, where both lie their mean."""
    answers = iter([0.0, 1.0])
    found = sliding_window(
        np.zeros((1, 1, 6), np.float32),
        lambda patch: np.full(patch.shape, next(answers), np.float32),
        window=(1, 1, 4),
        overlap=0.5,
        blend="constant",
    )
    assert found.ravel().tolist() == [0, 0, 0.5, 0.5, 1, 1]
    answers = iter([0.0, 1.0])
    found = sliding_window(
        np.zeros((1, 1, 6), np.float32),
        lambda patch: np.full(patch.shape, next(answers), np.float32),
        window=(1, 1, 4),
        overlap=0.5,
        blend="gaussian",
    ).ravel()
    w = blend_weight((1, 1, 4), "gaussian").ravel()
    assert found.tolist() == pytest.approx([0, 0, w[0] / (w[0] + w[2]), w[1] / (w[1] + w[3]), 1, 1])


def shift_right(patch: np.ndarray) -> np.ndarray:
    """Each voxel shows its left neighbour: not symmetric along x."""
    shifted = np.zeros_like(patch)
    shifted[..., 1:] = patch[..., :-1]
    return shifted


def test_mirrors_of_an_asymmetric_predictor_by_hand():
    image = np.array([[[0, 1, 0, 0, 4]]], np.float32)
    plain = sliding_window(image, shift_right, window=(1, 1, 5))
    assert plain.ravel().tolist() == [0, 0, 1, 0, 0]
    mirrored = sliding_window(image, shift_right, window=(1, 1, 5), mirror_axes=(2,))  # the mirror shifts to the left
    assert mirrored.ravel().tolist() == [0.5, 0, 0.5, 2, 0]
    both = sliding_window(image, shift_right, window=(1, 1, 5), mirror_axes=(1, 2))
    assert np.array_equal(both, mirrored)  # along y it is symmetric


def test_each_combination_of_mirrors_is_predicted_once():
    seen = []
    image = picture((2, 3, 4))

    def predict(patch):
        seen.append(patch.copy())
        return patch

    sliding_window(image, predict, window=(2, 3, 4), mirror_axes=(0, 2))
    wanted = [np.flip(image, axes) for axes in [(), (0,), (2,), (0, 2)]]
    assert len(seen) == 4
    assert all(any(np.array_equal(one, other) for other in seen) for one in wanted)


def prepared(image: np.ndarray) -> Prepared:
    """A case on its own grid, so that the way back changes nothing."""
    volume = Volume(image, (3.0, 1.0, 1.0))
    return Prepared("a", image, None, volume, None, volume, Crop.centre(image.shape, image.shape))


@pytest.mark.parametrize(("keep_largest", "count"), [(True, 8), (False, 9)])
def test_a_mask_is_cut_at_one_half_and_its_largest_part_kept(keep_largest, count):
    image = np.full(SHAPE, 0.4, np.float32)
    image[2:4, 3:5, 5:7] = 0.5
    image[7, 10, 18] = 0.9
    mask = segment_case(
        prepared(image),
        lambda patch: patch,
        window=SHAPE,
        overlap=0.5,
        blend="constant",
        mirror_axes=(),
        restore_order="linear",
        keep_largest=keep_largest,
    )
    assert (mask.voxels.dtype, mask.voxels.sum()) == (bool, count)
    assert mask.voxels[2:4, 3:5, 5:7].all()
    assert mask.spacing_mm == (3.0, 1.0, 1.0)


def test_an_empty_prediction_stays_empty():
    mask = segment_case(
        prepared(picture()),
        np.zeros_like,
        window=WINDOW,
        overlap=0.5,
        blend="gaussian",
        mirror_axes=(),
        restore_order="linear",
        keep_largest=True,
    )
    assert not mask.voxels.any()


def test_a_gland_outside_the_centre_crop_is_found_by_windows_and_lost_by_the_crop(tmp_path):
    voxels = np.zeros((12, 40, 44), np.int16)
    voxels[1:4, 30:38, 2:10] = 100  # in a corner
    write_volume(tmp_path / "a.mha", Volume(voxels + np.arange(44, dtype=np.int16), (3.0, 1.0, 1.0)))
    found = []
    for centre_crop in (True, False):
        case = prepare_case(
            "a", tmp_path / "a.mha", spacing_mm=(3.0, 1.0, 1.0), patch_size=(4, 16, 16), centre_crop=centre_crop
        )
        mask = segment_case(
            case,
            lambda patch: (patch > 1.5).astype(np.float32),
            window=(4, 16, 16),
            overlap=0.5,
            blend="gaussian",
            mirror_axes=(),
            restore_order="nearest",
            keep_largest=True,
        )
        assert mask.voxels.shape == voxels.shape
        found.append(np.array_equal(mask.voxels, voxels > 0))
    assert found == [False, True]
