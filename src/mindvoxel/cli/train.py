"""Train a network."""

import json
import os
import sys
import time
from argparse import Namespace
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from easydict import EasyDict

from mindvoxel import config
from mindvoxel.cli import common
from mindvoxel.cli.cases import prepare_cases, scorer
from mindvoxel.data.prepare import Prepared
from mindvoxel.data.splits import read_split
from mindvoxel.datasets import promise12
from mindvoxel.errors import InputError, naming
from mindvoxel.files import write_text
from mindvoxel.log import LOGGER, add_file, set_up
from mindvoxel.train import device as devices


def parse(argv: Sequence[str], model: str | None) -> tuple[Namespace, EasyDict]:
    """Flags and the recipe they make: the named one, or the resumed run's, with every override."""
    parser = common.Parser("train.py", __doc__)
    chosen = common.choose_model(argv, model, parser)
    names = ", ".join(config.recipe_names(chosen))
    parser.add_argument("--recipe", default="default", help=f"one of {names}")
    parser.add_argument("--data_path", help="folder with img/ and gt/ (PROMISE12 layout)")
    parser.add_argument("--train_split_file_path", help="CSV of training images, one file name a line")
    parser.add_argument(
        "--eval_split_file_path", help="CSV of validation images, or none; without it val.csv beside the training CSV"
    )
    parser.add_argument("--output_path", help="folder of the run; without it results/MODEL-DATE-TIME")
    parser.add_argument("--ckpt_path", help="start from the weights of this checkpoint")
    parser.add_argument("--resume", metavar="RUN", help="folder of a run to go on with, exactly as if uninterrupted")
    together = "one process of several, as the launchers start them: scripts/train_distribute.sh"
    parser.add_argument("--run_distribute", nargs="?", type=common.boolean, const=True, default=False, help=together)
    parser.add_argument("--device_num", type=int, default=1, help="processes of the run, checked against the launcher")
    common.add_device_flags(parser)
    known, _ = parser.parse_known_args([w for w in argv if w not in {"-h", "--help"}])
    recipe = config.load_recipe(chosen, known.recipe)
    common.add_recipe_flags(parser, recipe, ("network", "data", "optim", "train", "device", "eval"))
    args = parser.parse_args(argv)
    return args, config.override(recipe, common.overrides(args, recipe))


def main(argv: Sequence[str] | None = None, model: str | None = None) -> int:
    status = 1
    try:
        status = common.run(lambda words: train(words, model), argv)
    except Exception:
        LOGGER.exception("a fault of this program")
        if not devices.of_a_cluster():
            raise
    if status and devices.of_a_cluster():
        sys.stdout.flush()
        os._exit(status)  # MindSpore's own way out waits for the other processes, which wait for this one
    return status


def train(argv: Sequence[str], model: str | None = None) -> None:
    args, recipe = parse(argv, model)
    device = devices.prepare(args.device_target, args.device_id, distributed=args.run_distribute)
    if args.run_distribute and device.num_ranks != args.device_num:
        raise InputError(f"--device_num {args.device_num}, but the launcher started {device.num_ranks} processes")
    set_up(device.is_main)
    meta, values = _resumed(args, recipe)
    recipe = config.override(recipe, {}) if meta is None else meta["recipe"]
    paths = _paths(args, meta)
    folder = common.new_folder(paths["output_path"]) if device.is_main else Path(paths["output_path"])
    if device.is_main:
        add_file(folder / "train.log")
    devices.set_cpu_precision(device.target, recipe.device.cpu_precision)
    _run(recipe, device, paths, folder, meta, values, args.ckpt_path)


def _resumed(args: Namespace, recipe: EasyDict) -> tuple[dict | None, dict | None]:
    """`meta` and parameters of the run to go on with; the command line's overrides win over its recipe."""
    if args.resume is None:
        return None, None
    for name, idle in (("ckpt_path", None), ("recipe", "default"), ("output_path", None)):
        if getattr(args, name) not in (idle, args.resume):
            raise InputError(f"--{name} has no place beside --resume {args.resume}, which goes on where it is; drop it")
    from mindvoxel.train import checkpoint

    path = Path(args.resume) / "last.ckpt"
    meta, values = checkpoint.load(path)
    if meta["model"] != recipe.model:
        raise InputError(f"{path}: a checkpoint of {meta['model']}, not of {recipe.model}; give its own --model")
    stored = config.from_json(json.dumps(meta["recipe"]))
    changed = common.overrides(args, stored)
    meta["recipe"] = config.override(stored, changed)
    for key, value in changed.items():
        LOGGER.info("resumed with another %s: %s", key, value)
    return meta, values


