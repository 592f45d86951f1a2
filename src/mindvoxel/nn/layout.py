"""How channels lie in memory between the cells of a network on the CPU.

The CPU operators compute 16 channels at a time. A *blocked* tensor has its channels in groups of 16, (N, C/16, D, H, W,
16) in memory, under the shape (N, C, D, H, W) that everyone sees; between two blocked cells nothing is converted.

The rule: of the cells that are built inside channel_blocks(), every tensor whose channels are a multiple of 16 is
blocked, and every other is plain. What is done to a blocked tensor outside the shared cells must not care for the order
within a sample: a sum of two, a concatenation along the channels.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import mindspore as ms
from mindspore import nn

from mindvoxel.nn.exporting import is_exporting
from mindvoxel.ops.norm import is_usable

BLOCK = 16

_open = False


@contextmanager
def channel_blocks(inner: Iterable[int], outer: Iterable[int]) -> Iterator[None]:
    """Cells that are built inside this block take and give blocked tensors, where the CPU operators compute them.

    inner: the channels of all tensors inside the network; outer: those of its image and results, which stay plain.
    Nothing changes where there is no inner number, one is no multiple of 16, or an outer one is.
    """
    global _open
    inner = tuple(inner)
    fits = bool(inner) and all(n % BLOCK == 0 for n in inner) and all(n % BLOCK for n in outer)
    before, _open = _open, fits and ms.get_context("device_target") == "CPU" and not is_exporting() and is_usable()
    try:
        yield
    finally:
        _open = before


def is_open() -> bool:
    """Whether cells are being built inside channel_blocks()."""
    return _open


class _OfBlocks(nn.Cell):
    """The part that the cells below share: whether what lies between them is blocked."""

    def __init__(self):
        super().__init__()
        self.blocked = is_open()

    def choose_layout(self, blocked: bool) -> None:
        """Blocked or plain, whatever it was built for."""
        self.blocked = blocked


class Enter(_OfBlocks):
    """From a plain tensor (N, C, H, W) to one as the cells take that are built beside this: blocked, or as it is."""

    def construct(self, x):
        if not self.blocked:
            return x
        n, c = x.shape[:2]
        return x.reshape(n, c // BLOCK, BLOCK, -1).transpose(0, 1, 3, 2).reshape(x.shape)


class SpaceMean(_OfBlocks):
    """The mean of each channel, (N, C, H, W) -> (N, C), of a tensor as the cells give that are built beside this."""

    def construct(self, x):
        if not self.blocked:
            return x.mean((2, 3))
        n, c = x.shape[:2]
        return x.reshape(n, c // BLOCK, -1, BLOCK).mean(2).reshape(n, c)


def lay_plain(network: nn.Cell) -> None:
    """Make every cell of `network` take and give plain tensors, for when some are to use MindSpore's kernels.

    Before the first call: a network that was compiled once stays as it is.
    """
    for _, cell in network.cells_and_names():
        if hasattr(cell, "choose_layout"):
            cell.choose_layout(False)
