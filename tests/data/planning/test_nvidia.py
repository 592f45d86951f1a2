"""NVIDIA's ten tasks, table by table, and what is collected for other data."""

import numpy as np
import pytest

from mindvoxel.data.planning import make_plan
from mindvoxel.data.planning.nvidia import target_spacing
from mindvoxel.data.planning.nvidia_tables import TASKS
from mindvoxel.errors import InputError

# Derived from the published patches and spacings by the published rule, level by level.
CUBE = "111 222 222 222 222 222"
LONG = "111 222 222 222 222 122"
ALL_3 = " ".join(["333"] * 6)
FIRST_FLAT = "133 " + " ".join(["333"] * 5)
WIDTHS = (32, 64, 128, 256, 320, 320)
THREE_D = {
    "01": (CUBE, ALL_3, WIDTHS, (4, 4, 4)),
    "02": (LONG, ALL_3, WIDTHS, (5, 6, 5)),
    "03": (CUBE, ALL_3, WIDTHS, (4, 4, 4)),
    "04": ("111 222 222 222", "333 333 333 333", (32, 64, 128, 256), (5, 7, 5)),
    "05": ("111 122 122 222 222 122", "133 133 333 333 333 333", WIDTHS, (5, 10, 8)),
    "06": (LONG, ALL_3, WIDTHS, (5, 6, 5)),
    "07": ("111 122 222 222 222 122", FIRST_FLAT, WIDTHS, (5, 7, 7)),
    "08": (LONG, ALL_3, WIDTHS, (4, 6, 6)),
    "09": ("111 122 222 222 222 222", FIRST_FLAT, WIDTHS, (4, 6, 5)),
    "10": ("111 122 222 222 222 122", FIRST_FLAT, WIDTHS, (7, 6, 5)),
}
TWO_D = {number: (16, 16) for number in TASKS} | {"01": (6, 5), "02": (10, 8), "04": (7, 5), "05": (10, 10)}


def steps(stages) -> str:
    return " ".join("".join(map(str, stage)) for stage in stages)


