"""The cores and the memory that this process may use, by its control groups as well as by the machine."""

import os
from collections.abc import Iterator
from math import ceil
from pathlib import Path

_ROOT = Path("/")


def available_cores(root: Path = _ROOT) -> int:
    """Cores that the scheduler gives this process: its affinity, and no more than its control groups' quota.

    root: where /proc and /sys lie, for tests.
    """
    cores = len(os.sched_getaffinity(0))
    for folder in _groups("cpu", root):
        quota, period = _quota(folder)
        if quota not in {"max", "-1"}:
            cores = min(cores, ceil(int(quota) / int(period)))
    return max(cores, 1)


def _quota(folder: Path) -> tuple[str, str]:
    """Microseconds of computing in each period of so many, of a control group; max or -1: no bound."""
    words = _words(folder / "cpu.max")  # version 2: both in one file
    words = words or [*_words(folder / "cpu.cfs_quota_us"), *_words(folder / "cpu.cfs_period_us")]
    return (words[0], words[1]) if len(words) == 2 else ("max", "100000")


def available_bytes(root: Path = _ROOT) -> int:
    """Memory that this process may still take before something is killed, in bytes."""
    free = _stat(root / "proc/meminfo", "MemAvailable:") * 1024
    for folder in _groups("memory", root):
        for limit, used, cache in (
            ("memory.max", "memory.current", "inactive_file"),
            ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
        ):
            bound, taken = _words(folder / limit), _words(folder / used)
            if bound and taken and bound[0] != "max":
                free = min(free, int(bound[0]) - int(taken[0]) + _stat(folder / "memory.stat", cache))
    return max(free, 0)


def _groups(controller: str, root: Path) -> Iterator[Path]:
    """The folders of this process's control group and of all above it, version 1 and 2."""
    for line in _lines(root / "proc/self/cgroup"):
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        mounts = (f"sys/fs/cgroup/{controllers}", f"sys/fs/cgroup/{controller}") if controllers else ("sys/fs/cgroup",)
        mount = next((root / m for m in mounts if (root / m).is_dir()), None)
        if mount is not None:
            group = Path(path.lstrip("/"))
            yield from (mount / folder for folder in (group, *group.parents))


def _lines(path: Path) -> list[str]:
    """No line where the file is absent, as on a kernel without control groups."""
    try:
        return path.read_text(encoding="ascii").splitlines()
    except FileNotFoundError:
        return []


def _words(path: Path) -> list[str]:
    return " ".join(_lines(path)).split()


def _stat(path: Path, key: str) -> int:
    return next((int(line.split()[1]) for line in _lines(path) if line.split()[0] == key), 0)
