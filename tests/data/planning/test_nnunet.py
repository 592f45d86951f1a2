"""nnU-Net's planners: what they themselves made of random fingerprints, published anchors, and the rules one by one."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from mindvoxel.data.plan import plan_from_json, plan_to_json
from mindvoxel.data.planning import make_plan, sizing
from mindvoxel.errors import InputError

VECTORS = json.loads((Path(__file__).parent / "vectors.json").read_text(encoding="utf-8"))
CASES = [(planner, i) for planner in ("nnunet_v2", "nnunet_v1") for i in range(len(VECTORS[planner]))]
BOTH = ["nnunet_v1", "nnunet_v2"]


def fixed(value):
    return tuple(map(fixed, value)) if isinstance(value, list) else value


@pytest.mark.parametrize(("planner", "index"), CASES)
def test_equal_to_the_planner_itself(made_up, planner, index):
    """vectors.json says which program made the wanted values."""
    given, wanted = (VECTORS[planner][index][key] for key in ("given", "wanted"))
    cases = given["shapes"] * given["repeat"], given["spacings_mm"] * given["repeat"]
    channels = given["channels"]
    prints = made_up.fingerprint(*cases, channels=len(channels), size_after_crop=given["size_after_crop"])
    data = made_up.dataset(*channels, labels=given["num_labels"])
    plan = make_plan(prints, data, planner, given.get("memory_gb"))
    assert plan.axes == fixed(wanted["axes"])
    assert plan.configurations.keys() - {"3d_cascade_fullres"} == wanted["configurations"].keys() - {
        "3d_cascade_fullres"
    }
    for name, values in wanted["configurations"].items():
        config = plan.configurations[name]
        for key, value in values.items():
            got = {
                "normalization": config.preprocessing.normalization,
                "median_shape": config.median_shape[-config.dim :],
            }.get(key, getattr(config, key, None))
            assert got == (pytest.approx(value, rel=1e-12) if key == "spacing_mm" else fixed(value)), (name, key)


@pytest.mark.parametrize("planner", BOTH)
def test_hippocampus(made_up, planner):
    """The published plan of the 260 training cases; here all have the known median shape."""
    plan = make_plan(made_up.equal((36, 50, 35), (1, 1, 1), 260), made_up.dataset(labels=3), planner)
    flat, full = plan.configurations["2d"], plan.configurations["3d_fullres"]
    assert (full.patch_size, full.batch_size) == ((40, 56, 40), 9)
    assert (flat.patch_size, flat.batch_size) == ((56, 40), 366)
    assert full.filters == (32, 64, 128, 256)
    assert list(plan.configurations) == ["2d", "3d_fullres"]
    assert (flat.batch_dice, full.batch_dice) == (True, False)


@pytest.mark.parametrize("planner", BOTH)
def test_liver(made_up, planner):
    """128³, batch 2, five pools, two stages; the median shape is assumed, the spacing is NVIDIA's."""
    plan = make_plan(made_up.equal((482, 512, 512), (1, 0.7676, 0.7676), 131), made_up.dataset("CT", labels=3), planner)
    full, low = plan.configurations["3d_fullres"], plan.configurations["3d_lowres"]
    assert (full.patch_size, full.batch_size) == ((128, 128, 128), 2)
    assert full.strides == ((1, 1, 1), *((2, 2, 2),) * 5)
    assert full.filters == (32, 64, 128, 256, 320, 320)
    assert (low.batch_dice, full.batch_dice) == (False, True)
    cascade = plan.configurations["3d_cascade_fullres"]
    assert (cascade.previous_stage, cascade.patch_size) == ("3d_lowres", full.patch_size)
    assert cascade.batch_dice


@pytest.mark.parametrize("planner", BOTH)
def test_prostate(made_up, planner):
    """Patch 20×320×256; the median shape is assumed. The coarse axis comes first wherever it lies in the scan."""
    for order in ((0, 1, 2), (2, 1, 0), (1, 0, 2)):
        shape, spacing = np.array((20, 320, 319))[list(order)], np.array((3.6, 0.62, 0.62))[list(order)]
        plan = make_plan(made_up.equal(shape, spacing, 32), made_up.dataset(labels=3), planner)
        full = plan.configurations["3d_fullres"]
        assert full.spacing_mm == (3.6, 0.62, 0.62)
        assert sorted(full.patch_size) == [20, 256, 320]
        assert (full.patch_size[0], full.batch_size, full.dummy_2d) == (20, 2, True)
        assert full.kernels[0] == (1, 3, 3)
        assert plan.axes[0] == order.index(0)


