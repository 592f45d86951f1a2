"""Activations in forms that train fast and export right."""

from mindspore import Parameter, Tensor, nn, ops

from mindvoxel.nn.exporting import is_exporting


class Elu(nn.Cell):
    """ELU with alpha 1 (Clevert et al. 2016): x where x > 0, exp(x) - 1 elsewhere."""

    def __init__(self):
        super().__init__()
        self.relu = ops.ReLU()
        self.elu = None if is_exporting() else ops.Elu()  # the ONNX exporter has no converter for Elu

    def construct(self, x):
        if self.elu is not None:
            return self.elu(x)
        return self.relu(x) + (ops.exp(-self.relu(-x)) - 1.0)


class PRelu3d(nn.Cell):
    """Parametric ReLU with one slope a channel (He et al. 2015), starting at 0.25.

    MindSpore's nn.PReLU on 5-D input exports to ONNX with the slope along the last axis, a wrong result without an
    error; relu(x) - slope·relu(-x) is the same function and exports right.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.slope = Parameter(Tensor([0.25] * channels).reshape(1, channels, 1, 1, 1), name="slope")
        self.relu = ops.ReLU()

    def construct(self, x):
        return self.relu(x) - self.slope.astype(x.dtype) * self.relu(-x)


def fixed_activation(name: str, slope: float = 0.01) -> nn.Cell:
    """`none`, `relu`, `elu` or `leaky_relu` (x, or slope·x below 0): those without parameters, which can be part of a
    normalisation's operator."""
    if name == "none":
        return nn.Identity()
    if name == "relu":
        return nn.ReLU()
    if name == "elu":
        return Elu()
    if name == "leaky_relu":
        return nn.LeakyReLU(slope)
    raise ValueError(f"activation must be none, relu, elu or leaky_relu, got {name!r}")


def split_activation(name: str, channels: int) -> tuple[str, nn.Cell]:
    """`elu`, `leaky_relu` or `prelu` as what a normalisation can do itself, and a cell for the rest."""
    if name == "prelu":
        return "none", PRelu3d(channels)
    if name in ("elu", "leaky_relu"):
        return name, nn.Identity()
    raise ValueError(f"activation must be elu, leaky_relu or prelu, got {name!r}")
