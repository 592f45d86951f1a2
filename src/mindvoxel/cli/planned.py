"""Commands on cases that mindvoxel preprocess made by a plan: the U-Nets' kind."""

import json
from argparse import Namespace
from functools import partial
from pathlib import Path

from easydict import EasyDict

from mindvoxel import config
from mindvoxel.cli import cascade, common
from mindvoxel.cli.cases import Segments
from mindvoxel.data.dataset import dataset_to_json
from mindvoxel.data.plan import plan_from_json, plan_to_json, preprocessing_key, write_plan
from mindvoxel.data.previous import find_previous, previous_runs, scores_in
from mindvoxel.data.splits import Fold
from mindvoxel.data.store import check_fresh, open_case
from mindvoxel.data.stored_dataset import configuration_of, open_stored, read_dataset
from mindvoxel.errors import InputError
from mindvoxel.files import read_json, write_text
from mindvoxel.log import LOGGER
from mindvoxel.metrics.report import remove_report, summarise, write_report
from mindvoxel.metrics.table import format_table
from mindvoxel.train.volumes import Scans, mean_figures, score_scans


def add_train_flags(parser: common.Parser) -> None:
    parser.add_argument("--data_path", help="folder that mindvoxel preprocess wrote")
    parser.add_argument("--dim", type=int, choices=(2, 3), help="2: the plan's 2d, 3: its 3d_fullres")
    names = "2d, 3d_fullres, 3d_lowres, 3d_cascade_fullres"
    parser.add_argument("--configuration", help=f"one of the plan's by name: {names}")
    parser.add_argument("--fold", type=int, help="of splits.json: 0 to 4; beyond, a random 80 %% of the cases train")
    parser.add_argument("--previous_path", metavar="RUNS", help=cascade.HELP)
    going = parser.add_argument_group("going on")
    going.add_argument(
        "--continue_training", action="store_true", help="resume the newest run of this data and fold, if there is one"
    )
    going.add_argument("--extend_epochs", type=int, default=0, metavar="N", help="epochs more than the resumed run's")
    going.add_argument(
        "--validation_only", action="store_true", help="segment the validation scans of the resumed run, or the newest"
    )
    going.add_argument("--init_from", metavar="CKPT", help="start from what fits of this checkpoint's weights")
    parser.add_argument("--dbs", action="store_true", help="divide the batch over the devices, instead of one for each")
    parser.add_argument("--deterministic", action="store_true", help="the same numbers in each run, also on Ascend")
    speed = parser.add_argument_group("speed")
    speed.add_argument("--benchmark", action="store_true", help="time training steps, write nothing but the log")
    speed.add_argument("--bench_steps", type=int, default=200, help="steps that are timed")
    speed.add_argument("--bench_warmup_steps", type=int, default=100, help="steps before them")
    speed.add_argument("--other_use", choices=("fps", "prof"), help="fps: as --benchmark; prof: profile ten steps")


def settle(args: Namespace) -> None:
    """What follows from other flags, and what does not go together."""
    if (args.continue_training or args.validation_only) and args.resume is None:
        args.resume = _newest_run(args)
        if args.resume is not None:
            args.output_path, args.recipe, args.init_from = None, "default", None  # they began the run that goes on
    if args.resume is not None:
        record = Path(args.resume) / "recipe.json"
        args.deterministic |= record.is_file() and read_json(record).get("deterministic", False)
    args.benchmark = args.benchmark or args.other_use == "fps"
    if args.extend_epochs and args.resume is None:
        raise InputError("--extend_epochs goes on with a run; name it by --resume RUN")
    if args.validation_only and args.resume is None:
        where = args.output_path or "results"
        raise InputError(
            f"--validation_only goes on with a run, and {where} holds none of this model, data and fold; name it by "
            "--resume RUN"
        )
    if args.extend_epochs < 0 or args.bench_steps < 1 or args.bench_warmup_steps < 0:
        raise InputError("--extend_epochs and --bench_warmup_steps must be 0 or more, --bench_steps 1 or more")


def _newest_run(args: Namespace) -> str | None:
    """The folder with the newest last.ckpt among --output_path and its subfolders (or results/) of the same model,
    data, configuration and fold, as far as they are given."""
    root = Path(args.output_path or "results")
    found = []
    for path in [root / "last.ckpt", *root.glob("*/last.ckpt")]:
        record = path.with_name("recipe.json")
        if path.is_file() and record.is_file() and _is_same_run(args, read_json(record, "remove that run")):
            found.append(path)
    if not found:
        return None
    return str(max(found, key=lambda path: path.stat().st_mtime_ns).parent)


def _is_same_run(args: Namespace, record: dict) -> bool:
    data = None if args.data_path is None else str(Path(args.data_path).resolve())
    wanted = {"model": args.model, "fold": args.fold, "dim": args.dim, "configuration": args.configuration}
    same_data = data in (None, record.get("paths", {}).get("data_path"))
    return same_data and all(value in (None, record.get(name)) for name, value in wanted.items())


