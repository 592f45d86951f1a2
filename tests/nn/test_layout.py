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
    """Logits, and the gradients of a weighted sum of them for every weight."""
    logits = network(*inputs)
    weigh = ms.Tensor(np.random.default_rng(1).normal(size=logits.shape).astype(np.float32))

    def total(*values):
        return (network(*values) * weigh).sum()

    gradients = ms.grad(total, None, network.trainable_params())(*inputs)
    return [logits.asnumpy(), *[gradient.asnumpy() for gradient in gradients]]


def assert_same(ours, own):
    for got, want in zip(ours, own, strict=True):
        assert got.shape == want.shape
        assert np.abs(got - want).max() <= 1e-4 * max(np.abs(want).max(), 1e-3)


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


def test_unet_blocked_equals_plain(ms):
    from mindvoxel.nn.layout import lay_plain

    network, plain = _unet((16, 32)), _unet((16, 32))
    lay_plain(plain)
    assert is_blocked(network) and not is_blocked(plain)
    for parameter, same in zip(network.get_parameters(), plain.get_parameters(), strict=True):
        same.set_data(parameter)
    inputs = [ms.Tensor(np.random.default_rng(0).normal(size=(3, 1, 6, 10, 18)).astype(np.float32))]
    blocked = results(network, inputs, ms)
    again = results(network, inputs, ms)
    assert all(a.tobytes() == b.tobytes() for a, b in zip(blocked, again, strict=True))
    assert_same(blocked, results(plain, inputs, ms))


def _unet(widths):
    """Every cell that knows of blocks: strided, transposed with bias, two in one, a head."""
    from mindspore import nn, ops

    from mindvoxel.nn.conv import Conv3d, Conv3dTranspose
    from mindvoxel.nn.layout import channel_blocks
    from mindvoxel.nn.norm import InstanceNorm3d

    class Net(nn.Cell):
        def __init__(self):
            super().__init__()
            a, b = widths
            form = {"weight_init": "he_normal", "padding": 1}
            with channel_blocks(widths, (1, 3)):
                self.first = nn.SequentialCell([Conv3d(1, a, 3, **form), InstanceNorm3d(a, "leaky_relu")])
                self.down = nn.SequentialCell([Conv3d(a, b, 3, stride=2, **form), InstanceNorm3d(b, "elu")])
                self.up = Conv3dTranspose(b, a, 2, weight_init="he_normal", has_bias=True)
                self.join = nn.SequentialCell([Conv3d(2 * a, a, 3, **form), InstanceNorm3d(a, "leaky_relu")])
                self.head = Conv3d(a, 3, 1, weight_init="he_normal", has_bias=True)

        def construct(self, x):
            x = self.first(x)
            return self.head(self.join(ops.concat((self.up(self.down(x)), x), 1)))

    return Net()


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
