"""Normalisation with every argument named (MindSpore announces other defaults after 2.10)."""

from mindspore import nn


class BatchNorm3d(nn.BatchNorm3d):
    """Batch normalisation over (N, D, H, W): eps 1e-5; 0.9 of the running statistics is kept at each step."""

    def __init__(self, channels: int):
        super().__init__(channels, eps=1e-5, momentum=0.9, affine=True, use_batch_statistics=None)
