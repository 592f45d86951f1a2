"""Batches of patches: the same numbers whoever makes them, image and label together, and errors that name the case."""

from dataclasses import replace

import numpy as np
import pytest

from mindvoxel.data.augment.sets import nnunet_set, nnunet_turn, plain_set
from mindvoxel.data.augment.spatial import affine_matrix
from mindvoxel.data.patches import PatchRecipe, PatchSource, make_patch, nnunet_recipe, nvidia_recipe
from mindvoxel.data.plan import Configuration, Preprocessing
from mindvoxel.data.sampling import BlobOversampling, ForegroundOversampling
from mindvoxel.data.store import StoredCase
from mindvoxel.errors import InputError, WorkError

SHAPE, PATCH = (13, 22, 17), (8, 12, 10)
NAMES = [f"case_{i}" for i in range(5)]


def stored(name: str, channels=1, shape=SHAPE) -> StoredCase:
    """The image of channel 0 is its own label, so that both can be compared after whatever moves them."""
    label = np.zeros(shape, np.int8)
    label[2:6, 4:11, 3:9], label[7:11, 12:20, 8:15] = 1, 2
    image = np.stack([label.astype(np.float32) + 10 * c for c in range(channels)])
    locations = {k: np.argwhere(label == k).astype(np.int32) for k in (1, 2)}
    image.flags.writeable = label.flags.writeable = False  # as a mapped file
    return StoredCase(name, image, label, locations, None)


def configuration(**changes) -> Configuration:
    settings = {
        "patch_size": PATCH,
        "batch_size": 2,
        "spacing_mm": (1.0, 1.0, 1.0),
        "median_shape": SHAPE,
        "strides": ((1, 1, 1),),
        "kernels": ((3, 3, 3),),
        "filters": (32,),
        "preprocessing": Preprocessing(("zscore",)),
    }
    return Configuration(**settings | changes)


def source(recipe=None, **changes) -> PatchSource:
    settings = {"open_case": stored, "batch_size": 2, "iterations": 4, "seed": 3, "num_workers": 2} | changes
    return PatchSource(NAMES, recipe=recipe or nnunet_recipe(configuration()), **settings)


def same(ours, theirs) -> bool:
    pairs = zip(ours, theirs, strict=True)
    return all(
        np.array_equal(a.image, b.image) and np.array_equal(a.label, b.label) and a.cases == b.cases for a, b in pairs
    )


def test_shapes_types_and_contents():
    batches = list(source().epoch(0))
    assert len(batches) == 4
    for batch in batches:
        assert (batch.image.shape, batch.image.dtype) == ((2, 1, *PATCH), np.float32)
        assert (batch.label.shape, batch.label.dtype) == ((2, *PATCH), np.int16)
        assert set(np.unique(batch.label)) <= {0, 1, 2}
        assert np.isfinite(batch.image).all()
        assert batch.label[1].any()  # the forced one
        assert set(batch.cases) <= set(NAMES)


def test_any_number_of_workers_gives_the_same_batches_and_epochs_differ():
    alone = list(source(num_workers=0).epoch(2))
    assert same(source(num_workers=1).epoch(2), alone)
    assert same(source(num_workers=3).epoch(2), alone)
    assert same(source(iterations=2).epoch(2), alone[:2])  # a batch does not depend on those before it
    assert not same(source().epoch(3), alone)
    assert not same(source(seed=4).epoch(2), alone)


def test_ranks_together_see_what_one_rank_of_their_whole_batch_sees():
    one = list(source(batch_size=6).epoch(1))
    ranks = [list(source(batch_size=2, rank=r, num_ranks=3).epoch(1)) for r in range(3)]
    for number, whole in enumerate(one):
        parts = [rank[number] for rank in ranks]
        assert np.array_equal(whole.image[::3], parts[0].image)
        assert np.array_equal(whole.label[2::3], parts[2].label)
        assert all(part.cases == whole.cases for part in parts)


