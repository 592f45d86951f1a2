"""The U-Net against nnU-Net's own: parameters, outputs for fixed weights, forms, heads, what is refused."""

import numpy as np
import pytest

WIDE = (32, 64, 128, 256, 320, 320)
HIPPOCAMPUS_3D = (((1, 1, 1), *[(2, 2, 2)] * 3), ((3, 3, 3),) * 4, WIDE[:4])
HIPPOCAMPUS_2D = (((1, 1), *[(2, 2)] * 3), ((3, 3),) * 4, WIDE[:4])
LIVER = (((1, 1, 1), *[(2, 2, 2)] * 5), ((3, 3, 3),) * 6, WIDE)
PROSTATE = (
    ((1, 1, 1), (1, 2, 2), (1, 2, 2), (2, 2, 2), (2, 2, 2), (1, 2, 2)),
    ((1, 3, 3), (1, 3, 3), (3, 3, 3), (3, 3, 3), (3, 3, 3), (3, 3, 3)),
    WIDE,
)
SMALL_3D = (((1, 1, 1), (1, 2, 2), (2, 2, 1)), ((1, 3, 3), (3, 3, 3), (3, 3, 3)), (2, 3, 4))
SMALL_2D = (((1, 1), (2, 2), (2, 1)), ((3, 3), (3, 3), (1, 3)), (2, 3, 4))


@pytest.fixture(scope="module")
def build(cpu):
    from unet3d.network import build

    return build


def count(network) -> int:
    return sum(p.size for p in network.trainable_params())


def tensor(shape):
    import mindspore as ms

    return ms.Tensor(np.sin(np.arange(np.prod(shape)) ** 1.1).reshape(shape).astype(np.float32))


def fix(network) -> None:
    """Weights cos(0), cos(1), … in every parameter."""
    import mindspore as ms

    for p in network.trainable_params():
        p.set_data(ms.Tensor(np.cos(np.arange(p.size)).reshape(p.shape).astype(np.float32)))


@pytest.mark.parametrize(
    ("channels", "stages", "parameters"),
    [
        (1, HIPPOCAMPUS_3D, 5_603_177),
        (1, HIPPOCAMPUS_2D, 1_928_489),
        (1, LIVER, 31_196_399),
        (2, PROSTATE, 30_340_047),
    ],
)
def test_as_many_parameters_as_nnunet_v2(build, channels, stages, parameters):
    assert count(build(channels, 3, *stages)) == parameters  # PlainConvUNet's own count


def test_the_forms_differ_in_biases_heads_and_decoder_kernels(build):
    total = 5_603_177  # nnunet_v2 on the Hippocampus
    assert count(build(1, 3, *HIPPOCAMPUS_3D, form="nnunet_v1")) == total - (128 + 64 + 32) - 3 * 3
    convolutions = 2 * (32 + 64 + 128 + 256) + 2 * (128 + 64 + 32)
    assert count(build(1, 3, *HIPPOCAMPUS_3D, form="nvidia")) == total - convolutions
    # a stage of the decoder has the kernel of the one below: 3x3x3 instead of 1x3x3 at the second resolution
    more = (64 * 128 + 64 * 64) * (27 - 9)
    biases, heads = 320 + 256 + 128 + 64 + 32, 5 * 3
    assert count(build(2, 3, *PROSTATE, form="nnunet_v1")) == 30_340_047 + more - biases - heads
    fewer_heads = (256 + 320) * 3 + 2 * 3
    convolutions = 2 * sum(WIDE) + 2 * (320 + 256 + 128 + 64 + 32)
    assert count(build(2, 3, *PROSTATE, form="nvidia")) == 30_340_047 + more - fewer_heads - convolutions


