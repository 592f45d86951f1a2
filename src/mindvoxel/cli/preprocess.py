"""Verify a data set, take its fingerprint, plan, and preprocess its cases; a run that was stopped is continued."""

import argparse
import json
import time
from collections.abc import Sequence
from pathlib import Path

from mindvoxel.cli import common
from mindvoxel.cli.data_flags import add_data_flags, add_worker_flags, open_data
from mindvoxel.data import preprocess_dataset as work
from mindvoxel.data.dataset import Dataset, dataset_to_json
from mindvoxel.data.examine import predicted_bytes
from mindvoxel.data.fingerprint import Fingerprint, read_fingerprint, take_fingerprint, write_fingerprint
from mindvoxel.data.plan import Plan, read_plan, write_plan
from mindvoxel.data.planning import PLANNERS, check_request, make_plan
from mindvoxel.data.splits import NUM_FOLDS, five_folds, read_splits, write_splits
from mindvoxel.data.verify import verify
from mindvoxel.data.workers import choose_workers
from mindvoxel.errors import InputError
from mindvoxel.files import write_text
from mindvoxel.log import LOGGER, set_up

DEFAULT_PLANNER = "nnunet_v2"


def main(argv: Sequence[str] | None = None) -> int:
    return common.run(preprocess, argv)


def preprocess(argv: Sequence[str]) -> None:
    args = _parser().parse_args(argv)
    set_up()
    started = time.perf_counter()
    if args.overwrite and args.shard != (0, 1):
        raise InputError(
            "--overwrite removes the cases of all shards; remove the folder yourself, or leave out --shard"
        )
    dataset = open_data(args, check_files=args.no_verify)
    output = common.new_folder(args.output)
    kept = _check_kept(args, dataset, output)  # before the pass over all files, which may take hours
    fingerprint = _fingerprint(args, dataset, output)
    plan = kept or _new_plan(args, dataset, output, fingerprint)
    configurations = work.configurations_of(plan, args.configurations)
    need = work.predict(fingerprint, plan, configurations)
    memory_bytes = max(need.memory_bytes, predicted_bytes(dataset))  # the files may hold wider types than are kept
    LOGGER.info(
        "%s: %s of %d cases take about %s on disk%s, and one worker up to %s of memory",
        *(output, ", ".join(configurations), len(dataset.cases), _size(need.disk_bytes)),
        *(" before compression" if args.compress else "", _size(memory_bytes)),
    )
    _splits(dataset, plan, output)
    if args.plan_only:
        return
    num_workers = choose_workers(args.workers, memory_bytes)
    job = work.Job(plan, configurations, output, dataset.spacing_mm, args.compress)
    done = work.preprocess_dataset(dataset, job, num_workers=num_workers, shard=args.shard, overwrite=args.overwrite)
    earlier = sum(not case.made and not case.shared for case in done)
    shared = sum(len(case.shared) for case in done)
    LOGGER.info(
        "%s: %d cases%s%s, %s on disk, %d workers, %.1f s",
        *(output, len(done), f", {earlier} of them from an earlier run" if earlier else ""),
        f", {shared} times one file for two equal configurations" if shared else "",
        *(_size(work.disk_bytes(output, configurations)), num_workers, time.perf_counter() - started),
    )


def _parser() -> common.Parser:
    parser = common.Parser("mindvoxel preprocess", __doc__)
    add_data_flags(parser)
    parser.add_argument("--output", required=True, help="folder of plan.json, splits.json and CONFIGURATION/CASE.*")
    add_worker_flags(parser)
    names = ", ".join(PLANNERS)
    parser.add_argument(
        "--planner", help=f"rules of the plan: {names} (default: that of --output's plan.json, else {DEFAULT_PLANNER})"
    )
    parser.add_argument(
        "--memory_gb",
        type=float,
        help="memory of the device to train on, in GB (default: what the planner is made for)",
    )
    parser.add_argument("--task", help="NVIDIA's table, 01 to 10, for a new plan (default: by the data set's name)")
    parser.add_argument("--configurations", help="2d,3d_fullres,…: which to preprocess (default: all of the plan)")
    parser.add_argument(
        "--shard",
        type=_shard,
        default="0/1",
        help="i/n: every n-th case from the i-th, 0 to n-1, of a plan.json made"
        " before with --plan_only; each shard is a run of its own",
    )
    parser.add_argument("--compress", action="store_true", help="NPZ instead of NPY, which can be mapped into memory")
    parser.add_argument("--overwrite", action="store_true", help="make cases anew, also those of another plan")
    parser.add_argument("--no_verify", action="store_true", help="do not look for faults; the first one ends the run")
    parser.add_argument(
        "--plan_only",
        "--dry_run",
        action="store_true",
        help="stop before the cases: verify, plan, and tell what they will take on disk and in memory",
    )
    return parser


