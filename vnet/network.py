"""V-Net (Milletari, Navab, Ahmadi 2016), in the form that the MindSpore model zoo published; vnet/README.md has the
differences from the paper."""

from mindspore import nn, ops

from mindvoxel.nn.activation import split_activation
from mindvoxel.nn.blocks import ConvNormAct, Refine, UpNormAct
from mindvoxel.nn.conv import Conv3d
from mindvoxel.nn.dropout import ChannelDropout
from mindvoxel.nn.init import weight_init
from mindvoxel.nn.layout import channel_blocks
from mindvoxel.nn.norm import BatchNorm


class InBlock(nn.Cell):
    """Convolve, add the input copied to every channel: (N, 1, D, H, W) -> (N, C, D, H, W)."""

    def __init__(self, channels: int, *, act: str, init: str):
        super().__init__()
        self.conv = Conv3d(1, channels, 5, weight_init=weight_init(init), padding=2)
        last, rest = split_activation(act, channels)
        self.norm = BatchNorm(channels, last=last)
        self.act = rest

    def construct(self, x):
        return self.act(self.norm(self.conv(x), x))


class DownBlock(nn.Cell):
    """Halve each axis, double the channels, refine: (N, C, D, H, W) -> (N, 2C, D/2, H/2, W/2)."""

    def __init__(self, channels: int, num_convs: int, *, dropout: float, act: str, init: str):
        super().__init__()
        wide = 2 * channels
        self.down = ConvNormAct(channels, wide, 2, stride=2, act=act, init=init)
        self.dropout = ChannelDropout(dropout)
        last, rest = split_activation(act, wide)
        self.refine = Refine(wide, num_convs, act=act, init=init, last=last)
        self.act = rest
        self.noise_channels = wide if dropout > 0 else 0

    def construct(self, x, noise=None):
        x = self.down(x)
        return self.act(self.refine(self.dropout(x, noise), x))


class UpBlock(nn.Cell):
    """Double each axis, join with the skip, refine: (N, C, …) and skip (N, S, 2·…) -> (N, 2S, 2·…)."""

    def __init__(self, channels: int, skip_channels: int, num_convs: int, *, dropout: float, act: str, init: str):
        super().__init__()
        wide = 2 * skip_channels
        self.up = UpNormAct(channels, skip_channels, act=act, init=init)
        self.dropout = ChannelDropout(dropout)
        last, rest = split_activation(act, wide)
        self.refine = Refine(wide, num_convs, act=act, init=init, last=last)
        self.act = rest
        self.split = channels
        self.noise_channels = channels + skip_channels if dropout > 0 else 0

    def construct(self, x, skip, noise=None):
        if noise is None:
            x, skip = self.dropout(x), self.dropout(skip)
        else:
            x, skip = self.dropout(x, noise[:, : self.split]), self.dropout(skip, noise[:, self.split :])
        x = ops.concat((self.up(x), skip), 1)
        return self.act(self.refine(x, x))


class OutBlock(nn.Cell):
    """Two convolutions to one logit a class: (N, C, D, H, W) -> (N, classes, D, H, W)."""

    def __init__(self, channels: int, num_classes: int, *, act: str, init: str):
        super().__init__()
        self.mix = ConvNormAct(channels, num_classes, 5, act=act, init=init)
        self.head = Conv3d(num_classes, num_classes, 3, weight_init=weight_init(init), padding=1)

    def construct(self, x):
        return self.head(self.mix(x))


class VNet(nn.Cell):
    """V-Net: image (N, 1, D, H, W) -> logits (N, classes, D, H, W), class c in channel c.

    Each axis must be a multiple of 2**len(down_convs). `noise` (N, noise_channels), uniform in [0, 1), decides which
    channels dropout takes; without it the blocks draw their own. Dropout acts in training mode only.
    """

    def __init__(
        self,
        num_classes: int = 2,
        width: int = 16,
        down_convs: tuple[int, ...] = (1, 2, 3, 2),
        up_convs: tuple[int, ...] = (2, 2, 1, 1),
        dropout: float = 0.5,
        act: str = "elu",
        init: str = "normal",
    ):
        super().__init__()
        depth = len(down_convs)
        if len(up_convs) != depth:
            raise ValueError(f"up_convs must name as many stages as down_convs ({depth}), got {len(up_convs)}")
        self.depth = depth
        # an activation with parameters is made of MindSpore's operators, which know nothing of blocked tensors
        inner = (width,) if split_activation(act, width)[0] != "none" else ()
        with channel_blocks(inner, (1, num_classes)):
            self.build(num_classes, width, (down_convs, up_convs), dropout, {"act": act, "init": init})
        stages = [*self.downs, *self.ups]
        self.noise_channels = sum(stage.noise_channels for stage in stages)
        ends = [sum(stage.noise_channels for stage in stages[: i + 1]) for i in range(len(stages))]
        self.spans = tuple((end - stage.noise_channels, end) for stage, end in zip(stages, ends, strict=True))

    def build(self, num_classes: int, width: int, convs: tuple, dropout: float, form: dict) -> None:
        """The cells, in the order of the paper's figure; `convs` for the stages down and up."""
        depth, (down_convs, up_convs) = self.depth, convs
        rates = [dropout if level >= 2 else 0.0 for level in range(depth)]  # at 128 and 256 channels, as published
        self.in_block = InBlock(width, **form)
        self.downs = nn.CellList(
            [DownBlock(width * 2**i, down_convs[i], dropout=rates[i], **form) for i in range(depth)]
        )
        wide = width * 2**depth
        ups = []
        for i in range(depth):
            skip = width * 2 ** (depth - 1 - i)
            ups.append(UpBlock(wide, skip, up_convs[i], dropout=rates[depth - 1 - i], **form))
            wide = 2 * skip
        self.ups = nn.CellList(ups)
        self.out_block = OutBlock(wide, num_classes, **form)

    def construct(self, x, noise=None):
        skips = (self.in_block(x),)
        for i in range(self.depth):
            skips = skips + (self.downs[i](skips[-1], self.noise_of(noise, i)),)
        x = skips[-1]
        for i in range(self.depth):
            x = self.ups[i](x, skips[self.depth - 1 - i], self.noise_of(noise, self.depth + i))
        return self.out_block(x)

    def noise_of(self, noise, stage):
        """The stage's own columns of `noise`, or None where there are none."""
        start, end = self.spans[stage]
        if noise is None or start == end:
            return None
        return noise[:, start:end]


def build(**network) -> VNet:
    """The network of a recipe's `network` section; without arguments the published form."""
    return VNet(**network)
