"""Preprocessing by hand: every step, in every system's order, on pictures that can be checked."""

import numpy as np
import pytest

from mindvoxel.data import preprocess
from mindvoxel.data.preprocess import anisotropic_axis, class_locations, new_shape, pad, preprocess_case, training_pad
from mindvoxel.data.resample import resize, resize_label
from mindvoxel.errors import InputError

from .plans import a_configuration, a_plan, write_case_files

RNG = np.random.default_rng(3)


@pytest.fixture
def picture():
    """(6, 9, 8) CT values with 0 around a box of (4, 6, 5), and a label in it."""
    image, label = np.zeros((6, 9, 8), np.int16), np.zeros((6, 9, 8), np.uint8)
    image[1:5, 2:8, 3:8] = RNG.integers(10, 70, (4, 6, 5))
    label[2:4, 3:6, 4:6], label[3, 3, 4] = 1, 2
    return image, label


def test_nothing_to_resample_is_crop_and_normalise(picture, tmp_path):
    case = write_case_files(tmp_path, "a", *picture, (3.0, 1.0, 1.0))
    found = preprocess_case(case, a_plan(c3d=a_configuration((3.0, 1.0, 1.0))), "3d")
    assert np.allclose(found.image[0], (picture[0][1:5, 2:8, 3:8] - 40) / 10, atol=1e-6)
    assert np.array_equal(found.label, picture[1][1:5, 2:8, 3:8])
    assert found.label.dtype == np.int8
    grid = found.grid
    assert (grid.source_shape, grid.source_spacing_mm) == ((6, 9, 8), (3.0, 1.0, 1.0))
    assert (grid.crop.start, grid.crop.shape, grid.crop.full) == ((1, 2, 3), (4, 6, 5), (6, 9, 8))
    assert (grid.shape, grid.pad) == ((4, 6, 5), ((0, 0),) * 3)
    assert grid.origin_mm == (5.0, -3.0, 1.5)


def test_axes_are_permuted_and_the_grid_leads_back(picture, tmp_path):
    case = write_case_files(tmp_path, "a", *picture, (1.0, 2.0, 3.0))
    found = preprocess_case(case, a_plan(axes=(2, 0, 1), c3d=a_configuration((3.0, 1.0, 2.0))), "3d")
    assert np.array_equal(found.label, picture[1][1:5, 2:8, 3:8].transpose(2, 0, 1))
    assert found.grid.spacing_mm == (3.0, 1.0, 2.0)
    back = found.grid.volume(found.grid.crop.undo(found.label))
    assert np.array_equal(back.voxels, picture[1])
    assert back.spacing_mm == (1.0, 2.0, 3.0)


@pytest.mark.parametrize("order", ["normalize_resample", "resample_normalize"])
def test_the_order_of_the_steps_is_the_plan_s(picture, tmp_path, order):
    """z-score: of the scan's voxels, or of the resampled ones."""
    case = write_case_files(tmp_path, "a", *picture, (1.0, 1.0, 1.0))
    config = a_configuration((0.8, 0.7, 1.0), normalization=("zscore",), order=order)
    found = preprocess_case(case, a_plan(c3d=config), "3d")
    cropped = picture[0][1:5, 2:8, 3:8].astype(np.float64)
    resized = resize(cropped, (5, 9, 5), order=3)
    reference = cropped if order == "normalize_resample" else resized
    wanted = (resized - reference.mean()) / reference.std()
    assert found.image.shape == (1, 5, 9, 5)
    assert np.abs(found.image[0] - wanted).max() < 1e-5
    assert np.array_equal(found.label, resize_label(picture[1][1:5, 2:8, 3:8], (5, 9, 5)))
    if order == "resample_normalize":
        assert abs(found.image.mean()) < 1e-6
        assert found.image.std() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("labelled", [True, False])
