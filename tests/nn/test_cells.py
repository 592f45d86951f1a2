"""The shared cells, by hand."""

import numpy as np
import pytest


@pytest.fixture(scope="module")
def ms(cpu):
    import mindspore

    return mindspore


def test_elu_in_both_forms(ms):
    from mindvoxel.nn.activation import Elu
    from mindvoxel.nn.exporting import exportable

    x = np.array([-50.0, -1.0, -1e-3, 0.0, 2.5], np.float32)
    want = np.array([-1.0, np.exp(-1) - 1, np.exp(-1e-3) - 1, 0.0, 2.5], np.float32)
    with exportable():
        for_export = Elu()
    for cell in (Elu(), for_export):
        assert np.allclose(cell(ms.Tensor(x)).asnumpy(), want, atol=1e-6)


def test_elu_gradient_is_one_above_and_exp_below(ms):
    from mindvoxel.nn.activation import Elu

    x = ms.Tensor([-1.0, 3.0], ms.float32)
    assert np.allclose(ms.grad(Elu())(x).asnumpy(), [np.exp(-1), 1.0], atol=1e-6)


def test_prelu_slope_is_along_channels_even_where_the_width_equals_them(ms):
    from mindvoxel.nn.activation import PRelu3d

    cell = PRelu3d(3)
    cell.slope.set_data(ms.Tensor(np.array([0.0, 0.5, 1.0], np.float32).reshape(1, 3, 1, 1, 1)))
    x = -np.ones((1, 3, 1, 2, 3), np.float32)
    out = cell(ms.Tensor(x)).asnumpy()
    assert [np.unique(out[0, c]).tolist() for c in range(3)] == [[0.0], [-0.5], [-1.0]]


def test_channel_dropout_takes_whole_channels_and_scales_the_rest(ms):
    from mindvoxel.nn.dropout import ChannelDropout

    cell = ChannelDropout(0.25).set_train()
    x = ms.Tensor(np.ones((2, 2, 2, 3, 4), np.float32))
    noise = ms.Tensor(np.array([[0.1, 0.9], [0.25, 0.2]], np.float32))
    out = cell(x, noise).asnumpy()
    assert np.allclose(out[0, 0], 0)
    assert np.allclose(out[0, 1], 4 / 3)
    assert np.allclose(out[1, 0], 4 / 3)
    assert np.allclose(out[1, 1], 0)
    cell.set_train(False)
    assert np.array_equal(cell(x, noise).asnumpy(), x.asnumpy())


def test_channel_dropout_keeps_its_share(ms):
    from mindvoxel.nn.dropout import ChannelDropout

    cell = ChannelDropout(0.3).set_train()
    kept = cell(ms.Tensor(np.ones((64, 128, 1, 1, 1), np.float32))).asnumpy() > 0
    assert abs(kept.mean() - 0.7) < 0.02


def test_batch_norm_keeps_nine_tenths_of_its_statistics(ms):
    from mindvoxel.nn.norm import BatchNorm

    norm = BatchNorm(1).set_train()
    x = np.random.default_rng(0).normal(10, 2, (2, 1, 3, 4, 5)).astype(np.float32)
    out = norm(ms.Tensor(x)).asnumpy()
    assert abs(out.mean()) < 1e-4
    assert abs(out.std() - 1) < 1e-3
    kept = {p.name.split(".")[-1]: p.asnumpy()[0] for p in norm.get_parameters()}
    assert kept["moving_mean"] == pytest.approx(0.1 * x.mean(), rel=1e-4)


def test_switch_for_export_goes_back_after_an_error():
    from mindvoxel.nn.exporting import exportable, is_exporting

    with pytest.raises(KeyError), exportable():
        assert is_exporting()
        raise KeyError
    assert not is_exporting()


def test_group_norm_in_both_forms(ms):
    from mindvoxel.nn.exporting import exportable
    from mindvoxel.nn.norm import GroupNorm

    rng = np.random.default_rng(0)
    x = rng.normal(3, 2, (2, 4, 3, 5, 7)).astype(np.float32)
    gamma, beta = rng.uniform(0.5, 2, 4).astype(np.float32), rng.normal(0, 1, 4).astype(np.float32)
    rows = x.reshape(2, 2, -1).astype(np.float64)
    rows = (rows - rows.mean(2, keepdims=True)) / np.sqrt(rows.var(2, keepdims=True) + 1e-5)
    along = (1, 4, 1, 1, 1)
    want = rows.reshape(x.shape) * gamma.reshape(along) + beta.reshape(along)
    want = np.where(want < 0, 0.2 * want, want)
    with exportable():
        for_export = GroupNorm(4, "leaky_relu", slope=0.2, groups=2)
    for cell in (GroupNorm(4, "leaky_relu", slope=0.2, groups=2), for_export):
        cell.gamma.set_data(ms.Tensor(gamma))
        cell.beta.set_data(ms.Tensor(beta))
        assert np.allclose(cell(ms.Tensor(x)).asnumpy(), want, atol=2e-6)
        assert np.allclose(cell(ms.Tensor(x[:, :, 0])).shape, (2, 4, 5, 7))


def gradient(ms, cell, x, weigh):
    def weighed(v):
        return (cell(v) * weigh).sum()

    return ms.grad(weighed)(ms.Tensor(x)).asnumpy()


@pytest.mark.parametrize("name", ["instance", "batch", "none"])
@pytest.mark.parametrize("slope", [0.0, 0.3])
def test_the_slope_is_the_named_one_in_2d_and_3d(ms, name, slope):
    from mindvoxel.nn.exporting import exportable
    from mindvoxel.nn.norm import normalised

    with exportable():
        for_export = normalised(name, 2, "leaky_relu", slope)
    cells = (normalised(name, 2, "leaky_relu", slope), for_export)
    for shape in ((3, 2, 5, 7), (3, 2, 4, 5, 7)):
        x = np.random.default_rng(1).normal(0, 1, shape).astype(np.float32)
        weigh = ms.Tensor(np.random.default_rng(2).normal(0, 1, shape).astype(np.float32))
        space = tuple(range(2, len(shape)))
        axes = {"instance": space, "batch": (0, *space)}.get(name)
        z = x if axes is None else (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + 1e-5)
        grads = []
        for cell in cells:
            cell.set_train()
            assert np.allclose(cell(ms.Tensor(x)).asnumpy(), np.where(z < 0, slope * z, z), atol=3e-6)
            grads.append(gradient(ms, cell, x, weigh))
        assert np.allclose(*grads, atol=1e-5)


def test_repeated_voxels(ms):
    from mindvoxel.nn.blocks import repeat_voxels

    x = np.arange(8, dtype=np.float32).reshape(1, 2, 1, 2, 2)
    out = repeat_voxels(ms.Tensor(x), (3, 1, 2)).asnumpy()
    assert np.array_equal(out, x.repeat(3, 2).repeat(2, 4))
    flat = repeat_voxels(ms.Tensor(x[:, :, 0]), (2, 1)).asnumpy()
    assert np.array_equal(flat, x[:, :, 0].repeat(2, 2))


def test_padding_that_cannot_be_exported_is_refused():
    from mindvoxel.nn.conv import Conv3d
    from mindvoxel.nn.exporting import exportable

    with exportable(), pytest.raises(ValueError, match="cannot be exported: pad all axes alike"):
        Conv3d(1, 2, (1, 3, 3), weight_init="normal", stride=(2, 2, 2), padding=(0, 1, 1))
