"""The CPU normalisation operator against NumPy in float64, finite differences and MindSpore's own operators."""

import itertools
from contextlib import nullcontext

import mindspore as ms
import numpy as np
import pytest

from mindvoxel.nn.exporting import exportable
from mindvoxel.nn.norm import BatchNorm, InstanceNorm
from mindvoxel.ops import norm as own
from tests.ops.test_conv import from_blocks, to_blocks

pytestmark = pytest.mark.skipif(not own.is_usable(), reason="the operator is not built, or there is no AVX-512")

SHAPES = [(2, 3, 5, 7, 9), (1, 2, 1, 1, 3), (3, 1, 4, 4, 16), (1, 5, 11, 13, 17)]
ACTS = own.ACTIVATIONS
# act, last, channels of the residual: None for none, 0 for as many as x has
FORMS = [(act, "none", None) for act in ACTS] + [(a, b, 0) for a, b in itertools.product(ACTS, ACTS)]
FORMS += [("none", "elu", 1), ("elu", "leaky_relu", 1), ("leaky_relu", "none", 1)]


@pytest.fixture(autouse=True)
def _graph_mode_after(cpu):
    yield
    ms.set_context(mode=ms.GRAPH_MODE)


def activate(name, z):
    if name == "none":
        return z
    return np.where(z < 0, np.expm1(np.minimum(z, 0)) if name == "elu" else 0.01 * z, z)


def reference(kind, act, last, x, gamma, beta, residual, given=None):
    """In float64: the result and the statistics."""
    axes = (2, 3, 4) if kind == "instance" else (0, 2, 3, 4)
    mean, variance = x.mean(axes, keepdims=True), x.var(axes, keepdims=True)
    if kind == "given":
        mean, variance = (v.reshape(1, -1, 1, 1, 1) for v in given)
    pair = [v.reshape(1, -1, 1, 1, 1) for v in (gamma, beta)]
    y = activate(act, (x - mean) / np.sqrt(variance + 1e-5) * pair[0] + pair[1])
    return y if residual is None else activate(last, y + residual), mean, variance


def make(shape, residual_channels, offset=0.0):
    rng = np.random.default_rng(sum(shape))
    n, c, *space = shape
    x = rng.normal(offset, 2, shape).astype(np.float32)
    gamma, beta = rng.uniform(-1.5, 1.5, c).astype(np.float32), rng.normal(0, 0.5, c).astype(np.float32)
    if residual_channels is None:
        return x, gamma, beta, None
    return x, gamma, beta, rng.normal(0, 1, (n, residual_channels or c, *space)).astype(np.float32)


def cell_of(kind, channels, act, last, gamma, beta):
    cell = (InstanceNorm if kind == "instance" else BatchNorm)(channels, act, last)
    owner = cell if kind == "instance" else cell.bn2d
    owner.gamma.set_data(ms.Tensor(gamma))
    owner.beta.set_data(ms.Tensor(beta))
    cell.set_train(kind != "given")
    return cell


def result_and_gradients(cell, x, residual, weights):
    """y, and the gradients of sum(y * weights) for x, [residual,] gamma and beta."""
    inputs = [ms.Tensor(v) for v in (x, residual) if v is not None]
    y = cell(*inputs).asnumpy()
    weigh = ms.Tensor(weights)

    def total(*values):
        return (cell(*values) * weigh).sum()

    grads, of_weights = ms.grad(total, tuple(range(len(inputs))), list(cell.trainable_params()))(*inputs)
    grads = grads if isinstance(grads, tuple) else (grads,)
    return y, [g.asnumpy() for g in (*grads, *of_weights)]


@pytest.mark.parametrize("kind", own.KINDS)
@pytest.mark.parametrize(("act", "last", "channels"), FORMS)
@pytest.mark.parametrize("shape", SHAPES[:1])
def test_result_and_gradients(kind, act, last, channels, shape):
    check(kind, act, last, channels, shape)


@pytest.mark.parametrize("kind", own.KINDS)
@pytest.mark.parametrize("shape", SHAPES[1:])
def test_other_shapes(kind, shape):
    check(kind, "elu", "elu", 0, shape)