def test_order_of_normalising_is_each_systems_own(made_up):
    prints = made_up.equal((36, 50, 35), (1, 1, 1), 10)
    orders = [make_plan(prints, made_up.dataset(), p).configurations["2d"].preprocessing.order for p in BOTH]
    assert orders == ["resample_normalize", "normalize_resample"]


@pytest.mark.parametrize(
    ("planner", "schemes"),
    [
        ("nnunet_v2", ("ct", "ct", "none", "rescale", "rgb", "zscore_mask", "zscore_mask")),
        ("nnunet_v1", ("ct", "ct", "none", "zscore_mask", "zscore_mask", "zscore_mask", "zscore")),
    ],
)
def test_normalisation_by_channel_name(made_up, planner, schemes):
    names = ("CT", "ct", "noNorm", "rescale_to_0_1", "RGB_to_0_1", "T1", "CT2")
    black = made_up.equal((36, 50, 35), (1, 1, 1), 10, channels=7, size_after_crop=0.74)
    full = make_plan(black, made_up.dataset(*names), planner).configurations["3d_fullres"]
    assert full.preprocessing.normalization == schemes
    filled = made_up.equal((36, 50, 35), (1, 1, 1), 10, channels=7, size_after_crop=0.75)
    full = make_plan(filled, made_up.dataset(*names), planner).configurations["3d_fullres"]
    assert "zscore_mask" not in full.preprocessing.normalization


def test_target_spacing_of_coarse_slices():
    """The 10th percentile where slices are over 3 times coarser and few; no finer than the other axes."""
    spacings = np.array([(s, 1.0, 1.0) for s in (2, 4, 6, 8, 10, 10, 10, 10, 10, 10, 10)], float)
    few = np.full((11, 3), (20.0, 61.0, 200.0))
    assert sizing.target_spacing(spacings, few).tolist() == [4, 1, 1]
    many = np.full((11, 3), (20.0, 60.0, 200.0))
    assert sizing.target_spacing(spacings, many).tolist() == [10, 1, 1]
    spacings[:3, 0] = 0.5
    assert sizing.target_spacing(spacings, few).tolist() == [1 + 1e-5, 1, 1]


@pytest.mark.parametrize(("planner", "step"), [("nnunet_v1", 1.01), ("nnunet_v2", 1.03)])
def test_low_resolution_is_the_first_step_that_a_patch_covers_a_quarter_of(made_up, planner, step):
    plan = make_plan(made_up.equal((300, 400, 500), (1, 1, 1), 50), made_up.dataset("CT"), planner)
    low = plan.configurations["3d_lowres"]
    steps = round(math.log(low.spacing_mm[0]) / math.log(step))
    assert low.spacing_mm == pytest.approx((step**steps,) * 3)
    share = [math.prod(low.patch_size) * (step**k) ** 3 / (300 * 400 * 500) for k in (steps - 1, steps)]
    assert share[0] < 1 / 4 <= share[1]


def test_low_resolution_starts_with_the_finer_axes(made_up):
    """Slices of 3 mm stay until the others are within a factor of 2 of them."""
    plan = make_plan(made_up.equal((200, 512, 512), (3, 0.8, 0.8), 50), made_up.dataset("CT"), "nnunet_v2")
    low = plan.configurations["3d_lowres"].spacing_mm
    assert low[1] == low[2]
    assert 2 / 1.03 < low[0] / low[1] <= 2  # then all grow together
    alone = round(math.log(low[1] / 0.8 / (low[0] / 3)) / math.log(1.03))
    assert alone == math.ceil(math.log(3 / 2 / 0.8) / math.log(1.03))


def test_a_low_resolution_that_is_hardly_smaller_is_dropped(made_up):
    """The patch covers a little less than a quarter."""
    plan = make_plan(made_up.equal((200, 230, 200), (1, 1, 1), 50), made_up.dataset("CT"), "nnunet_v2")
    full = plan.configurations["3d_fullres"]
    assert 1 / 8 < math.prod(full.patch_size) / (200 * 230 * 200) < 1 / 4
    assert list(plan.configurations) == ["2d", "3d_fullres"]
    assert not full.batch_dice


