"""UNet++ against the table of its authors' network: nodes, parameters, heads, pruning, plans, exported files."""

import numpy as np
import pytest

WIDE = (32, 64, 128, 256, 320, 320)
LIVER = (((1, 1, 1), *[(2, 2, 2)] * 5), ((3, 3, 3),) * 6, WIDE)
# Parameters of X^{i,0} and of X^{i,1} … with its transposed convolution, on one channel: two 3x3x3 convolutions with
# bias, scale and shift after each, no bias in the transposed one; 28704 = 27·32 + 27·32·32 + 6·32,
# 99520 = 8·64·32 + 27·64·32 + 27·32·32 + 6·32.
ENCODER = (28_704, 166_272, 664_320, 2_655_744, 4_978_560, 5_531_520)
NODES = (
    (99_520, 127_168, 154_816, 182_464, 210_112),
    (397_696, 508_288, 618_880, 729_472),
    (1_590_016, 2_032_384, 2_474_752),
    (5_965_312, 7_734_784),
    (9_115_520,),
)
# Prostate-like stages, three poolings: the slices are halved first.
SMALL_3D = (
    ((1, 1, 1), (1, 2, 2), (2, 2, 2), (2, 1, 1)),
    ((1, 3, 3), (3, 3, 3), (3, 3, 3), (3, 3, 3)),
    (2, 3, 4, 5),
)
SMALL_2D = (((1, 1), (2, 2), (2, 1)), ((3, 3), (3, 3), (3, 3)), (2, 3, 4))
SHAPE_3D, SHAPE_2D = (1, 2, 8, 8, 12), (2, 2, 4, 6)


@pytest.fixture(scope="module")
def build(cpu):
    from unetpp.network import build

    return build


@pytest.fixture(scope="module")
def liver(build):
    return build(1, 3, *LIVER)


def count(cell) -> int:
    return sum(p.size for p in cell.trainable_params())


def tensor(shape):
    import mindspore as ms

    return ms.Tensor(np.sin(np.arange(np.prod(shape)) ** 1.1).reshape(shape).astype(np.float32))


def copied(build, network, *args, **form):
    """A network of the same weights, in evaluation."""
    import mindspore as ms

    other = build(*args, **form)
    ms.load_param_into_net(other, {p.name: p for p in network.get_parameters()})
    return other.set_train(False)


def test_the_liver_s_parameters_node_by_node(liver):
    assert tuple(map(count, liver.downs)) == ENCODER
    assert tuple(tuple(map(count, row)) for row in liver.rows) == NODES
    assert [count(head) for head in liver.heads] == [32 * 3] * 5
    assert count(liver) == sum(ENCODER) + sum(map(sum, NODES)) + 5 * 96
    names = {p.name for p in liver.get_parameters()}
    assert {"rows.0.4.up.weight", "rows.0.4.join.1.conv.bias", "heads.4.weight", "downs.5.0.norm.gamma"} <= names
    assert not {name for name in names if name.endswith((".up.bias", "heads.0.bias"))}


def test_node_j_of_a_row_takes_the_j_before_it_and_the_one_below(liver):
    for i, row in enumerate(liver.rows):
        for j, node in enumerate(row, 1):
            wide = (node.join[0].conv, node.join[1].conv)
            assert [conv.in_channels for conv in wide] == [(j + 1) * WIDE[i], WIDE[i]], (i, j)
            assert [conv.out_channels for conv in wide] == [WIDE[i]] * 2
            assert (node.up.in_channels, node.up.out_channels) == (WIDE[i + 1], WIDE[i])


def test_the_decoder_has_the_kernels_of_the_stage_below(build):
    network = build(2, 3, *SMALL_3D)
    assert [down[0].conv.kernel_size for down in network.downs] == [*SMALL_3D[1]]
    assert {node.join[0].conv.kernel_size for row in network.rows for node in row} == {(3, 3, 3)}
    assert [row[0].up.kernel_size for row in network.rows] == [*SMALL_3D[0][1:]]
    assert network.divisor == (4, 4, 4)


