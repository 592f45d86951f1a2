"""A convolution whose input lies in two blocked tensors equals that of the one tensor that they make, to the bit."""

import mindspore as ms
import numpy as np
import pytest
from mindspore import ops

from mindvoxel.nn.conv import Conv2d, Conv3d
from mindvoxel.nn.layout import channel_blocks
from mindvoxel.ops import library
from mindvoxel.ops.conv import Geometry, convolution, convolution_of_two
from mindvoxel.ops.norm import is_usable

pytestmark = pytest.mark.skipif(not is_usable(), reason=f"no operator, or no AVX-512: {library.BUILD_COMMAND}")

# space, channels of the two inputs and of the result, kernel, stride; not all of them go Winograd's way
CASES = {
    "3^3 by Winograd": ((9, 11, 10), (32, 16, 48), (3, 3, 3), (1, 1, 1)),
    "5^3 by Winograd": ((12, 9, 13), (16, 32, 16), (5, 5, 5), (1, 1, 1)),
    "2-D by Winograd": ((33, 29), (16, 16, 32), (3, 3), (1, 1)),
    "3^3, few voxels": ((3, 4, 5), (48, 16, 16), (3, 3, 3), (1, 1, 1)),
    "3^3 stride 2": ((7, 6, 9), (16, 32, 32), (3, 3, 3), (2, 2, 2)),
    "2^3 down": ((4, 6, 8), (32, 16, 16), (2, 2, 2), (2, 2, 2)),
    "1^3 to three classes": ((5, 4, 7), (16, 32, 3), (1, 1, 1), (1, 1, 1)),
}


def draw(name, images=3):
    """Two inputs, weights, bias, and a gradient of the result; numbers of a blocked tensor in any order are random."""
    space, (first, second, out), kernel, stride = CASES[name]
    rng = np.random.default_rng(3)
    pads = tuple(k // 2 if s == 1 else 0 for k, s in zip(kernel, stride, strict=True))
    result = tuple((n + 2 * p - k) // s + 1 for n, p, k, s in zip(space, pads, kernel, stride, strict=True))
    geometry = Geometry(stride, pads, pads, blocked_in=True, blocked_out=out % 16 == 0)
    shapes = (images, first, *space), (images, second, *space), (out, first + second, *kernel), (out,)
    return [ms.Tensor(rng.standard_normal(s, np.float32)) for s in (*shapes, (images, out, *result))], geometry


@pytest.mark.parametrize("has_bias", [True, False], ids=["bias", "no bias"])
@pytest.mark.parametrize("name", CASES)
def test_two_tensors_equal_one(cpu, name, has_bias):
    (x, more, weight, bias, m), geometry = draw(name)
    biases = (bias,) if has_bias else ()
    two, two_numbers = convolution_of_two(geometry, has_bias)
    one, one_numbers = convolution(geometry, weight.shape[1], has_bias)

    def of_two(x, more, weight, *bias):
        return (two(x, more, weight, *bias, two_numbers) * m).sum(), two(x, more, weight, *bias, two_numbers)

    def of_one(x, more, weight, *bias):
        y = one(ops.concat((x, more), 1), weight, *bias, one_numbers)
        return (y * m).sum(), y

    got, want = (
        ops.value_and_grad(f, tuple(range(3 + has_bias)), None, has_aux=True)(x, more, weight, *biases)
        for f in (of_two, of_one)
    )
    for a, b in zip((got[0][1], *got[1]), (want[0][1], *want[1]), strict=True):
        assert a.shape == b.shape
        assert np.array_equal(a.asnumpy(), b.asnumpy())


@pytest.mark.parametrize("make", [Conv2d, Conv3d], ids=["2-D", "3-D"])
@pytest.mark.parametrize("inner", [(16,), ()], ids=["blocked", "plain"])
def test_cells_take_further_channels(cpu, make, inner):
    space = (6, 7, 5)[: 2 if make is Conv2d else 3]
    rng = np.random.default_rng(4)
    x, more = (ms.Tensor(rng.standard_normal((2, 16, *space), np.float32)) for _ in range(2))
    with channel_blocks(inner, (1,)):
        cell = make(32, 16, 3, weight_init="normal", padding=1)
    assert (cell.joined is not None) == bool(inner)
    assert np.array_equal(cell(x, more).asnumpy(), cell(ops.concat((x, more), 1)).asnumpy())


def test_wrong_input_is_refused(cpu):
    (x, more, weight, _, _), geometry = draw("3^3, few voxels")
    op, numbers = convolution_of_two(geometry, False)
    with pytest.raises(ValueError, match="must differ in their channels alone"):
        op(x, more[:, :, 1:], weight, numbers)
    with pytest.raises(ValueError, match="concatenate plain ones"):
        convolution_of_two(Geometry((1, 1, 1), (1, 1, 1), (1, 1, 1)), False)
