"""Write train.csv and val.csv: the published PROMISE12 split, or a random one."""

import secrets
from collections.abc import Sequence

from mindvoxel.cli import common
from mindvoxel.data.splits import PROMISE12_NUM_CASES, published_promise12, random_split, write_split
from mindvoxel.datasets.promise12 import list_cases
from mindvoxel.errors import InputError
from mindvoxel.log import LOGGER, set_up
from mindvoxel.volume import stem_of


def main(argv: Sequence[str] | None = None) -> int:
    return common.run(create_csv, argv)


def create_csv(argv: Sequence[str]) -> None:
    parser = common.Parser("mindvoxel create_csv", __doc__)
    parser.add_argument("--output_path", default=".", help="folder of train.csv and val.csv")
    parser.add_argument("--random", type=common.boolean, default=False, help="draw the split instead of the published")
    parser.add_argument("--seed", type=int, help="seed of a random split; without it a new one each time")
    parser.add_argument("--data_path", help="split the cases of this folder instead of PROMISE12's Case00 to Case49")
    parser.add_argument("--eval_fraction", type=float, default=0.2, help="share of cases to evaluate, random split")
    args = parser.parse_args(argv)
    set_up()
    if args.data_path:
        names = [case.image.name for case in list_cases(args.data_path)]
    else:
        names = [f"Case{i:02d}.mhd" for i in range(PROMISE12_NUM_CASES)]
    if args.random:
        seed = secrets.randbelow(2**32) if args.seed is None else args.seed
        train, held_out = random_split(names, args.eval_fraction, seed)
        how = f"drawn with seed {seed}"
    else:
        if args.seed is not None:
            raise InputError("--seed is for a random split; add --random 1, or leave it out")
        train, held_out = published_promise12()
        if args.data_path:
            train, held_out = _as_named_in(args.data_path, names, train), _as_named_in(args.data_path, names, held_out)
        how = "as published"
    folder = common.new_folder(args.output_path)
    write_split(folder / "train.csv", train)
    write_split(folder / "val.csv", held_out)
    LOGGER.info("%s: train.csv %d cases, val.csv %d cases, %s", folder, len(train), len(held_out), how)


def _as_named_in(data_path: str, names: list[str], wanted: list[str]) -> list[str]:
    """The files of `data_path` that hold the published cases `wanted`, whatever their type."""
    files = {stem_of(name): name for name in names}
    if len(names) != PROMISE12_NUM_CASES or not all(stem_of(name) in files for name in wanted):
        raise InputError(
            f"{data_path}: the published split is of Case00 to Case{PROMISE12_NUM_CASES - 1}, and its {len(names)} "
            "cases are others; add --random 1"
        )
    return [files[stem_of(name)] for name in wanted]


if __name__ == "__main__":
    raise SystemExit(main())
