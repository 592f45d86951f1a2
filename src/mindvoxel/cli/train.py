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
from mindvoxel.cli.kinds import kind_of
from mindvoxel.errors import InputError, Terminated, naming
from mindvoxel.files import write_text
from mindvoxel.log import LOGGER, add_file, set_up
from mindvoxel.train import device as devices
from mindvoxel.train.watch import WATCH

SECTIONS = ("network", "loss", "data", "optim", "train", "device", "eval")


def parse(argv: Sequence[str], model: str | None) -> tuple[Namespace, EasyDict]:
    """Flags and the recipe they make: the named one, or the resumed run's, with every override."""
    parser = common.Parser("train.py", __doc__)
    chosen = common.choose_model(argv, model, parser)
    names = ", ".join(config.recipe_names(chosen))
    parser.add_argument("--recipe", default="default", help=f"one of {names}")
    kind_of(chosen).add_train_flags(parser)
    parser.add_argument("--output_path", help="folder of the run; without it results/MODEL-DATE-TIME")
    parser.add_argument("--resume", metavar="RUN", help="folder of a run to go on with, exactly as if uninterrupted")
    parser.add_argument(
        "--watchdog_s",
        type=float,
        default=3600.0,
        help="seconds without a training step, or a network's answer in validation, after which a process ends itself "
        "as hung; 0: never; compiling does not count",
    )
    parser.add_argument(
        "--compile_cache",
        metavar="DIR",
        help="keep the compiled training step here, and take it from here",
    )
    together = "one process of several, as the launchers start them: scripts/train_distribute.sh"
    parser.add_argument("--run_distribute", nargs="?", type=common.boolean, const=True, default=False, help=together)
    parser.add_argument("--device_num", type=int, default=1, help="processes of the run, checked against the launcher")
    common.add_device_flags(parser)
    known, _ = parser.parse_known_args([w for w in argv if w not in {"-h", "--help"}])
    recipe = config.load_recipe(chosen, known.recipe)
    common.add_recipe_flags(parser, recipe, SECTIONS)
    args = parser.parse_args(argv)
    args.model = chosen
    kind_of(chosen).settle(args)
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
    device = devices.prepare(
        args.device_target,
        args.device_id,
        distributed=args.run_distribute,
        deterministic=args.deterministic,
    )
    if args.run_distribute and device.num_ranks != args.device_num:
        raise InputError(f"--device_num {args.device_num}, but the launcher started {device.num_ranks} processes")
    set_up(device.is_main)
    meta, values = _resumed(args, recipe)
    recipe = config.override(recipe, {}) if meta is None else meta["recipe"]
    paths = kind_of(recipe.model).data_paths(args, meta["paths"] if meta else {})
    paths["output_path"] = _output_path(args)
    folder = common.new_folder(paths["output_path"]) if device.is_main else Path(paths["output_path"])
    if device.is_main:
        add_file(folder / "train.log")
        for partial in folder.glob(".partial-*"):  # of a run that was killed while it wrote
            partial.unlink()
    devices.set_cpu_precision(device.target, recipe.device.cpu_precision)
    WATCH.start(args.watchdog_s, f"rank {device.rank}")
    try:
        _run(args, kind_of(recipe.model).TrainJob(args, recipe, paths, device, meta), folder, meta, values)
    finally:
        WATCH.stop()


def _resumed(args: Namespace, recipe: EasyDict) -> tuple[dict | None, dict | None]:
    """`meta` and parameters of the run to go on with; the command line's overrides win over its recipe."""
    if args.resume is None:
        return None, None
    for name, idle in (("ckpt_path", None), ("init_from", None), ("recipe", "default"), ("output_path", None)):
        if getattr(args, name, idle) not in (idle, args.resume):
            raise InputError(f"--{name} has no place beside --resume {args.resume}, which goes on where it is; drop it")
    from mindvoxel.train import checkpoint

    path = Path(args.resume) / "last.ckpt"
    meta, values = checkpoint.load(path)
    if meta["model"] != recipe.model:
        raise InputError(f"{path}: a checkpoint of {meta['model']}, not of {recipe.model}; give its own --model")
    stored = config.from_json(json.dumps(meta["recipe"]))
    changed = common.overrides(args, stored)
    if args.extend_epochs:
        changed["train.epochs"] = stored.train.epochs + args.extend_epochs
    meta["recipe"] = config.override(stored, changed)
    for key, value in changed.items():
        LOGGER.info("resumed with another %s: %s", key, value)
    return meta, values


def _output_path(args: Namespace) -> str:
    folder = args.resume or args.output_path or f"results/{args.model}-{time.strftime('%Y%m%d-%H%M%S')}"
    if args.resume is None and (Path(folder) / "last.ckpt").exists():
        raise InputError(
            f"{folder}: holds a run already; go on with --resume {folder}, or choose another --output_path"
        )
    return str(Path(folder).resolve())


def _run(args: Namespace, job, folder: Path, meta, values) -> None:
    """Build everything from the recipe, in the order network, state, callbacks, and train."""
    from mindvoxel.train.builder import keep_step
    from mindvoxel.train.callbacks import Report

    recipe, parts = job.recipe, job.build()
    if meta is None:
        job.start(parts)
    else:
        job.restore(parts, meta, values)
    if job.measure(parts, folder):
        return
    state = parts.trainer.state
    callbacks, savers = job.callbacks(parts, folder)
    if job.device.is_main:
        # a line too many in the log is dropped by a resumed run, a missing one could not be made up
        callbacks += [Report(folder / "metrics.jsonl", recipe.train.epochs, state.epoch), *savers]
        write_text(folder / "recipe.json", json.dumps(job.record, indent=1) + "\n")
    LOGGER.info("%s: %s", folder, parts.describe())
    epochs = state.epoch if job.only_finishes else recipe.train.epochs
    if args.compile_cache is not None:
        keep_step(parts, job.record, job.device, args.compile_cache)
    if state.epoch < epochs:
        LOGGER.info("compiling the network, which can take a minute or more, on Ascend several minutes")
    with naming(folder):
        if not parts.trainer.run(epochs, callbacks):
            _leave(job, parts, folder)
        found = job.finish(parts, folder)
    LOGGER.info("done: %s", json.dumps({"run": str(folder), **_result(state), **found}))


def _leave(job, parts, folder: Path) -> None:
    """Save where the run is, in the middle of an epoch, and end it on all ranks."""
    kept = job.recipe.train.get("ckpt_strategy") != "none"
    if job.device.is_main and kept:
        parts.writer(job.record)(folder / "last.ckpt")
    parts.trainer.ranks.any(False)  # a rank that ends ends the others: not before rank 0 has saved
    what = f"saved in {folder}, go on with --resume {folder}" if kept else "not saved, as --ckpt_strategy none wants it"
    raise Terminated(f"told to end (SIGTERM) after step {parts.trainer.state.step}; {what}")


def _result(state) -> dict:
    kept = asdict(state)
    return {key: kept[key] for key in ("epoch", "step", "num_skipped", "best")}


if __name__ == "__main__":
    raise SystemExit(main())
