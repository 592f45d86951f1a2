"""Where a U-Net halves which axis, its kernels, and what it costs in memory: the rules of three systems, as functions.

All tuples are along the network's axes; spacing in mm.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

MIN_EDGE = 4  # voxels along an axis at the bottleneck, the least
CONVS = 2  # a stage, in the encoder and in the decoder


@dataclass(frozen=True)
class Topology:
    """Stages of a U-Net, the full-resolution one first, and the patch padded to what they divide by."""

    patch_size: tuple[int, ...]
    strides: tuple[tuple[int, ...], ...]
    kernels: tuple[tuple[int, ...], ...]

    @property
    def divisor(self) -> tuple[int, ...]:
        """What the patch must be a multiple of, along each axis."""
        return tuple(math.prod(steps) for steps in zip(*self.strides, strict=True))

    @property
    def sizes(self) -> tuple[tuple[int, ...], ...]:
        """Voxels along each axis, stage by stage."""
        sizes, size = [], self.patch_size
        for stride in self.strides:
            size = tuple(n // s for n, s in zip(size, stride, strict=True))
            sizes.append(size)
        return tuple(sizes)


Derive = Callable[[Sequence[float], Sequence[float]], Topology]
# What a system does at one level: of sizes and spacings, whether each axis is halved and whether its kernel is 3.
Level = Callable[[list[float], list[float]], tuple[list[bool], list[bool]]]


def nnunet_v2(spacing_mm: Sequence[float], patch_size: Sequence[float]) -> Topology:
    """nnU-Net v2's rule.

    An axis is halved while it keeps 4 voxels and its spacing is within a factor of 2 of the finest that can be halved;
    one axis alone is halved only from 12 voxels on. Its kernel is 3 from the level on where its spacing comes within a
    factor of 2 of the finest.
    """
    return _derive(_level_v2, spacing_mm, patch_size, latch=True)


def nnunet_v1(spacing_mm: Sequence[float], patch_size: Sequence[float]) -> Topology:
    """nnU-Net v1's rule, in its planner v2.1.

    An axis is halved while it keeps 4 voxels and its spacing is within a factor of 2 of the finest. Kernels are 3 on
    the largest group of axes that lie within a factor of 2 of one of them.
    """
    return _derive(_level_v1, spacing_mm, patch_size)


def nvidia(spacing_mm: Sequence[float], patch_size: Sequence[float]) -> Topology:
    """NVIDIA nnU-Net's rule (`get_unet_params`).

    Where its spacing is at most twice the finest, an axis has kernel 3 and is halved from 8 voxels on; five times at
    most.
    """
    return _derive(_level_nvidia, spacing_mm, patch_size, max_levels=5)


def _derive(level: Level, spacing_mm, patch_size, *, latch: bool = False, max_levels: int | None = None) -> Topology:
    dim = len(patch_size)
    size, spacing = list(patch_size), list(spacing_mm)
    strides, kernels, wide = [(1,) * dim], [], [False] * dim
    while max_levels is None or len(kernels) < max_levels:
        halved, now_wide = level(size, spacing)
        if not any(halved):
            break
        wide = [a or b for a, b in zip(wide, now_wide, strict=True)] if latch else now_wide
        strides.append(tuple(2 if h else 1 for h in halved))
        kernels.append(tuple(3 if w else 1 for w in wide))
        size = [math.ceil(n / 2) if h else n for n, h in zip(size, halved, strict=True)]
        spacing = [2 * mm if h else mm for mm, h in zip(spacing, halved, strict=True)]
    kernels.append((3,) * dim)
    divisor = [math.prod(steps) for steps in zip(*strides, strict=True)]
    padded = tuple(math.ceil(n / d) * d for n, d in zip(patch_size, divisor, strict=True))
    return Topology(padded, tuple(strides), tuple(kernels))


def _level_v2(size, spacing):
    large = [n >= 2 * MIN_EDGE for n in size]
    finest = min((mm for mm, fits in zip(spacing, large, strict=True) if fits), default=math.inf)
    halved = [fits and mm / finest < 2 for mm, fits in zip(spacing, large, strict=True)]
    if sum(halved) == 1 and size[halved.index(True)] < 3 * MIN_EDGE:
        halved = [False] * len(size)
    return halved, [mm / min(spacing) < 2 for mm in spacing]


def _level_v1(size, spacing):
    halved = [mm / min(spacing) < 2 and n >= 2 * MIN_EDGE for n, mm in zip(size, spacing, strict=True)]
    groups = [[a / b < 2 and b / a < 2 for a in spacing] for b in spacing]
    return halved, max(groups, key=sum)  # of groups of one size the first


def _level_nvidia(size, spacing):
    near = [mm / min(spacing) <= 2 for mm in spacing]
    return [close and n >= 2 * MIN_EDGE for n, close in zip(size, near, strict=True)], near


def filters(num_stages: int, base: int, cap: int) -> tuple[int, ...]:
    """Doubled from stage to stage, up to a cap."""
    return tuple(min(base * 2**stage, cap) for stage in range(num_stages))


def feature_map_voxels(topology: Topology, widths: Sequence[int], num_classes: int) -> int:
    """nnU-Net v2's measure of memory: values in all feature maps that the convolutions of its plain U-Net write for one
    patch, transposed ones and the segmentation layer included.
    """
    voxels = [math.prod(size) for size in topology.sizes]
    encoder = sum(CONVS * n * width for n, width in zip(voxels, widths, strict=True))
    decoder = sum((CONVS + 1) * n * width for n, width in zip(voxels[:-1], widths[:-1], strict=True))
    return encoder + decoder + num_classes * voxels[0]


def vram_proxy(topology: Topology, widths: Sequence[int], num_channels: int, num_classes: int) -> int:
    """nnU-Net v1's measure of memory (`compute_approx_vram_consumption`), which counts the input, too."""
    voxels = [math.prod(size) for size in topology.sizes]
    blocks = [2 * CONVS + 1] * (len(voxels) - 1) + [CONVS]
    if len(voxels) == 1:
        blocks = [2 * CONVS + 1]
    maps = sum(count * n * width for count, n, width in zip(blocks, voxels, widths, strict=True))
    return maps + (num_channels + num_classes) * voxels[0]