def check(kind, act, last, channels, shape):
    x, gamma, beta, residual = make(shape, channels)
    weights = np.random.default_rng(9).standard_normal(shape).astype(np.float32)
    y, grads = result_and_gradients(cell_of(kind, shape[1], act, last, gamma, beta), x, residual, weights)
    inputs = [v.astype(np.float64) for v in (x, residual, gamma, beta) if v is not None]

    def total(values):
        x, *rest = values
        r = rest.pop(0) if residual is not None else None
        given = np.zeros(shape[1]), np.ones(shape[1])
        return reference(kind, act, last, x, *rest, r, given)[0]

    assert np.abs(y - total(inputs)).max() < 3e-6
    rng = np.random.default_rng(5)
    for i, grad in enumerate(grads):  # along one direction, few voxels of which cross a kink
        direction, step = rng.standard_normal(inputs[i].shape), 1e-6
        ends = [[v + s * direction if j == i else v for j, v in enumerate(inputs)] for s in (step, -step)]
        want = ((total(ends[0]) - total(ends[1])) * weights).sum() / (2 * step)
        scale = np.abs(grad * direction).sum() + 1e-3
        assert abs((grad * direction).sum() - want) < 1e-5 * scale, (i, want)


@pytest.mark.parametrize("kind", own.KINDS)
@pytest.mark.parametrize(("act", "last", "channels"), [("elu", "none", None), ("elu", "elu", 0), ("none", "elu", 1)])
@pytest.mark.parametrize("mode", [ms.GRAPH_MODE, ms.PYNATIVE_MODE])
def test_equals_mindspores_own(kind, act, last, channels, mode):
    ms.set_context(mode=mode)
    shape = (2, 4, 3, 6, 7)
    x, gamma, beta, residual = make(shape, channels)
    weights = np.random.default_rng(9).standard_normal(shape).astype(np.float32)
    cells = [cell_of(kind, 4, act, last, gamma, beta)]
    with exportable():
        cells.append(cell_of(kind, 4, act, last, gamma, beta))
    assert [cell.fused for cell in cells] == [True, False]
    assert [p.name for p in cells[0].get_parameters()] == [p.name for p in cells[1].get_parameters()]
    (y, grads), (want, wanted) = (result_and_gradients(cell, x, residual, weights) for cell in cells)
    assert np.abs(y - want).max() < 1e-5
    for grad, want in zip(grads, wanted, strict=True):
        assert np.abs(grad - want).max() < 1e-5 * max(np.abs(want).max(), 1)


def test_running_statistics_are_kept_as_mindspore_keeps_them():
    x, gamma, beta, _ = make((2, 3, 5, 7, 9), None, offset=5)
    kept = []
    for place in (nullcontext, exportable):
        with place():
            cell = cell_of("batch", 3, "elu", "none", gamma, beta)
        for factor in (1, 3):
            cell(ms.Tensor(x * factor))
        kept.append([p.asnumpy() for p in (cell.bn2d.moving_mean, cell.bn2d.moving_variance)])
        cell.set_train(False)
        kept[-1].append(cell(ms.Tensor(x)).asnumpy())
    for ours, theirs in zip(*kept, strict=True):
        assert np.allclose(ours, theirs, rtol=2e-5, atol=2e-5)


def test_a_large_mean_costs_no_digits():
    x, gamma, beta, _ = make((1, 2, 32, 32, 33), None, offset=1000)
    y = cell_of("instance", 2, "none", "none", gamma, beta)(ms.Tensor(x)).asnumpy()
    want = reference("instance", "none", "none", x.astype(np.float64), gamma, beta, None)[0]
    assert np.abs(y - want).max() < 1e-4  # the mean itself is rounded to 6e-5


def test_elu_is_exact_to_float32_near_0_and_far_below():
    z = np.concatenate([-np.logspace(-30, 2, 4001), np.linspace(-2, 2, 4001), [-np.inf]]).astype(np.float32)
    x = z.reshape(1, 1, 1, 1, -1)
    op, numbers = own.normalisation(own.Form("given", "elu", epsilon=0), False)
    one, zero = ms.Tensor([1.0], ms.float32), ms.Tensor([0.0], ms.float32)
    y = op(numbers, ms.Tensor(x), one, zero, zero, one)[0].asnumpy().ravel()
    want = activate("elu", z.astype(np.float64))
    assert np.abs(y - want).max() < 1.2e-7
    assert (np.abs(y - want) <= 3e-7 * np.abs(want)).all()


