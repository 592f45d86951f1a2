"""Write a phantom data set in the PROMISE12 layout, to try everything without patients' data."""

from collections.abc import Sequence

from mindvoxel.cli import common
from mindvoxel.datasets.phantom import write_phantom
from mindvoxel.errors import InputError
from mindvoxel.log import LOGGER, set_up


def main(argv: Sequence[str] | None = None) -> int:
    return common.run(phantom, argv)


def phantom(argv: Sequence[str]) -> None:
    parser = common.Parser("mindvoxel phantom", __doc__)
    parser.add_argument("--output_path", required=True, help="folder to write; it must not exist or be empty")
    parser.add_argument("--num_cases", type=int, default=12, help="scans")
    parser.add_argument("--seed", type=int, default=0, help="case k is the same for the same seed")
    args = parser.parse_args(argv)
    if args.num_cases < 1:
        raise InputError(f"--num_cases must be 1 or more, got {args.num_cases}")
    if args.seed < 0:
        raise InputError(f"--seed must be 0 or more, got {args.seed}")
    set_up()
    write_phantom(args.output_path, args.num_cases, args.seed)
    LOGGER.info("%s: %d phantom scans in img/, their labels in gt/", args.output_path, args.num_cases)


if __name__ == "__main__":
    raise SystemExit(main())
