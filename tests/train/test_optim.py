"""Optimisers step by step: PyTorch 2.13's numbers, weight decay by system, lookahead by hand, state in checkpoints."""

import numpy as np
import pytest

# After steps 1, 5, 6 and 9: weights 0, 3 and 6 of w, then n.beta; torch.optim in float64, see `run`.
TORCH = {
    "sgd": [
        [-0.801, -0.028083, 0.856604, 0.301, -2.0],
        [-0.601987, 0.170956, 0.263498, -0.218416, -2.076338],
        [-0.504441, 0.146338, 0.214693, -0.331641, -2.109094],
        [-0.326777, 0.140109, 0.049364, -0.656351, -2.237169],
    ],
    "sgd_plain": [
        [-0.9, -0.014112, 0.927942, 0.4, -2.0],
        [-0.733702, 0.121353, 0.493424, 0.04679, -2.04679],
        [-0.663267, 0.112679, 0.440164, -0.031303, -2.068697],
        [-0.505702, 0.098482, 0.310709, -0.245089, -2.154911],
    ],
    "sgd_decay": [
        [-0.79503, -0.028083, 0.850634, 0.298015, -1.98806],
        [-0.586733, 0.170494, 0.249158, -0.22523, -2.033321],
        [-0.487874, 0.145572, 0.199644, -0.338633, -2.059256],
        [-0.307841, 0.138501, 0.03361, -0.662619, -2.167553],
    ],
    "adam": [
        [-0.9, -0.1, 0.9, 0.4, -2.0],
        [-0.814195, -0.015435, 0.778213, 0.271667, -2.104643],
        [-0.799984, -0.015707, 0.766502, 0.255, -2.120073],
        [-0.769996, -0.014058, 0.739278, 0.217103, -2.156618],
    ],
    "adam_decay": [
        [-0.9, -0.1, 0.9, 0.4, -1.9],
        [-0.811612, -0.015375, 0.777897, 0.271688, -1.946401],
        [-0.797272, -0.01562, 0.766034, 0.255027, -1.960817],
        [-0.766953, -0.013923, 0.73847, 0.21715, -1.996026],
    ],
    "radam": [
        [-0.9, -0.014112, 0.927942, 0.4, -2.0],
        [-0.839589, 0.037476, 0.765387, 0.271667, -2.014696],
        [-0.839221, 0.037435, 0.765087, 0.271236, -2.015095],
        [-0.838078, 0.037412, 0.764046, 0.269794, -2.016488],
    ],
    "radam_decay": [
        [-0.897, -0.014112, 0.924942, 0.3985, -1.994],
        [-0.833372, 0.037481, 0.75916, 0.268584, -2.001011],
        [-0.833001, 0.03744, 0.758857, 0.268154, -2.001382],
        [-0.831847, 0.037415, 0.757807, 0.266713, -2.002724],
    ],
}


@pytest.fixture(scope="module")
def ms(cpu):
    import mindspore

    return mindspore


def makers():
    from mindvoxel.train.optim import adam, radam, sgd

    def with_decay(make, **form):
        return lambda parameters, rates: make(parameters, rates, weight_decay=0.03, **form)

    return {
        "sgd": sgd,
        "sgd_plain": lambda parameters, rates: sgd(parameters, rates, momentum=0.9, nesterov=False),
        "sgd_decay": with_decay(sgd),
        "adam": adam,
        "adam_decay": with_decay(adam),
        "radam": radam,
        "radam_decay": with_decay(radam),
        "radam_decay_no_norms": with_decay(radam, decay_norms=False),
    }


def parameters_of(ms) -> list:
    w = ms.Parameter(ms.Tensor(np.linspace(-1, 1, 7), ms.float32), name="w")
    return [w, ms.Parameter(ms.Tensor([0.5, -2.0], ms.float32), name="n.beta")]


def gradient(ms, parameters, step):
    w = (np.sin(np.arange(7) + step) + parameters[0].asnumpy()).astype(np.float32)
    return ms.Tensor(w), ms.Tensor([1.0, 0.1 * step], ms.float32)


def run(ms, make, steps=9, rate=0.1):
    """Weights after each step of rate 0.1 / step."""
    parameters = parameters_of(ms)
    optimizer = make(parameters, [rate / (i + 1) for i in range(steps)])
    seen = []
    for step in range(steps):
        optimizer(gradient(ms, parameters, step))
        seen.append(np.concatenate([p.asnumpy() for p in parameters]))
    return np.array(seen)


@pytest.mark.parametrize("name", TORCH)
def test_step_by_step_as_pytorch(ms, name):
    got = run(ms, makers()[name])[[0, 4, 5, 8]][:, [0, 3, 6, 7, 8]]
    assert np.abs(got - TORCH[name]).max() < 3e-6


@pytest.mark.parametrize("name", ["sgd", "sgd_plain", "sgd_decay"])
def test_sgd_without_the_operator_is_the_same(ms, monkeypatch, name):
    from mindvoxel.train import optim

    monkeypatch.setattr(optim, "sgd_operator", lambda parameters: None)
    got = run(ms, makers()[name])[[0, 4, 5, 8]][:, [0, 3, 6, 7, 8]]
    assert np.abs(got - TORCH[name]).max() < 3e-6


