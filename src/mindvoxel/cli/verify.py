"""Read a whole data set and list every fault that it has, with the case and the numbers."""

from collections.abc import Sequence
from pathlib import Path

from mindvoxel.cli import common
from mindvoxel.cli.data_flags import add_data_flags, add_worker_flags, open_data
from mindvoxel.data.examine import predicted_bytes
from mindvoxel.data.verify import verify
from mindvoxel.data.workers import choose_workers
from mindvoxel.errors import InputError
from mindvoxel.log import LOGGER, set_up


def main(argv: Sequence[str] | None = None) -> int:
    return common.run(verify_data, argv)


def verify_data(argv: Sequence[str]) -> None:
    parser = common.Parser("mindvoxel verify", __doc__)
    add_data_flags(parser)
    add_worker_flags(parser)
    parser.add_argument("--output", help="JSON file for the faults and the label values of each case (default: none)")
    args = parser.parse_args(argv)
    if args.output:  # told now, and not after the work
        if Path(args.output).is_dir():
            raise InputError(f"--output {args.output}: is a folder; a file is needed")
        common.new_folder(Path(args.output).parent)
    set_up()
    dataset = open_data(args, check_files=False)
    report = verify(
        dataset,
        num_workers=choose_workers(args.workers, predicted_bytes(dataset)),
        allow_empty=args.allow_empty,
    )
    report.log()
    if args.output:
        report.write(args.output)
    report.require_none(args.data)
    LOGGER.info("%s: %d cases without a fault", args.data, len(dataset.cases))


if __name__ == "__main__":
    raise SystemExit(main())
