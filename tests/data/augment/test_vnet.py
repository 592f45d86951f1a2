"""Image and label stay together, and what is turned lands where a hand computation says."""

import numpy as np
import pytest

from mindvoxel.data.augment.intensity import RandomNoise
from mindvoxel.data.augment.spatial import RandomFlip
from mindvoxel.data.augment.transform import augment_case
from mindvoxel.data.augment.vnet import RandomAffinePatch, RandomContrast, RandomGamma, augmentations

SHAPE = (21, 31, 41)
MIDDLE = (10, 15, 20)  # (z, y, x)
ISOTROPIC = (1.0, 1.0, 1.0)


def blob(z: int, y: int, x: int, shape=SHAPE) -> np.ndarray:
    """3×3×3 ones around a voxel, uint8."""
    label = np.zeros(shape, np.uint8)
    label[z - 1 : z + 2, y - 1 : y + 2, x - 1 : x + 2] = 1
    return label


def vnet_flip() -> RandomFlip:
    (flip,) = [t for t in augmentations((4, 4, 4), ISOTROPIC, True, 0.5) if isinstance(t, RandomFlip)]
    return flip


def centre_of(mask: np.ndarray) -> np.ndarray:
    return np.argwhere(mask > 0.5).mean(axis=0)


def affine(label, *, angles_deg=(0.0, 0.0, 0.0), scale=1.0, centre=MIDDLE, patch=SHAPE):
    return RandomAffinePatch(patch, ISOTROPIC).apply(
        label.astype(np.float32), label, centre=centre, angles_deg=angles_deg, scale=scale
    )


@pytest.mark.parametrize(
    ("angles_deg", "at", "lands"),
    [
        # the middle is (10, 15, 20); sampling positions turn by +90°, so what they show turns by -90°
        ((90.0, 0.0, 0.0), (10, 15, 28), (10, 7, 20)),  # about z: 8 along x becomes -8 along y
        ((90.0, 0.0, 0.0), (16, 15, 20), (16, 15, 20)),  # on the axis: stays
        ((0.0, 90.0, 0.0), (10, 15, 26), (16, 15, 20)),  # about y: 6 along x becomes 6 along z
        ((0.0, 90.0, 0.0), (10, 23, 20), (10, 23, 20)),
        ((0.0, 0.0, 90.0), (10, 21, 20), (4, 15, 20)),  # about x: 6 along y becomes -6 along z
        ((0.0, 0.0, 90.0), (10, 15, 32), (10, 15, 32)),
    ],
)
def test_an_angle_turns_about_its_own_axis(angles_deg, at, lands):
    image, label = affine(blob(*at), angles_deg=angles_deg)
    assert centre_of(label).tolist() == list(lands)
    assert np.array_equal(image > 0.5, label)


def test_a_rotation_turns_millimetres_not_voxels():
    """Slices of 3 mm: 4 of them along z are 12 mm, which a quarter turn about y lays along x as 12 voxels of 1 mm."""
    shape = (11, 9, 31)
    label = np.zeros(shape, np.uint8)
    label[9, 4, 15] = 1
    patch = RandomAffinePatch(shape, (3.0, 1.0, 1.0))
    centre = tuple((n - 1) / 2 for n in shape)
    image, _ = patch.apply(label.astype(np.float32), label, centre=centre, angles_deg=(0.0, 90.0, 0.0), scale=1.0)
    z, y, x = np.unravel_index(image.argmax(), shape)
    assert (z, y) == (5, 4)
    assert abs(x - 15) == 12


def test_the_direction_of_a_small_angle_by_hand():
    """20° about z: 14 voxels along x become 14 cos 20° = 13.2 along x and -14 sin 20° = -4.8 along y."""
    _, label = affine(blob(10, 15, 34), angles_deg=(20.0, 0.0, 0.0))
    assert centre_of(label) - MIDDLE == pytest.approx([0, -4.8, 13.2], abs=0.4)
    _, back = affine(blob(10, 15, 34), angles_deg=(-20.0, 0.0, 0.0))
    assert centre_of(back) - MIDDLE == pytest.approx([0, 4.8, 13.2], abs=0.4)


