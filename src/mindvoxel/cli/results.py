"""Bring the folds of a cross-validation together, and find what segments best.

FOLDER holds runs CONFIGURATION/fold_K, as mindvoxel cross_validate leaves them. For each configuration, and for each
pair of them averaged, the Dice of all cases is written and shown by fold and class; the highest mean of the classes
wins, a single configuration on a tie. On its masks nnU-Net's rule chooses which largest components to keep. best.json
says the outcome, and predict.py reads it.
"""

from argparse import Namespace
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

from mindvoxel.cli import common, masks
from mindvoxel.cli.ensembles import ensemble
from mindvoxel.data.previous import scores_in
from mindvoxel.data.workers import choose_workers
from mindvoxel.errors import naming
from mindvoxel.log import LOGGER, set_up
from mindvoxel.metrics.report import summarise, write_report, write_summary
from mindvoxel.metrics.table import format_folds
from mindvoxel.train.cross_validation import CrossValidation, Fold, open_cross_validation
from mindvoxel.train.postprocessing import Choice, Judged, choose_postprocessing, mean_dice

VERSION = 1  # of best.json


def main(argv: Sequence[str] | None = None) -> int:
    return common.run(results, argv)


def results(argv: Sequence[str]) -> None:
    parser = common.Parser("mindvoxel results", __doc__)
    parser.add_argument("folder", metavar="FOLDER", help="of the cross-validation")
    add_flags(parser, configurations="as 2d,3d_fullres; all that have a run if not given")
    common.add_device_flags(parser)
    args = parser.parse_args(argv)
    set_up()
    report(args)


def add_flags(parser: common.Parser, configurations: str) -> None:
    """The flags that cross_validate has, too; configurations: the help text of that one."""
    parser.add_argument("--configurations", type=common.names, help=configurations)
    parser.add_argument("--folds", type=common.numbers, help="as 0,1,2; all, which hold every case once, if not given")
    parser.add_argument("--no_ensembles", action="store_true", help="do not try pairs of configurations")
    parser.add_argument(
        "--workers", type=int, help="processes that read masks; 0: none but this; as many as fit if not given"
    )


def report(args: Namespace) -> None:
    """All of the command, of flags that are known: folder, and those of add_flags."""
    folder = Path(args.folder)
    cross = open_cross_validation(folder, args.configurations, args.folds)
    (folder / "best.json").unlink(missing_ok=True)  # of another state of the runs
    dice = {(name,): _write(folder / name, name, folds) for name, folds in cross.folds.items()}
    folds_of: dict[tuple[str, ...], list[Fold]] = {(name,): folds for name, folds in cross.folds.items()}
    for pair in combinations(cross.folds, 2) if not args.no_ensembles else ():
        folds_of[pair] = ensemble(cross, pair, args.device_target, args.device_id)
        name = "+".join(pair)
        dice[pair] = _write(folder / name, name, folds_of[pair])
    best = max(dice, key=lambda members: dice[members])  # the first of equals: single ones come first
    choice = _postprocessing(cross, folds_of[best], args.workers)
    with naming(folder):
        write_summary(folder / "best.json", _best(cross, best, dice, choice))
    _tell(cross, best, dice, choice)


def _write(folder: Path, name: str, folds: list[Fold]) -> float:
    """Write and show the figures of all folds; their mean Dice over classes."""
    rows = [row for fold in folds for row in fold.rows]
    together = summarise(rows)
    with naming(folder):
        write_report(folder, rows, {"folds": [fold.number for fold in folds]})
    LOGGER.info("%s\n", format_folds(name, {fold.number: summarise(fold.rows) for fold in folds}, together))
    return together["mean"]["dice"]


def _postprocessing(cross: CrossValidation, folds: list[Fold], workers: int | None) -> Choice:
    scans = cross.scans
    cases = [
        Judged(name, fold.masks / scans.mask_name(name), scans.files[name].label)
        for fold in folds
        for name in dict.fromkeys(row["case"] for row in fold.rows)
    ]
    spacing, foreground = scans.dataset.spacing_mm, cross.plan.label_values[1:]
    return choose_postprocessing(cases, foreground, spacing, choose_workers(workers, masks.peak_bytes(cases, spacing)))


def _best(cross: CrossValidation, best: tuple[str, ...], dice: dict[tuple[str, ...], float], choice: Choice) -> dict:
    """What best.json holds; predict.py needs version, configurations, folds and postprocessing, and warns by scores."""
    chosen = {f"fold_{number}" for number in cross.numbers}
    scores = {name: {k: v for k, v in scores_in(cross.folder / name).items() if k in chosen} for name in cross.folds}
    return {
        "version": VERSION,
        "configurations": list(best),
        "folds": cross.numbers,
        "postprocessing": [list(group) for group in choice.groups],
        "num_cases": len(cross.scans.names),
        "dice": {"+".join(members): value for members, value in dice.items()},
        "dice_postprocessed": mean_dice(choice.after),
        "dice_by_class": _by_name(cross, choice.before),
        "dice_by_class_postprocessed": _by_name(cross, choice.after),
        "scores": scores,
    }


def _by_name(cross: CrossValidation, by_value: dict[int, float]) -> dict[str, float]:
    return {name: by_value[value] for name, value in cross.plan.labels.items() if value in by_value}


def _tell(cross: CrossValidation, best: tuple[str, ...], dice: dict[tuple[str, ...], float], choice: Choice) -> None:
    for members, value in dice.items():
        LOGGER.info("%s: Dice %.4f%s", "+".join(members), value, ", the best" if members == best else "")
    names_of = {value: name for name, value in cross.plan.labels.items()}
    groups = [", ".join(names_of[value] for value in group) for group in choice.groups]
    LOGGER.info(
        "postprocessing: %s (Dice %.4f, with it %.4f)",
        "; ".join(f"the largest component of {group}" for group in groups) or "none helps",
        mean_dice(choice.before),
        mean_dice(choice.after),
    )
    LOGGER.info("used by: python predict.py --model_dir %s --input IMAGES --output MASKS", cross.folder)


if __name__ == "__main__":
    raise SystemExit(main())
