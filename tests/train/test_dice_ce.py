"""Dice + cross-entropy against NumPy in float64: both systems' switches, finite differences, deep supervision."""

import numpy as np
import pytest

SWITCHES = [(True, False, 1e-5), (False, False, 1e-5), (True, True, 1e-6), (False, True, 1e-2)]


@pytest.fixture(scope="module")
def ms(cpu):
    import mindspore

    return mindspore


@pytest.fixture(params=["operator", "basic"])
def make_loss(ms, request):
    """make_loss(**switches): on the CPU operator, and on MindSpore's operators as on other devices."""
    from mindvoxel.losses import DiceCELoss

    def make(**switches):
        loss = DiceCELoss(**switches)
        if request.param == "basic":
            loss.most_classes = 0
        elif loss.most_classes == 0:
            pytest.skip("the operator is not built, or there is no AVX-512")
        return loss

    return make


def reference(logits, label, batch_dice, background, smooth):
    logits, label = logits.astype(np.float64), np.maximum(label.astype(int), 0)
    shifted = logits - logits.max(1, keepdims=True)
    log_p = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
    truth = np.moveaxis(np.eye(logits.shape[1])[label], -1, 1)
    axes = tuple(range(2, logits.ndim))
    axes = (0, *axes) if batch_dice else axes
    p = np.exp(log_p)
    dice = (2 * (p * truth).sum(axes) + smooth) / (p.sum(axes) + truth.sum(axes) + smooth)
    dice = dice if background else dice[..., 1:]
    return -(log_p * truth).sum() / label.size + 1 - dice.mean()


def made_up(shape, dtype=np.int8):
    rng = np.random.default_rng(sum(shape))
    logits = rng.normal(0, 2, shape).astype(np.float32)
    label = rng.integers(-1, shape[1], (shape[0], *shape[2:])).astype(dtype)
    label[-1][label[-1] == shape[1] - 1] = 0  # the last class is absent from the last sample
    return logits, label


@pytest.mark.parametrize(("batch_dice", "background", "smooth"), SWITCHES)
def test_value_for_every_switch(ms, make_loss, batch_dice, background, smooth):
    loss = make_loss(batch_dice=batch_dice, background=background, smooth=smooth)
    for shape in ((3, 4, 3, 5, 7), (2, 3, 6, 5)):
        logits, label = made_up(shape)
        got = loss(ms.Tensor(logits), ms.Tensor(label))
        assert got.dtype == ms.float32
        assert float(got) == pytest.approx(reference(logits, label, batch_dice, background, smooth), rel=3e-6)


@pytest.mark.parametrize("batch_dice", [True, False])
def test_gradient_by_finite_differences(ms, make_loss, batch_dice):
    switches = {"batch_dice": batch_dice, "background": False, "smooth": 1e-5}
    logits, label = made_up((3, 4, 3, 5, 7), np.int16)
    grad = ms.grad(make_loss(**switches))(ms.Tensor(logits), ms.Tensor(label)).asnumpy()
    rng, step = np.random.default_rng(7), 1e-6
    for _ in range(3):
        direction = rng.standard_normal(logits.shape)
        ends = [reference(logits + sign * step * direction, label, **switches) for sign in (1, -1)]
        want = (ends[0] - ends[1]) / (2 * step)
        assert abs((grad * direction).sum() - want) < 1e-5 * np.abs(grad * direction).sum()


def test_batch_and_sample_dice_by_hand(ms, make_loss):
    # certain and right in the first sample; certain and wrong in the second, which has no foreground: 4 of 4 voxels
    logits = np.zeros((2, 2, 1, 2, 2), np.float32)
    logits[:, 1] = 100
    label = np.array([[[[1, 1], [1, 1]]], [[[0, 0], [0, 0]]]], np.uint8)
    cross_entropy = 100 * 4 / 8
    batch = make_loss(batch_dice=True)(ms.Tensor(logits), ms.Tensor(label))
    assert float(batch) == pytest.approx(cross_entropy + 1 - 2 * 4 / (8 + 4), abs=1e-5)
    sample = make_loss(batch_dice=False)(ms.Tensor(logits), ms.Tensor(label))
    assert float(sample) == pytest.approx(cross_entropy + 1 - (1 + 0) / 2, abs=1e-5)


