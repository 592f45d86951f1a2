"""What convolutions keep between calls, and results larger than the caches."""

import mindspore as ms
import numpy as np
import pytest

from mindvoxel.nn.conv import Conv3d
from mindvoxel.ops import library, set_cpu_precision
from mindvoxel.ops.conv import Geometry, convolution
from tests.ops.test_conv import assert_close, draw, from_blocks, square_of, to_blocks

pytestmark = pytest.mark.skipif(library.load() is None, reason=f"the operator is not built: {library.BUILD_COMMAND}")


@pytest.fixture(autouse=True)
def _f32(cpu):
    set_cpu_precision("f32")


@pytest.mark.parametrize("channels", [8, 16], ids=["direct", "by Winograd"])
def test_equal_runs_give_equal_bits(channels):
    ms.set_context(mode=ms.GRAPH_MODE)

    def train():
        rng = np.random.default_rng(0)
        cell = Conv3d(channels, 16, 3, weight_init="zeros", padding=1, has_bias=True)
        cell.weight.set_data(ms.Tensor(rng.normal(size=cell.weight.shape).astype(np.float32)))
        x = ms.Tensor(rng.normal(size=(2, channels, 14, 11, 12)).astype(np.float32))
        grad = ms.value_and_grad(square_of(cell), None, cell.trainable_params())
        for _ in range(4):
            _, gradients = grad(x)
            for p, g in zip(cell.trainable_params(), gradients, strict=True):
                p.set_data(p - 1e-4 * g)
        return [p.asnumpy().tobytes() for p in cell.trainable_params()]

    assert train() == train()


@pytest.mark.parametrize("name", ["3^3 by Winograd", "odd sizes", "2^3 up", "5^3 to two classes by Winograd"])
def test_kept_weights_change_no_result(name):
    """Those of two layers of one geometry, which take turns."""
    x, w, bias, _, geometry = draw(name)
    op, numbers = convolution(geometry, x.shape[1], True)
    layers = [[ms.Tensor(a) for a in (x, weights, bias)] for weights in (w, -2 * w)]
    want = [op(*args, numbers).asnumpy() for args in layers]
    lib = library.load()
    lib.mindvoxel_keep_weights(1)
    try:
        for _ in range(3):
            for args, y in zip(layers, want, strict=True):
                assert (op(*args, numbers).asnumpy() == y).all()
    finally:
        lib.mindvoxel_keep_weights(0)


@pytest.mark.parametrize("kernel", [(3, 3, 3), (1, 3, 3)])
def test_a_result_larger_than_the_caches(kernel):
    """Is written past them. Its parts are those of the parts of its source."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((1, 16, 40, 160, 168), np.float32)
    w = rng.standard_normal((16, 16, *kernel), np.float32)
    pad = tuple(k // 2 for k in kernel)
    op, numbers = convolution(Geometry((1, 1, 1), pad, pad, blocked_in=True, blocked_out=True), 16, False)
    whole = from_blocks(op(ms.Tensor(to_blocks(x)), ms.Tensor(w), numbers).asnumpy())
    assert whole.nbytes > 64 << 20
    for part in (np.s_[:, :, :8, :20, :24], np.s_[:, :, -9:, -21:, -24:]):
        small = from_blocks(op(ms.Tensor(to_blocks(x[part])), ms.Tensor(w), numbers).asnumpy())
        inner = np.s_[:, :, 1:-1, 1:-1, 1:-1]
        assert_close(whole[part][inner], small[inner], 2e-5)


def test_a_finer_result_larger_than_the_caches():
    """Its halves are those of the halves of its source, to the bit."""
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((1, 16, 20, 80, 84), np.float32), rng.standard_normal((16, 16, 2, 2, 2), np.float32)
    geometry = Geometry((2, 2, 2), (0, 0, 0), (0, 0, 0), transposed=True, blocked_in=True, blocked_out=True)
    op, numbers = convolution(geometry, 16, False)
    whole = from_blocks(op(ms.Tensor(to_blocks(x)), ms.Tensor(w), numbers).asnumpy())
    assert whole.nbytes > 64 << 20
    halves = [
        from_blocks(op(ms.Tensor(to_blocks(half)), ms.Tensor(w), numbers).asnumpy()) for half in np.split(x, 2, 2)
    ]
    assert (whole == np.concatenate(halves, 2)).all()
