"""The previous stage's prediction on its way into the next network."""

import numpy as np
import pytest

from mindvoxel.data.augment.cascade import OPERATIONS, PreviousToChannels, RandomMorphology, RandomRemoval, morphology


def ball(shape, centre, radius) -> np.ndarray:
    grid = np.indices(shape) - np.array(centre)[:, None, None, None]
    return (grid**2).sum(axis=0) <= radius**2


def test_classes_become_channels():
    image = np.full((1, 1, 1, 4), 7.0, np.float32)
    label = np.array([[[[0, 1, 2, 0]]], [[[0, 2, 2, 1]]]], np.int16)
    both, truth = PreviousToChannels(3).apply(image, label)
    assert both.dtype == np.float32
    assert both.reshape(3, 4).tolist() == [[7, 7, 7, 7], [0, 0, 0, 1], [0, 1, 1, 0]]
    assert truth.tolist() == [[[[0, 1, 2, 0]]]]


def test_morphology_of_a_ball():
    mask = ball((21, 23, 25), (10, 11, 12), 5)
    sizes = [morphology(mask, name, 2).sum() for name in OPERATIONS]
    assert sizes[0] > mask.sum() > sizes[1] > 0
    assert sizes[2] >= mask.sum() >= sizes[3] > 0
    point = np.zeros((9, 9, 9), bool)
    point[4, 4, 4] = True
    grown = morphology(point, "dilate", 1)
    assert grown.sum() == 7  # a voxel and its six faces
    assert not morphology(point, "open", 1).any()


def test_a_border_eats_nothing_and_a_slice_is_changed_in_its_plane():
    assert morphology(np.ones((5, 6, 7), bool), "erode", 2).all()
    full = np.ones((5, 6, 7), bool)
    full[2, 3, 3] = False
    assert morphology(full, "close", 1).all()
    point = np.zeros((1, 9, 9), bool)
    point[0, 4, 4] = True
    assert morphology(point, "dilate", 1).sum() == 5
    assert morphology(np.ones((1, 9, 9), bool), "erode", 3).all()


def test_a_class_that_grows_takes_voxels_from_the_others():
    image = np.zeros((3, 9, 9, 9), np.float32)
    image[0] = 5  # the scan
    image[1, :, :, :4], image[2, :, :, 4:] = 1, 1
    RandomMorphology(2).apply(image, None, changes=((0, "dilate", 2),))
    assert (image[0] == 5).all()
    assert image[1, 4, 4].tolist() == [1, 1, 1, 1, 1, 1, 0, 0, 0]
    assert np.array_equal(image[1] + image[2], np.ones((9, 9, 9)))


def test_only_small_components_go():
    image = np.zeros((2, 20, 20, 20), np.float32)
    image[1, :10] = 1  # half of the patch
    image[1, 15:17, 3:5, 3:5] = 1
    kept = image[1, :10].copy()
    RandomRemoval(1).apply(image, None, picks=(0.5,))
    assert np.array_equal(image[1, :10], kept)
    assert not image[1, 10:].any()
    RandomRemoval(1).apply(image, None, picks=(0.5,))
    assert image[1, :10].all()  # nothing small is left


def test_one_of_several_components_goes_and_none_where_no_class_is_drawn():
    image = np.zeros((1, 9, 9, 9), np.float32)
    image[0, [1, 4, 7], 4, 4] = 1
    for pick, rest in ((0.0, [4, 7]), (0.5, [1, 7]), (0.99, [1, 4])):
        changed, _ = RandomRemoval(1).apply(image.copy(), None, picks=(pick,))
        assert np.argwhere(changed[0])[:, 0].tolist() == rest
    assert np.array_equal(RandomRemoval(1).apply(image.copy(), None, picks=(None,))[0], image)


def test_what_touches_at_a_corner_goes_together():
    """As in nnU-Net, whose labelling counts all 26 neighbours."""
    image = np.zeros((1, 9, 9, 9), np.float32)
    image[0, [1, 2], [1, 2], [1, 2]] = 1
    assert not RandomRemoval(1).apply(image, None, picks=(0.0,))[0].any()


@pytest.mark.parametrize(
    ("transform", "key", "probability"), [(RandomMorphology(4), "changes", 0.4), (RandomRemoval(4), "picks", 0.2)]
)
def test_they_fire_with_their_probability_for_half_the_classes(transform, key, probability):
    rng = np.random.default_rng(0)
    drawn = [d[key] for _ in range(3000) if (d := transform.draw(rng, None, None)) is not None]
    assert len(drawn) / 3000 == pytest.approx(probability, abs=0.03)
    assert np.mean([sum(part is not None for part in parts) for parts in drawn]) == pytest.approx(2, abs=0.15)
    if key == "changes":
        classes, names, radii = zip(*(part for parts in drawn for part in parts), strict=True)
        assert set(classes) == {0, 1, 2, 3}
        assert set(names) == set(OPERATIONS)
        assert set(radii) == set(range(1, 9))
