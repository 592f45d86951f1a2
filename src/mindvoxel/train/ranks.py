"""What the processes of one run tell each other beside the training step."""

import json
from collections.abc import Sequence
from typing import Any

import mindspore as ms
import numpy as np
from mindspore import nn, ops

from mindvoxel.train.device import Device
from mindvoxel.train.watch import WATCH

ALONE = Device("CPU", 0)


class _Sum(nn.Cell):
    """construct(x) -> the sum over all ranks."""

    def __init__(self):
        super().__init__(auto_prefix=False)
        self.all_ranks = ops.AllReduce(ops.ReduceOp.SUM)

    def construct(self, x):
        return self.all_ranks(x)


class Ranks:
    """This process and the others of the run; alone it answers at once.

    Every rank has to make the same calls in the same order.
    """

    def __init__(self, device: Device = ALONE):
        self.rank, self.num_ranks, self.is_main = device.rank, device.num_ranks, device.is_main
        self._sum = _Sum() if device.num_ranks > 1 else None

    def any(self, flag: bool) -> bool:
        """Whether it is so on any rank; all ranks wait here for each other."""
        return flag if self._sum is None else bool(self._total(np.array([flag]))[0] > 0)

    def gather(self, value: Any) -> list:
        """The JSON-able `value` of each rank, in their order, on every rank."""
        if self._sum is None:
            return [value]
        WATCH.rest()  # until the slowest rank is here
        text = np.frombuffer(json.dumps(value).encode(), np.uint8)
        sizes = np.zeros(self.num_ranks)
        sizes[self.rank] = text.size
        sizes = self._total(sizes).astype(int)
        # few different lengths, since each is compiled once
        room = np.zeros((self.num_ranks, 2 ** int(sizes.max()).bit_length()))
        room[self.rank, : text.size] = text
        texts = self._total(room).astype(np.uint8)
        WATCH.sign("what follows the exchange of results")
        return [json.loads(row[:size].tobytes()) for row, size in zip(texts, sizes, strict=True)]

    def _total(self, values: np.ndarray) -> np.ndarray:
        """The sum of each rank's array: in float32, which every device adds up, and which is exact for bytes."""
        return self._sum(ms.Tensor(values.astype(np.float32))).asnumpy()

    def share(self, items: Sequence) -> Sequence:
        """This rank's part of `items`: every one is in one rank's part."""
        return items[self.rank :: self.num_ranks]

    def join(self, results: list) -> list:
        """JSON-able results of each rank's share, in the order of the whole, on every rank."""
        parts = self.gather(results)
        total = sum(map(len, parts))
        return [parts[number % self.num_ranks][number // self.num_ranks] for number in range(total)]
