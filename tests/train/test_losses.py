"""Dice loss by hand, and its precision."""

import numpy as np
import pytest


@pytest.fixture(scope="module")
def loss(cpu):
    from mindvoxel.losses import ForegroundDiceLoss

    return ForegroundDiceLoss()


def logits_for(probability: np.ndarray) -> np.ndarray:
    """Logits (N, 2, …) whose softmax in channel 1 is `probability`."""
    return np.stack([np.zeros_like(probability), np.log(probability / (1 - probability))], 1)


def test_four_voxels_by_hand(loss):
    import mindspore as ms

    p = np.array([0.9, 0.2, 0.6, 0.5], np.float32).reshape(1, 1, 1, 4)
    g = np.array([1, 0, 1, 0], np.uint8).reshape(1, 1, 1, 4)
    # overlap 1.5; squares .81 + .04 + .36 + .25 = 1.46; truth 2
    want = 1 - 2 * 1.5 / (1.46 + 2 + 1e-5)
    assert float(loss(ms.Tensor(logits_for(p)), ms.Tensor(g))) == pytest.approx(want, abs=1e-6)


def test_one_sum_over_the_batch(loss):
    import mindspore as ms

    p = np.array([[0.9, 0.9], [0.1, 0.1]], np.float32).reshape(2, 1, 1, 2)
    g = np.array([[1, 1], [0, 0]], np.uint8).reshape(2, 1, 1, 2)
    # a case without foreground does not make the loss 1
    want = 1 - 2 * 1.8 / (2 * 0.81 + 2 * 0.01 + 2 + 1e-5)
    assert float(loss(ms.Tensor(logits_for(p)), ms.Tensor(g))) == pytest.approx(want, abs=1e-6)


def test_no_foreground_at_all_is_one_and_finite(loss):
    import mindspore as ms

    logits = ms.Tensor(np.random.default_rng(0).normal(size=(1, 2, 2, 3, 4)).astype(np.float32))
    label = ms.Tensor(np.zeros((1, 2, 3, 4), np.uint8))
    value, grad = ms.value_and_grad(loss)(logits, label)
    assert float(value) == 1.0
    assert np.isfinite(grad.asnumpy()).all()


def test_float16_logits_are_summed_in_float32(loss):
    import mindspore as ms

    p = np.full((1, 64, 64, 64), 0.5, np.float32)  # 65536 squares of 0.25: past float16's largest number
    value = loss(ms.Tensor(logits_for(p).astype(np.float16)), ms.Tensor(np.ones(p.shape, np.uint8)))
    assert value.dtype == ms.float32
    assert float(value) == pytest.approx(1 - 2 * 0.5 / 1.25, abs=1e-4)


def test_smoothed_cross_entropy_by_hand(cpu):
    import mindspore as ms

    from mindvoxel.losses import SmoothedCrossEntropy

    p = np.array([[0.7, 0.2, 0.1], [0.25, 0.25, 0.5]], np.float32)
    label = ms.Tensor([0, 1], ms.int32)
    # a tenth of the label over all three classes: 28/30 for the true one, 1/30 for each other
    want = -np.mean([28 * np.log(0.7) + np.log(0.2) + np.log(0.1), 29 * np.log(0.25) + np.log(0.5)]) / 30
    for shift in (0, 80):  # logits count up to a constant
        got = SmoothedCrossEntropy(0.1)(ms.Tensor(np.log(p) + shift), label)
        assert float(got) == pytest.approx(want, abs=2e-5)
    plain = SmoothedCrossEntropy(0.0)(ms.Tensor(np.log(p)), label)
    assert float(plain) == pytest.approx(-np.mean([np.log(0.7), np.log(0.25)]), abs=1e-6)
    half = SmoothedCrossEntropy(0.1)(ms.Tensor(np.log(p).astype(np.float16)), label)
    assert half.dtype == ms.float32 and float(half) == pytest.approx(want, abs=1e-3)