def _paths(args: Namespace, meta: dict | None) -> dict[str, str | None]:
    """Where the data and the run lie, as absolute paths; a resumed run remembers them."""
    paths = dict(meta["paths"]) if meta else {}
    for name in ("data_path", "train_split_file_path", "eval_split_file_path"):
        given = getattr(args, name)
        if given is not None:
            paths[name] = str(Path(given).resolve()) if given != "none" else None
    for name in ("data_path", "train_split_file_path"):
        if not paths.get(name):
            raise InputError(f"--{name} is needed")
    if "eval_split_file_path" not in paths:
        beside = Path(paths["train_split_file_path"]).with_name("val.csv")
        paths["eval_split_file_path"] = str(beside) if beside.is_file() else None
    folder = args.resume or args.output_path or f"results/{args.model}-{time.strftime('%Y%m%d-%H%M%S')}"
    if args.resume is None and (Path(folder) / "last.ckpt").exists():
        raise InputError(
            f"{folder}: holds a run already; go on with --resume {folder}, or choose another --output_path"
        )
    paths["output_path"] = str(Path(folder).resolve())
    return paths


def _run(recipe: EasyDict, device, paths: dict, folder: Path, meta, values, ckpt_path) -> None:
    """Build everything from the recipe, in the order data, network, callbacks, and train."""
    from mindvoxel.train import builder
    from mindvoxel.train.callbacks import Report, Save, Validate

    validation = []
    if paths["eval_split_file_path"] is None:
        LOGGER.info("no validation: no --eval_split_file_path, and no val.csv beside the training CSV")
    elif device.is_main:
        names = read_split(paths["eval_split_file_path"])
        validation = promise12.list_cases(paths["data_path"], names)
    training = promise12.list_cases(paths["data_path"], read_split(paths["train_split_file_path"]))
    cases = prepare_cases(training, recipe, "preparing training cases")
    validation = prepare_cases(validation, recipe, "preparing validation cases")
    _tell_oddities(cases, validation)
    parts = builder.build(recipe, cases, device)
    if meta is not None:
        builder.restore(parts, meta, values, paths["output_path"])
    elif ckpt_path is not None:
        builder.start_from(parts.network, ckpt_path)
    callbacks = []
    if device.is_main:
        record = {"model": recipe.model, "recipe": recipe, "paths": paths}
        if validation:
            score = scorer(parts.network, validation, recipe)
            callbacks.append(Validate(recipe.train.eval_interval, recipe.train.epochs, score))
        state = parts.trainer.state
        # a line too many in the log is dropped by a resumed run, a missing one could not be made up
        callbacks.append(Report(folder / "metrics.jsonl", recipe.train.epochs, state.epoch))
        callbacks.append(Save(folder, recipe.train.save_interval, recipe.train.epochs, state, parts.writer(record)))
        write_text(folder / "recipe.json", json.dumps(record, indent=1) + "\n")
    LOGGER.info("%s: %s", folder, parts.describe())
    LOGGER.info("compiling the network, which can take a minute or more")
    with naming(folder):
        parts.trainer.run(recipe.train.epochs, callbacks)
    LOGGER.info("done: %s", json.dumps({"run": str(folder), **_result(parts.trainer.state)}))


def _tell_oddities(cases: list[Prepared], validation: list[Prepared]) -> None:
    """What may be meant, and spoils a result where it is not."""
    empty = [case.case for case in cases if not case.label.any()]
    if empty:
        LOGGER.info("no foreground in the training label of %s; nothing is learnt from it alone", ", ".join(empty))
    shared = sorted({case.case for case in cases} & {case.case for case in validation})
    if shared:
        LOGGER.info("in training and validation both, so that its score proves little: %s", ", ".join(shared))


def _result(state) -> dict:
    kept = asdict(state)
    return {key: kept[key] for key in ("epoch", "step", "num_skipped", "best")}


if __name__ == "__main__":
    raise SystemExit(main())