@pytest.fixture(scope="module")
def trained(build):
    """A network of three poolings that supervises its heads, and what those give."""
    network = build(2, 3, *SMALL_3D, deep_supervision=True)
    network.set_train()
    return network, [head.asnumpy() for head in network(tensor(SHAPE_3D))]


def test_each_node_is_computed_from_those_of_the_paper(build, trained):
    """X^{i,j} = join[X^{i,0}, …, X^{i,j-1}, up X^{i+1,j-1}], written out for three poolings."""
    network, logits = trained
    encoder, x = [], tensor(SHAPE_3D)
    for down in network.downs:
        x = down(x)
        encoder.append(x)
    x00, x10, x20, x30 = encoder
    (n01, n02, n03), (n11, n12), (n21,) = network.rows
    x01, x11, x21 = n01((x00,), x10), n11((x10,), x20), n21((x20,), x30)
    x02, x12 = n02((x00, x01), x11), n12((x10, x11), x21)
    x03 = n03((x00, x01, x02), x12)
    for head, node, got in zip((2, 1, 0), (x03, x02, x01), logits, strict=True):
        assert got.shape == (1, 3, *SHAPE_3D[2:])
        assert np.allclose(network.heads[head](node).asnumpy(), got, atol=1e-5)


def test_pruned_to_a_level_equals_the_full_network_s_head_and_computes_no_other_node(build, trained):
    """What the head does not need may hold what it likes."""
    import mindspore as ms

    network, logits = trained
    for level in (1, 2, 3):
        pruned = copied(build, network, 2, 3, *SMALL_3D)
        nodes = [(i, j, node) for i, row in enumerate(pruned.rows) for j, node in enumerate(row, 1)]
        idle = [*pruned.downs[level + 1 :], *(node for i, j, node in nodes if i + j > level)]
        idle += [head for number, head in enumerate(pruned.heads, 1) if number != level]
        for p in (p for cell in idle for p in cell.get_parameters()):
            p.set_data(ms.Tensor(np.full(p.shape, np.nan, np.float32)))
        if level < 3:  # without prune() it is the deepest
            pruned.prune(level)
        assert np.array_equal(pruned(tensor(SHAPE_3D)).asnumpy(), logits[3 - level]), level


@pytest.mark.parametrize("level", [0, -1, 4])
def test_a_level_that_is_not_there_is_refused(build, level):
    with pytest.raises(ValueError, match=f"level must be 1 to 3, the number of heads, got {level}"):
        build(2, 3, *SMALL_3D).prune(level)


def test_each_head_gets_its_share_of_the_gradient(build):
    """8:4:2:1 and none, from X^{0,5} to X^{0,1}; the original repository trained X^{0,1} alone and read X^{0,5}."""
    import mindspore as ms

    from mindvoxel.config import load_recipe
    from mindvoxel.losses import DeepSupervision, DiceCELoss
    from mindvoxel.train.choices import head_weights

    stages = ((1, 1), *[(2, 2)] * 5), ((3, 3),) * 6, (2,) * 6
    network = build(1, 2, *stages, deep_supervision=True)
    network.set_train()
    shares = head_weights(load_recipe("unetpp"), network)
    assert shares == pytest.approx([1 / 1.875, 0.5 / 1.875, 0.25 / 1.875, 0.125 / 1.875, 0])
    image = tensor((1, 1, 64, 64))
    label = ms.Tensor((image.asnumpy()[:, 0] > 0).astype(np.int8))

    equal, unequal = DeepSupervision(DiceCELoss(), (1.0,) * 5), DeepSupervision(DiceCELoss(), shares)

    def total(x, is_equal):  # both losses in one graph, which takes seconds to compile
        logits = network(x)
        return is_equal * equal(logits, label) + (1 - is_equal) * unequal(logits, label)

    gradients = ms.grad(total, None, [head.weight for head in reversed(network.heads)])
    alike, ours = ([g.asnumpy() for g in gradients(image, ms.Tensor(on, ms.float32))] for on in (1, 0))
    for share, whole, got in zip((8, 4, 2, 1, 0), alike, ours, strict=True):
        assert np.abs(whole).max() > 1e-3
        assert np.allclose(got, whole * share / 15, atol=1e-7)
    assert not ours[-1].any()


