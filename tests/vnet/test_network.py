"""V-Net's form, counted by hand, and its behaviour on small volumes."""

import numpy as np
import pytest


def count(network) -> int:
    return sum(p.size for p in network.trainable_params())


def by_hand(width: int, down_convs: tuple, up_convs: tuple, classes: int = 2) -> int:
    """Convolution weights and batch-norm pairs, added up stage by stage as the paper's figure has them."""
    norm = 2
    total = width * 125 + norm * width
    channels = width
    for convs in down_convs:
        wide = 2 * channels
        total += channels * wide * 8 + norm * wide + convs * (wide * wide * 125 + norm * wide)
        channels = wide
    for i, convs in enumerate(up_convs):
        skip = width * 2 ** (len(down_convs) - 1 - i)
        wide = 2 * skip
        total += channels * skip * 8 + norm * skip + convs * (wide * wide * 125 + norm * wide)
        channels = wide
    return total + channels * classes * 125 + norm * classes + classes * classes * 27


def test_published_form_has_45_597_760_parameters(cpu):
    from mindvoxel.zoo import build_network

    network = build_network("vnet")
    assert count(network) == 45_597_760 == by_hand(16, (1, 2, 3, 2), (2, 2, 1, 1))


def test_prelu_adds_one_slope_a_channel_of_each_activation(cpu):
    from vnet.network import VNet

    form = {"width": 2, "down_convs": (1, 2), "up_convs": (1, 1)}
    # in 2; down 4: enter, 1 conv, leave; down 8: enter, 2 convs, leave; up to 4 + skip 4: enter 4, 1 conv 8, leave 8;
    # up to 2 + skip 2: enter 2, 1 conv 4, leave 4; out 2
    slopes = 2 + 3 * 4 + 4 * 8 + (4 + 8 + 8) + (2 + 4 + 4) + 2
    assert count(VNet(**form, act="prelu")) - count(VNet(**form)) == slopes


def names_of(block: str, act: str) -> list[str]:
    norm = [f"{block}.norm.bn2d.{name}" for name in ("moving_mean", "moving_variance", "gamma", "beta")]
    return [f"{block}.conv.weight", *norm, *([f"{block}.act.slope"] if act == "prelu" else [])]


@pytest.mark.parametrize("act", ["elu", "prelu"])
def test_parameter_names_are_those_of_old_checkpoints(cpu, act):
    from vnet.network import VNet

    leave = ["{}.act.slope"] if act == "prelu" else []
    want = names_of("in_block", act)
    for stage, enter, convs in (("downs.0", "down", 1), ("downs.1", "down", 2), ("ups.0", "up", 1), ("ups.1", "up", 1)):
        want += names_of(f"{stage}.{enter}", act)
        for i in range(convs):
            want += names_of(f"{stage}.refine.{i}", act)
        want += [name.format(stage) for name in leave]
    want += [*names_of("out_block.mix", act), "out_block.head.weight"]
    network = VNet(width=2, down_convs=(1, 2), up_convs=(1, 1), act=act)
    assert [p.name for p in network.get_parameters()] == want


def test_small_forms_count_by_hand(cpu):
    from vnet.network import VNet

    assert count(VNet(width=3, down_convs=(1, 2), up_convs=(2, 1), num_classes=3)) == by_hand(3, (1, 2), (2, 1), 3)


@pytest.fixture(scope="module")
def small(cpu):
    from vnet.network import VNet

    return VNet(width=2, down_convs=(1, 1, 1), up_convs=(1, 1, 1), init="he_normal")


@pytest.fixture(scope="module")
def image(cpu):
    import mindspore as ms

    return ms.Tensor(np.random.default_rng(0).standard_normal((2, 1, 8, 24, 16), np.float32))


def test_logits_keep_an_odd_anisotropic_shape(small, image):
    small.set_train(False)
    assert small(image).shape == (2, 2, 8, 24, 16)


def test_dropout_acts_in_training_only(small, image):
    small.set_train(False)
    assert np.array_equal(small(image).asnumpy(), small(image).asnumpy())
    small.set_train(True)
    assert not np.array_equal(small(image).asnumpy(), small(image).asnumpy())


def test_handed_in_noise_decides_what_dropout_takes(small, image):
    import mindspore as ms

    small.set_train(True)
    rng = np.random.default_rng(1)
    noise = ms.Tensor(rng.uniform(size=(2, small.noise_channels)).astype(np.float32))
    other = ms.Tensor(rng.uniform(size=(2, small.noise_channels)).astype(np.float32))
    first = small(image, noise).asnumpy()
    assert np.array_equal(first, small(image, noise).asnumpy())
    assert not np.array_equal(first, small(image, other).asnumpy())


def test_noise_spans_cover_every_dropout_once(small):
    # third stage down: 16 channels; first stage up: 16 channels and the skip's 8
    assert small.noise_channels == 16 + 16 + 8
    spans = [span for span in small.spans if span[0] != span[1]]
    assert spans == [(0, 16), (16, 40)]


def test_published_dropout_stages(cpu):
    from vnet.network import VNet

    network = VNet(width=2)
    assert [stage.noise_channels > 0 for stage in network.downs] == [False, False, True, True]
    assert [stage.noise_channels > 0 for stage in network.ups] == [True, True, False, False]


def test_initialiser_is_the_named_one(cpu):
    from vnet.network import VNet

    weight = VNet(width=8).downs[1].refine[0].conv.weight.init_data().asnumpy()
    assert abs(weight.std() / 0.01 - 1) < 0.02
    assert abs(weight.mean()) < 1e-4
    he = VNet(width=8, init="he_normal").downs[1].refine[0].conv.weight.init_data().asnumpy()
    assert abs(he.std() / np.sqrt(2 / (32 * 125)) - 1) < 0.02


def test_wrong_arguments_are_refused(cpu):
    from vnet.network import VNet

    with pytest.raises(ValueError, match="up_convs must name as many stages"):
        VNet(down_convs=(1, 2), up_convs=(1,))
    with pytest.raises(ValueError, match="activation must be"):
        VNet(act="gelu")
    with pytest.raises(ValueError, match="initialiser must be"):
        VNet(init="xavier")
