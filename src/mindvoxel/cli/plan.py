"""Make plan.json from the fingerprint of a data set, or change one configuration of it.

DATA is the folder that mindvoxel preprocess writes. Without --batch_size, --patch_size and --spacing_mm a plan is made;
with them, the one that is there is changed, and what follows from the change with it.
"""

import argparse
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from mindvoxel.cli import common
from mindvoxel.data.dataset import dataset_from_json
from mindvoxel.data.fingerprint import read_fingerprint
from mindvoxel.data.plan import Configuration, Plan, difference, preprocessing_key, read_plan, write_plan
from mindvoxel.data.planning import PLANNERS, make_plan
from mindvoxel.data.planning.changes import CHANGEABLE, change_plan
from mindvoxel.errors import InputError
from mindvoxel.files import read_json
from mindvoxel.log import LOGGER, set_up

_MAKING = ("planner", "memory_gb", "task", "overwrite")


def main(argv: Sequence[str] | None = None) -> int:
    return common.run(plan, argv)


def plan(argv: Sequence[str]) -> None:
    args = _parser().parse_args(argv)
    changes = {key: getattr(args, key) for key in CHANGEABLE if getattr(args, key) is not None}
    making = [key for key in _MAKING if getattr(args, key) is not None]
    if changes and making:
        raise InputError(
            f"--{making[0]} makes a plan anew, --{next(iter(changes))} changes one; give them one at a time"
        )
    if args.configuration and not changes:
        raise InputError(
            "--configuration says which one to change; give --batch_size, --patch_size or --spacing_mm, too"
        )
    set_up()
    path = Path(args.data) / "plan.json"
    if changes:
        _change(path, args.configuration or "3d_fullres", changes)
    else:
        _make(path, args)


def _parser() -> common.Parser:
    parser = common.Parser("mindvoxel plan", __doc__)
    parser.add_argument(
        "--data", required=True, help="folder with fingerprint.json and dataset.json; plan.json goes there"
    )
    making = parser.add_argument_group("making a plan")
    making.add_argument("--planner", help=f"one of {', '.join(PLANNERS)} (default: nnunet_v2)")
    making.add_argument("--memory_gb", type=float, help="memory of the device to train on, GB (default: 8)")
    making.add_argument(
        "--task", help="NVIDIA's table, 01 to 10 (default: by the data set's name, if it is one of them)"
    )
    making.add_argument(
        "--overwrite", action="store_true", default=None, help="replace a plan that is there and differs"
    )
    changing = parser.add_argument_group("changing a plan")
    changing.add_argument("--configuration", help="which one to change (default: 3d_fullres)")
    changing.add_argument("--batch_size", type=int, help="patches a step")
    changing.add_argument("--patch_size", type=_whole, help="patch along the network's axes as 128,128,128, voxels")
    changing.add_argument(
        "--spacing_mm", type=_numbers, help="grid to resample to along the network's axes, as 3,1,1, mm"
    )
    return parser


def _whole(text: str) -> tuple[int, ...]:
    return _values(text, int)


def _numbers(text: str) -> tuple[float, ...]:
    return _values(text, float)


def _values(text: str, kind: type) -> tuple:
    try:
        return tuple(kind(part) for part in text.strip("()[] ").split(","))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"values with commas between them are needed, got {text!r}") from error


def _make(path: Path, args: argparse.Namespace) -> None:
    fingerprint = read_fingerprint(path.parent / "fingerprint.json")
    about = path.parent / "dataset.json"
    dataset = dataset_from_json(read_json(about, "mindvoxel preprocess writes it beside the fingerprint"), str(about))
    made = make_plan(fingerprint, dataset, args.planner or "nnunet_v2", args.memory_gb, args.task)
    old = _plan_there(path, args.overwrite)
    if old is not None and old != made and not args.overwrite:
        raise InputError(f"{path}: another plan is there, {_differing(old, made)} differs; --overwrite replaces it")
    write_plan(path, made)
    LOGGER.info("%s: %s", path, "unchanged" if old == made else "written")
    for line in table(made):
        LOGGER.info("%s", line)
    for name in made.configurations:
        if old is not None and name in old.configurations:
            _tell_staleness(old, made, name)


def _plan_there(path: Path, overwrite: bool) -> Plan | None:
    """The plan that is there, if any; one that cannot be read stands in the way only where it is to be kept."""
    if not path.exists():
        return None
    try:
        return read_plan(path)
    except InputError as error:
        if not overwrite:
            raise
        LOGGER.warning("replaced, though it cannot be read: %s", error)
        return None


def _differing(old: Plan, new: Plan) -> str:
    names = [field.name for field in fields(Plan) if getattr(old, field.name) != getattr(new, field.name)]
    return ", ".join(names)


def _change(path: Path, name: str, changes: dict) -> None:
    old = read_plan(path)
    new = change_plan(old, name, **changes)
    write_plan(path, new)
    rows = changed_rows(old.configurations[name], new.configurations[name])
    LOGGER.info("%s: %s %s", path, name, "changed" if rows else "is as it was")
    for line in aligned(rows):
        LOGGER.info("%s", line)
    _tell_staleness(old, new, name)


def _tell_staleness(old: Plan, new: Plan, name: str) -> None:
    reason = difference(preprocessing_key(old, name), preprocessing_key(new, name))
    if reason is None:
        LOGGER.info("%s: cases that are preprocessed already stay good", name)
    else:
        LOGGER.warning("%s: cases that are preprocessed already are stale (%s); preprocess again", name, reason)


def table(made: Plan) -> list[str]:
    """One line a configuration, under a heading."""
    rows = [("configuration", "patch_size", "batch_size", "spacing_mm", "median_shape", "stages", "strides")]
    for name, config in made.configurations.items():
        spacing = None if config.spacing_mm is None else tuple(round(mm, 4) for mm in config.spacing_mm)
        steps = " ".join("".join(map(str, stride)) for stride in config.strides)
        rows.append(
            (
                name,
                shown(config.patch_size),
                str(config.batch_size),
                shown(spacing),
                shown(config.median_shape),
                str(len(config.strides)),
                steps,
            )
        )
    return aligned(rows)


def changed_rows(old: Configuration, new: Configuration) -> list[tuple[str, ...]]:
    """What differs: name, old value, new value."""
    names = [field.name for field in fields(Configuration)]
    pairs = [(name, getattr(old, name), getattr(new, name)) for name in names]
    return [(name, shown(a), "->", shown(b)) for name, a, b in pairs if a != b]


def aligned(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def shown(value) -> str:
    """A value as a flag would take it; stages with spaces between them."""
    if value is None:
        return "none"
    if isinstance(value, tuple) and value and isinstance(value[0], tuple):
        return " ".join("".join(map(str, stage)) for stage in value)
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


if __name__ == "__main__":
    raise SystemExit(main())
