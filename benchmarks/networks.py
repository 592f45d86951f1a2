"""The 3-D U-Net that train_step.py times, from the shared cells, until the zoo has its own."""

from mindspore import nn, ops

from mindvoxel.nn.conv import Conv3d, Conv3dTranspose
from mindvoxel.nn.init import weight_init
from mindvoxel.nn.layout import channel_blocks
from mindvoxel.nn.norm import InstanceNorm3d


class Stage(nn.Cell):
    """Two convolutions, each with instance norm and leaky ReLU; the first may halve each axis."""

    def __init__(self, channels: int, wide: int, stride: int):
        super().__init__()
        init = weight_init("he_normal", 0.01)
        self.conv1 = Conv3d(channels, wide, 3, weight_init=init, stride=stride, padding=1)
        self.conv2 = Conv3d(wide, wide, 3, weight_init=init, padding=1)
        self.norm1, self.norm2 = InstanceNorm3d(wide, "leaky_relu"), InstanceNorm3d(wide, "leaky_relu")

    def construct(self, x):
        return self.norm2(self.conv2(self.norm1(self.conv1(x))))


class UNet(nn.Cell):
    """(N, 1, D, H, W) -> logits (N, classes, D, H, W)."""

    def __init__(self, widths: tuple[int, ...] = (32, 64, 128, 256), num_classes: int = 3):
        super().__init__()
        with channel_blocks(widths, (1, num_classes)):
            self.build(widths, num_classes)

    def build(self, widths: tuple[int, ...], num_classes: int) -> None:
        init = weight_init("he_normal", 0.01)
        before = (1, *widths[:-1])
        self.downs = nn.CellList(
            [Stage(c, w, 1 if i == 0 else 2) for i, (c, w) in enumerate(zip(before, widths, strict=True))]
        )
        pairs = list(zip(widths[:0:-1], widths[-2::-1], strict=True))
        self.ups = nn.CellList([Conv3dTranspose(wide, w, 2, weight_init=init, has_bias=True) for wide, w in pairs])
        self.joins = nn.CellList([Stage(2 * w, w, 1) for _, w in pairs])
        self.head = Conv3d(widths[0], num_classes, 1, weight_init=init, has_bias=True)
        self.depth = len(pairs)

    def construct(self, x):
        skips = ()
        for down in self.downs:
            x = down(x)
            skips = skips + (x,)
        for i in range(self.depth):
            x = self.joins[i](ops.concat((self.ups[i](x), skips[self.depth - 1 - i]), 1))
        return self.head(x)
