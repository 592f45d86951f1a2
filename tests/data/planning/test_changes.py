"""Changes to a plan, and what follows from them."""

import pytest

from mindvoxel.data.plan import difference, preprocessing_key
from mindvoxel.data.planning import make_plan
from mindvoxel.data.planning.changes import change_plan
from mindvoxel.errors import InputError


@pytest.fixture
def plan(made_up):
    """2d, 3d_fullres 128³, 3d_lowres and the cascade."""
    return make_plan(made_up.equal((482, 512, 512), (1, 0.7676, 0.7676), 131), made_up.dataset("CT", labels=3))


def test_batch_size_changes_nothing_else(plan):
    new = change_plan(plan, "3d_fullres", batch_size=8)
    assert new.configurations["3d_fullres"].batch_size == 8
    assert change_plan(new, "3d_fullres", batch_size=2) == plan
    assert difference(preprocessing_key(plan, "3d_fullres"), preprocessing_key(new, "3d_fullres")) is None


def test_a_new_patch_derives_its_network(plan):
    config = change_plan(plan, "3d_fullres", patch_size=(32, 192, 192)).configurations["3d_fullres"]
    assert config.patch_size == (32, 192, 192)
    assert config.strides == ((1, 1, 1), (2, 2, 2), (2, 2, 2), (2, 2, 2), (1, 2, 2), (1, 2, 2))
    assert config.filters == (32, 64, 128, 256, 320, 320)
    assert config.dummy_2d
    config = change_plan(plan, "2d", patch_size=(16, 8)).configurations["2d"]
    assert config.filters == (32, 64)
    assert not config.dummy_2d


def test_a_new_spacing_derives_network_and_median_shape(plan):
    new = change_plan(plan, "3d_fullres", spacing_mm=(4.0, 0.7676, 0.7676))
    config = new.configurations["3d_fullres"]
    assert config.median_shape == (120, 512, 512)
    assert config.kernels[:2] == ((1, 3, 3), (1, 3, 3))
    assert "spacing_mm" in difference(preprocessing_key(plan, "3d_fullres"), preprocessing_key(new, "3d_fullres"))
    flat = change_plan(plan, "2d", spacing_mm=(1.5352, 1.5352)).configurations["2d"]
    assert flat.median_shape == (482, 256, 256)


@pytest.mark.parametrize(
    ("patch", "nearest"),
    [
        ((130, 128, 128), "128,128,128"),
        ((150, 128, 128), "160,128,128"),
        ((33, 66, 9), "32,64,8"),
        ((5, 5, 13), "5,5,12"),
    ],
)
def test_a_patch_that_its_network_does_not_divide_is_refused_with_the_nearest(plan, patch, nearest):
    with pytest.raises(InputError) as caught:
        change_plan(plan, "3d_lowres", patch_size=patch)
    assert str(caught.value).endswith(f"the nearest that fits is {nearest}")
    changed = change_plan(plan, "3d_lowres", patch_size=tuple(map(int, nearest.split(","))))
    assert changed.configurations["3d_lowres"].patch_size != patch


def test_each_planner_keeps_its_rule(made_up):
    prints = made_up.equal((40, 60, 50), (1, 1, 1), 20)
    for planner, stages, widest in (("nnunet_v1", 8, 480), ("nnunet_v2", 8, 512), ("nvidia", 6, 512)):
        plan = make_plan(prints, made_up.dataset(), planner)
        config = change_plan(plan, "2d", patch_size=(512, 512)).configurations["2d"]
        assert (len(config.strides), config.filters[-1]) == (stages, widest)


def test_nvidias_padded_data_depend_on_the_patch(made_up):
    plan = make_plan(made_up.equal((40, 60, 50), (1, 1, 1), 20), made_up.dataset(), "nvidia", task="04")
    new = change_plan(plan, "3d_fullres", patch_size=(48, 64, 48))
    keys = preprocessing_key(plan, "3d_fullres"), preprocessing_key(new, "3d_fullres")
    assert difference(*keys) == "patch_size was (40, 56, 40), is (48, 64, 48)"


@pytest.mark.parametrize(
    ("name", "changes", "words"),
    [
        ("3d", {"batch_size": 2}, "--configuration 3d is not in the plan; choose one of 2d, 3d_fullres"),
        ("2d", {"batch_size": 0}, "batch_size must be a whole number from 1 to 2147483647"),
        ("2d", {"patch_size": (64, 64, 64)}, "--patch_size must be 2 values from 1 to 2147483647 for 2d, got 64,64,64"),
        ("2d", {"patch_size": (0, 64)}, "--patch_size must be 2 values from 1"),
        ("2d", {"batch_size": 10**30}, "batch_size must be a whole number from 1 to 2147483647"),
        ("2d", {"patch_size": (10**400, 64)}, "--patch_size must be 2 values from 1"),
        ("3d_fullres", {"spacing_mm": (1e-320, 1.0, 1.0)}, "--spacing_mm must be 3 values from 1e-06"),
        (
            "3d_fullres",
            {"spacing_mm": (1.0, 1.0)},
            "--spacing_mm must be 3 values from 1e-06 to 1000000.0",
        ),
        (
            "3d_fullres",
            {"spacing_mm": (1.0, 1.0, float("nan"))},
            "--spacing_mm must be 3 values from 1e-06 to 1000000.0",
        ),
        (
            "3d_fullres",
            {"spacing_mm": (1.0, 1.0, float("inf"))},
            "--spacing_mm must be 3 values from 1e-06 to 1000000.0",
        ),
    ],
)
def test_what_cannot_be_is_refused(plan, name, changes, words):
    with pytest.raises(InputError, match=words):
        change_plan(plan, name, **changes)


def test_what_is_not_resampled_takes_no_spacing(made_up):
    plan = make_plan(made_up.equal((40, 60, 50), (1, 1, 1), 20), made_up.dataset(), "nvidia", task="04")
    with pytest.raises(InputError, match="--spacing_mm cannot be set: 2d of this planner does not resample"):
        change_plan(plan, "2d", spacing_mm=(1.0, 1.0))


def test_other_names_are_a_programmers_mistake(plan):
    with pytest.raises(ValueError, match="only patch_size, batch_size, spacing_mm can be changed, got filters"):
        change_plan(plan, "2d", filters=(1,))
