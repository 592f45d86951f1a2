"""UNet++ (Zhou et al. 2020), 3-D and 2-D, as its authors put it into nnU-Net v1: a nested decoder with dense skips."""

import math

from mindspore import nn, ops

from mindvoxel.nn.blocks import ConvBlocks, ConvForm, check_stages, head, up
from mindvoxel.nn.layout import channel_blocks

# MrGiovanni/UNetPlusPlus: pytorch/nnunet/network_architecture/generic_UNetPlusPlus.py
CONV_FORM = ConvForm("instance", slope=0.01, has_bias=True)


class Node(nn.Cell):
    """X^{i,j}: what stands to its left at resolution i, and X^{i+1,j-1} brought up to it, joined and refined.

    construct(row, below): row (X^{i,0}, …, X^{i,j-1}), (N, C, [D,] H, W) each; below X^{i+1,j-1} -> as one of the row.
    """

    def __init__(self, below: int, channels: int, column: int, stride: tuple[int, ...], kernel: tuple[int, ...]):
        super().__init__()
        still = (1,) * len(stride)
        self.up = up(below, channels, stride, slope=CONV_FORM.slope, has_bias=False)
        self.join = ConvBlocks((column + 1) * channels, channels, kernel, stride=still, form=CONV_FORM)

    def construct(self, row, below):
        left = row[0] if len(row) == 1 else ops.concat(row, 1)
        return self.join(left, self.up(below))  # the convolution joins the two, on the CPU without a copy


class UNetPlusPlus(nn.Cell):
    """UNet++ from one tuple a stage: image (N, C, [D,] H, W) -> logits (N, classes, [D,] H, W).

    strides, kernels, filters: of each stage, full resolution first (mindvoxel.data.plan.Configuration); two or three
    numbers a stride make it 2-D or 3-D, and one stage fewer than there are is the `depth`. Each axis must be a multiple
    of `divisor`. Head j reads X^{0,j}, at full resolution. In training, and only with `deep_supervision`, the result is
    a tuple of the logits of heads level, …, 2, 1; else head `level`'s. The level is the depth but for prune().
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        strides: tuple[tuple[int, ...], ...],
        kernels: tuple[tuple[int, ...], ...],
        filters: tuple[int, ...],
        deep_supervision: bool = False,
    ):
        super().__init__()
        check_stages(strides, kernels, filters)
        depth = len(filters) - 1
        self.divisor = tuple(math.prod(steps) for steps in zip(*strides, strict=True))
        downs, rows = [], []
        for i, channels in enumerate((in_channels, *filters[:-1])):
            downs.append(ConvBlocks(channels, filters[i], kernels[i], stride=strides[i], form=CONV_FORM))
        for i in range(depth):  # as nnU-Net v1's, the decoder has the kernels of the stage below
            form = {"stride": strides[i + 1], "kernel": kernels[i + 1]}
            nodes = [Node(filters[i + 1], filters[i], column, **form) for column in range(1, depth - i + 1)]
            rows.append(nn.CellList(nodes))
        axes, slope = len(strides[0]), CONV_FORM.slope
        heads = [head(filters[0], num_classes, axes, slope=slope, has_bias=False) for _ in range(depth)]
        self.downs, self.rows, self.heads = nn.CellList(downs), nn.CellList(rows), nn.CellList(heads)
        self.depth = self.level = self.num_heads = depth
        self.deep_supervision = deep_supervision

    def prune(self, level: int) -> None:
        """Compute head `level` alone, 1 to depth, and of the nodes X^{i,j} those it needs: i + j ≤ level. Before the
        first call: a network that was compiled once stays as it is."""
        if not 1 <= level <= self.depth:
            raise ValueError(f"level must be 1 to {self.depth}, the number of heads, got {level}")
        self.level = level

    def construct(self, x):
        rows = ((self.downs[0](x),),)  # rows[i] is (X^{i,0}, X^{i,1}, …), as far as they are computed
        for d in range(1, self.level + 1):
            below = self.downs[d](rows[d - 1][0])
            longer = ((below,),)
            for i in range(d - 1, -1, -1):  # the diagonal X^{d-1,1}, X^{d-2,2}, …, X^{0,d}
                below = self.rows[i][d - 1 - i](rows[i], below)
                longer = (rows[i] + (below,),) + longer
            rows = longer
        if not (self.training and self.deep_supervision):
            return self.heads[self.level - 1](rows[0][self.level])
        logits = ()
        for j in range(self.level, 0, -1):
            logits = logits + (self.heads[j - 1](rows[0][j]),)
        return logits


def build(
    in_channels: int,
    num_classes: int,
    strides: tuple[tuple[int, ...], ...],
    kernels: tuple[tuple[int, ...], ...],
    filters: tuple[int, ...],
    *,
    deep_supervision: bool = False,
) -> UNetPlusPlus:
    """The network of a plan's stages and a recipe's `network` section."""
    with channel_blocks(filters, (in_channels, num_classes)):
        return UNetPlusPlus(in_channels, num_classes, strides, kernels, filters, deep_supervision)