def _shard(text: str) -> tuple[int, int]:
    words = text.split("/")
    if len(words) != 2 or not all(word.isdecimal() for word in words) or not int(words[0]) < int(words[1]):
        raise argparse.ArgumentTypeError(f"i/n with i from 0 to n-1 is needed, got {text!r}")
    return int(words[0]), int(words[1])


def _fingerprint(args: argparse.Namespace, dataset: Dataset, output: Path) -> Fingerprint:
    """That of OUT where it is of the same files, and they were verified; else verify, and take it in the same pass.

    dataset.json, written last, says of which files it is.
    """
    path, known = output / "fingerprint.json", output / "dataset.json"
    record = dataset_to_json(dataset) | {"verified": not args.no_verify}
    record["sources"] = {case.case: work.source_files(case) for case in dataset.cases}
    record = json.loads(json.dumps(record))
    old = _read_if_sound(path)
    if old and _is_same(known, record):
        return old
    if args.shard != (0, 1):
        raise InputError(
            f"{output}: no fingerprint.json of the data as they are now; run once with --plan_only before --shard"
        )
    known.unlink(missing_ok=True)
    num_workers = choose_workers(args.workers, predicted_bytes(dataset))
    if args.no_verify:
        fingerprint = take_fingerprint(dataset, num_workers=num_workers)
    else:
        report = verify(dataset, num_workers=num_workers, allow_empty=args.allow_empty)
        report.log()
        report.require_none(args.data)
        fingerprint = report.fingerprint
    if old and old != fingerprint and (output / "plan.json").is_file():
        LOGGER.warning("%s: the data are not those that it was made of; remove it to plan anew", output / "plan.json")
    write_fingerprint(path, fingerprint)
    write_text(known, json.dumps(record, indent=1) + "\n")
    return fingerprint


def _read_if_sound(path: Path) -> Fingerprint | None:
    try:
        return read_fingerprint(path) if path.is_file() else None
    except InputError as error:
        LOGGER.warning("taken anew, since it cannot be read: %s", error)
        return None


def _is_same(path: Path, record: dict) -> bool:
    """Whether a dataset.json is of the same files and declarations, and verified where that is asked for."""
    if not path.is_file():
        return False
    try:
        old = json.loads(path.read_text(encoding="utf-8"))
        same = all(old[key] == record[key] for key in ("channels", "labels", "regions", "spacing_mm", "sources"))
        return same and (old["verified"] or not record["verified"])
    except (ValueError, KeyError, TypeError):
        return False  # damaged, or of another version: taken anew


def _check_kept(args: argparse.Namespace, dataset: Dataset, output: Path) -> Plan | None:
    """plan.json of OUT, edited or not, if any; raises InputError where it, splits.json or a flag is wrong."""
    splits, path = output / "splits.json", output / "plan.json"
    if splits.is_file():
        read_splits(splits, [case.case for case in dataset.cases])
    if not path.is_file():
        if args.shard != (0, 1):
            raise InputError(f"{path}: no such plan; run once with --plan_only before --shard")
        check_request(args.planner or DEFAULT_PLANNER, args.memory_gb, args.task)
        return None
    plan = read_plan(path)
    check_request(plan.planner, None, args.task)
    asked = {
        "planner": args.planner,
        "memory_gb": args.memory_gb,
        "channels": dataset.channels,
        "labels": dict(dataset.labels),
    }
    for name, value in asked.items():
        if value is not None and getattr(plan, name) != value:
            raise InputError(
                f"{path}: its {name} is {getattr(plan, name)}, and {value} is needed; remove it to plan anew, or name "
                "another --output"
            )
    LOGGER.info("%s: kept as it is; remove it to plan anew", path)
    return plan


def _new_plan(args: argparse.Namespace, dataset: Dataset, output: Path, fingerprint: Fingerprint) -> Plan:
    plan = make_plan(fingerprint, dataset, args.planner or DEFAULT_PLANNER, args.memory_gb, args.task)
    write_plan(output / "plan.json", plan)
    return plan


def _splits(dataset: Dataset, plan: Plan, output: Path) -> None:
    """splits.json of OUT is kept, _check_kept has read it; else the planner's five folds, which need as many cases."""
    path, names = output / "splits.json", [case.case for case in dataset.cases]
    if path.is_file():
        return
    if len(names) < NUM_FOLDS:
        LOGGER.warning("%s: not written, %d folds need as many cases and there are %d", path, NUM_FOLDS, len(names))
    else:
        write_splits(path, five_folds(names, "nvidia" if plan.planner == "nvidia" else "nnunet"))


def _size(num_bytes: int) -> str:
    return f"{num_bytes / 1e9:.1f} GB" if num_bytes >= 1e9 else f"{num_bytes / 1e6:.1f} MB"


if __name__ == "__main__":
    raise SystemExit(main())
