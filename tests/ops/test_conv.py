"""The CPU convolution operator against plain NumPy, finite differences and MindSpore's own kernels."""

import itertools
import re
from dataclasses import replace

import mindspore as ms
import numpy as np
import pytest
from mindspore import nn, ops

from mindvoxel.nn.conv import Conv2d, Conv2dTranspose, Conv3d, Conv3dTranspose
from mindvoxel.nn.exporting import exportable
from mindvoxel.ops import library, set_cpu_precision
from mindvoxel.ops.conv import Geometry, convolution

pytestmark = pytest.mark.skipif(library.load() is None, reason=f"the operator is not built: {library.BUILD_COMMAND}")

# x, weights (O, I, k...; transposed: I, O, k...), stride, padding before, padding after, transposed
CASES = {
    "odd sizes": ((2, 5, 7, 6, 9), (3, 5, 3, 3, 3), (1, 1, 1), (1, 1, 1), (1, 1, 1), False),
    "many channels": ((1, 32, 4, 5, 6), (17, 32, 3, 3, 3), (1, 1, 1), (1, 1, 1), (1, 1, 1), False),
    "5^3": ((1, 16, 6, 7, 8), (16, 16, 5, 5, 5), (1, 1, 1), (2, 2, 2), (2, 2, 2), False),
    "5^3 from the image": ((3, 1, 7, 5, 6), (16, 1, 5, 5, 5), (1, 1, 1), (2, 2, 2), (2, 2, 2), False),
    "5^3 to two classes": ((2, 32, 7, 5, 6), (2, 32, 5, 5, 5), (1, 1, 1), (2, 2, 2), (2, 2, 2), False),
    "5^3 to three classes": ((1, 16, 8, 6, 4), (3, 16, 5, 5, 5), (1, 1, 1), (2, 2, 2), (2, 2, 2), False),
    "3^3 to one class": ((1, 16, 5, 6, 7), (1, 16, 3, 3, 3), (1, 1, 1), (1, 1, 1), (1, 1, 1), False),
    "5^3 by Winograd": ((1, 16, 9, 13, 11), (32, 16, 5, 5, 5), (1, 1, 1), (2, 2, 2), (2, 2, 2), False),
    "5^3 by Winograd, no padding": ((1, 32, 13, 15, 17), (16, 32, 5, 5, 5), (1, 1, 1), (0, 0, 0), (0, 0, 0), False),
    "5^3 by Winograd, one-sided": ((1, 16, 12, 10, 16), (16, 16, 5, 5, 5), (1, 1, 1), (4, 0, 1), (0, 3, 2), False),
    "3^3 by Winograd": ((2, 32, 9, 11, 10), (16, 32, 3, 3, 3), (1, 1, 1), (1, 1, 1), (1, 1, 1), False),
    "3x3x1 by Winograd": ((3, 16, 11, 12, 9), (48, 16, 3, 3, 1), (1, 1, 1), (1, 1, 0), (1, 1, 0), False),
    "1x3x3 by Winograd": ((1, 16, 9, 19, 13), (16, 16, 1, 3, 3), (1, 1, 1), (0, 1, 1), (0, 1, 1), False),
    "3^3 by Winograd, 6 outputs": ((1, 16, 41, 43, 37), (16, 16, 3, 3, 3), (1,) * 3, (1,) * 3, (1,) * 3, False),
    "1x3x3 by Winograd, 6 outputs": ((1, 16, 9, 42, 41), (16, 16, 1, 3, 3), (1,) * 3, (0, 1, 1), (0, 1, 1), False),
    "2-D by Winograd": ((2, 16, 33, 29), (32, 16, 3, 3), (1, 1), (1, 1), (1, 1), False),
    "5^3 to two classes by Winograd": ((1, 32, 22, 24, 13), (2, 32, 5, 5, 5), (1,) * 3, (2,) * 3, (2,) * 3, False),
    "3^3 to one class by Winograd": ((1, 16, 24, 22, 19), (1, 16, 3, 3, 3), (1,) * 3, (1,) * 3, (1,) * 3, False),
    "1x3x3": ((2, 6, 4, 7, 5), (8, 6, 1, 3, 3), (1, 1, 1), (0, 1, 1), (0, 1, 1), False),
    "3x1x5": ((1, 4, 5, 4, 7), (5, 4, 3, 1, 5), (1, 1, 1), (1, 0, 2), (1, 0, 2), False),
    "1^3": ((2, 2, 5, 4, 3), (2, 2, 1, 1, 1), (1, 1, 1), (0, 0, 0), (0, 0, 0), False),
    "1^3 head": ((3, 32, 3, 4, 5), (3, 32, 1, 1, 1), (1, 1, 1), (0, 0, 0), (0, 0, 0), False),
    "2^3 down": ((2, 16, 4, 6, 8), (32, 16, 2, 2, 2), (2, 2, 2), (0, 0, 0), (0, 0, 0), False),
    "2^2 down": ((3, 32, 6, 10), (48, 32, 2, 2), (2, 2), (0, 0), (0, 0), False),
    "2^3 down, a voxel left": ((1, 16, 5, 6, 4), (16, 16, 2, 2, 2), (2, 2, 2), (0, 0, 0), (0, 0, 0), False),
    "1^3 head, many voxels": ((2, 48, 9, 23, 21), (4, 48, 1, 1, 1), (1, 1, 1), (0, 0, 0), (0, 0, 0), False),
    "1^3 head, padded": ((1, 16, 4, 5, 6), (3, 16, 1, 1, 1), (1, 1, 1), (0, 1, 1), (1, 0, 2), False),
    "2^3 down, odd": ((2, 3, 5, 7, 6), (4, 3, 2, 2, 2), (2, 2, 2), (0, 0, 0), (0, 0, 0), False),
    "3^3 stride 2": ((2, 8, 7, 6, 9), (9, 8, 3, 3, 3), (2, 2, 2), (1, 1, 1), (1, 1, 1), False),
    "mixed strides": ((1, 5, 7, 8, 9), (6, 5, 3, 3, 3), (1, 2, 3), (1, 1, 1), (1, 1, 1), False),
    "one-sided padding": ((1, 4, 5, 6, 4), (5, 4, 2, 4, 3), (1, 1, 1), (0, 1, 2), (1, 2, 0), False),
    "no padding": ((2, 3, 6, 5, 7), (4, 3, 5, 4, 3), (1, 1, 1), (0, 0, 0), (0, 0, 0), False),
    "2^3 up": ((2, 16, 3, 4, 2), (16, 8, 2, 2, 2), (2, 2, 2), (0, 0, 0), (0, 0, 0), True),
    "2^3 up, blocks": ((2, 32, 3, 4, 5), (32, 16, 2, 2, 2), (2, 2, 2), (0, 0, 0), (0, 0, 0), True),
    "2x1x2 up, 14 voxels": ((1, 16, 2, 3, 14), (16, 64, 2, 1, 2), (2, 1, 2), (0, 0, 0), (0, 0, 0), True),
    "1x2x2 up": ((1, 5, 3, 2, 4), (5, 3, 1, 2, 2), (1, 2, 2), (0, 0, 0), (0, 0, 0), True),
    "3^3 up, overlapping": ((1, 4, 3, 5, 4), (4, 6, 3, 3, 3), (2, 2, 2), (1, 1, 1), (1, 1, 1), True),
    "2-D": ((3, 5, 9, 7), (8, 5, 3, 3), (1, 1), (1, 1), (1, 1), False),
    "2-D 7x7 stride 2": ((2, 3, 13, 11), (16, 3, 7, 7), (2, 2), (3, 3), (3, 3), False),
    "2-D up": ((2, 6, 4, 5), (6, 3, 2, 2), (2, 2), (0, 0), (0, 0), True),
}