@pytest.mark.parametrize(("poolings", "shares"), [(1, (1,)), (2, (1, 0)), (3, (2 / 3, 1 / 3, 0))])
def test_shares_of_fewer_heads(build, poolings, shares):
    """The same rule: halved each, the last one out where there is another."""
    from mindvoxel.config import load_recipe
    from mindvoxel.train.choices import head_weights

    stages = ((1, 1), *[(2, 2)] * poolings), ((3, 3),) * (poolings + 1), (2,) * (poolings + 1)
    network = build(1, 2, *stages, deep_supervision=True)
    assert head_weights(load_recipe("unetpp"), network) == pytest.approx(shares)


def test_a_plan_of_one_pooling_makes_a_network(build):
    network = build(1, 2, ((1, 1), (2, 2)), ((3, 3), (3, 3)), (2, 4), deep_supervision=True).set_train()
    (logits,) = network(tensor((1, 1, 8, 8)))
    assert logits.shape == (1, 2, 8, 8)


def test_heads_that_are_not_supervised_have_no_share(build):
    from mindvoxel.config import load_recipe
    from mindvoxel.train.choices import head_weights

    network = build(2, 3, *SMALL_2D).set_train()
    assert head_weights(load_recipe("unetpp"), network) == (1, 0)
    assert network(tensor(SHAPE_2D)).shape == (2, 3, *SHAPE_2D[2:])


def test_tensors_between_the_cells_are_blocked_where_the_filters_allow(build):
    """The layout in which the CPU operators need no conversion; results are the same but for rounding."""
    from mindvoxel.nn.layout import lay_plain
    from mindvoxel.ops.norm import is_usable

    if not is_usable():
        pytest.skip("the CPU operators are not built, or there is no AVX-512")
    stages = (*SMALL_3D[:2], (16, 16, 32, 32))
    network = build(2, 3, *stages).set_train(False)
    assert all(node.join[0].conv.blocked and node.up.blocked for row in network.rows for node in row)
    plain = copied(build, network, 2, 3, *stages)
    lay_plain(plain)
    assert not plain.rows[0][0].up.blocked
    assert np.allclose(network(tensor(SHAPE_3D)).asnumpy(), plain(tensor(SHAPE_3D)).asnumpy(), atol=1e-4)


def test_exported_files_compute_what_the_trained_network_does(build, tmp_path):
    """Anisotropic kernels and strides, all nodes; test_run.py exports a pruned one."""
    from mindvoxel.nn.exporting import exportable
    from mindvoxel.train.exporter import export_checked, random_check

    network = build(2, 3, *SMALL_3D).set_train(False)
    with exportable():
        exported = copied(build, network, 2, 3, *SMALL_3D)
    want = network(tensor(SHAPE_3D)).asnumpy()
    largest = np.abs(want).max()
    assert np.allclose(want, exported(tensor(SHAPE_3D)).asnumpy(), atol=2e-5 * largest)
    for file_format in ("MINDIR", "ONNX"):
        check = random_check(exported, SHAPE_3D)
        found = export_checked(exported, SHAPE_3D, tmp_path / "net", file_format, check)[1]
        assert found.largest_difference < 2e-5


@pytest.mark.parametrize("level", ["O1", "O2"])
def test_lower_precisions_stay_near(build, level):
    from mindvoxel.train.step import mixed_precision

    network = build(2, 3, *SMALL_2D).set_train(False)
    lower = copied(build, network, 2, 3, *SMALL_2D)
    mixed_precision(lower, level)
    want, got = (either(tensor(SHAPE_2D)).asnumpy().astype(np.float32) for either in (network, lower))
    assert 1e-5 < np.abs(want - got).max() / np.abs(want).max() < 3e-2


def test_stages_that_do_not_fit_are_refused(build):
    with pytest.raises(ValueError, match="its stride must be 1"):
        build(1, 3, ((2, 2), (2, 2)), ((3, 3), (3, 3)), (4, 8))
