"""Train every fold of a data set's configurations, and bring the results together.

Each run is a train.py of its own in OUTPUT_PATH/CONFIGURATION/fold_K, one at a time on each of --devices. The same
command can be given again: what is finished stays, what was interrupted goes on. In the end comes mindvoxel results.
Any other flag goes to train.py: --recipe NAME, --epochs N, …
"""

import os
import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from easydict import EasyDict

from mindvoxel import config
from mindvoxel.cli import common, results, train
from mindvoxel.cli.jobs import Job, run_jobs
from mindvoxel.data.machine import available_cores
from mindvoxel.data.stored_dataset import StoredDataset, open_stored
from mindvoxel.errors import InputError, WorkError
from mindvoxel.files import read_json
from mindvoxel.log import LOGGER, set_up
from mindvoxel.train.cross_validation import is_finished, run_folder

COMMAND = (sys.executable, "-m", "mindvoxel.cli.train")
# Flags of train.py that this command gives itself, or that make no run that could be validated.
_OWN = ("dim", "configuration", "fold", "previous_path", "resume", "continue_training", "extend_epochs")
_OWN += ("validation_only", "device_id", "run_distribute", "device_num", "benchmark", "bench_steps")
_OWN += ("bench_warmup_steps", "other_use")
# Parts of a recipe that may change between two calls.
_FREE = ("device.", "data.num_workers", "train.save_interval", "train.keep_interval", "train.ckpt_strategy")


def main(argv: Sequence[str] | None = None) -> int:
    return common.run(cross_validate, argv)


def cross_validate(argv: Sequence[str]) -> None:
    args, passed = parse(argv)
    set_up()
    data = open_stored(args.data_path)
    args.configurations = _in_order(data, args.configurations)
    args.folds = _folds(data, args.folds)
    jobs = {name: _jobs(args, passed, data, name) for name in args.configurations}
    _train(args, data, jobs)
    results.report(args)


def parse(argv: Sequence[str]) -> tuple[Namespace, list[str]]:
    """Own flags, and the words for train.py."""
    parser = common.Parser("mindvoxel cross_validate", __doc__)
    model = common.choose_model(argv, None, parser)
    parser.add_argument("--data_path", required=True, help="folder that mindvoxel preprocess wrote")
    parser.add_argument("--output_path", dest="folder", required=True, metavar="OUTPUT_PATH", help="of all runs")
    text = "numbers of cards to use side by side, as 0,1,2,3; on the CPU a process for each, which share the cores"
    parser.add_argument("--devices", type=common.numbers, default="0", help=text)
    results.add_flags(parser, configurations="as 2d,3d_fullres; all of the plan if not given")
    common.add_device_target(parser)
    args, passed = parser.parse_known_args(argv)
    args.model, args.device_id = model, args.devices[0]
    if config.kind_of(model) != "planned":
        raise InputError(f"--model {model} trains on scans that a split file names; cross_validate is for U-Nets")
    for name in _OWN:
        if any(word.partition("=")[0] == f"--{name}" for word in passed):
            raise InputError(f"--{name} has no place here: --configurations, --folds and --devices say what is trained")
    return args, passed


def _in_order(data: StoredDataset, chosen: Sequence[str] | None) -> list[str]:
    """Configurations of the plan; one that needs another's predictions comes last."""
    known = data.plan.configurations
    strange = [name for name in chosen or () if name not in known]
    if strange:
        raise InputError(f"the plan has no configuration {strange[0]}; choose of {', '.join(known)}")
    return sorted(chosen or known, key=lambda name: known[name].previous_stage is not None)


def _folds(data: StoredDataset, chosen: Sequence[int] | None) -> list[int]:
    count = len(data.folds())
    if chosen and max(chosen) >= count:
        raise InputError(f"--folds {max(chosen)}: the splits have folds 0 to {count - 1}")
    return sorted(chosen or range(count))


def _jobs(args: Namespace, passed: Sequence[str], data: StoredDataset, configuration: str) -> list[Job]:
    """The runs of a configuration that are not finished, checked as far as it can be done before any of them begins."""
    jobs = []
    for number in args.folds:
        run = run_folder(Path(args.folder), configuration, number)
        words = ["--model", args.model, "--data_path", args.data_path, "--configuration", configuration]
        words += ["--fold", str(number), "--output_path", str(run), "--continue_training"]
        words += ["--device_target", args.device_target, *passed]
        previous = data.plan.configurations[configuration].previous_stage
        if previous is not None:
            words += ["--previous_path", str(Path(args.folder) / previous)]
        _, recipe = train.parse(words, None)
        _require_same_recipe(run, recipe)
        data.require_cases(configuration, data.fold(number))
        if is_finished(run):
            LOGGER.info("%s, fold %d: finished already", configuration, number)
        else:
            jobs.append(Job(f"{configuration}, fold {number}", (*COMMAND, *words), run / "screen.log"))
    return jobs


def _require_same_recipe(run: Path, recipe: EasyDict) -> None:
    """A run that is there must have been begun with the recipe that is asked for now."""
    if not recipe.train.validate or recipe.train.ckpt_strategy == "none":
        raise InputError("--validate false and --ckpt_strategy none leave nothing to compare; drop them")
    if not (run / "last.ckpt").is_file():
        return
    stored = config.flatten(read_json(run / "recipe.json", "remove the run")["recipe"])
    for key, value in config.flatten(recipe).items():
        if stored.get(key) != value and not key.startswith(_FREE):
            raise InputError(
                f"{run}: was begun with {key} {stored.get(key)}, and {value} is asked for now; give the flags it was "
                "begun with, or another --output_path"
            )


def _train(args: Namespace, data: StoredDataset, jobs: dict[str, list[Job]]) -> None:
    """The runs, those that need the predictions of others after them; WorkError that names all that failed."""
    failed: dict[str, str] = {}
    first = [name for name in jobs if data.plan.configurations[name].previous_stage is None]
    for wave in (first, [name for name in jobs if name not in first]):
        ready = [job for name in wave for job in _unblocked(data, jobs, name, failed)]
        if ready:
            failed |= run_jobs(ready, args.devices, _environment(args))
    if failed:
        listed = "; ".join(f"{name}: {line}" for name, line in failed.items())
        raise WorkError(
            f"{len(failed)} of {sum(map(len, jobs.values()))} runs failed ({listed}); their screen.log says more, and "
            "the same command goes on where they were"
        )


def _unblocked(data: StoredDataset, jobs: dict[str, list[Job]], name: str, failed: dict[str, str]) -> list[Job]:
    previous = data.plan.configurations[name].previous_stage
    if any(job.name in failed for job in jobs.get(previous, ())):
        failed |= {job.name: f"not begun, it needs {previous}" for job in jobs[name]}
        return []
    return jobs[name]


def _environment(args: Namespace) -> dict[str, str]:
    """Of the runs: on the CPU those side by side share the cores."""
    environment = dict(os.environ)
    if args.device_target == "CPU" and len(args.devices) > 1:
        environment.setdefault("OMP_NUM_THREADS", str(max(available_cores() // len(args.devices), 1)))
    return environment


if __name__ == "__main__":
    raise SystemExit(main())
