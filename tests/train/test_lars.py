"""LARS beside a loop of its formula in NumPy, and what it leaves alone."""

import numpy as np
import pytest

from .test_optim import Holder

RATES = [2.0, 1.0, 4.0, 0.5, 0.0]
DECAY = 0.02


@pytest.fixture(scope="module")
def ms(cpu):
    import mindspore

    return mindspore


def parameters_of(ms, zero=False) -> list:
    rng = np.random.default_rng(3)
    shapes = {"conv.weight": (3, 2, 3), "norm.bn2d.gamma": (3,), "norm.bn2d.beta": (3,), "head.bias": (5,)}
    values = {name: rng.normal(size=shape) * (0 if zero else 2) for name, shape in shapes.items()}
    return [ms.Parameter(ms.Tensor(value, ms.float32), name=name) for name, value in values.items()]


def gradients_of(step: int, parameters: list) -> list[np.ndarray]:
    return [np.cos(np.arange(p.size) + step).reshape(p.shape) * (1 + step) for p in parameters]


def by_hand(values: list[np.ndarray], names: list[str], steps) -> list[np.ndarray]:
    values, velocities = [v.astype(np.float64) for v in values], [np.zeros(v.shape) for v in values]
    for step in steps:
        for i, grad in enumerate(gradients_of(step, values)):
            w = values[i]
            if names[i] == "conv.weight":
                length, steepness = np.linalg.norm(w), np.linalg.norm(grad)
                grad = 0.001 * length / (steepness + DECAY * length) * (grad + DECAY * w)
            velocities[i] = 0.9 * velocities[i] - RATES[step] * grad
            values[i] = w + velocities[i]
    return values


def go(ms, parameters, optimizer, steps) -> None:
    for step in steps:
        optimizer(tuple(ms.Tensor(g, ms.float32) for g in gradients_of(step, parameters)))


def test_steps_as_the_formula(ms):
    from mindvoxel.train.lars import lars

    parameters = parameters_of(ms)
    wanted = by_hand([p.asnumpy() for p in parameters], [p.name for p in parameters], range(5))
    before = parameters[0].asnumpy().copy()
    go(ms, parameters, lars(parameters, RATES, weight_decay=DECAY), range(5))
    for parameter, value in zip(parameters, wanted, strict=True):
        assert np.abs(parameter.asnumpy() - value).max() < 2e-5 * max(np.abs(value).max(), 1), parameter.name
    assert np.abs(parameters[0].asnumpy() - before).max() > 1e-3


def test_the_first_step_of_a_layer_is_a_share_of_its_length(ms):
    from mindvoxel.train.lars import lars

    (weight, *_) = parameters = parameters_of(ms)
    before = weight.asnumpy().copy()
    go(ms, parameters, lars(parameters, [3.0]), range(1))
    step = np.linalg.norm(weight.asnumpy() - before)
    assert step == pytest.approx(0.003 * np.linalg.norm(before), rel=1e-4)


def test_without_a_length_it_is_a_plain_step(ms):
    from mindvoxel.train.lars import lars

    parameters = parameters_of(ms, zero=True)
    go(ms, parameters, lars(parameters, [0.5], weight_decay=DECAY), range(1))
    for parameter, grad in zip(parameters, gradients_of(0, parameters), strict=True):
        assert np.allclose(parameter.asnumpy(), -0.5 * grad, atol=1e-6)
    parameters = parameters_of(ms)
    before = [p.asnumpy().copy() for p in parameters]
    lars(parameters, [0.5], weight_decay=DECAY)(tuple(ms.ops.zeros_like(p) for p in parameters))
    assert np.allclose(parameters[0].asnumpy(), (1 - 0.5 * DECAY) * before[0], atol=1e-6)
    assert all(np.array_equal(p.asnumpy(), b) for p, b in zip(parameters[1:], before[1:], strict=True))


def test_its_state_goes_through_a_checkpoint(ms, tmp_path):
    from mindvoxel.train import checkpoint
    from mindvoxel.train.lars import lars

    whole, first, second = (parameters_of(ms) for _ in range(3))
    go(ms, whole, lars(whole, RATES, weight_decay=DECAY), range(5))
    optimizer = lars(first, RATES, weight_decay=DECAY)
    go(ms, first, optimizer, range(2))
    checkpoint.save(path := tmp_path / "last.ckpt", Holder(first), {}, optimizer)
    _, values = checkpoint.load(path)
    again = lars(second, RATES, weight_decay=DECAY)
    checkpoint.load_network(Holder(second), values, path)
    checkpoint.load_optimizer(again, Holder(second), values, path)
    go(ms, second, again, range(2, 5))
    assert all(np.array_equal(a.asnumpy(), b.asnumpy()) for a, b in zip(whole, second, strict=True))
