"""Write the rank table of this server's Ascend devices, or merge those of several servers into one."""

import json
import re
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path

from mindvoxel.cli import common
from mindvoxel.errors import InputError
from mindvoxel.files import write_text
from mindvoxel.log import LOGGER, set_up
from mindvoxel.rank_table import Entry, check_table, merge, read_table, table_of

HCCN_CONF = Path("/etc/hccn.conf")


def main(argv: Sequence[str] | None = None) -> int:
    return common.run(write, argv)


def write(argv: Sequence[str]) -> None:
    parser = common.Parser("hccl_tool.py", __doc__)
    parser.add_argument("--device_num", default="[0,8)", help="devices as a half-open range, such as [0,8) or [0, 4)")
    parser.add_argument(
        "--visible_devices",
        type=common.numbers,
        metavar="IDS",
        help="numbers of the chips that the range counts, such as 4,5,6,7; without it 0,1,2,…",
    )
    parser.add_argument("--server_ip", help="of this server, which the others reach it by; without it its host name's")
    parser.add_argument("--merge", nargs="+", metavar="TABLE", help="tables to merge, in the order of their ranks")
    parser.add_argument("--output_path", default=".", help="folder to write the table to, under a name that tells it")
    args = parser.parse_args(argv)
    set_up()
    if args.merge:
        entries = merge([read_table(path) for path in args.merge])
        name = f"hccl_{len({entry.server for entry in entries})}s_{len(entries)}p.json"
    else:
        chips = _chips(args.device_num, args.visible_devices)
        server = args.server_ip or _own_ip()
        entries = [Entry(server, chip, _device_ip(chip), rank) for rank, chip in enumerate(chips)]
        name = f"hccl_{len(chips)}p_{''.join(map(str, chips))}_{server}.json"
    check_table(table_of(entries), name)
    path = common.new_folder(args.output_path) / name
    write_text(path, json.dumps(table_of(entries), indent=1) + "\n")
    LOGGER.info("%s: %d devices", path, len(entries))


def _chips(text: str, visible: Sequence[int] | None) -> Sequence[int]:
    found = re.fullmatch(r"\s*\[\s*(\d+)\s*,\s*(\d+)\s*\)\s*", text)
    if not found or int(found[1]) >= int(found[2]):
        raise InputError(f"--device_num {text!r}: a half-open range such as [0,8) is needed")
    first, end = int(found[1]), int(found[2])
    if visible is None:
        return range(first, end)
    if end > len(visible):
        shown = ",".join(map(str, visible))
        raise InputError(f"--device_num {text} goes beyond the {len(visible)} of --visible_devices {shown}")
    return visible[first:end]


def _own_ip() -> str:
    try:
        address = socket.gethostbyname(socket.gethostname())
    except OSError as error:
        raise InputError(f"this host's name has no address ({error}); give --server_ip") from error
    if address.startswith("127."):
        raise InputError(f"this host's name stands for {address}, which other servers do not reach; give --server_ip")
    return address


def _device_ip(chip: int) -> str:
    """The IP of a chip's own network interface: from hccn_tool, else from its file of settings."""
    try:
        told = subprocess.run(["hccn_tool", "-i", str(chip), "-ip", "-g"], capture_output=True, text=True, check=False)
        found = re.search(r"ipaddr:\s*(\S+)", told.stdout)
    except OSError:  # not there, or not this user's to run
        found = None
    if not found and HCCN_CONF.is_file():
        settings = HCCN_CONF.read_text(encoding="utf-8", errors="replace")
        found = re.search(rf"^\s*address_{chip}\s*=\s*(\S+)", settings, re.MULTILINE)
    if not found:
        raise InputError(
            f"no IP of device {chip}: neither hccn_tool -i {chip} -ip -g nor {HCCN_CONF} (address_{chip}=…) gives one; "
            "set it by hccn_tool, or use msrun, which needs no rank table"
        )
    return found[1]


if __name__ == "__main__":
    raise SystemExit(main())