@pytest.mark.parametrize(("scale", "distance", "edge"), [(2.0, 12, 13), (0.5, 3, 3)])
def test_a_scale_above_one_magnifies(scale, distance, edge):
    """A box from -3.5 to 3.5 reaches from -7 to 7, or from -1.75 to 1.75: 13 or 3 voxels an edge."""
    label = np.zeros(SHAPE, np.uint8)
    label[7:14, 12:19, 23:30] = 1  # 6 voxels from the middle along x
    _, scaled = affine(label, scale=scale)
    assert (centre_of(scaled) - MIDDLE).tolist() == [0, 0, distance]
    assert scaled.sum() == edge**3


def test_the_centre_of_the_patch_is_the_voxel_that_was_drawn():
    at = (8, 12, 25)
    image, label = affine(blob(*at), angles_deg=(13.0, 4.0, -3.0), scale=1.1, centre=at, patch=(9, 11, 7))
    assert image.shape == label.shape == (9, 11, 7)
    assert centre_of(label) == pytest.approx([4, 5, 3], abs=0.3)


def test_outside_the_case_lies_its_smallest_value():
    image = np.full(SHAPE, 5.0, np.float32)
    image[0, 0, 0] = -3
    patch, label = RandomAffinePatch(SHAPE, ISOTROPIC).apply(
        image, np.ones(SHAPE, np.uint8), centre=(0, 0, 0), angles_deg=(10.0, 0.0, 0.0), scale=1.0
    )
    assert patch[0, 0, 0] == -3
    assert label[0, 0, 0] == 0


def test_a_scan_ends_half_a_voxel_beyond_its_outermost_centres():
    """Magnified 4 times: 3 voxels become 12, of which the ends, half in half out, count as outside: 11, not 9."""
    image = np.full((3, 3, 3), 5.0, np.float32)
    image[0, 0, 0] = -3
    patch, label = RandomAffinePatch((13, 13, 13), ISOTROPIC).apply(
        image, np.ones((3, 3, 3), np.uint8), centre=(1, 1, 1), angles_deg=(0.0, 0.0, 0.0), scale=4.0
    )
    assert label[6, 6].tolist() == [0, *[1] * 11, 0]
    assert patch[6, 6, [9, 10, 11, 12]].tolist() == [5, 5, 3, 1]  # at 1.75, 2, 2.25, 2.5: on its way from 5 to -3


@pytest.mark.parametrize("patch", [(4, 7, 10), (5, 6, 9), SHAPE])
def test_a_plain_crop_is_the_array_voxel_for_voxel(patch):
    image = np.arange(np.prod(SHAPE), dtype=np.float32).reshape(SHAPE)
    label = (image % 3).astype(np.uint8)
    transform = RandomAffinePatch(patch, ISOTROPIC, 0.5, rotation_deg=(0, 0, 0), scale=(1.0, 1.0))
    for seed in range(30):
        cut, mask = transform.apply(image, label, **transform.draw(np.random.default_rng(seed), image, label))
        start = np.unravel_index(int(cut[0, 0, 0]), SHAPE)
        box = tuple(slice(a, a + n) for a, n in zip(start, patch, strict=True))
        assert np.array_equal(cut, image[box])
        assert np.array_equal(mask, label[box])


def test_a_plain_crop_holds_the_foreground_voxel_in_its_middle():
    transform = RandomAffinePatch((5, 6, 9), ISOTROPIC, 1.0, rotation_deg=(0, 0, 0), scale=(1.0, 1.0))
    label = np.zeros(SHAPE, np.uint8)
    label[10, 20, 30] = 1
    _, mask = transform.apply(label.astype(np.float32), label, **transform.draw(np.random.default_rng(0), label, label))
    assert np.argwhere(mask).tolist() == [[2, 2, 4]]  # an even axis has two middles


