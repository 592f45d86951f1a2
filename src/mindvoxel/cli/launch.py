"""Start the processes of a distributed training on this server, and see to it that they end together."""

import os
import socket
import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from mindvoxel.cli import common
from mindvoxel.cli.supervise import Command, supervise
from mindvoxel.data.machine import available_cores
from mindvoxel.errors import InputError
from mindvoxel.rank_table import Entry, read_table
from mindvoxel.train.device import TARGETS

ROOT = Path(__file__).resolve().parents[3]
# The first compilation takes minutes, and not the same on each rank; validation takes longer on some than on others.
ASCEND_SETTINGS = {"HCCL_CONNECT_TIMEOUT": "600", "HCCL_EXEC_TIMEOUT": "17340"}
MASTER_PORT = 8118


def main(argv: Sequence[str] | None = None) -> int:
    status = 0

    def launch(words: Sequence[str]) -> None:
        nonlocal status
        args, flags = parse(words)
        commands = commands_of(args, flags)
        if not args.check:
            status = supervise(commands, logs_of(args))

    return common.run(launch, argv) or status


def parse(argv: Sequence[str]) -> tuple[Namespace, list[str]]:
    """Own flags, and those that go on to train.py."""
    parser = common.Parser("launch", __doc__ + " Flags that are not listed go to train.py.")
    parser.add_argument("--table", help="rank table, or the word msrun, by which all is started then")
    cards = "cards of each server for mpirun, such as 0,1,2,3"
    parser.add_argument("--visible_devices", type=common.numbers, help=cards)
    parser.add_argument("--device_num", type=int, required=True, help="processes of the run, on all servers")
    parser.add_argument("--device_target", default="Ascend", help="Ascend, GPU or CPU")
    parser.add_argument("--output_path", default="results", help="folder of the run, which the servers share")
    parser.add_argument("--check", action="store_true", help="see whether the run could start, and start nothing")
    parser.add_argument("--num_servers", type=int, default=1, help="servers of the run, each with as many processes")
    parser.add_argument("--node_rank", type=int, default=0, help="number of this server, from 0")
    parser.add_argument("--master_addr", help="IP of server 0; one server needs none")
    parser.add_argument("--master_port", type=int, help=f"free on server 0; one server finds one, else {MASTER_PORT}")
    parser.add_argument("--hostfile", help="Open MPI's list of servers, for mpirun")
    args, flags = parser.parse_known_args(argv)
    if args.device_target not in TARGETS:
        raise InputError(f"DEVICE_TARGET must be one of {', '.join(TARGETS)}, got {args.device_target!r}")
    if args.device_num < 1:
        raise InputError(f"DEVICE_NUM must be a whole number above 0, got {args.device_num}")
    if args.num_servers < 1 or args.device_num % args.num_servers:
        raise InputError(f"DEVICE_NUM {args.device_num} does not spread over --num_servers {args.num_servers} evenly")
    if not 0 <= args.node_rank < args.num_servers:
        raise InputError(f"--node_rank {args.node_rank}: 0 to {args.num_servers - 1} is needed, see --num_servers")
    if args.master_port is not None and not 0 < args.master_port < 2**16:
        raise InputError(f"--master_port must be 1 to {2**16 - 1}, got {args.master_port}")
    return args, flags


def logs_of(args: Namespace) -> Path:
    return Path(args.output_path) / "ranks"


def commands_of(args: Namespace, flags: list[str]) -> list[Command]:
    """What is started on this server."""
    flags = ["--run_distribute", "--device_num", str(args.device_num), "--output_path", args.output_path, *flags]
    work = [str(ROOT / "train.py"), "--device_target", args.device_target, *flags]
    table = None if args.table in (None, "msrun") else read_table(args.table, args.device_num)
    if args.visible_devices is not None:
        if args.device_target == "Ascend":
            raise InputError("mpirun starts runs on GPU and CPU; on Ascend use scripts/train_distribute.sh")
        return [_by_mpirun(args, work)]
    if table is not None and args.device_target == "GPU":
        raise InputError(f"{args.table}: a rank table is for Ascend; on GPU give msrun, or use train_distribute_gpu.sh")
    if table is not None and args.device_target == "Ascend":
        return _by_table(args, table, work)
    return [_by_msrun(args, work)]


