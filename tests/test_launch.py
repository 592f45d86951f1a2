"""What the launcher refuses before anything starts, each in one sentence."""

import json
import socket

import pytest

from mindvoxel.cli import launch
from mindvoxel.rank_table import Entry, table_of


def refused(capfd, *words) -> str:
    assert launch.main(["--check", *map(str, words)]) == 2
    error = capfd.readouterr().err
    assert error.count("\n") == 1
    return error


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        (
            ["--table", "msrun", "--device_target", "Ascned"],
            "DEVICE_TARGET must be one of Ascend, GPU, CPU, got 'Ascned'",
        ),
        (["--visible_devices", "0,1", "--device_target", "Ascend"], "on Ascend use scripts/train_distribute.sh"),
        (["--visible_devices", "1,1", "--device_target", "GPU"], "each once, got '1,1'"),
        (["--table", "msrun", "--num_servers", 2], "--master_addr is needed, by which all reach server 0"),
        (["--table", "msrun", "--master_port", 70000], "--master_port must be 1 to 65535, got 70000"),
    ],
)
def test_what_cannot_start_is_told_before(capfd, words, fault):
    assert fault in refused(capfd, "--device_num", 2, *words)


def test_a_rank_table_is_for_ascend(capfd, tmp_path):
    table = tmp_path / "a table.json"
    table.write_text(json.dumps(table_of([Entry("10.0.0.1", chip, f"10.1.0.{chip}", chip) for chip in range(2)])))
    assert "a rank table is for Ascend" in refused(capfd, "--table", table, "--device_num", 2, "--device_target", "GPU")


def test_a_port_that_is_taken_is_told_and_server_1_does_not_need_it(capfd):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        words = ["--table", "msrun", "--device_num", 2, "--master_port", other.getsockname()[1]]
        assert "Address already in use; end what uses it, or choose another" in refused(capfd, *words)
        words += ["--num_servers", 2, "--node_rank", 1, "--master_addr", "10.0.0.1"]
        assert launch.main(["--check", *map(str, words)]) == 0


def test_ranks_without_a_port_of_their_own_meet_at_a_free_one():
    args, _ = launch.parse(["--table", "msrun", "--device_num", "2"])
    assert 1024 <= launch._port(args) < 2**16
