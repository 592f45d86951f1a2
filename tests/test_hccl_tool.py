"""Rank tables: written, merged, and refused with every fault in one message."""

import json

import pytest

from mindvoxel.cli import hccl_tool
from mindvoxel.errors import InputError
from mindvoxel.rank_table import Entry, merge, read_table, table_of

CONF = "".join(f"address_{chip}=192.168.{chip}.1\nnetmask_{chip}=255.255.255.0\n" for chip in range(8))


@pytest.fixture
def server(tmp_path, monkeypatch):
    """No hccn_tool, but its file; the working folder is empty."""
    (tmp_path / "hccn.conf").write_text(CONF)
    monkeypatch.setattr(hccl_tool, "HCCN_CONF", tmp_path / "hccn.conf")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    (tmp_path / "bin").mkdir()
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path


def written(*words) -> tuple[str, list[Entry]]:
    from pathlib import Path

    before = set(Path().iterdir())
    assert hccl_tool.main([str(word) for word in words]) == 0
    (path,) = set(Path().iterdir()) - before
    return path.name, read_table(path)


def test_eight_devices_are_the_default(server):
    name, entries = written("--server_ip", "10.0.0.7")
    assert name == "hccl_8p_01234567_10.0.0.7.json"
    assert entries == [Entry("10.0.0.7", chip, f"192.168.{chip}.1", chip) for chip in range(8)]
    table = json.loads((server / "work" / name).read_text())
    assert table["server_list"][0]["device"][3] == {"device_id": "3", "device_ip": "192.168.3.1", "rank_id": "3"}
    assert (table["version"], table["server_count"], table["status"]) == ("1.0", "1", "completed")


def test_blanks_and_remapped_chips(server):
    name, entries = written("--device_num", " [0, 2 ) ", "--visible_devices", "6, 4,5", "--server_ip", "10.0.0.7")
    assert name == "hccl_2p_64_10.0.0.7.json"
    assert [(e.device_id, e.device_ip, e.rank) for e in entries] == [(6, "192.168.6.1", 0), (4, "192.168.4.1", 1)]


def test_hccn_tool_is_asked_first(server):
    tool = server / "bin" / "hccn_tool"
    tool.write_text('#!/bin/sh\necho "ipaddr:172.16.0.$2"\necho "netmask:255.255.0.0"\n')
    tool.chmod(0o755)
    _, entries = written("--device_num", "[2,4)", "--server_ip", "10.0.0.7")
    assert [e.device_ip for e in entries] == ["172.16.0.2", "172.16.0.3"]


def test_a_hccn_tool_of_another_user_is_as_none(server):
    (server / "bin" / "hccn_tool").write_text("#!/bin/sh\n")
    (server / "hccn.conf").write_bytes(b"# \xb5\n" + CONF.encode())
    _, entries = written("--device_num", "[2,3)", "--server_ip", "10.0.0.7")
    assert [e.device_ip for e in entries] == ["192.168.2.1"]


def test_tables_of_servers_are_merged(server):
    first, _ = written("--device_num", "[0,2)", "--server_ip", "10.0.0.1")
    (server / "hccn.conf").write_text(CONF.replace("192.168", "192.169"))
    second, _ = written("--device_num", "[4,6)", "--server_ip", "10.0.0.2")
    name, entries = written("--merge", second, first)
    assert name == "hccl_2s_4p.json"
    found = [(e.server, e.device_id, e.rank) for e in entries]
    assert found == [("10.0.0.2", 4, 0), ("10.0.0.2", 5, 1), ("10.0.0.1", 0, 2), ("10.0.0.1", 1, 3)]


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        (["--device_num", "8"], "a half-open range such as [0,8) is needed"),
        (["--device_num", "[4,4)"], "a half-open range such as [0,8) is needed"),
        (["--visible_devices", "0,x"], "numbers from 0 on, parted by commas, are needed, got '0,x'"),
        (["--visible_devices", "0,0"], "each once, got '0,0'"),
        (["--visible_devices", "0,1,2"], "goes beyond the 3 of --visible_devices 0,1,2"),
        (["--device_num", "[8,99999999999)"], "no IP of device 8: neither hccn_tool -i 8 -ip -g nor"),
        (["--merge", "absent.json"], "absent.json: no such file"),
        (["--server_ip", "localhost"], "server_id is 'localhost', an IP as a string is needed"),
    ],
)
def test_wrong_words_are_told_in_one_sentence_and_leave_nothing(server, capfd, words, fault):
    assert hccl_tool.main(["--server_ip", "10.0.0.7", *words]) == 2
    error = capfd.readouterr().err
    assert fault in error and error.count("\n") == 1
    assert not list((server / "work").iterdir())


