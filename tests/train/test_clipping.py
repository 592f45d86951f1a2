"""The step of a deep-supervised U-Net: long gradients are shortened, what is not finite is not applied."""

import numpy as np
import pytest


@pytest.fixture(scope="module")
def ms(cpu):
    import mindspore

    return mindspore


def step_of(ms, max_norm, form="nnunet_v2", axes=2):
    """A step of plain gradient descent at rate 1, so that the weights' change is the gradient."""
    from mindvoxel.losses import DeepSupervision, DiceCELoss, nnunet_weights, nvidia_weights
    from mindvoxel.train.optim import sgd
    from mindvoxel.train.step import TrainStep
    from unet3d.network import build

    ms.set_seed(1)
    np.random.seed(1)  # noqa: NPY002 - MindSpore's initialisers draw from NumPy's global generator
    strides, kernels = ((1,) * axes, (2,) * axes, (2,) * axes), ((3,) * axes,) * 3
    network = build(1, 3, strides, kernels, (4, 8, 8), form=form, deep_supervision=True)
    weights = nvidia_weights if form == "nvidia" else nnunet_weights
    loss = DeepSupervision(DiceCELoss(batch_dice=False), weights(network.num_heads))
    optimizer = sgd(network.trainable_params(), [1.0] * 20, momentum=1e-9, nesterov=False)
    return TrainStep(network, loss, optimizer, max_norm=max_norm)


def batch(ms, axes=2):
    rng = np.random.default_rng(0)
    label = rng.integers(0, 3, (2, *(8, 16, 8)[:axes])).astype(np.int16)
    return ms.Tensor(label[:, None].astype(np.float32)), ms.Tensor(label)


def values(step) -> np.ndarray:
    return np.concatenate([p.asnumpy().ravel() for p in step.weights])


def change(ms, step, scale=None):
    before = values(step)
    loss, finite = step(*batch(ms), None, scale)
    assert bool(finite.asnumpy())
    return values(step) - before, float(loss.asnumpy())


@pytest.mark.parametrize("own", [True, False])
def test_long_gradients_are_shortened_and_short_ones_kept(ms, own):
    whole, _ = change(ms, step_of(ms, None))
    length = np.linalg.norm(whole)
    for share in (0.5, 2.0):
        step = step_of(ms, float(share * length))
        if not own:
            step.norm = None  # as on other devices
        clipped, _ = change(ms, step)
        assert np.linalg.norm(clipped) == pytest.approx(min(share, 1) * length, rel=1e-4)
        assert np.allclose(clipped, whole * min(share, 1), atol=1e-5 * length)


def test_the_loss_scale_does_not_count(ms):
    whole, loss = change(ms, step_of(ms, None))
    limit = float(0.5 * np.linalg.norm(whole))
    clipped, _ = change(ms, step_of(ms, limit))
    scaled, again = change(ms, step_of(ms, limit), ms.Tensor(1024.0, ms.float32))
    assert np.allclose(clipped, scaled, atol=1e-5)
    assert again == pytest.approx(loss, rel=1e-5)


@pytest.mark.parametrize("own", [True, False])
def test_gradients_that_are_not_finite_change_no_weight(ms, own):
    step = step_of(ms, 12.0)
    if not own:
        step.norm = None
    before = values(step)
    image, label = batch(ms)
    _, finite = step(image * float("inf"), label, None, None)
    assert not bool(finite.asnumpy())
    assert np.array_equal(before, values(step))


@pytest.mark.parametrize(("form", "axes"), [("nnunet_v1", 3), ("nnunet_v2", 2), ("nvidia", 3)])
def test_every_form_learns(ms, form, axes):
    step = step_of(ms, 1.0, form, axes)
    losses = [float(step(*batch(ms, axes), None, None)[0].asnumpy()) for _ in range(12)]
    assert losses[-1] < 0.7 * losses[0]
