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
    from mindvoxel.nn.norm import BatchNorm3d

    norm = BatchNorm3d(1).set_train()
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