def _by_msrun(args: Namespace, work: list[str]) -> Command:
    """MindSpore's own launcher, which starts a scheduler on server 0."""
    local = args.device_num // args.num_servers
    words = [_python(), "-m", "mindspore.parallel.cluster.run", f"--worker_num={args.device_num}"]
    words += [f"--local_worker_num={local}", f"--master_addr={_address(args)}", f"--master_port={_port(args)}"]
    words += ["--join=True", f"--log_dir={logs_of(args)}", "--tail_worker_log=0", "--cluster_time_out=600"]
    if args.num_servers > 1:
        words.append(f"--node_rank={args.node_rank}")
    # msrun takes the name of an interpreter, and no path
    own = {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"}
    return Command([*words, "python3", *work], own | _settings(args, local))


def _by_mpirun(args: Namespace, work: list[str]) -> Command:
    """Open MPI; on the CPU rank 0 starts MindSpore's scheduler, for which the ranks are told a place to meet."""
    cards, local = args.visible_devices, args.device_num // args.num_servers
    if len(cards) != local:
        raise InputError(f"DEVICE_NUM is {args.device_num}, but VISIBLE_DEVICES names {len(cards)} cards a server")
    own = _settings(args, local)
    if args.device_target == "CPU":
        own |= {"MS_SCHED_HOST": _address(args), "MS_SCHED_PORT": str(_port(args))}
    else:
        own["CUDA_VISIBLE_DEVICES"] = ",".join(map(str, cards))
    words = ["mpirun", "--allow-run-as-root", "-n", str(args.device_num), "--oversubscribe", "--bind-to", "none"]
    if args.hostfile is not None:
        words += ["--hostfile", args.hostfile]
    if args.hostfile is not None or args.num_servers > 1:  # without a file the cluster's manager names the servers
        words += ["-N", str(local)]
        for name in {"PATH", "PYTHONPATH", "LD_LIBRARY_PATH"} & os.environ.keys() | own.keys():
            words += ["-x", name]
    words += ["--output-filename", str(logs_of(args)), "--merge-stderr-to-stdout", _python()]
    return Command([*words, *work], own)


def _by_table(args: Namespace, table: list[Entry], work: list[str]) -> list[Command]:
    """The published way: one process for each device that the table gives this server."""
    servers = list(dict.fromkeys(entry.server for entry in table))
    if len(servers) != args.num_servers:
        raise InputError(f"{args.table}: {len(servers)} servers, but --num_servers is {args.num_servers}")
    mine = [entry for entry in table if entry.server == servers[args.node_rank]]
    common_settings = _settings(args, len(mine)) | {"RANK_TABLE_FILE": str(Path(args.table).resolve())}
    commands = []
    for entry in mine:
        own = {"RANK_ID": str(entry.rank), "DEVICE_ID": str(entry.device_id), "RANK_SIZE": str(args.device_num)}
        words = [_python(), *work, "--device_id", str(entry.device_id)]
        commands.append(Command(words, common_settings | own, entry.rank))
    return commands


def _settings(args: Namespace, local: int) -> dict[str, str]:
    """Variables that the user has not set."""
    cores = max(available_cores() // local, 1)
    own = ASCEND_SETTINGS if args.device_target == "Ascend" else {}
    own = own | ({"OMP_NUM_THREADS": str(cores)} if args.device_target == "CPU" else {})
    return {name: value for name, value in own.items() if name not in os.environ}


def _address(args: Namespace) -> str:
    if args.master_addr is None and args.num_servers > 1:
        raise InputError(f"--num_servers {args.num_servers}: --master_addr is needed, by which all reach server 0")
    return args.master_addr or "127.0.0.1"


def _port(args: Namespace) -> int:
    """Where the processes meet; on server 0 one that is free: at one that is taken they would wait for minutes."""
    port = args.master_port or (MASTER_PORT if args.num_servers > 1 else 0)
    if args.node_rank > 0:
        return port
    with socket.socket() as place:
        place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # one that a run has just left is free
        try:
            place.bind(("", port))
        except OSError as error:
            raise InputError(f"--master_port {port}: {error.strerror}; end what uses it, or choose another") from error
        return place.getsockname()[1]


def _python() -> str:
    """The interpreter of the ranks: the launchers' PYTHON."""
    return os.environ.get("PYTHON", sys.executable)


if __name__ == "__main__":
    raise SystemExit(main())