@pytest.mark.parametrize("order", ["normalize_resample", "resample_normalize"])
def test_inside_the_mask_alone(tmp_path, order, labelled):
    """Two channels; the mask is where either is not 0, its hole filled; outside it the image is 0 and the label −1,
    except where the label is set."""
    image, label = np.zeros((2, 5, 7, 7), np.float32), np.zeros((5, 7, 7), np.uint8)
    image[0, 1:4, 1:6, 1:6] = RNG.uniform(1, 5, (3, 5, 5))
    image[1, 1:4, 3:6, 3:6] = RNG.uniform(1, 5, (3, 3, 3))
    image[:, 2, 3, 3] = 0  # a hole
    image[:, 1, 1, 1] = image[:, 1, 1, 2] = 0  # a corner, outside
    label[1, 1, 1], label[2, 3, 4] = 2, 1
    case = write_case_files(tmp_path, "a", image, label if labelled else None, (1.0, 1.0, 1.0))
    config = a_configuration((1.0, 1.0, 1.0), normalization=("zscore_mask", "zscore_mask"), order=order)
    found = preprocess_case(case, a_plan(channels=2, c3d=config), "3d")
    inside = np.ones((3, 5, 5), bool)
    inside[0, 0, 1] = False
    inside[0, 0, 0] = labelled  # a label says that it counts
    for channel in range(2):
        voxels = image[channel, 1:4, 1:6, 1:6]
        wanted = np.where(inside, (voxels - voxels[inside].mean()) / voxels[inside].std(), 0)
        assert np.abs(found.image[channel] - wanted).max() < 1e-5
    if labelled:
        assert np.array_equal(found.label == -1, ~inside)
        assert found.label[0, 0, 0] == 2
        assert found.label[1, 2, 3] == 1
    else:
        assert found.label is None


def test_without_a_mask_scheme_no_label_is_minus_one(picture, tmp_path):
    picture[0][2, 3, 4] = 0
    picture[0][1, 2, 3] = 0
    case = write_case_files(tmp_path, "a", *picture, (1.0, 1.0, 1.0))
    config = a_configuration((0.9, 0.9, 0.9), normalization=("zscore",))
    assert preprocess_case(case, a_plan(c3d=config), "3d").label.min() == 0


def test_2d_leaves_the_slice_axis_as_it_is(picture, tmp_path):
    case = write_case_files(tmp_path, "a", *picture, (4.0, 1.0, 1.0))
    found = preprocess_case(case, a_plan(c2d=a_configuration((0.5, 2.0), (8, 8))), "2d")
    assert found.image.shape == (1, 4, 12, 2)  # 2.5 voxels round to the even 2
    assert found.grid.spacing_mm == (4.0, 0.5, 2.0)
    slices = [resize((s[None] - 40) / 10, (1, 12, 2), order=3)[0] for s in picture[0][1:5, 2:8, 3:8].astype(float)]
    assert np.abs(found.image[0] - slices).max() < 1e-5


def test_no_target_spacing_means_no_resampling(picture, tmp_path):
    case = write_case_files(tmp_path, "a", *picture, (4.0, 1.3, 0.7))
    found = preprocess_case(case, a_plan(c2d=a_configuration(None, (8, 8))), "2d")
    assert found.image.shape == (1, 4, 6, 5)
    assert found.grid.spacing_mm == pytest.approx((4.0, 1.3, 0.7))


def nvidia(spacing_mm, patch_size, **more):
    way = {"order": "resample_normalize", "crop": "positive", "rounding": "floor", "anisotropy": "from_3", "pad": True}
    return a_configuration(spacing_mm, patch_size, **way | more)


def test_nvidia_s_way(picture, tmp_path):
    """Positive voxels only decide the box; sizes are cut, training cases padded with 0 after normalising."""
    image, label = picture
    image[0, 0, 0] = -1000
    case = write_case_files(tmp_path, "a", image, label, (1.0, 1.0, 1.0))
    plan = a_plan(c3d=nvidia((1.5, 1.0, 1.0), (4, 9, 5)))
    found = preprocess_case(case, plan, "3d")
    assert found.grid.crop.start == (1, 2, 3)
    assert found.grid.shape == (2, 6, 5)  # 4 / 1.5 is 2.67
    assert found.grid.pad == ((1, 1), (1, 2), (0, 0))
    assert found.image.shape == (1, 4, 9, 5)
    assert not found.image[0, 0].any()
    assert not found.image[0, :, 0].any()
    resized = resize(image[1:5, 2:8, 3:8].astype(float), (2, 6, 5), order=3)
    assert np.abs(found.image[0, 1:3, 1:7] - (np.clip(resized, 0, 80) - 40) / 10).max() < 1e-5
    assert found.label[1:3, 1:7].any()
    assert not found.label[3].any()


