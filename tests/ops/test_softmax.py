"""The sums over a softmax, and the loss made of them, against NumPy in float64 and MindSpore's own operators."""

import mindspore as ms
import numpy as np
import pytest

from mindvoxel.losses import DiceCELoss
from mindvoxel.ops import library
from mindvoxel.ops.softmax import most_classes, softmax_sums


@pytest.fixture(autouse=True)
def _cpu(cpu):
    if most_classes() == 0:
        pytest.skip(f"the operator is not built ({library.BUILD_COMMAND}), or there is no AVX-512")


SHAPES = [(2, 3, 5, 7, 9), (1, 2, 1, 1, 3), (3, 32, 2, 3, 4), (1, 4, 11, 13, 17), (2, 1, 3, 3, 3)]


def make(shape, scale=3.0):
    rng = np.random.default_rng(sum(shape))
    logits = rng.normal(0, scale, shape).astype(np.float32)
    return logits, rng.integers(0, shape[1], (shape[0], *shape[2:])).astype(np.int32)


def reference(logits, label):
    """The sums in float64."""
    logits = logits.astype(np.float64)
    shifted = logits - logits.max(1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
    truth = np.moveaxis(np.arange(logits.shape[1]) == label[..., None], -1, 1)
    parts = [(np.exp(log_p) * truth), np.exp(log_p), truth]
    cross_entropy = -(log_p * truth).sum((1, 2, 3, 4))
    return np.concatenate([cross_entropy[:, None], *(part.sum((2, 3, 4)) for part in parts)], 1)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("scale", [1.0, 60.0])
def test_sums_and_gradient(shape, scale):
    logits, label = make(shape, scale)
    op, weights = softmax_sums(), np.random.default_rng(1).standard_normal((shape[0], 1 + 3 * shape[1]))
    weigh = ms.Tensor(weights, ms.float32)
    got = op(ms.Tensor(logits), ms.Tensor(label)).asnumpy()
    want = reference(logits, label)
    assert np.allclose(got, want, rtol=2e-6, atol=2e-5)
    truth = ms.Tensor(label)

    def total(x):
        return (op(x, truth) * weigh).sum()

    grad = ms.grad(total)(ms.Tensor(logits)).asnumpy()
    direction, step = np.random.default_rng(2).standard_normal(shape), 1e-6
    ends = [reference(logits + sign * direction, label) for sign in (step, -step)]
    want = ((ends[0] - ends[1]) * weights).sum() / (2 * step)
    assert abs((grad * direction).sum() - want) < 1e-5 * (np.abs(grad * direction).sum() + 1)


def loss_and_gradient(loss, logits, label):
    value, grad = ms.value_and_grad(loss)(ms.Tensor(logits), ms.Tensor(label))
    return float(value.asnumpy()), grad.asnumpy()


@pytest.mark.parametrize("shape", [*SHAPES[:4], (1, 33, 2, 3, 5)])
def test_loss_equals_mindspores_own(shape):
    logits, label = make(shape)
    label[0, 0, 0, 0] = 255  # no class
    own = DiceCELoss()
    own.most_classes = 0
    (got, grad), (want, wanted) = (loss_and_gradient(loss, logits, label) for loss in (DiceCELoss(), own))
    assert got == pytest.approx(want, rel=3e-6)
    assert np.abs(grad - wanted).max() < 1e-5 * max(np.abs(wanted).max(), 1e-2)


def test_two_runs_are_equal_to_the_bit():
    logits, label = make((2, 3, 31, 33, 35))
    runs = [loss_and_gradient(DiceCELoss(), logits, label) for _ in range(2)]
    assert runs[0][0] == runs[1][0]
    assert np.array_equal(runs[0][1], runs[1][1])


def test_what_is_not_finite_stays_so():
    logits, label = make((1, 3, 3, 4, 5))
    logits[0, 1, 1, 1, 1] = np.nan
    assert np.isnan(loss_and_gradient(DiceCELoss(), logits, label)[0])


def test_a_label_of_another_shape_is_an_error():
    with pytest.raises(ValueError, match="label must have the logits' shape without classes"):
        softmax_sums()(ms.Tensor(np.ones((1, 2, 3, 4), np.float32)), ms.Tensor(np.ones((1, 3, 5), np.int32)))