def test_cases_come_at_random_or_each_once():
    drawn = [name for batch in source(iterations=200, num_workers=0, recipe=plain()).epoch(0) for name in batch.cases]
    assert [drawn.count(name) / 400 for name in NAMES] == pytest.approx([0.2] * 5, abs=0.06)
    once = [n for b in source(iterations=10, each_once=True, recipe=plain()).epoch(0) for n in b.cases]
    for first in range(0, 20, 5):
        assert sorted(once[first : first + 5]) == NAMES
    assert once[:5] != once[5:10]


def plain(**changes) -> PatchRecipe:
    return replace(PatchRecipe(PATCH, ForegroundOversampling(), None, plain_set()), **changes)


def test_a_plain_patch_is_the_case_voxel_for_voxel():
    case = stored("a")
    for seed in range(30):
        image, label = make_patch(case, np.random.default_rng(seed), plain(), (0, 2))
        start = ForegroundOversampling().draw(np.random.default_rng(seed), case, PATCH, (0, 2))
        box = tuple(slice(a, a + n) for a, n in zip(start, PATCH, strict=True))
        assert np.array_equal(image[0], case.image[0][box])
        assert np.array_equal(label, case.label[box])


def test_over_the_border_lie_zeros():
    small = stored("a", shape=(12, 21, 16))
    image, label = make_patch(small, np.random.default_rng(0), plain(patch_size=(16, 25, 16)), (0, 2))
    assert np.array_equal(image[0, 2:14, 2:23], small.image[0])
    assert np.array_equal(label[2:14, 2:23], small.label)
    assert image.sum() == small.image.sum()
    assert not label[:2].any()


def test_image_and_label_get_the_same_turn_flip_and_zoom():
    """Rounding the turned image gives the label but at borders between more than two values."""
    geometry = tuple(t for t in nnunet_set(3) if type(t).__name__ in ("RandomFlip", "ClearOutside"))
    case = stored("a")
    binary = replace(case, image=(case.image > 0).astype(np.float32), label=(case.label > 0).astype(np.int8))
    recipe = plain(turn=replace(nnunet_turn(PATCH, False), rotation_probability=1.0), transforms=geometry)
    for seed in range(40):
        image, label = make_patch(binary, np.random.default_rng(seed), recipe, (1, 2))
        assert np.array_equal(image[0] > 0.5, label == 1)
        assert label.any()


def test_a_marked_voxel_turned_by_90_degrees_about_the_drawn_one():
    class Quarter:
        def draw(self, rng):
            return affine_matrix((90.0, 0.0, 0.0), (1.0, 1.0, 1.0))

    label = np.zeros(SHAPE, np.int8)
    label[6, 11, 8], label[6, 11, 11] = 1, 2  # 3 along x
    locations = {1: np.array([[6, 11, 8]], np.int32)}
    case = StoredCase("a", label[None].astype(np.float32), label, locations, None)
    image, mask = make_patch(case, np.random.default_rng(0), plain(patch_size=(5, 9, 9), turn=Quarter()), (1, 2))
    assert np.argwhere(mask == 1).tolist() == [[2, 4, 4]]
    assert np.argwhere(mask == 2).tolist() == [[2, 1, 4]]  # 3 against y
    assert np.round(image[0]).astype(int).tolist() == mask.tolist()


def test_a_whole_epoch_leaves_the_case_alone_and_works_over_every_border():
    cases = {name: stored(name, channels=3, shape=(5, 9, 31)) for name in NAMES}
    before = {name: case.image.copy() for name, case in cases.items()}
    patches = source(
        nnunet_recipe(configuration(preprocessing=Preprocessing(("zscore",) * 3))), iterations=30, open_case=cases.get
    )
    for batch in patches.epoch(0):
        assert batch.image.shape == (2, 3, *PATCH)
        assert np.isfinite(batch.image).all()
    assert all(np.array_equal(case.image, before[name]) for name, case in cases.items())


