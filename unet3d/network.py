"""The U-Net of nnU-Net (Isensee et al. 2021), 2-D and 3-D, in the forms of nnU-Net v1, v2 and NVIDIA's example."""

import math
from dataclasses import dataclass

from mindspore import nn

from mindvoxel.nn.blocks import ConvBlocks, ConvForm, head, repeat_voxels, up
from mindvoxel.nn.layout import channel_blocks


@dataclass(frozen=True)
class Form:
    """Where the published U-Nets differ.

    conv_bias, up_bias, head_bias: of convolutions, transposed convolutions and heads.
    own_kernel: a decoder stage has the kernel of its own resolution, else that of the stage below.
    num_heads: resolutions with a head, from the full one down; None: all of the decoder.
    upsampled: logits of lower heads are repeated to full resolution.
    """

    conv_bias: bool
    up_bias: bool
    head_bias: bool
    own_kernel: bool
    num_heads: int | None
    upsampled: bool


FORMS = {
    # MIC-DKFZ/nnUNet nnunetv1: network_architecture/generic_UNet.py
    "nnunet_v1": Form(True, False, False, own_kernel=False, num_heads=None, upsampled=False),
    # MIC-DKFZ/dynamic-network-architectures: PlainConvUNet
    "nnunet_v2": Form(True, True, True, own_kernel=True, num_heads=None, upsampled=False),
    # NVIDIA/DeepLearningExamples TensorFlow2/Segmentation/nnUNet: models/unet.py, layers.py
    "nvidia": Form(False, True, True, own_kernel=False, num_heads=3, upsampled=True),
}


class UNet(nn.Cell):
    """U-Net from one tuple a stage: image (N, C, [D,] H, W) -> logits (N, classes, [D,] H, W).

    strides, kernels, filters: of each stage, full resolution first (mindvoxel.data.plan.Configuration); two or three
    numbers a stride make it 2-D or 3-D. Each axis must be a multiple of `divisor`. In training, and only with
    `deep_supervision`, the result is a tuple of the heads' logits, full resolution first; the heads are in the
    checkpoint either way.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        strides: tuple[tuple[int, ...], ...],
        kernels: tuple[tuple[int, ...], ...],
        filters: tuple[int, ...],
        conv_form: ConvForm,
        form: Form,
        deep_supervision: bool = False,
    ):
        super().__init__()
        check_stages(strides, kernels, filters)
        num_stages, axes, slope = len(filters), range(len(strides[0])), conv_form.slope
        # how much coarser than the image each stage is
        coarser = [tuple(math.prod(s[axis] for s in strides[: i + 1]) for axis in axes) for i in range(num_stages)]
        self.divisor = coarser[-1]
        downs, ups, joins, heads = [], [], [], []
        for i, channels in enumerate((in_channels, *filters[:-1])):
            downs.append(ConvBlocks(channels, filters[i], kernels[i], stride=strides[i], form=conv_form))
        for i in reversed(range(num_stages - 1)):  # from the lowest resolution up
            kernel = kernels[i] if form.own_kernel else kernels[i + 1]
            ups.append(up(filters[i + 1], filters[i], strides[i + 1], slope=slope, has_bias=form.up_bias))
            joins.append(ConvBlocks(2 * filters[i], filters[i], kernel, stride=strides[0], form=conv_form))
        for channels in filters[:-1][: form.num_heads]:
            heads.append(head(channels, num_classes, len(axes), slope=slope, has_bias=form.head_bias))
        self.downs, self.ups = nn.CellList(downs), nn.CellList(ups)
        self.joins, self.heads = nn.CellList(joins), nn.CellList(heads)
        self.depth, self.num_heads = num_stages - 1, len(heads)
        self.deep_supervision = deep_supervision
        self.factors = tuple(coarser) if form.upsampled else ()

    def construct(self, x):
        skips = ()
        for down in self.downs:
            x = down(x)
            skips = skips + (x,)
        decoded = ()  # full resolution first
        for i in range(self.depth):
            x = self.joins[i](self.ups[i](x), skips[self.depth - 1 - i])
            decoded = (x,) + decoded
        if not (self.training and self.deep_supervision):
            return self.heads[0](x)
        logits = ()
        for i in range(self.num_heads):
            low = self.heads[i](decoded[i])
            if self.factors and i > 0:
                low = repeat_voxels(low, self.factors[i])
            logits = logits + (low,)
        return logits


def check_stages(strides, kernels, filters) -> None:
    """Raise ValueError where the stages do not fit each other."""
    if not 2 <= len(filters) == len(strides) == len(kernels):
        raise ValueError(
            f"strides, kernels and filters must name the same two or more stages, got {len(strides)}, {len(kernels)} "
            f"and {len(filters)}"
        )
    if {len(entry) for entry in (*strides, *kernels)} not in ({2}, {3}):
        raise ValueError(f"strides and kernels must hold 2 numbers each, or 3 each, got {strides} and {kernels}")
    if set(strides[0]) != {1}:
        raise ValueError(f"the first stage is at full resolution: its stride must be 1, got {strides[0]}")
    if any(k % 2 == 0 for kernel in kernels for k in kernel):
        raise ValueError(f"kernels must be odd, got {kernels}")


def build(
    in_channels: int,
    num_classes: int,
    strides: tuple[tuple[int, ...], ...],
    kernels: tuple[tuple[int, ...], ...],
    filters: tuple[int, ...],
    *,
    form: str = "nnunet_v2",
    norm: str = "instance",
    negative_slope: float = 0.01,
    deep_supervision: bool = False,
) -> UNet:
    """The network of a plan's stages and a recipe's `network` section: one of FORMS; norm instance, batch, group (32
    groups) or none."""
    if form not in FORMS:
        raise ValueError(f"form must be one of {', '.join(FORMS)}, got {form!r}")
    conv_form = ConvForm(norm, negative_slope, FORMS[form].conv_bias)
    inner = () if norm == "group" else filters  # group norm knows nothing of blocked tensors
    with channel_blocks(inner, (in_channels, num_classes)):
        return UNet(in_channels, num_classes, strides, kernels, filters, conv_form, FORMS[form], deep_supervision)