@pytest.mark.parametrize("training", [True, False])
def test_nvidia_pads_no_case_without_a_label_and_none_to_segment(picture, tmp_path, training):
    """Their own code fails on the first of these."""
    image, label = picture
    case = write_case_files(tmp_path, "a", image, None if training else label, (1.0, 1.0, 1.0))
    found = preprocess_case(case, a_plan(c3d=nvidia((1.0, 1.0, 1.0), (16, 16, 16))), "3d", training=training)
    assert found.image.shape == (1, 4, 6, 5)
    assert found.label is None


def test_nvidia_scores_the_nonzero_voxels_of_each_channel(tmp_path):
    image = np.zeros((2, 3, 4, 5), np.float32)
    image[0], image[1, 1] = RNG.uniform(1, 9, (3, 4, 5)), RNG.uniform(1, 9, (4, 5))
    case = write_case_files(tmp_path, "a", image, np.ones((3, 4, 5), np.uint8), (1.0, 1.0, 1.0))
    config = nvidia((1.0, 1.0, 1.0), (3, 4, 5), normalization=("zscore_mask",) * 2)
    found = preprocess_case(case, a_plan(channels=2, c3d=config), "3d")
    assert found.image[1, 1].mean() == pytest.approx(0, abs=1e-6)
    assert found.image[1, 1].std() == pytest.approx(1, abs=1e-5)
    assert not found.image[1, [0, 2]].any()
    assert (found.label == 1).all()


@pytest.mark.parametrize(
    ("shape", "patch", "wanted"),
    [
        ((3, 10, 9), (4, 8, 12), ((0, 1), (0, 0), (1, 2))),
        ((3, 10, 9), (8, 12), ((0, 0), (-1, -1), (1, 2))),
        ((3, 11, 7), (8, 4), ((0, 0), (-1, -2), (-1, -2))),
    ],
)
def test_training_pad_by_hand(shape, patch, wanted):
    padding = training_pad(shape, patch)
    assert padding == wanted
    voxels = RNG.uniform(1, 2, (2, *shape))
    padded = pad(voxels, padding)
    assert padded.shape[1:] == tuple(n + a + b for n, (a, b) in zip(shape, padding, strict=True))
    if len(patch) == 2:
        assert padded.shape[2:] == patch
        kept = voxels[:, :, 1 : 1 + patch[0], slice(0, 9) if patch[1] == 12 else slice(1, 5)]
        assert np.array_equal(padded[padded != 0], kept.ravel())


@pytest.mark.parametrize(
    ("old", "new", "rule", "wanted"),
    [
        ((3.1, 1, 1), (1, 1, 1), "above_3", 0),
        ((3.0, 1, 1), (1, 1, 1), "above_3", None),
        ((3.0, 1, 1), (1, 1, 1), "from_3", 0),
        ((1, 1, 1), (1, 5, 1), "above_3", 1),
        ((1, 1, 1), (1, 5, 1), "from_3", 0),  # theirs is always the first
        ((1, 1, 8), (5, 1, 1), "above_3", 2),  # the scan's comes first
        ((0.24, 1.25, 1.25), (1, 1, 1), "above_3", None),  # two axes are equally coarse
        ((0.24, 1.25, 1.25), (5, 1, 1), "above_3", None),  # and that settles it
        ((2, 1, 1), (2.9, 1, 1), "from_3", None),
    ],
)
def test_which_axis_is_resampled_apart(old, new, rule, wanted):
    assert anisotropic_axis(old, new, rule) == wanted


def test_sizes_are_rounded_in_the_published_order_of_operations():
    assert new_shape((5, 7, 40), (1.0, 1.0, 1.65), (2.0, 2.0, 1.5), "round") == (2, 4, 44)  # 2.5, 3.5 to the even
    assert new_shape((5, 7, 40), (1.0, 1.0, 1.65), (2.0, 2.0, 1.5), "floor") == (2, 3, 43)  # 43.99999999999999
    assert new_shape((1, 1, 1), (1.0, 1.0, 1.0), (9.0, 9.0, 9.0), "floor") == (1, 1, 1)