def test_2d_batches_have_no_depth():
    batches = list(source(nnunet_recipe(configuration(patch_size=(12, 10), batch_size=6)), batch_size=6).epoch(0))
    assert all(batch.image.shape == (6, 1, 12, 10) and batch.label.shape == (6, 12, 10) for batch in batches)
    assert all(batch.label[4:].any(axis=(1, 2)).all() for batch in batches)  # forced from number 4 on
    assert len(batches[0].cases) == 6


def test_nvidia_s_2d_batches_are_neighbouring_slices():
    recipe = nvidia_recipe(configuration(patch_size=(12, 10), batch_size=6), num_volumes=2)
    batch = next(source(replace(recipe, transforms=plain_set()), batch_size=6, open_case=numbered).epoch(0))
    assert batch.image.shape == (6, 1, 12, 10)
    assert len(batch.cases) == 2
    slices = batch.image.max(axis=(1, 2, 3))
    assert np.diff(slices).tolist()[:2] == np.diff(slices).tolist()[3:] == [1, 1]
    with pytest.raises(InputError, match="7 slices does not divide among 2 volumes"):
        nvidia_recipe(configuration(patch_size=(12, 10), batch_size=7))


def numbered(name: str) -> StoredCase:
    """Every voxel holds the number of its slice, from 100."""
    case = stored(name)
    image = np.broadcast_to(np.arange(100, 113, dtype=np.float32)[:, None, None], SHAPE)
    return replace(case, image=image[None].copy(), label=np.zeros(SHAPE, np.int8), locations={})


def test_nvidia_s_3d_batches():
    recipe = nvidia_recipe(configuration())
    assert recipe.sampler == BlobOversampling(0.33)
    batches = list(source(recipe, iterations=20).epoch(0))
    assert all(batch.image.shape == (2, 1, *PATCH) and set(np.unique(batch.label)) <= {0, 1, 2} for batch in batches)
    assert same(source(recipe, iterations=20, num_workers=0).epoch(0), batches)


def test_dummy_2d_keeps_slices_apart():
    """A slice that is all 5 stays so through any turn; only mirroring may move it."""
    image = np.zeros((1, 13, 40, 40), np.float32)
    image[0, 6] = 5
    case = StoredCase("a", image, (image[0] > 0).astype(np.int8), {}, None)
    turn = replace(nnunet_turn((7, 12, 12), True), rotation_probability=1.0, scale_probability=1.0)
    recipe = PatchRecipe((7, 12, 12), Fixed(), turn, plain_set())
    for seed in range(10):
        patch, label = make_patch(case, np.random.default_rng(seed), recipe, (0, 2))
        assert patch[0, 3] == pytest.approx(5, abs=1e-5)
        assert np.abs(np.delete(patch[0], 3, axis=0)).max() < 1e-5
        assert (label[3] == 1).all()


class Fixed:
    def draw(self, rng, case, patch_size, place):
        return (3, 14, 14)


def test_outside_the_mask_stays_zero_whatever_happens_to_intensities():
    label = np.full(SHAPE, -1, np.int8)
    label[3:10, 5:18, 4:14] = 0
    rng = np.random.default_rng(0)
    image = np.where(label < 0, 0, rng.standard_normal((2, *SHAPE))).astype(np.float32)
    case = StoredCase("a", image, label, {}, None)
    recipe = nnunet_recipe(configuration(preprocessing=Preprocessing(("zscore_mask", "zscore"))))
    loud = replace(recipe.transforms[0], probability=1.0, highest=1.0)
    recipe = replace(recipe, turn=None, transforms=(loud, *recipe.transforms[-2:]), patch_size=SHAPE)
    patch, classes = make_patch(case, rng, recipe, (0, 2))
    assert (patch[0] == 0).sum() == (label < 0).sum()
    assert (patch[1] != 0).all()
    assert (classes == 0).all()