def _share(batch_size: int, num_ranks: int) -> int:
    if batch_size % num_ranks:
        raise InputError(
            f"--dbs: a batch of {batch_size} does not divide over {num_ranks} devices; give --batch_size a multiple of "
            "them, or change the plan's with mindvoxel plan --batch_size"
        )
    return batch_size // num_ranks


def data_paths(args: Namespace, stored: dict) -> dict[str, str]:
    """Where the preprocessed cases lie, and of a cascade the runs of its previous stage, as absolute paths; a resumed
    run remembers them."""
    names = ("data_path", "previous_path")
    given = {name: str(Path(path).resolve()) for name in names if (path := getattr(args, name)) is not None}
    paths = {name: stored[name] for name in names if name in stored} | given
    if "data_path" not in paths:
        raise InputError("--data_path is needed: the folder that mindvoxel preprocess wrote")
    return paths


class TrainJob:
    """One fold of one configuration of a preprocessed data set."""

    def __init__(self, args: Namespace, recipe: EasyDict, paths: dict, device, meta: dict | None):
        self.args, self.paths, self.device = args, paths, device
        self.data = open_stored(paths["data_path"])
        self.plan = self.data.plan
        old = meta or {}
        for name in ("fold", "configuration", "dim"):
            given = getattr(args, name)
            if name in old and given not in (None, old[name]):
                raise InputError(f"--{name} {given}, but {args.resume} is a run of {name} {old[name]}; leave it out")
        self.configuration = old.get("configuration") or configuration_of(self.plan, args.dim, args.configuration)
        if meta and old["plan"] != plan_to_json(self.plan):
            raise InputError(
                f"{paths['data_path']}: its plan.json is another than that of the run {args.resume}; give the "
                "--data_path that the run began with"
            )
        if args.fold is None and not meta:
            raise InputError("--fold is needed: 0 to 4")
        if args.dbs and (meta is None or "train.batch_size" in vars(args)):  # a resumed run's batch is divided already
            batch_size = recipe.train.batch_size or self.plan.configurations[self.configuration].batch_size
            recipe = config.override(recipe, {"train.batch_size": _share(batch_size, device.num_ranks)})
        self.recipe = recipe
        number = old["fold"] if meta else args.fold
        self.fold: Fold = self.data.fold(number)
        self.stored = self.data.require_cases(self.configuration, self.fold)
        self.previous = cascade.previous_of(self.data, self.configuration, self.fold, paths)
        self.only_finishes, self.scans = args.validation_only, None
        validates = (recipe.train.validate or args.validation_only) and not (args.benchmark or args.other_use)
        if validates:
            data = self.data.dataset
            self.scans = Scans(self.plan, self.configuration, data, self.fold.val, self.stored, self.previous)
        self.record = {
            "model": recipe.model,
            "recipe": recipe,
            "paths": paths,
            "configuration": self.configuration,
            "dim": self.plan.configurations[self.configuration].dim,
            "fold": number,
            "val_cases": list(self.fold.val),
            "deterministic": args.deterministic,
            "plan": plan_to_json(self.plan),
        }
        if self.previous is not None:  # of the runs that it began with
            self.record["previous_scores"] = old.get("previous_scores") or scores_in(paths["previous_path"])

    def build(self):
        """The Parts of the run, at step 0."""
        from mindvoxel.train import planned
        from mindvoxel.train.benchmark import PROFILED_STEPS

        opener, recipe = partial(open_case, self.stored), self.recipe
        if self.args.benchmark or self.args.other_use:  # learning rates for every step that is timed
            timed = self.args.bench_steps + self.args.bench_warmup_steps + PROFILED_STEPS + 1
            recipe = config.override(recipe, {"train.epochs": recipe.train.epochs + timed})
        cases = self.fold.train
        return planned.build(recipe, self.plan, self.configuration, cases, opener, self.device, self.previous)

    def start(self, parts) -> None:
        """From what fits of the weights of --init_from, if any."""
        if self.args.init_from is not None:
            from mindvoxel.train import checkpoint

            _, values = checkpoint.load(self.args.init_from)
            for line in checkpoint.load_matching(parts.network, values, self.args.init_from):
                LOGGER.info("%s", line)

    def restore(self, parts, meta: dict, values: dict) -> None:
        """Go on from a checkpoint, or with what comes after a finished run."""
        from mindvoxel.train import builder

        builder.restore(parts, meta, values, self.paths["output_path"], finished=True)

    def measure(self, parts, folder: Path) -> bool:
        """Time or profile steps instead of training, where that is asked for."""
        args = self.args
        if args.other_use == "prof":
            from mindvoxel.train.benchmark import profile_training

            profile_training(parts.trainer, folder / "profile")
            LOGGER.info("profile of ten steps in %s", folder / "profile")
        if args.benchmark:
            from mindvoxel.train.benchmark import time_training

            LOGGER.info("%s", parts.describe())
            figures = time_training(parts.trainer, parts.batch_size, args.bench_steps, args.bench_warmup_steps)
            for name, value in figures.items():
                LOGGER.info("%s: %s %s", name, value, "patches/s" if name.startswith("throughput") else "ms")
        return args.benchmark or args.other_use is not None

    def callbacks(self, parts, folder: Path) -> tuple[list, list]:
        """What happens at the end of an epoch before the report, and after it."""
        from mindvoxel.train.callbacks import Plot, Save, Validate
        from mindvoxel.train.choices import plain_loss, validation_patches
        from mindvoxel.train.patch_validation import ValidatePatches

        if self.device.is_main:
            write_plan(folder / "plan.json", self.plan)
            write_text(folder / "dataset.json", json.dumps(dataset_to_json(self.data.dataset), indent=1) + "\n")
        recipe, train, state = self.recipe, self.recipe.train, parts.trainer.state
        chosen, before = self.plan.configurations[self.configuration], []
        if train.val_steps:
            opener = partial(open_case, self.stored)
            source = validation_patches(recipe, chosen, self.fold.val, opener, self.device, self.previous)
            names = [next(n for n, v in self.plan.labels.items() if v == value) for value in self.plan.label_values]
            loss = plain_loss(recipe, chosen, self.device.num_ranks)
            before.append(ValidatePatches(parts.network, loss, source, names, state, parts.trainer.ranks))
        if train.val_interval and self.scans is not None:
            before.append(Validate(train.val_interval, None, lambda: mean_figures(self._score(parts, None))))
        after = [Plot(folder)]
        if train.ckpt_strategy != "none":
            score = "val_patch_dice_ema" if train.ckpt_strategy == "last_and_best" else None
            write = parts.writer(self.record)
            after.insert(0, Save(folder, train.save_interval, train.epochs, state, write, score, train.keep_interval))
        return before, after

    def finish(self, parts, folder: Path) -> dict:
        """Segment and score the validation scans with the weights as they are; write what a following stage needs."""
        if self.scans is None:
            return {}
        masks = common.new_folder(folder / "validation")
        remove_report(masks)  # of fewer epochs
        rows = self._score(parts, masks, folder)
        meta = {"run": str(folder), "epoch": parts.trainer.state.epoch, "eval": self.recipe.eval}
        if self.device.is_main:
            write_report(masks, rows, meta)
        LOGGER.info("%s", format_table(summarise(rows)))
        found = mean_figures(rows)
        return {"val_dice": found["val_dice"], "val_dice_by_class": found["val_dice_by_class"]}

    def _score(self, parts, masks: Path | None, run: Path | None = None) -> list[dict]:
        from mindvoxel.train.predict import logits_predictor

        predictors, ranks = [logits_predictor(parts.network)], parts.trainer.ranks
        return score_scans(self.scans, predictors, self.recipe.eval, masks, "validation", ranks, run)


