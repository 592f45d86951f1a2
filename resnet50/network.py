"""ResNet-50 v1.5 (He, Zhang, Ren, Sun 2016, with the stride of a bottleneck on its 3x3 convolution, as MLPerf's);
resnet50/README.md has the differences."""

from mindspore import nn

from mindvoxel.nn.conv import Conv2d
from mindvoxel.nn.init import weight_init
from mindvoxel.nn.layout import Enter, SpaceMean, channel_blocks
from mindvoxel.nn.norm import BatchNorm
from mindvoxel.nn.pool import MaxPool

EXPANSION = 4  # channels out of a bottleneck, in those of its 3x3 convolution


class ConvNorm(nn.Cell):
    """Convolution without bias, as much zero padding as keeps the size at stride 1, batch norm, `act`, of `none` and
    `relu`: (N, C, H, W) -> (N, C', H / stride, W / stride), rounded up. construct(x, residual) adds the residual."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, *, stride: int = 1, act: str = "none"):
        super().__init__()
        init = weight_init("he_normal")
        self.conv = Conv2d(in_channels, out_channels, kernel, weight_init=init, stride=stride, padding=kernel // 2)
        self.norm = BatchNorm(out_channels, act)

    def construct(self, x, residual=None):
        return self.norm(self.conv(x), residual)


class Bottleneck(nn.Cell):
    """1x1 to F channels, 3x3 with the stride, 1x1 to 4F, plus the input: (N, C, H, W) -> (N, 4F, H / s, W / s).

    Where the input has another shape than the result, a 1x1 convolution with the same stride brings it there.
    """

    def __init__(self, in_channels: int, filters: int, stride: int):
        super().__init__()
        wide = EXPANSION * filters
        self.narrow = ConvNorm(in_channels, filters, 1, act="relu")
        self.middle = ConvNorm(filters, filters, 3, stride=stride, act="relu")
        self.widen = ConvNorm(filters, wide, 1)
        fits = stride == 1 and in_channels == wide
        self.shortcut = nn.Identity() if fits else ConvNorm(in_channels, wide, 1, stride=stride)
        self.act = nn.ReLU()

    def construct(self, x):
        return self.act(self.widen(self.middle(self.narrow(x)), self.shortcut(x)))


class ResNet(nn.Cell):
    """ResNet of bottlenecks: image (N, 3, H, W) -> logits (N, classes).

    depths: the bottlenecks of each stage; `width` filters in those of the first, twice as many in each next, which
    halves the size once.
    """

    def __init__(self, num_classes: int = 1000, width: int = 64, depths: tuple[int, ...] = (3, 4, 6, 3)):
        super().__init__()
        self.stem = ConvNorm(3, width, 7, stride=2, act="relu")
        self.pool = MaxPool()
        with channel_blocks((width,), (3,)):
            self.enter = Enter()
            self.stages = nn.SequentialCell([self.stage(width, number, depth) for number, depth in enumerate(depths)])
            self.mean = SpaceMean()
        channels = EXPANSION * width * 2 ** (len(depths) - 1)
        self.head = nn.Dense(channels, num_classes, weight_init=weight_init("normal"), bias_init="zeros")

    @staticmethod
    def stage(width: int, number: int, depth: int) -> nn.Cell:
        """Stage `number`, from 0, of `depth` bottlenecks, of which the first halves the size in all but stage 0."""
        filters = width * 2**number
        first = Bottleneck(EXPANSION * filters // 2 if number else width, filters, 2 if number else 1)
        rest = [Bottleneck(EXPANSION * filters, filters, 1) for _ in range(depth - 1)]
        return nn.SequentialCell([first, *rest])

    def construct(self, x):
        x = self.enter(self.pool(self.stem(x)))
        return self.head(self.mean(self.stages(x)))


def build(**network) -> ResNet:
    """The network of a recipe's `network` section; without arguments ResNet-50 for ImageNet."""
    return ResNet(**network)