def test_label_values_with_gaps_become_classes(picture, tmp_path):
    image, label = picture
    label[label == 2] = 9
    label[label == 1] = 4
    case = write_case_files(tmp_path, "a", image, label, (3.0, 1.0, 1.0))
    plan = a_plan(labels={"background": 0, "lesion": 9, "organ": 4}, c3d=a_configuration())
    found = preprocess_case(case, plan, "3d").label
    assert np.array_equal(found, np.searchsorted([0, 4, 9], label[1:5, 2:8, 3:8]))


def test_more_than_127_classes_fit():
    values = tuple(range(0, 600, 3))
    classes = preprocess.to_classes(np.array([[[0, 597, 300]]], np.int16), values, "x")
    assert classes.dtype == np.int16
    assert classes.ravel().tolist() == [0, 199, 100]


@pytest.mark.parametrize("value", [-1, 7])
def test_a_value_that_the_plan_does_not_know_is_refused(picture, tmp_path, value):
    label = picture[1].astype(np.int16)
    label[2, 3, 4:6] = value
    case = write_case_files(tmp_path, "a", picture[0], label, (3.0, 1.0, 1.0))
    with pytest.raises(InputError, match=rf"a_label.nii.gz: 2 voxels hold {value}, the plan knows .* 0, 1, 2"):
        preprocess_case(case, a_plan(c3d=a_configuration()), "3d")


def test_another_number_of_channels_is_refused(picture, tmp_path):
    case = write_case_files(tmp_path, "a", np.stack([picture[0]] * 2), picture[1], (3.0, 1.0, 1.0))
    with pytest.raises(InputError, match=r"case a: 2 channels in its images, the plan has 1 \(channel 0\)"):
        preprocess_case(case, a_plan(c3d=a_configuration()), "3d")


def test_colours_that_are_none_are_refused_by_name(picture, tmp_path):
    case = write_case_files(tmp_path, "a", picture[0] * 100, picture[1], (3.0, 1.0, 1.0))
    with pytest.raises(InputError, match="case a, channel channel 0: values from"):
        preprocess_case(case, a_plan(c3d=a_configuration(normalization=("rgb",))), "3d")


@pytest.mark.parametrize("way", ["nonzero", "positive"])
def test_an_image_of_zeros_is_kept_whole(tmp_path, way):
    zeros = np.zeros((3, 4, 5), np.int16)
    case = write_case_files(tmp_path, "a", zeros, zeros, (3.0, 1.0, 1.0))
    found = preprocess_case(case, a_plan(c3d=a_configuration(crop=way, normalization=("zscore",))), "3d")
    assert found.image.shape == (1, 3, 4, 5)
    assert not found.image.any()


def test_locations_are_of_their_class_without_repeats_and_as_many_as_stated():
    label = np.zeros((20, 60, 50), np.int8)
    label[:, :, :25] = 1  # 30000: 10000 of them
    label[3, 4, 30:33] = 2
    found = class_locations(label, 4)
    assert {k: v.shape for k, v in found.items()} == {1: (10_000, 3), 2: (3, 3), 3: (0, 3)}
    for k, voxels in found.items():
        assert voxels.dtype == np.int32
        assert (label[tuple(voxels.T)] == k).all()
        assert len(np.unique(voxels, axis=0)) == len(voxels)
    assert class_locations(np.ones((110, 100, 100), np.int8), 2)[1].shape == (11_000, 3)  # 1 % of 1 100 000


def test_locations_are_nnu_net_s_own_choice():
    """RandomState(1234), one draw a class that is there, over its voxels in C order."""
    label = np.zeros((4, 5, 6), np.int8)
    label[1, 2:4, 3:5], label[3, :2, :2] = 1, 3
    rng = np.random.RandomState(1234)
    wanted = {k: np.argwhere(label == k)[rng.choice(4, 4, replace=False)] for k in (1, 3)}
    found = class_locations(label, 4)
    assert all(np.array_equal(found[k], wanted[k]) for k in (1, 3))