@pytest.mark.parametrize(
    ("address", "fault"),
    [
        ("127.0.1.1", "stands for 127.0.1.1, which other servers do not reach; give --server_ip"),
        (None, "has no address"),
    ],
)
def test_a_host_whose_name_says_nothing_asks_for_its_ip(server, capfd, monkeypatch, address, fault):
    def look_up(name):
        if address is None:
            raise hccl_tool.socket.gaierror(-2, "Name or service not known")
        return address

    monkeypatch.setattr(hccl_tool.socket, "gethostbyname", look_up)
    assert hccl_tool.main([]) == 2
    assert fault in capfd.readouterr().err


def good_table() -> dict:
    tables = [[Entry(f"10.0.0.{s}", chip, f"10.1.{s}.{chip}", chip) for chip in range(2)] for s in range(2)]
    return table_of(merge(tables))


def fault_of(tmp_path, table, num_ranks=None) -> str:
    path = tmp_path / "table.json"
    path.write_text(json.dumps(table))
    with pytest.raises(InputError) as caught:
        read_table(path, num_ranks)
    return str(caught.value)


def test_a_good_table_reads_in_the_order_of_its_ranks(tmp_path):
    table = good_table()
    table["server_list"].reverse()
    (tmp_path / "table.json").write_text(json.dumps(table))
    assert [entry.rank for entry in read_table(tmp_path / "table.json", 4)] == [0, 1, 2, 3]
    assert len(read_table(hccl_tool.Path(__file__).parents[1] / "scripts" / "hccl.json", 2)) == 2


def test_every_fault_of_form_stands_in_one_message(tmp_path):
    table = good_table()
    table.update(version=1.0, server_count=2, status="initializing")
    first, second = table["server_list"]
    first["server_id"] = "server-a"
    first["device"][1] = {"device_id": 1, "rank_id": "-1"}
    second["device"] = []
    message = fault_of(tmp_path, table, 4)
    for fault in (
        'version is 1.0, "1.0" is needed',
        "status is 'initializing', \"completed\" is needed",
        'server_count is 2, "2" is needed',
        "server 0: server_id is 'server-a', an IP as a string is needed",
        "server 0, device 1: device_id is 1, a number as a string",
        "server 0, device 1: rank_id is '-1', a number as a string",
        "server 0, device 1: device_ip is None, an IP as a string is needed",
        "server 1: device is [], a list of devices is needed",
        "it lists 2 devices, but DEVICE_NUM is 4",
    ):
        assert fault in message


def test_every_fault_of_numbers_stands_in_one_message(tmp_path):
    table = good_table()
    first, second = table["server_list"]
    table["version"] = "2.0"
    first["device"][1].update(device_id="0", rank_id="3")
    second["device"][0]["device_ip"] = second["device"][1]["device_ip"]
    message = fault_of(tmp_path, table, 8)
    for fault in (
        "version is '2.0'",
        "its rank ids are [0, 2, 3, 3], each of 0 to 3 is needed once",
        "device 0 of server 10.0.0.0 is there twice",
        "device_ip 10.1.1.1 is there twice",
        "it lists 4 devices, but DEVICE_NUM is 8",
    ):
        assert fault in message


STRANGE = {"server_id": [], "device": [{"device_id": "9" * 5000, "device_ip": {}, "rank_id": "²"}] * 2}


@pytest.mark.parametrize(
    "servers", [None, {}, [3], [{"device": [[]]}], [{"device": {}, "server_id": {}}], [STRANGE, STRANGE]]
)
def test_what_is_no_table_at_all_is_refused(tmp_path, servers):
    assert "no rank table to start with" in fault_of(tmp_path, {"server_list": servers}, 2)