@pytest.mark.parametrize(
    ("stages", "shape", "want"),
    [  # of each head: shape, first, eighth and last number, sum of sizes; from PlainConvUNet in PyTorch
        (
            SMALL_3D,
            (1, 2, 4, 4, 6),
            [
                ((1, 3, 4, 4, 6), 2.6779, 1.18047, -0.37773, 387.09509),
                ((1, 3, 4, 2, 3), 1.08197, 4.5431, -0.18118, 113.80933),
            ],
        ),
        (
            SMALL_2D,
            (2, 2, 4, 6),
            [
                ((2, 3, 4, 6), 3.22575, 1.16957, -0.43422, 194.17462),
                ((2, 3, 2, 3), 2.27177, -0.17941, 2.04204, 51.12288),
            ],
        ),
    ],
)
def test_fixed_weights_give_what_nnunet_gives(build, stages, shape, want):
    network = build(2, 3, *stages, deep_supervision=True)
    fix(network)
    network.set_train()
    logits = network(tensor(shape))
    for head, (size, *numbers) in zip(logits, want, strict=True):
        values = head.asnumpy().ravel()
        assert head.shape == size
        assert [values[0], values[7], values[-1]] == pytest.approx(numbers[:3], abs=2e-5)
        assert np.abs(values).sum() == pytest.approx(numbers[3], rel=1e-5)
    network.set_train(False)
    assert np.allclose(network(tensor(shape)).asnumpy(), logits[0].asnumpy(), atol=1e-5)


def test_heads_are_in_the_checkpoint_and_returned_only_where_asked(build):
    silent, speaking = build(2, 3, *SMALL_3D), build(2, 3, *SMALL_3D, deep_supervision=True)
    assert [p.name for p in silent.get_parameters()] == [p.name for p in speaking.get_parameters()]
    silent.set_train()
    assert silent(tensor((1, 2, 4, 4, 6))).shape == (1, 3, 4, 4, 6)


def test_parameter_names_are_those_of_old_checkpoints(build):
    names = [p.name for p in build(2, 3, *SMALL_2D).get_parameters()]
    parts = ("norm.gamma", "norm.beta", "conv.weight", "conv.bias")
    assert {f"{stage}.{i}.{part}" for stage in ("downs.2", "joins.0") for i in (0, 1) for part in parts} <= set(names)
    assert {"ups.1.weight", "ups.1.bias", "heads.0.weight", "heads.1.bias"} <= set(names)
    assert len(names) == 8 * (3 + 2) + 2 * 2 + 2 * 2


def test_nvidias_low_heads_are_repeated_to_full_resolution(build):
    network = build(2, 3, *SMALL_3D, form="nvidia", deep_supervision=True)
    network.set_train()
    logits = network(tensor((1, 2, 4, 4, 6)))
    assert [head.shape for head in logits] == [(1, 3, 4, 4, 6)] * 2
    low = logits[1].asnumpy()
    assert np.array_equal(low[..., ::2, ::2], low[..., 1::2, 1::2])  # stride (1, 2, 2)
    assert len(np.unique(low[0, 0])) == 4 * 2 * 3


def test_nvidia_has_three_heads(build):
    assert len(build(1, 3, *LIVER[:2], (2,) * 6, form="nvidia").heads) == 3
    assert len(build(1, 3, *LIVER[:2], (2,) * 6).heads) == 5


