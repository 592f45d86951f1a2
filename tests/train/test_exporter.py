"""Exported files are run, in both activations, and a wrong one is not kept."""

import numpy as np
import pytest

from mindvoxel.errors import WorkError

SHAPE = (1, 1, 8, 12, 16)


def build(act: str):
    from mindvoxel.nn.exporting import exportable
    from vnet.network import VNet

    with exportable():
        network = VNet(width=3, down_convs=(1, 1), up_convs=(1, 1), act=act, init="he_normal")
    rng = np.random.default_rng(0)
    for parameter in network.get_parameters():  # statistics and slopes that are not all alike
        if parameter.name.endswith(("moving_mean", "beta", "slope")):
            import mindspore as ms

            parameter.set_data(ms.Tensor(rng.normal(0, 0.3, parameter.shape).astype(np.float32)))
    return network


@pytest.mark.parametrize("act", ["elu", "prelu"])
@pytest.mark.parametrize("file_format", ["MINDIR", "ONNX"])
def test_the_file_computes_what_the_network_does(cpu, tmp_path, act, file_format):
    from mindvoxel.train.exporter import export_checked

    path, difference = export_checked(build(act), SHAPE, tmp_path / "net", file_format)
    assert path.name == f"net.{file_format.lower()}"
    assert difference < 1e-4
    assert path.stat().st_mode & 0o044  # not for the owner alone
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_the_exported_form_equals_the_trained_form(cpu):
    import mindspore as ms

    from vnet.network import VNet

    ours = build("elu")
    trained = VNet(width=3, down_convs=(1, 1), up_convs=(1, 1), init="he_normal")
    ms.load_param_into_net(trained, {p.name: p for p in ours.get_parameters()})
    image = ms.Tensor(np.random.default_rng(1).standard_normal(SHAPE).astype(np.float32))
    ours.set_train(False)
    trained.set_train(False)
    assert np.allclose(ours(image).asnumpy(), trained(image).asnumpy(), atol=1e-4)


def test_a_file_that_computes_something_else_is_not_kept(cpu, tmp_path, monkeypatch):
    from mindvoxel.train import exporter

    wrong = exporter._run_onnx
    monkeypatch.setattr(exporter, "_run_onnx", lambda path, image: wrong(path, image) * 1.01)
    with pytest.raises(WorkError, match="differs from the network's"):
        exporter.export_checked(build("elu"), SHAPE, tmp_path / "net", "ONNX")
    assert not list(tmp_path.iterdir())
