"""Convert a data set to another layout: msd, nnunet_v1, nnunet_v2, csv or promise12."""

from collections.abc import Sequence

from mindvoxel.cli import common
from mindvoxel.datasets import convert as work
from mindvoxel.datasets.layouts import LAYOUTS, open_dataset
from mindvoxel.errors import InputError
from mindvoxel.log import LOGGER, set_up


def main(argv: Sequence[str] | None = None) -> int:
    return common.run(convert, argv)


def convert(argv: Sequence[str]) -> None:
    parser = common.Parser("mindvoxel convert", __doc__)
    parser.add_argument("--data", required=True, help="folder of the data set, or a CSV that lists it")
    parser.add_argument("--output", required=True, help="folder to write; it must not exist or be empty")
    parser.add_argument("--layout", required=True, help=f"layout to write: {', '.join(LAYOUTS)}")
    parser.add_argument("--from", dest="source", default="auto", help="layout of --data: auto, or one of the same")
    parser.add_argument("--link", type=common.boolean, default=False, help="link files that stay as they are")
    parser.add_argument("--spacing_mm", type=common.spacing, help="z,y,x in mm, for images that know none: 5,0.8,0.8")
    args = parser.parse_args(argv)
    if args.layout not in LAYOUTS:
        raise InputError(f"--layout {args.layout!r} is unknown; one of {', '.join(LAYOUTS)} is needed")
    set_up()
    dataset = open_dataset(args.data, args.source, args.spacing_mm)
    taken, written = work.convert(dataset, args.output, args.layout, args.link)
    LOGGER.info(
        "%s: %d cases and %d test cases as %s; %d files %s, %d written anew",
        *(args.output, len(dataset.cases), len(dataset.test_cases), args.layout),
        *(taken, "linked" if args.link else "copied", written),
    )


if __name__ == "__main__":
    raise SystemExit(main())