def _taps(weights, stride, pad_before, size):
    """Every kernel position, with the slices of the padded large side that it meets."""
    for tap in itertools.product(*(range(k) for k in weights.shape[2:])):
        window = tuple(slice(t, t + (n - 1) * s + 1, s) for t, n, s in zip(tap, size, stride, strict=True))
        yield (slice(None), slice(None), *tap), (slice(None), slice(None), *window)


def _correlate(a, b):
    """(N, A, ...), (N, B, ...) -> (A, B), summed over everything else."""
    others = [0, *range(2, a.ndim)]
    return np.tensordot(a, b, (others, others))


def _pad(x, before, after):
    return np.pad(x, [(0, 0), (0, 0), *zip(before, after, strict=True)])


def _crop(x, before, after):
    return x[(slice(None), slice(None), *(slice(b, n - a) for b, a, n in zip(before, after, x.shape[2:], strict=True)))]


def reference(x, w, m, stride, before, after, transposed):
    """y and the gradients of sum(y * m) for x and w, in float64, tap by tap. `m` may be None: then only y."""
    if transposed:  # the data gradient of the convolution that goes the other way, so the roles of x and y change
        size = [(n - 1) * s + k for n, s, k in zip(x.shape[2:], stride, w.shape[2:], strict=True)]
        full = np.zeros((x.shape[0], w.shape[1], *size))
        for tap, window in _taps(w, stride, before, x.shape[2:]):
            full[window] += np.einsum("nc...,cd->nd...", x, w[tap])
        y = _crop(full, before, after)
        if m is None:
            return y, None, None
        dx, padded, dw = np.zeros_like(x), _pad(m, before, after), np.zeros_like(w)
        for tap, window in _taps(w, stride, before, x.shape[2:]):
            dx += np.einsum("nd...,cd->nc...", padded[window], w[tap])
            dw[tap] = _correlate(x, padded[window])
        return y, dx, dw
    padded = _pad(x, before, after)
    size = [(n - k) // s + 1 for n, s, k in zip(padded.shape[2:], stride, w.shape[2:], strict=True)]
    y = sum(np.einsum("ni...,oi->no...", padded[window], w[tap]) for tap, window in _taps(w, stride, before, size))
    if m is None:
        return y, None, None
    dpadded, dw = np.zeros_like(padded), np.zeros_like(w)
    for tap, window in _taps(w, stride, before, size):
        dpadded[window] += np.einsum("no...,oi->ni...", m, w[tap])
        dw[tap] = _correlate(m, padded[window])
    return y, _crop(dpadded, before, after), dw


def draw(name, seed=0):
    """x, w, bias, m and the geometry of a case; values of deviation 1."""
    x_shape, w_shape, stride, before, after, transposed = CASES[name]
    rng = np.random.default_rng(seed)
    x, w = rng.normal(size=x_shape).astype(np.float32), rng.normal(size=w_shape).astype(np.float32)
    geometry = Geometry(stride, before, after, transposed)
    y_shape = geometry.output_shape(x_shape, w_shape)
    bias, m = rng.normal(size=y_shape[1]).astype(np.float32), rng.normal(size=y_shape).astype(np.float32)
    return x, w, bias, m, geometry


def run(x, w, bias, m, geometry):
    """y, dx, dw, dbias of the operator; bias may be None."""
    op, numbers = convolution(geometry, x.shape[1], bias is not None)
    args = [ms.Tensor(a) for a in (x, w, bias) if a is not None]

    def forward(*tensors):
        return op(*tensors, numbers)

    grad = ops.GradOperation(get_all=True, sens_param=True)(forward)
    return [forward(*args).asnumpy(), *[g.asnumpy() for g in grad(*args, ms.Tensor(m))]]


def assert_close(got, want, relative=2e-6):
    """Within `relative` of the largest value: f32 sums of some hundred to thousand products."""
    assert got.shape == want.shape
    assert np.abs(got - want).max() <= relative * max(np.abs(want).max(), 1)


@pytest.fixture(autouse=True)
def _f32_and_graph_mode_after(cpu):
    set_cpu_precision("f32")
    yield
    ms.set_context(mode=ms.GRAPH_MODE)


MODES = [
    *(pytest.param(name, ms.GRAPH_MODE, id=f"{name}, graph") for name in CASES),
    *(
        pytest.param(name, ms.PYNATIVE_MODE, id=f"{name}, pynative")
        for name in ("odd sizes", "5^3 from the image", "2^3 up", "2-D")
    ),
]


@pytest.mark.parametrize(("name", "mode"), MODES)
def test_values_and_gradients(name, mode):
    ms.set_context(mode=mode)
    x, w, bias, m, g = draw(name)
    y, dx, dw = reference(*(a.astype(np.float64) for a in (x, w, m)), g.stride, g.pad_before, g.pad_after, g.transposed)
    axes = tuple(range(2, x.ndim))
    # Transformed space has a wider range of values than the sums that come back from it.
    relative = 2e-5 if "Winograd" in name else 2e-6
    got = run(x, w, bias, m, g)
    for value, want in zip(got, [y + bias.reshape(-1, *[1] * len(axes)), dx, dw, m.sum((0, *axes))], strict=True):
        assert_close(value, want, relative)
    for value, same in zip(run(x, w, None, m, g), [y, dx, dw], strict=True):
        assert_close(value, same, relative)


def to_blocks(a):
    """(N, C, ...) -> the same shape, with (N, C/16, ..., 16) in it."""
    n, c, *space = a.shape
    return np.ascontiguousarray(np.moveaxis(a.reshape(n, c // 16, 16, *space), 2, -1)).reshape(a.shape)


def from_blocks(a):
    n, c, *space = a.shape
    return np.moveaxis(a.reshape(n, c // 16, *space, 16), -1, 2).reshape(a.shape)


def _same(a):
    return a


def _can_lie_in_blocks(name):
    x, w, *_, transposed = CASES[name]
    channels_out = w[1] if transposed else w[0]
    return x[1] % 16 == 0 or channels_out % 16 == 0


@pytest.mark.parametrize("name", list(filter(_can_lie_in_blocks, CASES)))
def test_blocked_tensors(name):
    ms.set_context(mode=ms.GRAPH_MODE)
    x, w, bias, m, plain = draw(name)
    blocked = replace(plain, blocked_in=x.shape[1] % 16 == 0, blocked_out=m.shape[1] % 16 == 0)
    to_in, from_in = (to_blocks, from_blocks) if blocked.blocked_in else (_same, _same)
    to_out, from_out = (to_blocks, from_blocks) if blocked.blocked_out else (_same, _same)
    for b in (bias, None):
        y, dx, *of_weights = run(to_in(x), w, b, to_out(m), blocked)
        want = run(x, w, b, m, plain)
        for got, same in zip([from_out(y), from_in(dx), *of_weights], want, strict=True):
            assert_close(got, same, 2e-5 if "Winograd" in name else 2e-6)


@pytest.mark.parametrize(
    "name", ["odd sizes", "5^3 by Winograd", "5^3 to two classes", "1x3x3", "2^3 down, odd", "2^3 up"]
)
def test_finite_differences(name):
    ms.set_context(mode=ms.PYNATIVE_MODE)
    x, w, bias, m, geometry = draw(name)
    point = [x, w, bias]
    op, numbers = convolution(geometry, x.shape[1], True)
    gradients = run(*point, m, geometry)[1:]
    rng = np.random.default_rng(1)

    def loss(values):
        y = op(*(ms.Tensor(v) for v in values), numbers).asnumpy()
        return float((y.astype(np.float64) * m).sum())

    for i, gradient in enumerate(gradients):
        step = rng.normal(size=point[i].shape).astype(np.float32)
        up, down = (loss([v + sign * step if j == i else v for j, v in enumerate(point)]) for sign in (1, -1))
        want = float((gradient.astype(np.float64) * step).sum())  # exact: the loss is linear in each argument
        scale = float(np.linalg.norm(gradient) * np.linalg.norm(step))
        assert abs((up - down) / 2 - want) <= 1e-5 * scale + 1e-6 * max(abs(up), abs(down))


CELLS = {
    "Conv3d": (lambda: Conv3d(5, 6, 3, weight_init="normal", padding=1, has_bias=True), (2, 5, 6, 7, 5)),
    "Conv3d stride": (lambda: Conv3d(4, 6, (1, 3, 3), weight_init="normal", stride=(1, 2, 2), padding=(0, 1, 1)),
                      (3, 4, 5, 7, 9)),
    "Conv3dTranspose": (lambda: Conv3dTranspose(6, 4, 2, weight_init="normal", has_bias=True), (2, 6, 3, 4, 5)),
    "Conv2d": (lambda: Conv2d(4, 6, 3, weight_init="normal", stride=2, padding=1), (3, 4, 9, 7)),
    "Conv2dTranspose": (lambda: Conv2dTranspose(4, 6, (2, 2), weight_init="normal"), (1, 4, 3, 5)),
}  # fmt: skip


def square_of(cell):
    def loss(x):
        y = cell(x)
        return (y * y).sum()

    return loss


@pytest.mark.parametrize("name", CELLS)
def test_cells_equal_mindspores_own(name):
    ms.set_context(mode=ms.GRAPH_MODE)
    make, shape = CELLS[name]
    ours = make()
    with exportable():
        own = make()
    assert ours.operator is not None and own.operator is None
    assert [(p.name, p.shape) for p in ours.get_parameters()] == [(p.name, p.shape) for p in own.get_parameters()]
    rng = np.random.default_rng(0)
    for mine, theirs in zip(ours.get_parameters(), own.get_parameters(), strict=True):
        mine.set_data(ms.Tensor(rng.normal(size=mine.shape).astype(np.float32)))
        theirs.set_data(mine)
    x = ms.Tensor(rng.normal(size=shape).astype(np.float32))
    results = []
    for cell in (ours, own):
        value, (dx, dweights) = ms.value_and_grad(square_of(cell), 0, cell.trainable_params())(x)
        results.append([value.asnumpy(), dx.asnumpy(), *[d.asnumpy() for d in dweights]])
    for got, want in zip(*results, strict=True):
        assert_close(got, want, relative=1e-5)


def test_layers_keep_their_own_geometry():
    ms.set_context(mode=ms.GRAPH_MODE)
    net = nn.SequentialCell(
        [
            Conv3d(2, 4, 3, weight_init="normal", padding=1),
            Conv3d(4, 6, 2, weight_init="normal", stride=2),
            Conv3d(6, 6, (1, 3, 3), weight_init="normal", padding=(0, 1, 1), stride=(1, 2, 2)),
            Conv3dTranspose(6, 3, (1, 4, 4), weight_init="normal"),
        ]
    )
    assert net(ms.Tensor(np.ones((1, 2, 8, 8, 8), np.float32))).shape == (1, 3, 4, 8, 8)


@pytest.mark.parametrize("has_bias", [False, True])
def test_the_first_layer_computes_no_gradient_of_the_image(has_bias, tmp_path):
    """Both layers have the same geometry, so only the tag tells their gradients apart."""
    form = {"weight_init": "normal", "padding": 1, "has_bias": has_bias}
    net = nn.SequentialCell([Conv3d(1, 16, 3, **form), Conv3d(16, 16, 3, **form)])
    ms.set_context(mode=ms.GRAPH_MODE, save_graphs=1, save_graphs_path=str(tmp_path))
    try:
        ms.grad(square_of(net), None, net.trainable_params())(ms.Tensor(np.ones((1, 1, 4, 4, 4), np.float32)))
    finally:
        ms.set_context(save_graphs=0)
    (compiled,) = tmp_path.rglob("hwopt_d_after_*.ir")
    called = re.findall(r'uniq_name: "[^"]*:(ConvBackward\w*)"', compiled.read_text())
    assert sorted(called) == ["ConvBackward", "ConvBackwardWeights"]
