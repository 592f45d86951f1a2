"""Control groups as they lie below /sys, made up in a folder."""

import os

import pytest

from mindvoxel.data.machine import available_bytes, available_cores

MEMINFO = "MemTotal:       64000000 kB\nMemFree:         100 kB\nMemAvailable:   32000000 kB\n"


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """machine(cgroup line, files): a root folder of 8 cores, 32 GB free."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))

    def make(cgroup: str, files: dict[str, str]):
        for name, text in {"proc/meminfo": MEMINFO, "proc/self/cgroup": cgroup, **files}.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return tmp_path

    return make


def test_without_control_groups_it_is_the_machine(machine):
    root = machine("", {})
    (root / "proc/self/cgroup").unlink()
    assert available_cores(root) == 8
    assert available_bytes(root) == 32_000_000 * 1024


def test_version_2_counts_its_own_group_and_those_above(machine):
    root = machine(
        "0::/jobs/one\n",
        {
            "sys/fs/cgroup/jobs/one/cpu.max": "max 100000\n",
            "sys/fs/cgroup/jobs/cpu.max": "250000 100000\n",  # 2.5 cores
            "sys/fs/cgroup/jobs/one/memory.max": "4000000000\n",
            "sys/fs/cgroup/jobs/one/memory.current": "3000000000\n",
            "sys/fs/cgroup/jobs/one/memory.stat": "anon 5\ninactive_file 500000000\n",
            "sys/fs/cgroup/jobs/memory.max": "max\n",
            "sys/fs/cgroup/jobs/memory.current": "3000000000\n",
        },
    )
    assert available_cores(root) == 3
    assert available_bytes(root) == 1_500_000_000


def test_version_1_in_a_container_where_the_groups_path_is_not_seen(machine):
    root = machine(
        "9:memory:/docker/abc\n4:cpu,cpuacct:/docker/abc\n1:name=systemd:/\n0::/\n",
        {
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "50000\n",
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": "2000000000\n",
            "sys/fs/cgroup/memory/memory.usage_in_bytes": "1500000000\n",
            "sys/fs/cgroup/memory/memory.stat": "total_inactive_file 100\n",
        },
    )
    assert available_cores(root) == 1
    assert available_bytes(root) == 500_000_100


def test_version_1_without_a_bound(machine):
    root = machine(
        "9:memory:/\n4:cpu:/\n",
        {
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": f"{2**63 - 4096}\n",
            "sys/fs/cgroup/memory/memory.usage_in_bytes": "1500000000\n",
        },
    )
    assert available_cores(root) == 8
    assert available_bytes(root) == 32_000_000 * 1024


def test_a_group_over_its_bound_has_nothing_left(machine):
    files = {"sys/fs/cgroup/memory.max": "1000\n", "sys/fs/cgroup/memory.current": "2000\n"}
    assert available_bytes(machine("0::/\n", files)) == 0


def test_this_machine():
    assert 1 <= available_cores() <= (os.cpu_count() or 1)
    assert available_bytes() > 2**20
