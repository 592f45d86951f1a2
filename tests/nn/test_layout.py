"""Blocked tensors between cells: the same results and gradients as in plain order."""

import numpy as np
import pytest

pytestmark = pytest.mark.usefixtures("cpu")


@pytest.fixture
def ms(cpu):
    import mindspore

    from mindvoxel.ops.norm import is_usable

    if not is_usable():
        pytest.skip("the operators are not built, or there is no AVX-512")
    mindspore.set_context(mode=mindspore.GRAPH_MODE)
    return mindspore


def is_blocked(network):
    return any(getattr(cell, "blocked", False) for _, cell in network.cells_and_names())


def copy_weights(source, target, rng, ms):
    """The same random weights in both."""
    names = dict(target.parameters_and_names())
    for name, parameter in source.parameters_and_names():
        middle = 1.0 if name.endswith(("gamma", "variance")) else 0.0
        value = (middle + 0.03 * rng.normal(size=parameter.shape)).astype(np.float32)
        parameter.set_data(ms.Tensor(value))
        names[name].set_data(ms.Tensor(value))


def results(network, inputs, ms):
    """Logits of every head, and the gradients of a weighted sum of them for every weight."""
    logits = network(*inputs)
    heads = logits if isinstance(logits, tuple) else (logits,)
    rng = np.random.default_rng(1)
    weigh = [ms.Tensor(rng.normal(size=head.shape).astype(np.float32)) for head in heads]

    def total(*values):
        logits = network(*values)
        heads = logits if isinstance(logits, tuple) else (logits,)
        terms = 0.0
        for i in range(len(weigh)):
            terms = terms + (heads[i] * weigh[i]).sum()
        return terms

    gradients = ms.grad(total, None, network.trainable_params())(*inputs)
    return [value.asnumpy() for value in (*heads, *gradients)]


def assert_same(ours, own, smallest=1e-3):
    """Within 1e-4 of the largest value; of `smallest` where all are smaller."""
    for got, want in zip(ours, own, strict=True):
        assert got.shape == want.shape
        assert np.abs(got - want).max() <= 1e-4 * max(np.abs(want).max(), smallest)


@pytest.mark.parametrize("training", [True, False])
def test_vnet_blocked_equals_mindspores_own_operators(ms, training):
    from mindvoxel.nn.exporting import exportable
    from mindvoxel.zoo import build_network

    form = {"width": 16, "down_convs": (1, 1, 1), "up_convs": (1, 1, 1)}
    ours = build_network("vnet", **form)
    with exportable():
        own = build_network("vnet", **form)
    assert is_blocked(ours) and not is_blocked(own)
    rng = np.random.default_rng(0)
    copy_weights(ours, own, rng, ms)
    x = rng.normal(size=(2, 1, 8, 24, 16)).astype(np.float32)
    noise = rng.uniform(size=(2, ours.noise_channels)).astype(np.float32)
    inputs = [ms.Tensor(x), ms.Tensor(noise)]
    assert_same(*(results(network.set_train(training), inputs, ms) for network in (ours, own)))


STAGES_3D = (((1, 1, 1), (1, 2, 2), (2, 2, 1)), ((1, 3, 3), (3, 3, 3), (3, 3, 3)), (16, 32, 48))
STAGES_2D = (((1, 1), (2, 2), (2, 1)), ((3, 3), (3, 3), (1, 3)), (16, 32, 48))


@pytest.mark.parametrize(
    ("stages", "form"),
    [
        (STAGES_3D, {"norm": "instance"}),
        (STAGES_3D, {"norm": "batch", "negative_slope": 0.3, "form": "nvidia"}),
        (STAGES_2D, {"norm": "instance", "negative_slope": 0.3}),
        (STAGES_2D, {"norm": "none", "form": "nnunet_v1"}),
    ],
)
def test_unet_blocked_equals_plain(ms, stages, form):
    from mindvoxel.nn.layout import lay_plain
    from unet3d.network import build

    network, plain = (build(2, 3, *stages, deep_supervision=True, **form) for _ in range(2))
    lay_plain(plain)
    assert is_blocked(network) and not is_blocked(plain)
    rng = np.random.default_rng(0)
    copy_weights(network, plain, rng, ms)
    shape = (3, 2, 8, 12, 20)[: len(stages[0][0]) + 2]
    inputs = [ms.Tensor(rng.normal(size=shape).astype(np.float32))]
    for either in (network, plain):
        either.set_train()
    blocked = results(network, inputs, ms)
    again = results(network, inputs, ms)
    assert all(a.tobytes() == b.tobytes() for a, b in zip(blocked, again, strict=True))
    assert_same(blocked, results(plain, inputs, ms), smallest=1)  # a bias before a norm: 0 but for rounding


def test_group_norm_lies_plain(ms):
    from mindvoxel.nn.layout import channel_blocks
    from mindvoxel.nn.norm import GroupNorm
    from unet3d.network import build

    assert not is_blocked(build(1, 3, ((1, 1), (2, 2)), ((3, 3), (3, 3)), (32, 64), norm="group"))
    with channel_blocks((32,), (1,)), pytest.raises(ValueError, match="group norm takes no blocked tensors"):
        GroupNorm(32)


@pytest.mark.parametrize(
    ("inner", "outer", "want"),
    [((16, 48), (1, 3), True), ((16, 24), (1, 3), False), ((16,), (1, 32), False), ((), (1, 2), False)],
)
def test_when_channels_lie_in_blocks(ms, inner, outer, want):
    from mindvoxel.nn.layout import channel_blocks, is_open

    with channel_blocks(inner, outer):
        assert is_open() == want
    assert not is_open()


def test_other_precisions_lie_plain(ms):
    from mindvoxel.train.step import mixed_precision
    from mindvoxel.zoo import build_network

    network = build_network("vnet", width=16, down_convs=(1,), up_convs=(1,))
    assert is_blocked(network)
    network.to_float(ms.float16)
    with pytest.raises(ValueError, match="float32 only"):
        network(ms.Tensor(np.ones((1, 1, 4, 4, 4), np.float32)))
    mixed_precision(network, "O2")
    assert not is_blocked(network)
    assert network(ms.Tensor(np.ones((1, 1, 4, 4, 4), np.float32))).shape == (1, 2, 4, 4, 4)
