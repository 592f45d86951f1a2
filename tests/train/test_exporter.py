"""Exported files are run, in both activations, and a wrong one is not kept."""

import numpy as np
import pytest

from mindvoxel.errors import WorkError

SHAPE = (1, 1, 8, 12, 16)


def build(act: str):
    from mindvoxel.nn.exporting import exportable
    from mindvoxel.train.builder import seed_everything
    from vnet.network import VNet

    seed_everything(4)
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
    from mindvoxel.train.exporter import export_checked, random_check

    network = build(act)
    path, found = export_checked(network, SHAPE, tmp_path / "net", file_format, random_check(network, SHAPE))
    assert path.name == f"net.{file_format.lower()}"
    assert found.largest_difference < 1e-5
    assert found.dice > 0.999
    assert path.stat().st_mode & 0o044  # not for the owner alone
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_half_precision_is_that_of_the_convolutions_alone(cpu, tmp_path):
    from mindvoxel.train.exporter import Check, HalfPrecision, export_checked, random_check

    pairs = random_check(build("elu"), SHAPE).pairs
    check = Check(pairs, half=True)
    _, found = export_checked(HalfPrecision(build("elu")), SHAPE, tmp_path / "net", "ONNX", check)
    assert 1e-5 < found.largest_difference < 1e-2  # it is another precision, and near


@pytest.mark.parametrize("file_format", ["ONNX", "AIR"])
def test_an_overflow_in_half_precision_is_not_kept(cpu, tmp_path, monkeypatch, file_format):
    """OpenVINO computes an ONNX file of float16 in float32, where nothing overflows: the network itself is asked."""
    import mindspore as ms

    from mindvoxel.train import exporter

    def large():
        network = build("elu")
        weight = network.in_block.conv.weight
        weight.set_data(ms.Tensor(1e6 * weight.asnumpy()))
        return network

    pairs = exporter.random_check(large(), SHAPE).pairs
    assert np.isfinite(pairs[0][1]).all()
    if file_format == "AIR":  # only an Ascend backend writes it
        monkeypatch.setattr(exporter.ms, "export", lambda *_, file_name, **__: open(file_name, "w").close())  # noqa: PTH123
    half = exporter.HalfPrecision(large())
    with pytest.raises(WorkError, match="net.*; not kept, export in f32"):
        exporter.export_checked(half, SHAPE, tmp_path / "net", file_format, exporter.Check(pairs, half=True))
    assert not list(tmp_path.iterdir())


def answer(*classes):
    """Logits (1, 3, N) whose largest is that of each class."""
    return np.eye(3, dtype=np.float32)[list(classes)].T[None]


def test_agreement_by_hand():
    from mindvoxel.train.agreement import agreement

    batch = np.zeros((1, 1, 4), np.float32)
    pairs = [(batch, answer(0, 0, 1, 1)), (batch, 4 * answer(0, 0, 0, 0))]
    found = agreement((lambda _: answer(0, 0, 1, 0), "by hand"), 100 * pairs, "net.onnx")
    assert found.largest_difference == 1.0  # 4 of a largest logit of 4: voxel 2 of the second
    assert found.dice == 0.5  # class 1: one voxel in both, of 2 and 2; class 2 is in neither
    rare = [(batch, answer(0, 0, 2, 1))] + 100 * [(batch, answer(0, 0, 1, 1))]
    found = agreement((lambda _: answer(0, 0, 1, 1), "by hand"), rare, "net.onnx")
    assert found.dice == 402 / 403  # class 1: 201 voxels and 202; class 2 has one alone, and does not count
    with pytest.raises(WorkError, match="output of shape .1, 3, 3., the network's is .1, 3, 4.; not kept"):
        agreement((lambda _: answer(0, 0, 1), "by hand"), pairs, "net.onnx")
    with pytest.raises(WorkError, match="not finite by hand"):
        agreement((lambda _: answer(0, 0, 1, 1) * np.nan, "hand"), pairs, "net.onnx")


def test_bounds():
    from mindvoxel.train.agreement import VoxelAgreement, require_agreement

    require_agreement(VoxelAgreement(1e-3, "x", 0.5), "net", half=False)
    require_agreement(VoxelAgreement(0.5, "x", 0.99), "net", half=True)
    with pytest.raises(WorkError, match="Dice of a class falls to 0.9800, 0.99 is needed; not kept, export in f32"):
        require_agreement(VoxelAgreement(1e-6, "x", 0.98), "net", half=True)
    for wrong in (2e-3, float("nan")):
        with pytest.raises(WorkError, match="differs from the network's"):
            require_agreement(VoxelAgreement(wrong, "x", 1.0), "net", half=False)


def test_agreement_of_photos_by_hand():
    from mindvoxel.train.agreement import agreement

    batch = np.zeros((3, 3, 2, 2), np.float32)
    expected = np.array([[100, 0, 0], [0, 100, 99.5], [0, 0, 100]], np.float32)  # the second leads by too little
    found = agreement((lambda _: expected[[0, 2, 0]], "by hand"), [(batch, expected)] * 2, "net.onnx")
    assert (found.num_clear, found.num_changed) == (4, 2)
    assert (found.largest_difference, found.probability_difference) == (1.0, 1.0)
    found = agreement((lambda _: expected + [0, 0, 1], "by hand"), [(batch, expected)], "net.onnx")
    assert (found.num_clear, found.num_changed) == (2, 0)
    change = 1 / (1 + np.exp(0.5)) - 1 / (1 + np.exp(-0.5))
    assert found.probability_difference == pytest.approx(-change, abs=1e-6)


def test_bounds_of_photos():
    from mindvoxel.train.agreement import ClassAgreement, require_agreement

    require_agreement(ClassAgreement(0.5, "x", 16, 0, 0.05), "net", half=True)
    for wrong, said in (
        (ClassAgreement(0, "x", 16, 1, 0.0), "1 of 16 photos change their class; not kept, export in f32"),
        (ClassAgreement(0, "x", 16, 0, 0.051), "a probability changes by 0.0510, 0.05 is allowed; not kept"),
        (ClassAgreement(0, "x", 16, 0, float("nan")), "a probability changes by nan"),
        (ClassAgreement(0, "x", 0, 0, 0.0), "no photo has a class that leads by 2 % of the largest logit"),
    ):
        with pytest.raises(WorkError, match=said):
            require_agreement(wrong, "net", half=True)
    with pytest.raises(WorkError, match="differs from the network's"):
        require_agreement(ClassAgreement(2e-3, "x", 16, 0, 0.0), "net", half=False)


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


def test_a_file_that_computes_something_else_is_not_kept(cpu, tmp_path):
    from mindvoxel.train import exporter

    network = build("elu")
    check = exporter.Check([(batch, 1.01 * logits) for batch, logits in exporter.random_check(network, SHAPE).pairs])
    with pytest.raises(WorkError, match="differs from the network's by up to 0.0099 of the largest"):
        exporter.export_checked(network, SHAPE, tmp_path / "net", "ONNX", check)
    assert not list(tmp_path.iterdir())


def test_a_network_of_several_heads_is_refused(cpu):
    from mindvoxel.train.exporter import random_check
    from unet3d.network import build

    network = build(1, 2, ((1,) * 3, (2,) * 3, (2,) * 3), ((3,) * 3,) * 3, (2, 4, 8), deep_supervision=True)
    network.set_train = lambda mode=True: network  # as if nobody had switched it to evaluation
    with pytest.raises(WorkError, match="the network gives 2 outputs; one is needed"):
        network.training = True
        random_check(network, (1, 1, 4, 8, 8))
