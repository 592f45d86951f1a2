"""Networks of one convolution for test/engine_mindspore_test.cc: python make_mindir.py NAME…, into this folder.

MindSpore 2.0.0 (Python 3.9, Pillow 9) made `affine`, `not_finite` and `conv3d`, since MindSpore Lite 2.0.0, which PyPI
has, reads MINDIR of version 1 alone; MindSpore 2.10 made `version3`.
"""

import sys
from pathlib import Path

import mindspore as ms
import numpy as np
from mindspore import nn

HERE = Path(__file__).parent


def affine(bias: float = 0.5) -> nn.Cell:
    """(1, 1, 6, 5) -> (1, 2, 6, 5): bias - x and x - bias."""
    weight = np.zeros((2, 1, 3, 3), np.float32)
    weight[:, 0, 1, 1] = -1, 1
    bias = np.array([bias, -bias], np.float32)
    return nn.Conv2d(
        1, 2, 3, pad_mode="pad", padding=1, has_bias=True, weight_init=ms.Tensor(weight), bias_init=ms.Tensor(bias)
    )


def main(names: list[str]) -> None:
    ms.set_context(device_target="CPU", mode=ms.GRAPH_MODE)
    nets = {
        "affine": (affine, (1, 1, 6, 5)),
        "version3": (affine, (1, 1, 6, 5)),
        "not_finite": (lambda: affine(float("inf")), (1, 1, 6, 5)),
        "conv3d": (lambda: nn.Conv3d(1, 2, 3, pad_mode="pad", padding=1, weight_init="ones"), (1, 1, 4, 6, 5)),
    }
    for name in names:
        build, shape = nets[name]
        ms.export(build(), ms.Tensor(np.zeros(shape, np.float32)), file_name=str(HERE / name), file_format="MINDIR")
        (HERE / f"{name}.mindir").chmod(0o644)


if __name__ == "__main__":
    main(sys.argv[1:])
