"""Channel dropout whose noise can be handed in."""

from mindspore import nn, ops

from mindvoxel.nn.layout import BLOCK, is_open


class ChannelDropout(nn.Cell):
    """Drop whole channels in training, scale the rest by 1 / (1 - rate) (Tompson et al. 2015); nothing in evaluation.

    construct(x, noise): x (N, C, D, H, W); noise (N, C), uniform in [0, 1), or None to draw it here. Training hands
    it in: drawn on the host from (seed, epoch, sample), it makes a resumed run equal an undisturbed one, and each
    sample's dropout the same on whatever rank it lands, which the generators inside MindSpore's kernels cannot.
    """

    def __init__(self, rate: float):
        super().__init__()
        if not 0 <= rate < 1:
            raise ValueError(f"dropout rate must be in [0, 1), got {rate}")
        self.rate = rate
        self.uniform = ops.UniformReal()
        self.blocked = is_open()

    def choose_layout(self, blocked: bool) -> None:
        """Whether tensors with a multiple of 16 channels are blocked (mindvoxel.nn.layout)."""
        self.blocked = blocked

    def construct(self, x, noise=None):
        if not self.training or self.rate == 0:
            return x
        if noise is None:
            noise = self.uniform(x.shape[:2])
        keep = (noise >= self.rate).astype(x.dtype) / (1 - self.rate)
        if self.blocked and x.shape[1] % BLOCK == 0:
            blocks = (x.shape[0], x.shape[1] // BLOCK)
            return (x.reshape((*blocks, -1, BLOCK)) * keep.reshape((*blocks, 1, BLOCK))).reshape(x.shape)
        return x * keep.reshape(keep.shape + (1, 1, 1))