@pytest.mark.parametrize(("axes", "lands"), [((0,), (16, 8, 30)), ((1,), (4, 22, 30)), ((2,), (4, 8, 10))])
def test_a_flip_mirrors_both(axes, lands):
    label = blob(4, 8, 30)
    image, mask = RandomFlip().apply(label.astype(np.float32), label, axes=axes)
    assert centre_of(mask).tolist() == list(lands)
    assert np.array_equal(image, mask)


def test_only_left_and_right_are_mirrored_and_half_the_time():
    drawn = [vnet_flip().draw(np.random.default_rng(seed), *[blob(4, 8, 30)] * 2)["axes"] for seed in range(400)]
    assert set(drawn) == {(), (2,)}
    assert drawn.count((2,)) == pytest.approx(200, abs=40)


def test_contrast_gamma_and_noise_by_hand():
    image, label = np.array([[[-1.0, 0.0, 3.0]]], np.float32), np.array([[[0, 1, 1]]], np.uint8)
    changed, mask = RandomContrast().apply(image, label, factor=np.float32(0.5), shift=np.float32(0.25))
    assert changed.ravel().tolist() == [-0.25, 0.25, 1.75]
    assert mask is label
    changed, mask = RandomGamma().apply(image, label, gamma=2.0)  # unit 0, 1/4, 1 -> 0, 1/16, 1
    assert changed.ravel().tolist() == [-1, -0.75, 3]
    assert mask is label
    assert np.array_equal(RandomGamma().apply(image, label, gamma=1.0)[0], image)
    flat = np.full((1, 1, 3), 2.0, np.float32)
    assert np.array_equal(RandomGamma().apply(flat, label, gamma=0.7)[0], flat)  # no contrast, no division by 0
    wide = np.zeros((30, 40, 50), np.float32)
    changed, _ = RandomNoise().apply(wide, label, deviation=0.1, seed=3)
    assert (changed.mean(), changed.std()) == (pytest.approx(0, abs=0.002), pytest.approx(0.1, rel=0.02))
    assert np.array_equal(RandomNoise().apply(image, label, deviation=0.0, seed=3)[0], image)


def test_the_whole_set_keeps_an_image_and_its_label_together():
    """The image is the label itself, blurred by the interpolation only: after any draw they agree."""
    label = np.zeros(SHAPE, np.uint8)
    label[6:15, 9:20, 14:33] = 1
    geometry = [
        t for t in augmentations((12, 18, 22), ISOTROPIC, True, 1.0) if isinstance(t, (RandomAffinePatch, RandomFlip))
    ]
    assert len(geometry) == 2
    for seed in range(40):
        image, mask = augment_case(label.astype(np.float32), label, np.random.default_rng(seed), transforms=geometry)
        assert np.array_equal(image > 0.5, mask)
        assert mask.any()


@pytest.mark.parametrize("augment", [True, False])
def test_the_same_seed_gives_the_same_patch_and_the_inputs_stay(augment):
    label = blob(4, 8, 30)
    image = np.random.default_rng(0).standard_normal(SHAPE).astype(np.float32)
    before = image.copy(), label.copy()
    transforms = augmentations((8, 12, 16), ISOTROPIC, augment, 0.5)
    patches = [augment_case(image, label, np.random.default_rng(seed), transforms=transforms) for seed in (3, 3, 4)]
    assert np.array_equal(patches[0][0], patches[1][0])
    assert np.array_equal(patches[0][1], patches[1][1])
    assert not np.array_equal(patches[0][0], patches[2][0])
    assert np.array_equal(image, before[0])
    assert np.array_equal(label, before[1])
    for cut, mask in patches:
        assert (cut.shape, cut.dtype, mask.shape, mask.dtype) == ((8, 12, 16), np.float32, (8, 12, 16), np.uint8)
        assert cut.flags.c_contiguous
        assert np.isfinite(cut).all()