def test_nvidias_tables_reach_their_bottleneck(build):
    import mindspore as ms

    from mindvoxel.data.planning import topology
    from mindvoxel.data.planning.nvidia_tables import TASKS

    def bottleneck(spacing, patch):
        net = topology.nvidia(spacing, patch)
        network = build(1, 2, net.strides, net.kernels, (1,) * len(net.strides), norm="none", form="nvidia")
        return tuple(n // d for n, d in zip(patch, network.divisor, strict=True)), network

    shapes = {number: bottleneck(task.spacing_mm, task.patch_3d) for number, task in TASKS.items()}
    want = {"01": (4, 4, 4), "02": (5, 6, 5), "03": (4, 4, 4), "04": (5, 7, 5), "05": (5, 10, 8), "06": (5, 6, 5)}
    want |= {"07": (5, 7, 7), "08": (4, 6, 6), "09": (4, 6, 5), "10": (7, 6, 5)}
    assert {number: shape for number, (shape, _) in shapes.items()} == want
    x = ms.Tensor(np.zeros((1, 1, *TASKS["10"].patch_3d), np.float32))
    network = shapes["10"][1]
    for stage in network.downs:
        x = stage(x)
    assert x.shape[2:] == want["10"]


@pytest.mark.parametrize("slope", [0.01, 0.3])
def test_weights_start_as_he_et_al_for_the_slope(build, slope):
    network = build(1, 3, ((1, 1), (2, 2)), ((3, 3), (3, 3)), (64, 128), negative_slope=slope)
    gain = 2 / (1 + slope**2)
    spread = {p.name: p.asnumpy().std() for p in network.get_parameters()}
    assert spread["downs.1.0.conv.weight"] == pytest.approx(np.sqrt(gain / (64 * 9)), rel=0.02)
    # PyTorch and Keras both count a transposed convolution's outputs: its fan-in is 64 channels of 2x2
    assert spread["ups.0.weight"] == pytest.approx(np.sqrt(gain / (64 * 4)), rel=0.03)
    assert spread["downs.1.0.conv.bias"] == 0


@pytest.mark.parametrize(
    ("stages", "message"),
    [
        ((((1, 1, 1),), ((3, 3, 3),), (4,)), "the same two or more stages, got 1, 1 and 1"),
        ((((1, 1, 1), (2, 2, 2)), ((3, 3, 3),), (4, 8)), "got 2, 1 and 2"),
        ((((1, 1), (2, 2)), ((3, 3), (3, 3, 3)), (4, 8)), "2 numbers each, or 3 each"),
        ((((2, 2), (2, 2)), ((3, 3), (3, 3)), (4, 8)), "its stride must be 1"),
        ((((1, 1), (2, 2)), ((3, 3), (2, 3)), (4, 8)), "kernels must be odd"),
    ],
)
def test_stages_that_do_not_fit_are_refused(build, stages, message):
    with pytest.raises(ValueError, match=message):
        build(1, 3, *stages)


def test_unknown_names_are_refused(build):
    with pytest.raises(ValueError, match="form must be one of nnunet_v1, nnunet_v2, nvidia"):
        build(1, 3, *SMALL_2D, form="v3")
    with pytest.raises(ValueError, match="norm must be one of instance, batch, group, none"):
        build(1, 3, *SMALL_2D, norm="layer")
    with pytest.raises(ValueError, match="group norm needs a multiple of 32 channels, got 2"):
        build(1, 3, *SMALL_2D, norm="group")


@pytest.mark.parametrize("stages", [SMALL_3D, (((1, 1), (2, 2), (1, 2)), *SMALL_2D[1:])])
@pytest.mark.parametrize("norm", ["instance", "batch"])
def test_exported_files_compute_what_the_trained_network_does(build, tmp_path, stages, norm):
    import mindspore as ms

    from mindvoxel.nn.exporting import exportable
    from mindvoxel.train.exporter import export_checked, random_check

    form = {"norm": norm, "deep_supervision": True}
    trained = build(2, 3, *stages, **form)
    fix(trained)
    with exportable():
        network = build(2, 3, *stages, **form)
    ms.load_param_into_net(network, {p.name: p for p in trained.get_parameters()})
    trained.set_train(False)
    shape = (1, 2, *(4, 8, 12)[-len(stages[0][0]) :])
    want = trained(tensor(shape)).asnumpy()
    largest = np.abs(want).max()
    assert np.allclose(want, network(tensor(shape)).asnumpy(), atol=2e-5 * largest)
    for file_format in ("MINDIR", "ONNX"):
        found = export_checked(network, shape, tmp_path / "net", file_format, random_check(network, shape))[1]
        assert found.largest_difference < 2e-5


@pytest.mark.parametrize("level", ["O1", "O2", "O3"])
def test_lower_precisions_stay_near(build, level):
    from mindvoxel.train.step import mixed_precision

    shape, outputs = (1, 2, 4, 8, 12), []
    for given in ("O0", level):
        network = build(2, 3, *SMALL_3D)
        fix(network)
        mixed_precision(network, given)
        network.set_train(False)
        outputs.append(network(tensor(shape)).asnumpy().astype(np.float32))
    difference = np.abs(outputs[0] - outputs[1]).max() / np.abs(outputs[0]).max()
    assert 1e-5 < difference < 3e-2