def bottleneck(config) -> tuple[int, ...]:
    return tuple(int(n) for n in np.array(config.patch_size) // np.prod(config.strides, axis=0))


def plan_of(made_up, number: str):
    task = TASKS[number]
    channels = ("CT" if task.ct else "MRI",) * task.num_channels
    prints = made_up.equal((100, 300, 301), (2, 1, 1), 3, channels=len(channels))
    return make_plan(prints, made_up.dataset(*channels, name=f"Task{number}_{task.name}"), "nvidia")


@pytest.mark.parametrize("number", TASKS)
def test_3d(made_up, number):
    config = plan_of(made_up, number).configurations["3d_fullres"]
    got = steps(config.strides), steps(config.kernels), config.filters, bottleneck(config)
    assert got == THREE_D[number]
    assert (config.patch_size, config.spacing_mm) == (TASKS[number].patch_3d, TASKS[number].spacing_mm)
    assert config.batch_size == 2


@pytest.mark.parametrize("number", TASKS)
def test_2d(made_up, number):
    config = plan_of(made_up, number).configurations["2d"]
    levels = 3 if number == "04" else 5
    assert steps(config.strides) == " ".join(["11", *["22"] * levels])
    assert steps(config.kernels) == " ".join(["33"] * (levels + 1))
    assert config.filters == (32, 64, 128, 256, 512, 512)[: levels + 1]
    assert bottleneck(config) == TWO_D[number]
    assert config.spacing_mm is None
    assert config.batch_size == 64


def test_ct_figures_come_from_the_table_and_mr_ones_from_the_data(made_up):
    liver, heart = plan_of(made_up, "03"), plan_of(made_up, "02")
    (figures,) = liver.intensities
    assert (figures.percentile_00_5, figures.percentile_99_5) == (-17, 201)
    assert (figures.mean, figures.sd) == (99.4, 39.36)
    assert liver.configurations["2d"].preprocessing.normalization == ("ct",)
    assert heart.intensities[0].mean == 100
    assert heart.configurations["2d"].preprocessing.normalization == ("zscore_mask",)


def test_preprocessing_is_nvidias(made_up):
    plan = plan_of(made_up, "05")
    for config in plan.configurations.values():
        way = config.preprocessing
        assert (way.order, way.crop, way.rounding) == ("resample_normalize", "positive", "floor")
        assert (way.anisotropy, way.pad) == ("from_3", True)
        assert config.batch_dice
        assert not config.dummy_2d
    assert plan.axes == (0, 1, 2)
    assert plan.memory_gb is None


def test_a_task_is_found_by_name_and_channels_or_given(made_up):
    prints = made_up.equal((40, 60, 50), (1, 1, 1), 20)
    for name, task, fixed in (
        ("Hippocampus", None, True),
        ("Task04_Hippocampus", None, True),
        ("Mine", "04", True),
        ("Mine", "4", True),
        ("Mine", None, False),
        ("Spleen", None, False),  # the table is for CT, this is MR
    ):
        plan = make_plan(prints, made_up.dataset("MRI", name=name), "nvidia", task=task)
        assert (plan.memory_gb is None) == fixed, name
        assert (plan.configurations["2d"].batch_size == 64) == fixed


def test_a_task_that_does_not_fit_is_refused(made_up):
    prints = made_up.equal((40, 60, 50), (1, 1, 1), 20)
    for task, memory, words in (
        ("11", None, "--task 11 is unknown; choose one of 01, 02"),
        ("09", None, r"--task 09 has 1 CT channel\(s\), Made up has 1 \(MRI\)"),
        ("05", None, r"--task 05 has 2 MR channel\(s\)"),
        ("04", 8.0, "--memory_gb does not apply"),
    ):
        with pytest.raises(InputError, match=words):
            make_plan(prints, made_up.dataset(), "nvidia", memory, task)


def test_collected_spacing_takes_the_10th_percentile_of_the_coarsest_axis(made_up):
    """NVIDIA's own code takes that of the finest; 3 times coarser counts."""
    spacings = [(0.5 + i / 10, 1.0, 3.0 + i) for i in range(-5, 6)]
    spacings = [(max(a, 0.9), b, max(c, 1.0)) for a, b, c in spacings]
    assert target_spacing(made_up.fingerprint([(9, 9, 9)] * 11, spacings)).tolist() == [0.9, 1.0, 1.0]
    near = [(1.0, 1.0, 2.9)] * 11
    assert target_spacing(made_up.fingerprint([(9, 9, 9)] * 11, near)).tolist() == [1.0, 1.0, 2.9]


def test_collected_patch_in_2d_covers_the_largest_slice(made_up):
    """What is larger would be cut off."""
    prints = made_up.fingerprint([(30, 200, 100), (30, 150, 130), (30, 100, 90)], [(3, 1, 1)] * 3)
    flat = make_plan(prints, made_up.dataset("CT"), "nvidia").configurations["2d"]
    assert flat.patch_size == (224, 160)
    assert flat.median_shape == (30, 150, 100)


def test_collected_2d_images(made_up):
    plan = make_plan(made_up.equal((300, 200, 1), (1, 1, 1), 9), made_up.dataset(), "nvidia")
    assert list(plan.configurations) == ["2d"]
    assert plan.axes == (2, 0, 1)
    assert plan.configurations["2d"].patch_size == (320, 224)


def test_median_shape_is_cut_off_to_one_voxel_at_least(made_up):
    """Half a voxel, and 35.75."""
    plan = make_plan(made_up.equal((1, 143, 64), (0.5, 0.25, 1), 4), made_up.dataset(), "nvidia", task="04")
    assert plan.configurations["3d_fullres"].median_shape == (1, 35, 64)
