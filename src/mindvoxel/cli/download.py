"""Fetch a task of the Medical Segmentation Decathlon; a broken download goes on where it ended."""

import re
from collections.abc import Sequence

from mindvoxel.cli import common
from mindvoxel.datasets import download as work
from mindvoxel.errors import InputError
from mindvoxel.log import LOGGER, set_up


def main(argv: Sequence[str] | None = None) -> int:
    return common.run(download, argv)


def download(argv: Sequence[str]) -> None:
    parser = common.Parser("mindvoxel download", __doc__)
    names = ", ".join(name.removeprefix("Task").replace("_", " ") for name in work.TASKS)
    parser.add_argument("--task", required=True, help=names)
    parser.add_argument("--output", required=True, help="folder to put the task's own folder in")
    parser.add_argument("--source", help="another address of the archive, or a file; without it the public copy")
    parser.add_argument("--md5", help="md5 sum of the archive, if it is not the published one")
    args = parser.parse_args(argv)
    if not re.fullmatch(r"0?[1-9]|10", args.task):
        raise InputError(f"--task {args.task!r} is unknown; a number from 01 to 10 is needed: {names}")
    if args.md5 is not None and not re.fullmatch(r"[0-9a-fA-F]{32}", args.md5):
        raise InputError(f"--md5 {args.md5!r}: 32 hexadecimal digits are needed")
    set_up()
    folder = work.download(int(args.task), args.output, args.source, args.md5)
    LOGGER.info("%s: ready", folder)


if __name__ == "__main__":
    raise SystemExit(main())
