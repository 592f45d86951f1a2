"""train.py that SIGKILL ends before step STEP, counted from 1: python killed.py STEP FLAGS …"""

import os
import signal
import sys

from mindvoxel.cli import train
from mindvoxel.train import device


def main(number: int, flags: list[str]) -> int:
    device.prepare_cpu()  # before the next line imports MindSpore
    from mindvoxel.train.loop import Trainer

    ordinary = Trainer.train

    def step(trainer, batch) -> float:
        if trainer.state.step == number - 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return ordinary(trainer, batch)

    Trainer.train = step
    return train.main(flags)


if __name__ == "__main__":
    raise SystemExit(main(int(sys.argv[1]), sys.argv[2:]))