def test_a_class_that_is_nowhere_costs_nothing_when_it_is_not_predicted(ms, make_loss):
    logits = np.full((1, 3, 2, 2, 2), -200, np.float32)
    logits[:, 0] = 200
    value, grad = ms.value_and_grad(make_loss())(ms.Tensor(logits), ms.Tensor(np.zeros((1, 2, 2, 2), np.int8)))
    assert float(value) == 0  # smooth / smooth is a Dice of 1
    assert np.isfinite(grad.asnumpy()).all()


def test_outside_the_mask_is_background(ms, make_loss):
    logits, label = made_up((2, 3, 4, 4, 4))
    outside = make_loss()(ms.Tensor(logits), ms.Tensor(label))
    assert float(outside) == float(make_loss()(ms.Tensor(logits), ms.Tensor(np.maximum(label, 0))))


def test_float16_logits_are_summed_in_float32(ms, make_loss):
    logits = np.zeros((1, 2, 64, 64, 64), np.float16)  # 131072 probabilities of a half: past float16's largest number
    label = np.ones((1, 64, 64, 64), np.uint8)
    value = make_loss()(ms.Tensor(logits), ms.Tensor(label))
    assert value.dtype == ms.float32
    assert float(value) == pytest.approx(np.log(2) + 1 - 2 * 0.5 / 1.5, abs=1e-5)


def test_weights_of_both_systems():
    from mindvoxel.losses import nnunet_weights, nvidia_weights

    assert nnunet_weights(5) == pytest.approx([8 / 15, 4 / 15, 2 / 15, 1 / 15, 0])
    assert nnunet_weights(2) == (1, 0)
    assert nnunet_weights(1) == (1,)
    assert nvidia_weights(3) == pytest.approx([1 / 1.875, 0.5 / 1.875, 0.25 / 1.875])
    assert sum(nvidia_weights(3)) == pytest.approx(0.9333, abs=1e-4)


@pytest.mark.parametrize("axes", [2, 3])
def test_each_head_sees_the_label_at_its_resolution(ms, axes):
    from mindvoxel.losses import DeepSupervision, DiceCELoss

    rng = np.random.default_rng(3)
    label = rng.integers(0, 3, (2, 4, 8, 8)[: axes + 1]).astype(np.int8)
    sizes = [label.shape[1:], (4, 4, 4)[:axes], (2, 2, 2)[:axes]]
    heads = [rng.normal(0, 1, (2, 3, *size)).astype(np.float32) for size in sizes]
    loss = DeepSupervision(DiceCELoss(), (0.5, 0.25, 0.25))
    want = 0.0
    for weight, head, size in zip((0.5, 0.25, 0.25), heads, sizes, strict=True):
        small = label
        for axis in range(axes):  # the voxel after the middle: 1, 3, 5, … of pairs, 2, 6, … of fours
            f = label.shape[axis + 1] // size[axis]
            small = np.take(small, np.arange(f // 2, label.shape[axis + 1], f), axis + 1)
        want += weight * reference(head, small, True, False, 1e-5)
    got = loss(tuple(ms.Tensor(head) for head in heads), ms.Tensor(label))
    assert float(got) == pytest.approx(want, rel=3e-6)


def test_heads_receive_gradient_by_their_weights(ms):
    from mindvoxel.losses import DeepSupervision, DiceCELoss, nnunet_weights

    logits, label = made_up((2, 3, 4, 4, 4))
    loss = DeepSupervision(DiceCELoss(), nnunet_weights(4))
    truth = ms.Tensor(label)

    def total(a, b, c, d):
        return loss((a, b, c, d), truth)

    grads = [g.asnumpy() for g in ms.grad(total, (0, 1, 2, 3))(*(ms.Tensor(logits) for _ in range(4)))]
    assert np.allclose(grads[0], 2 * grads[1], atol=1e-9)
    assert np.allclose(grads[0], 4 * grads[2], atol=1e-9)
    assert not grads[3].any()


def test_one_weight_a_head(ms):
    from mindvoxel.losses import DeepSupervision, DiceCELoss

    logits, label = made_up((2, 3, 4, 4, 4))
    with pytest.raises(ValueError, match="one weight a head"):
        DeepSupervision(DiceCELoss(), (1.0, 0.5))((ms.Tensor(logits),), ms.Tensor(label))
