"""Twenty processes, one after the other, that write a checkpoint over and over until they are killed at some moment:
python killed_writers.py FOLDER prints what each left."""

import itertools
import os
import random
import signal
import sys
import time
from pathlib import Path

from mindvoxel.train import device

device.prepare("CPU")

import mindspore as ms  # noqa: E402
import numpy as np  # noqa: E402

from mindvoxel.train import checkpoint  # noqa: E402


class Weights(ms.nn.Cell):
    """A megabyte, all of one value."""

    def __init__(self, value: int):
        super().__init__()
        self.weight = ms.Parameter(ms.Tensor(np.full(250_000, value, np.float32)), name="weight")


def main(path: Path) -> None:
    random.seed(0)
    first = 0
    checkpoint.save(path, Weights(first), {"number": first})
    for _ in range(20):
        child = os.fork()
        if child == 0:
            for number in itertools.count(first + 1):
                checkpoint.save(path, Weights(number), {"number": number})
        time.sleep(random.uniform(0.02, 0.15))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        meta, values = checkpoint.load(path)
        found = set(values["weight"].asnumpy().tolist())
        print(meta["number"] - first, found == {float(meta["number"])}, flush=True)  # noqa: T201
        first = meta["number"]


if __name__ == "__main__":
    main(Path(sys.argv[1]) / "last.ckpt")