@pytest.mark.parametrize("kind", own.KINDS)
def test_what_is_not_finite_stays_so(kind):
    x, gamma, beta, residual = make((1, 2, 3, 4, 5), 0)
    x[0, 0, 0, 0, 0] = np.nan
    y = cell_of(kind, 2, "elu", "elu", gamma, beta)(ms.Tensor(x), ms.Tensor(residual)).asnumpy()
    assert np.isnan(y[0, 0, 0, 0, 0])
    assert np.isfinite(y[0, 1]).all()


def test_two_runs_are_equal_to_the_bit():
    x, gamma, beta, residual = make((2, 3, 15, 17, 19), 0)
    runs = [result_and_gradients(cell_of("batch", 3, "elu", "elu", gamma, beta), x, residual, x) for _ in range(2)]
    assert np.array_equal(runs[0][0], runs[1][0])
    assert all(np.array_equal(a, b) for a, b in zip(runs[0][1], runs[1][1], strict=True))


def test_float16_uses_mindspores_operators():
    cell = BatchNorm(2, "elu")
    cell.to_float(ms.float16)
    assert cell(ms.Tensor(np.ones((1, 2, 3, 3, 3), np.float16))).dtype == ms.float16


def test_what_does_not_fit_is_an_error():
    cell = BatchNorm(2, "elu", "elu")
    x = ms.Tensor(np.ones((1, 2, 3, 3, 3), np.float32))
    with pytest.raises(ValueError, match=r"input must be \(N, 2, space\.\.\.\)"):
        cell(ms.Tensor(np.ones((1, 3, 3, 3, 3), np.float32)))
    with pytest.raises(ValueError, match="residual must have the shape"):
        cell(x, ms.Tensor(np.ones((1, 2, 3, 3, 1), np.float32)))
    with pytest.raises(ValueError, match="activation must be"):
        BatchNorm(2, "gelu")


@pytest.mark.parametrize("kind", own.KINDS)
@pytest.mark.parametrize(("act", "last", "residual_channels"), FORMS)
def test_blocked_tensors(kind, act, last, residual_channels):
    shape = (3, 32, 5, 7, 137)  # more voxels than one part has
    values = make(shape, residual_channels)
    weights = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    x, gamma, beta, residual = values
    plain, in_blocks = (cell_of(kind, 32, act, last, gamma, beta) for _ in range(2))
    in_blocks.choose_layout(True)
    want, gradients = result_and_gradients(plain, x, residual, weights)
    blocked_residual = residual if residual is None or residual_channels else to_blocks(residual)
    got, blocked = result_and_gradients(in_blocks, to_blocks(x), blocked_residual, to_blocks(weights))
    assert np.allclose(from_blocks(got), want, rtol=1e-5, atol=1e-5)
    for a, b in zip(blocked, gradients, strict=True):
        a = from_blocks(a) if a.shape == shape else a
        assert np.abs(a - b).max() <= 2e-5 * np.abs(b).max()


@pytest.mark.parametrize("size", [(41, 160, 160), (41, 160, 161)], ids=["past the caches", "not in 16s"])
@pytest.mark.parametrize("residual_channels", [None, 0])
def test_a_result_larger_than_the_caches(size, residual_channels):
    """Equals that of its halves to the bit, which are written through the caches."""
    x, gamma, beta, residual = make((1, 16, *size), residual_channels)
    assert x.nbytes > 64 << 20
    cell = cell_of("given", 16, "elu", "none", gamma, beta)

    def run(part):
        return cell(*(ms.Tensor(np.ascontiguousarray(v[part])) for v in (x, residual) if v is not None)).asnumpy()

    whole = run(np.s_[:])
    for part in (np.s_[:, :, :20], np.s_[:, :, 20:]):
        assert (whole[part] == run(part)).all()
