"""Convert a data set to another layout: msd, nnunet_v1, nnunet_v2, csv or promise12."""

from collections.abc import Sequence

from mindvoxel.cli import common
from mindvoxel.cli.data_flags import add_data_flags, open_data
from mindvoxel.datasets import convert as work
from mindvoxel.datasets.layouts import LAYOUTS
from mindvoxel.errors import InputError
from mindvoxel.log import LOGGER, set_up


def main(argv: Sequence[str] | None = None) -> int:
    return common.run(convert, argv)


def convert(argv: Sequence[str]) -> None:
    parser = common.Parser("mindvoxel convert", __doc__)
    add_data_flags(parser)
    parser.add_argument("--output", required=True, help="folder to write; it must not exist or be empty")
    parser.add_argument("--to", required=True, help=f"layout to write: {', '.join(LAYOUTS)}")
    parser.add_argument("--link", type=common.boolean, default=False, help="link files that stay as they are")
    args = parser.parse_args(argv)
    if args.to not in LAYOUTS:
        raise InputError(f"--to {args.to!r} is unknown; one of {', '.join(LAYOUTS)} is needed")
    set_up()
    dataset = open_data(args)
    taken, written = work.convert(dataset, args.output, args.to, args.link)
    LOGGER.info(
        "%s: %d cases and %d test cases as %s; %d files %s, %d written anew",
        *(args.output, len(dataset.cases), len(dataset.test_cases), args.to),
        *(taken, "linked" if args.link else "copied", written),
    )


if __name__ == "__main__":
    raise SystemExit(main())
