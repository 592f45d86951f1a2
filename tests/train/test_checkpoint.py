"""Checkpoints come back whole, or not at all."""

import numpy as np
import pytest

from mindvoxel.errors import InputError


@pytest.fixture(scope="module")
def build(cpu):
    from mindvoxel.train.optim import adam
    from vnet.network import VNet

    def make(width=2):
        network = VNet(width=width, down_convs=(1,), up_convs=(1,))
        return network, adam(network.trainable_params(), [0.1, 0.2])

    return make


@pytest.fixture
def saved(build, tmp_path):
    from mindvoxel.train import checkpoint

    network, optimizer = build()
    checkpoint.save(tmp_path / "last.ckpt", network, {"model": "vnet", "epoch": 3, "é": [1, None]}, optimizer)
    return tmp_path / "last.ckpt", network, optimizer


def test_round_trip(build, saved):
    from mindvoxel.train import checkpoint

    path, network, _ = saved
    meta, values = checkpoint.load(path)
    assert meta == {"model": "vnet", "epoch": 3, "é": [1, None]}
    other, optimizer = build()
    checkpoint.load_network(other, values, path)
    checkpoint.load_optimizer(optimizer, other, values, path)
    for ours, theirs in zip(network.get_parameters(), other.get_parameters(), strict=True):
        assert np.array_equal(ours.asnumpy(), theirs.asnumpy())


def test_the_optimiser_state_comes_back(build, saved, tmp_path):
    from mindvoxel.train import checkpoint

    _, network, optimizer = saved
    moments = [p for p in optimizer.get_parameters() if "moment" in p.name]
    assert moments
    for i, moment in enumerate(moments):
        moment.set_data(moment + i)
    checkpoint.save(tmp_path / "more.ckpt", network, {}, optimizer)
    _, values = checkpoint.load(tmp_path / "more.ckpt")
    other, fresh = build()
    checkpoint.load_optimizer(fresh, other, values, "more.ckpt")
    again = [p for p in fresh.get_parameters() if "moment" in p.name]
    assert all(np.array_equal(a.asnumpy(), b.asnumpy()) for a, b in zip(moments, again, strict=True))


def test_another_network_is_refused_with_counts(build, saved):
    from mindvoxel.train import checkpoint

    path, _, _ = saved
    _, values = checkpoint.load(path)
    wide, _ = build(width=4)
    with pytest.raises(InputError, match="another network .*0 missing, 0 left over, .* of another shape"):
        checkpoint.load_network(wide, values, path)


def test_damaged_foreign_and_missing_files(build, saved, tmp_path):
    import mindspore as ms

    from mindvoxel.train import checkpoint

    path, network, _ = saved
    content = path.read_bytes()
    (tmp_path / "cut.ckpt").write_bytes(content[: len(content) // 2])
    flipped = bytearray(content)
    flipped[len(content) // 2] ^= 255
    (tmp_path / "flipped.ckpt").write_bytes(flipped)
    (tmp_path / "text.ckpt").write_text("no checkpoint")
    ms.save_checkpoint(network, str(tmp_path / "foreign.ckpt"))
    for name, why in [
        ("cut.ckpt", "damaged"),
        ("flipped.ckpt", "damaged"),
        ("text.ckpt", "damaged"),
        ("foreign.ckpt", "holds no recipe"),
        ("absent.ckpt", "no such checkpoint"),
        ("last.onnx", "no such checkpoint"),
    ]:
        with pytest.raises(InputError, match=why) as fault:
            checkpoint.load(tmp_path / name)
        assert name in str(fault.value)


def test_nothing_half_written_where_the_folder_is_gone(saved, tmp_path):
    from mindvoxel.train import checkpoint

    _, network, _ = saved
    with pytest.raises(FileNotFoundError):
        checkpoint.save(tmp_path / "gone" / "last.ckpt", network, {})
    assert not list(tmp_path.glob("**/.partial*"))


def test_what_fits_is_loaded_and_the_rest_is_told(build, saved):
    from mindvoxel.train import checkpoint

    path, network, _ = saved
    _, values = checkpoint.load(path)
    wide, _ = build(width=4)
    lines = checkpoint.load_matching(network, values, path)
    assert lines == [
        f"{path}: {len(list(network.get_parameters()))} parameters loaded, 0 mismatched, 0 absent, 0 skipped"
    ]
    values["another"] = values.pop("in_block.conv.weight")
    head, titles, *rows = checkpoint.load_matching(wide, values, path)
    assert "1 absent, 1 skipped" in head
    assert titles.split() == ["parameter", "checkpoint", "network"]
    told = {tuple(row.split()[:2]) for row in rows}
    assert {("absent", "in_block.conv.weight"), ("skipped", "another")} <= told
    with pytest.raises(InputError, match="none of its 1 parameters fits"):
        checkpoint.load_matching(wide, {"another": values["another"]}, path)


def test_killed_at_any_moment_a_checkpoint_loads_and_is_whole(tmp_path):
    """Twenty times; what it holds is of one moment, and most of the processes had come to write one or more."""
    import subprocess
    import sys
    from pathlib import Path

    program = Path(__file__).with_name("killed_writers.py")
    words = [sys.executable, str(program), str(tmp_path)]
    done = subprocess.run(words, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    rounds = [line.split() for line in done.stdout.splitlines()]
    assert [whole for _, whole in rounds] == ["True"] * 20
    assert sum(int(written) for written, _ in rounds) >= 5
    assert list(tmp_path.glob(".partial-*"))  # some were killed while they wrote
