"""ResNet-50 v1.5: known numbers of parameters, the size after each stage, where the stride is, what a step changes."""

import numpy as np
import pytest


@pytest.fixture(scope="module")
def ms(cpu):
    import mindspore

    return mindspore


@pytest.fixture(scope="module")
def whole(cpu):
    from resnet50.network import build

    return build()


def test_as_many_parameters_as_the_published_network(whole):
    sizes = {p.name: p.size for p in whole.trainable_params()}
    assert sum(sizes.values()) == 25_557_032
    assert len(sizes) == 161  # 53 convolutions, 53 normalisations of two, the last layer of two
    parts = [sum(size for name, size in sizes.items() if name.startswith(f"stages.{i}.")) for i in range(4)]
    assert parts == [215_808, 1_219_584, 7_098_368, 14_964_736]
    assert sizes["stem.conv.weight"] == 64 * 3 * 49
    assert (sizes["head.weight"], sizes["head.bias"]) == (2_048_000, 1000)
    assert not any(name.endswith("conv.bias") for name in sizes)


def test_the_stride_is_on_the_3x3_and_the_shortcut(whole):
    for number, stage in enumerate(whole.stages):
        for index, block in enumerate(stage):
            stride = 2 if number and index == 0 else 1
            convs = (block.narrow.conv, block.middle.conv, block.widen.conv)
            assert [conv.kernel_size[0] for conv in convs] == [1, 3, 1]
            assert [conv.stride[0] for conv in convs] == [1, stride, 1]
            assert hasattr(block.shortcut, "conv") is (index == 0)
            if index == 0:
                assert (block.shortcut.conv.kernel_size[0], block.shortcut.conv.stride[0]) == (1, stride)


def test_the_weights_begin_as_published(whole):
    values = {p.name: p.asnumpy() for p in whole.get_parameters()}
    for name, fan_in in (("stem.conv.weight", 147), ("stages.3.0.middle.conv.weight", 512 * 9)):
        assert values[name].std() == pytest.approx((2 / fan_in) ** 0.5, rel=0.03)
    assert values["head.weight"].std() == pytest.approx(0.01, rel=0.01)
    assert not values["head.bias"].any()
    assert (values["stages.2.5.widen.norm.bn2d.gamma"] == 1).all()  # not 0 at the end of a block
    norm = whole.stages[0][0].widen.norm.bn2d
    assert (norm.eps, round(norm.momentum, 6)) == (1e-5, 0.1)  # MindSpore keeps 1 - momentum, so 0.9 is kept


@pytest.mark.parametrize(("size", "wanted"), [((65, 50), [(33, 25), (17, 13), (17, 13), (9, 7)]), ((8, 7), [])])
def test_the_size_after_each_stage(ms, size, wanted):
    from resnet50.network import build

    network = build(num_classes=5, width=4, depths=(1, 2)).set_train(False)
    x = ms.Tensor(np.random.default_rng(0).normal(size=(2, 3, *size)), ms.float32)
    if wanted:
        seen = [x := part(x) for part in (network.stem, network.pool, *network.stages)]
        assert [tuple(y.shape[2:]) for y in seen] == wanted
        assert [y.shape[1] for y in seen] == [4, 4, 16, 32]
    else:
        assert network(x).shape == (2, 5)


def test_the_pooling_pads_alike_on_both_sides(ms):
    from mindvoxel.nn.pool import MaxPool

    rows = np.arange(1, 37, dtype=np.float32).reshape(1, 1, 6, 6)
    assert MaxPool()(ms.Tensor(rows)).asnumpy().tolist() == [[[[8, 10, 12], [20, 22, 24], [32, 34, 36]]]]
    assert MaxPool()(ms.Tensor(rows[..., :5, :1])).asnumpy().tolist() == [[[[7], [19], [25]]]]


def losses_and_statistics(ms, own_kernels: bool) -> tuple[list[float], np.ndarray]:
    """Of two steps, with mindvoxel's operators on blocked tensors, or MindSpore's own; the running variances."""
    from mindvoxel.losses import SmoothedCrossEntropy
    from mindvoxel.nn import conv, layout, norm
    from mindvoxel.train.optim import sgd
    from mindvoxel.train.step import TrainStep
    from resnet50.network import build

    np.random.seed(4)  # noqa: NPY002 - MindSpore's initialisers draw from NumPy's global generator
    with pytest.MonkeyPatch.context() as patch:
        if own_kernels:
            for module in (conv, norm):
                patch.setattr(module, "_use_operator", lambda: False)
            patch.setattr(layout, "is_usable", lambda: False)
        network = build(num_classes=3, width=16, depths=(2, 1))
    optimizer = sgd(network.trainable_params(), [0.01] * 2, momentum=0.9, nesterov=False)
    step = TrainStep(network, SmoothedCrossEntropy(), optimizer)
    rng = np.random.default_rng(1)
    image, label = ms.Tensor(rng.normal(size=(4, 3, 33, 30)), ms.float32), ms.Tensor([0, 2, 1, 2], ms.int32)
    losses = [float(step(image, label, None, None)[0].asnumpy()) for _ in range(2)]
    found = [p.asnumpy() for p in network.get_parameters() if p.name.endswith("moving_variance")]
    return losses, np.concatenate(found)


def test_the_operators_on_blocked_tensors_train_as_mindspore_s_own(ms):
    (ours, variances), (theirs, others) = (losses_and_statistics(ms, own_kernels) for own_kernels in (False, True))
    assert ours == pytest.approx(theirs, rel=1e-4)
    assert ours[1] != ours[0]
    assert variances == pytest.approx(others, rel=1e-3)


def test_relu_is_refused_where_the_operator_would_lose_its_gradient(cpu):
    from mindvoxel.nn.norm import BatchNorm

    for words in (("none", "relu"), ("relu", "elu")):
        with pytest.raises(ValueError, match="relu must be the only activation"):
            BatchNorm(4, *words)