@pytest.mark.parametrize("planner", BOTH)
@pytest.mark.parametrize("slices", [(1, 300, 200), (300, 1, 200), (300, 200, 1)])
def test_2d_images_get_a_2d_plan_wherever_their_one_slice_lies(made_up, planner, slices):
    plan = make_plan(made_up.equal(slices, (1, 1, 1), 50), made_up.dataset(), planner)
    assert list(plan.configurations) == ["2d"]
    assert plan.axes[0] == slices.index(1)
    assert plan.configurations["2d"].median_shape == (1, 300, 200)


@pytest.mark.parametrize("planner", BOTH)
def test_a_low_resolution_keeps_one_voxel_along_every_axis(made_up, planner):
    """All axes grow coarser alike; three slices become a third of one."""
    plan = make_plan(made_up.equal((3, 9000, 9000), (1, 1, 1), 20), made_up.dataset(), planner)
    low = plan.configurations["3d_lowres"]
    assert 3 / low.spacing_mm[0] < 0.5
    assert low.median_shape[0] == low.patch_size[0] == 1


@pytest.mark.parametrize("planner", BOTH)
def test_of_few_slices_a_patch_may_have_fewer_than_4(made_up, planner):
    """As nnU-Net's own has, see vectors.json; five slices of 5 mm are no lack of memory."""
    plan = make_plan(made_up.equal((5, 1024, 1024), (5, 0.3, 0.3), 20), made_up.dataset(), planner)
    assert plan.configurations["3d_fullres"].patch_size == (3, 768, 768)


@pytest.mark.parametrize("planner", BOTH)
def test_more_memory_makes_larger_patches(made_up, planner):
    prints = made_up.equal((300, 400, 500), (1, 1, 1), 50)
    voxels = [
        math.prod(make_plan(prints, made_up.dataset("CT"), planner, gb).configurations["3d_fullres"].patch_size)
        for gb in (4, 8, 32)
    ]
    assert voxels[0] < voxels[1] < voxels[2]
    assert make_plan(prints, made_up.dataset("CT"), planner, 8) == make_plan(prints, made_up.dataset("CT"), planner)


def test_classes_are_the_sorted_label_values(made_up):
    data = made_up.dataset()
    data = type(data)("x", ("MRI",), {"tumour": 4, "background": 0, "edema": 1}, ())
    assert make_plan(made_up.equal((36, 50, 35), (1, 1, 1), 10), data).label_values == (0, 1, 4)


@pytest.mark.parametrize("planner", BOTH)
def test_a_made_plan_reads_back_the_same(made_up, planner):
    plan = make_plan(made_up.equal((300, 400, 500), (1, 1, 1), 50), made_up.dataset("CT"), planner)
    assert plan_from_json(plan_to_json(plan), "plan") == plan


@pytest.mark.parametrize("planner", [*BOTH, "nvidia"])
@pytest.mark.parametrize("gb", [1e-6, 1e-7])
def test_memory_that_holds_no_network_is_refused(made_up, planner, gb):
    with pytest.raises(InputError, match=r"--memory_gb .*is too small"):
        make_plan(made_up.equal((64, 64, 64), (1, 1, 1), 50), made_up.dataset("CT"), planner, gb)


def test_what_cannot_be_planned_is_refused_in_words(made_up):
    prints = made_up.equal((36, 50, 35), (1, 1, 1), 10)
    for arguments, words in (
        ((prints, made_up.dataset(), "nnunet"), "--planner nnunet is unknown"),
        ((prints, made_up.dataset(), "nnunet_v2", 0.0), "--memory_gb must be above 0"),
        ((prints, made_up.dataset(), "nnunet_v2", math.nan), "--memory_gb must be above 0"),
        ((prints, made_up.dataset(), "nnunet_v2", None, "04"), "needs --planner nvidia"),
        ((made_up.fingerprint([], []), made_up.dataset()), "no labelled case"),
        ((prints, made_up.dataset("T1", "T2")), "the fingerprint is of 1 channels, the data set has 2"),
        ((prints, made_up.dataset(labels=1)), "labels must be"),
    ):
        with pytest.raises(InputError, match=words):
            make_plan(*arguments)