def test_state_of_earlier_versions_is_read(ms):
    from mindvoxel.train import checkpoint
    from mindvoxel.train.optim import sgd

    parameters = parameters_of(ms)
    optimizer = sgd(parameters, [0.1] * 3)
    names = [p.name for p in optimizer.get_parameters()]
    assert not {"momentum", "stat.w"} & set(names)
    own = {n: ms.Parameter(ms.Tensor(np.full(7, 3, np.float32)), name=n) for n in ("accum.w", "stat.w", "momentum")}
    own["accum.n.beta"] = ms.Parameter(ms.Tensor([4.0, 5.0], ms.float32), name="accum.n.beta")
    own["global_step"] = ms.Parameter(ms.Tensor([2], ms.int32), name="global_step")
    checkpoint.load_optimizer(optimizer, Holder(parameters), {f"optimizer:{n}": v for n, v in own.items()}, "old.ckpt")
    assert optimizer.accum[0].asnumpy().tolist() == [3] * 7
    assert optimizer.accum[1].asnumpy().tolist() == [4, 5]


def test_norms_may_be_left_out_of_the_decay(ms):
    got = run(ms, makers()["radam_decay_no_norms"])[[0, 4, 5, 8]][:, [0, 3, 6, 7, 8]]
    assert np.abs(got[:, :3] - np.array(TORCH["radam_decay"])[:, :3]).max() < 3e-6
    assert np.abs(got[:, 3:] - np.array(TORCH["radam"])[:, 3:]).max() < 3e-6


def test_decay_spares_the_norms_of_a_network_and_nothing_else(ms):
    from mindvoxel.train.optim import sgd
    from unet3d.network import build

    network = build(1, 2, ((1, 1), (2, 2)), ((3, 3), (3, 3)), (2, 3))
    parameters = network.trainable_params()
    before = [p.asnumpy() + 1 for p in parameters]
    for p, value in zip(parameters, before, strict=True):
        p.set_data(ms.Tensor(value))
    optimizer = sgd(parameters, [0.5], momentum=0.9, nesterov=False, weight_decay=0.1, decay_norms=False)
    optimizer(tuple(ms.ops.zeros_like(p) for p in parameters))
    for p, value in zip(parameters, before, strict=True):
        is_norm = ".norm." in p.name
        assert np.allclose(p.asnumpy(), value if is_norm else 0.95 * value, atol=1e-6), p.name
    assert {p.name.split(".")[-1] for p in parameters if ".norm." not in p.name} == {"weight", "bias"}


def test_lookahead_by_hand(ms):
    from mindvoxel.train.optim import Lookahead, sgd

    def plain(parameters, rates):
        return sgd(parameters, rates, momentum=0.9, nesterov=False)

    got = run(ms, lambda parameters, rates: Lookahead(plain(parameters, rates), period=3, slow_step=0.25), rate=0.2)
    w, b = np.linspace(-1, 1, 7), np.array([0.5, -2.0])
    fast, velocity = np.concatenate([w, b]), np.zeros(9)
    slow = fast.copy()
    for step in range(9):
        grad = np.concatenate([np.sin(np.arange(7) + step) + fast[:7], [1.0, 0.1 * step]])
        velocity = 0.9 * velocity + grad
        fast = fast - 0.2 / (step + 1) * velocity
        if step % 3 == 2:
            slow = slow + 0.25 * (fast - slow)
            fast = slow
        assert np.abs(got[step] - fast).max() < 2e-6, step


def test_lookahead_starts_from_weights_that_are_loaded_after_it_was_made(ms):
    from mindvoxel.train.optim import Lookahead, sgd

    parameters = parameters_of(ms)
    optimizer = Lookahead(sgd(parameters, [0.0] * 3), period=1)
    parameters[0].set_data(ms.Tensor(np.full(7, 5, np.float32)))
    optimizer(gradient(ms, parameters, 0))
    assert np.array_equal(parameters[0].asnumpy(), np.full(7, 5, np.float32))


class Holder:
    """What a checkpoint wants of a network."""

    def __init__(self, parameters):
        self.parameters = parameters

    def get_parameters(self):
        return iter(self.parameters)


@pytest.mark.parametrize("name", ["sgd_decay", "adam_decay", "radam_decay", "lookahead"])
def test_a_resumed_run_equals_an_undisturbed_one_to_the_bit(ms, tmp_path, name):
    from mindvoxel.train import checkpoint
    from mindvoxel.train.optim import Lookahead

    def make(parameters):
        rates = [0.1 / (i + 1) for i in range(9)]
        if name == "lookahead":
            return Lookahead(makers()["radam_decay"](parameters, rates), period=3)
        return makers()[name](parameters, rates)

    def go(parameters, optimizer, steps):
        for step in steps:
            optimizer(gradient(ms, parameters, step))

    whole, first, second = (parameters_of(ms) for _ in range(3))
    go(whole, make(whole), range(9))
    optimizer = make(first)
    go(first, optimizer, range(4))
    path = tmp_path / "last.ckpt"
    checkpoint.save(path, Holder(first), {}, optimizer)
    _, values = checkpoint.load(path)
    again = make(second)
    checkpoint.load_network(Holder(second), values, path)
    checkpoint.load_optimizer(again, Holder(second), values, path)
    go(second, again, range(4, 9))
    assert all(np.array_equal(a.asnumpy(), b.asnumpy()) for a, b in zip(whole, second, strict=True))