EVAL_SECTIONS = ("device", "eval")
EVAL_NEEDS = ()


def add_eval_flags(parser: common.Parser) -> None:
    parser.add_argument("--data_path", help="preprocessed folder; without it the run's own, or the scans themselves")


class EvalJob(Segments):
    """The validation cases of the run's fold; without its preprocessed folder they are preprocessed from the scans."""

    def __init__(self, args: Namespace, recipe: EasyDict, meta: dict):
        self.recipe, where = recipe, str(args.ckpt_path)
        plan, configuration, names = plan_from_json(meta["plan"], where), meta["configuration"], meta["val_cases"]
        data = Path(args.data_path or meta["paths"]["data_path"])
        if args.data_path or data.is_dir():
            stored, dataset = data / configuration, read_dataset(data / "dataset.json")
            check_fresh(stored, preprocessing_key(plan, configuration))
        else:
            stored, dataset = None, read_dataset(Path(args.ckpt_path).parent / "dataset.json")
            LOGGER.info("%s is gone: the scans are preprocessed anew", data)
        previous, stage = None, plan.configurations[configuration].previous_stage
        if stage:
            folder = previous_runs(Path(args.ckpt_path).parent, stage, meta["paths"]["previous_path"])
            previous = find_previous(folder, plan, configuration, names)
        self.scans = Scans(plan, configuration, dataset, names, stored, previous)
        self.meta = {"data_path": str(data), "configuration": configuration, "fold": meta["fold"]}

    def score(self, network, folder: Path) -> list[dict]:
        """Rows of metrics; the masks go to `folder`."""
        from mindvoxel.train.predict import logits_predictor
        from mindvoxel.train.ranks import Ranks

        predictors = [logits_predictor(network)]
        return score_scans(self.scans, predictors, self.recipe.eval, folder, "evaluating", Ranks())
