"""Rank tables 1.0: which device of which server is which rank of an Ascend run."""

import ipaddress
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mindvoxel.errors import InputError
from mindvoxel.files import read_json

REMEDY = "python scripts/hccl_tool.py writes one, scripts/hccl.json is an example"


@dataclass(frozen=True)
class Entry:
    """One device: its server's IP, its number there (of the chip, not of what is visible), its own IP, its rank."""

    server: str
    device_id: int
    device_ip: str
    rank: int


def table_of(entries: Sequence[Entry]) -> dict:
    """The table as JSON wants it: servers in the order in which they first come, every value a string."""
    servers: dict[str, list] = {}
    for entry in entries:
        device = {"device_id": str(entry.device_id), "device_ip": entry.device_ip, "rank_id": str(entry.rank)}
        servers.setdefault(entry.server, []).append(device)
    listed = [{"server_id": ip, "device": devices, "host_nic_ip": "reserve"} for ip, devices in servers.items()]
    return {"version": "1.0", "server_count": str(len(listed)), "server_list": listed, "status": "completed"}


def read_table(path: str | Path, num_ranks: int | None = None) -> list[Entry]:
    """The entries in the order of their ranks; num_ranks: how many there have to be.

    Raises InputError that lists every fault of the table.
    """
    return check_table(read_json(path, REMEDY), str(path), num_ranks)


def check_table(table: dict, where: str, num_ranks: int | None = None) -> list[Entry]:
    """As read_table, of a table that is read already."""
    faults = _faults_of_form(table) + _faults_of_numbers(table, num_ranks)
    if faults:
        raise InputError(f"{where}: no rank table to start with: {'; '.join(faults)}; {REMEDY}")
    return sorted(_entries(table), key=lambda entry: entry.rank)


def merge(tables: Sequence[Sequence[Entry]]) -> list[Entry]:
    """The tables of several servers as one, ranks counted on in the order of the tables."""
    entries = [entry for table in tables for entry in table]
    return [Entry(e.server, e.device_id, e.device_ip, rank) for rank, e in enumerate(entries)]


def _entries(table: dict) -> list[Entry]:
    return [
        Entry(server["server_id"], int(device["device_id"]), device["device_ip"], int(device["rank_id"]))
        for server in table["server_list"]
        for device in server["device"]
    ]


def _faults_of_form(table: dict) -> list[str]:
    faults = []
    for key, wanted in (("version", "1.0"), ("status", "completed")):
        if table.get(key) != wanted:
            faults.append(f'{key} is {table.get(key)!r}, "{wanted}" is needed')
    servers = table.get("server_list")
    if not isinstance(servers, list) or not servers:
        return [*faults, f"server_list is {servers!r}, a list of servers is needed"]
    if table.get("server_count") != str(len(servers)):
        faults.append(f'server_count is {table.get("server_count")!r}, "{len(servers)}" is needed, the servers listed')
    for number, server in enumerate(servers):
        faults += _faults_of_server(server, f"server {number}")
    return faults


def _faults_of_server(server, where: str) -> list[str]:
    if not isinstance(server, dict):
        return [f"{where} is {server!r}, an object is needed"]
    faults, devices = [], server.get("device")
    if not _is_ip(server.get("server_id")):
        faults.append(f"{where}: server_id is {server.get('server_id')!r}, an IP as a string is needed")
    if not isinstance(devices, list) or not devices:
        return [*faults, f"{where}: device is {devices!r}, a list of devices is needed"]
    for number, device in enumerate(devices):
        place = f"{where}, device {number}"
        if not isinstance(device, dict):
            faults.append(f"{place} is {device!r}, an object is needed")
            continue
        for key in ("device_id", "rank_id"):
            value = device.get(key)
            if not _is_number(value):
                faults.append(f'{place}: {key} is {value!r}, a number as a string ("0") is needed')
        if not _is_ip(device.get("device_ip")):
            faults.append(f"{place}: device_ip is {device.get('device_ip')!r}, an IP as a string is needed")
    return faults


def _faults_of_numbers(table: dict, num_ranks: int | None) -> list[str]:
    """Of what can be read of the table, whose form may be at fault."""
    servers = [server for server in _listed(table.get("server_list")) if isinstance(server, dict)]
    devices = [(server, device) for server in servers for device in _listed(server.get("device"))]
    devices = [(server.get("server_id"), device) for server, device in devices if isinstance(device, dict)]
    ranks, faults = [device.get("rank_id") for _, device in devices], []
    if all(map(_is_number, ranks)) and (ranks := sorted(map(int, ranks))) != list(range(len(ranks))):
        faults.append(f"its rank ids are {ranks}, each of 0 to {len(ranks) - 1} is needed once")
    twice = {
        "device {1} of server {0} is there twice": [(ip, device.get("device_id")) for ip, device in devices],
        "device_ip {0} is there twice": [(device.get("device_ip"),) for _, device in devices],
        "server {0} is there twice": [(server.get("server_id"),) for server in servers],
    }
    for words, keys in twice.items():
        counts = Counter(key for key in keys if all(isinstance(part, str) for part in key))
        faults += [words.format(*key) for key, count in counts.items() if count > 1]
    if num_ranks is not None and num_ranks != len(devices):
        faults.append(f"it lists {len(devices)} devices, but DEVICE_NUM is {num_ranks}")
    return faults


def _listed(value) -> list:
    return value if isinstance(value, list) else []


def _is_number(value) -> bool:
    return isinstance(value, str) and re.fullmatch("0|[1-9][0-9]{0,5}", value) is not None


def _is_ip(value) -> bool:
    try:
        ipaddress.ip_address(value if isinstance(value, str) else "")
    except ValueError:
        return False
    return True