def test_a_cascade_gets_the_previous_stage_as_channels():
    recipe = nnunet_recipe(
        configuration(previous_stage="3d_lowres"), previous_classes=3, open_previous=lambda name: stored(name).label
    )
    still = replace(recipe, turn=None, transforms=recipe.transforms[-4:-2])  # the outside, and the channels
    patch, label = make_patch(stored("a"), np.random.default_rng(0), still, (1, 2))
    assert patch.shape == (3, *PATCH)
    assert np.array_equal(patch[1], label == 1)
    assert np.array_equal(patch[2], label == 2)
    batches = list(source(recipe, iterations=20).epoch(0))
    assert all(batch.image.shape == (2, 3, *PATCH) for batch in batches)
    assert all(set(np.unique(batch.image[:, 1:])) <= {0, 1} for batch in batches)
    for wrong in (nnunet_recipe, lambda c, **k: nnunet_recipe(replace(c, previous_stage=None), **k)):
        with pytest.raises(ValueError, match="go with a cascade"):
            wrong(
                configuration(previous_stage="3d_lowres"), **({} if wrong is nnunet_recipe else {"previous_classes": 3})
            )


@pytest.mark.parametrize("num_workers", [0, 2])
def test_an_error_names_the_case_and_keeps_its_cause(num_workers):
    def broken(name):
        case = stored(name)
        return replace(case, label=case.label[:, :5]) if name == "case_3" else case

    with pytest.raises(WorkError, match=r"case case_3: patch \d of batch \d+ in epoch 0 failed") as failed:
        list(source(open_case=broken, iterations=50, num_workers=num_workers).epoch(0))
    assert "\n" not in str(failed.value)
    assert failed.value.__cause__ is not None


def test_a_fault_of_the_input_is_raised_as_it_is():
    def absent(name):
        if name == "case_2":
            raise InputError("out/3d/case_2.case.json: no such preprocessed case")
        return stored(name)

    with pytest.raises(InputError, match="no such preprocessed case"):
        list(source(open_case=absent, iterations=50).epoch(0))


def test_a_case_without_a_label_is_refused():
    with pytest.raises(InputError, match="case_. has no label; leave it out"):
        list(source(open_case=lambda name: replace(stored(name), label=None)).epoch(0))


def test_mapped_cases_stay_open_and_others_do_not(tmp_path):
    opened = []

    def opening(name, mapped):
        opened.append(name)
        case = stored(name)
        np.save(tmp_path / f"{name}.npy", case.image)
        return replace(case, image=np.load(tmp_path / f"{name}.npy", mmap_mode="r" if mapped else None))

    list(source(open_case=lambda name: opening(name, True), iterations=20, num_workers=0).epoch(0))
    assert len(opened) == len(NAMES) + 1
    list(source(open_case=lambda name: opening(name, False), iterations=20, num_workers=0).epoch(0))
    assert len(opened) == len(NAMES) + 1 + 1 + 40


def test_what_cannot_be_is_refused():
    with pytest.raises(ValueError, match="no cases"):
        PatchSource([], stored, plain(), 2, 1, 0)
    with pytest.raises(ValueError, match="batch_size 4 is no multiple of the recipe's 3 slices"):
        source(nvidia_recipe(configuration(patch_size=(12, 10), batch_size=6)), batch_size=4)


@pytest.mark.parametrize(
    ("patch_size", "dummy_2d", "degrees", "scaled"),
    [
        ((128, 128, 128), False, (30, 30, 30), (True, True, True)),
        ((20, 320, 256), True, (180, 0, 0), (False, True, True)),
        ((320, 256), False, (180, 0, 0), (False, True, True)),
        ((512, 256), False, (15, 0, 0), (False, True, True)),
    ],
)
def test_how_far_nnunet_turns(patch_size, dummy_2d, degrees, scaled):
    turn = nnunet_turn(patch_size, dummy_2d)
    assert (turn.rotation_deg, turn.scaled) == (degrees, scaled)
    assert (turn.rotation_probability, turn.scale_probability, turn.scale) == (0.2, 0.2, (0.7, 1.4))
