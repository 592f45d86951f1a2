"""Pooling and kernels by three rules, on patches whose levels can be worked out by hand; the memory measures, too."""

import numpy as np
import pytest

from mindvoxel.data.planning import topology
from mindvoxel.data.planning.topology import Topology

RULES = {"v1": topology.nnunet_v1, "v2": topology.nnunet_v2, "nvidia": topology.nvidia}


def steps(stages) -> str:
    return " ".join("".join(map(str, stage)) for stage in stages)


@pytest.mark.parametrize("rule", RULES)
def test_a_cube_is_halved_on_all_axes_until_4_voxels_are_left(rule):
    net = RULES[rule]((1, 1, 1), (32, 32, 32))
    assert steps(net.strides) == "111 222 222 222"
    assert steps(net.kernels) == "333 333 333 333"
    assert net.patch_size == (32, 32, 32)
    assert net.divisor == (8, 8, 8)
    assert net.sizes == ((32, 32, 32), (16, 16, 16), (8, 8, 8), (4, 4, 4))


@pytest.mark.parametrize("rule", RULES)
def test_a_patch_is_padded_to_what_its_network_divides_by(rule):
    """36 -> 18 -> 9 -> 5: three times; 50 -> 25 -> 13 -> 7; 35 -> 18 -> 9 -> 5."""
    net = RULES[rule]((1, 1, 1), (36, 50, 35))
    assert net.patch_size == (40, 56, 40)
    assert net.divisor == (8, 8, 8)


@pytest.mark.parametrize("rule", ["v1", "v2"])
def test_a_median_with_half_a_voxel_is_padded_up(rule):
    assert RULES[rule]((1, 1, 9), (35.5, 32.5, 3.5)).patch_size == (40, 40, 4)


@pytest.mark.parametrize(
    ("rule", "strides", "kernels"),
    [
        ("v1", "111 122 122 222 222 122 122", "133 133 333 333 333 333 333"),
        ("v2", "111 122 122 222 222 122 122", "133 133 333 333 333 333 333"),
        ("nvidia", "111 122 122 222 222 122", "133 133 333 333 333 333"),
    ],
)
def test_coarse_slices_wait_until_the_others_have_caught_up(rule, strides, kernels):
    """3.6 mm beside 0.62: halved twice the others are at 2.48, within a factor of 2. NVIDIA stops after five."""
    net = RULES[rule]((3.6, 0.62, 0.62), (20, 320, 256))
    assert (steps(net.strides), steps(net.kernels)) == (strides, kernels)
    assert net.patch_size == (20, 320, 256)


@pytest.mark.parametrize(
    ("rule", "strides", "kernels"),
    [
        ("v1", "11 12 22 21", "31 33 33 33"),
        ("v2", "11 12 22", "13 33 33"),
        ("nvidia", "11 22 22", "33 33 33"),
    ],
)
def test_twice_as_coarse_is_near_for_nvidia_only(rule, strides, kernels):
    """v1's first group of one axis is the coarse one; its last halving is of one axis alone, with 8 voxels."""
    net = RULES[rule]((2, 1), (16, 16))
    assert (steps(net.strides), steps(net.kernels)) == (strides, kernels)


@pytest.mark.parametrize(("rule", "strides"), [("v1", "11 21"), ("v2", "11"), ("nvidia", "11 21")])
def test_one_axis_alone_needs_12_voxels_in_v2_only(rule, strides):
    assert steps(RULES[rule]((1, 1), (8, 7)).strides) == strides
    assert steps(RULES[rule]((1, 1), (12, 7)).strides) == "11 21"


@pytest.mark.parametrize(("rule", "strides"), [("v1", "11"), ("v2", "11 12 12 12"), ("nvidia", "11")])
def test_a_fine_axis_that_is_too_short_stops_the_others_except_in_v2(rule, strides):
    assert steps(RULES[rule]((1, 3), (7, 64)).strides) == strides


def test_v1_gives_kernels_to_the_largest_group_and_v2_to_the_finest_axes():
    """Spacings 1, 3 and 5: 3 and 5 are within a factor of 2 of each other, none of 1."""
    assert steps(topology.nnunet_v1((1, 3, 5), (8, 8, 8)).kernels)[:3] == "133"
    assert steps(topology.nnunet_v2((1, 3, 5), (16, 8, 8)).kernels)[:3] == "311"


def test_once_3_a_kernel_stays_3_in_v2():
    """The short axis is not halved: from the third level on it is 4 times finer than the others."""
    net = topology.nnunet_v2((1, 1, 1), (7, 64, 64))
    assert steps(net.strides) == "111 122 122 122 122"
    assert steps(net.kernels) == "333 333 333 333 333"


def test_nvidia_stops_after_five_halvings():
    assert len(topology.nvidia((1, 1), (512, 512)).strides) == 6
    assert len(topology.nnunet_v2((1, 1), (512, 512)).strides) == 8


@pytest.mark.parametrize("rule", RULES)
def test_what_is_derived_from_the_padded_patch_is_the_same_network(rule):
    """A plan keeps the padded patch; a change must derive the same from it."""
    rng = np.random.default_rng(5)
    for _ in range(300):
        dim = int(rng.integers(2, 4))
        spacing, patch = rng.uniform(0.3, 6, dim), rng.integers(1, 400, dim)
        net = RULES[rule](spacing, patch)
        assert RULES[rule](spacing, net.patch_size) == net
        assert all(n % d == 0 and n - d < m <= n for n, d, m in zip(net.patch_size, net.divisor, patch, strict=True))


def test_filters_double_up_to_the_cap():
    assert topology.filters(6, 32, 320) == (32, 64, 128, 256, 320, 320)
    assert topology.filters(1, 32, 320) == (32,)


TWO_STAGES = Topology((8, 8), ((1, 1), (2, 2)), ((3, 3), (3, 3)))


def test_feature_map_voxels_by_hand():
    """Encoder 2·64·32 + 2·16·64, decoder 3·64·32, three classes 3·64."""
    assert topology.feature_map_voxels(TWO_STAGES, (32, 64), 3) == 4096 + 2048 + 6144 + 192


def test_vram_proxy_by_hand():
    """5·64·32 at the top, one channel and three classes, 2·16·64 at the bottom."""
    assert topology.vram_proxy(TWO_STAGES, (32, 64), 1, 3) == 10240 + 4 * 64 + 2048
