"""Commands on scans whose preprocessing the recipe decides: V-Net's kind."""

from argparse import Namespace
from pathlib import Path

from easydict import EasyDict

from mindvoxel.cli import common
from mindvoxel.cli.cases import Segments, prepare_cases, score, scorer, segment
from mindvoxel.data.prepare import Prepared
from mindvoxel.data.splits import read_split
from mindvoxel.datasets import promise12
from mindvoxel.errors import InputError
from mindvoxel.log import LOGGER, progress
from mindvoxel.volume import single_file_suffix, write_volume


def add_train_flags(parser: common.Parser) -> None:
    parser.add_argument("--data_path", help="folder with img/ and gt/ (PROMISE12 layout)")
    parser.add_argument("--train_split_file_path", help="CSV of training images, one file name a line")
    parser.add_argument(
        "--eval_split_file_path", help="CSV of validation images, or none; without it val.csv beside the training CSV"
    )
    parser.add_argument("--ckpt_path", help="start from the weights of this checkpoint")


def settle(args: Namespace) -> None:
    args.deterministic, args.extend_epochs = False, 0


def data_paths(args: Namespace, stored: dict) -> dict[str, str | None]:
    """Where the data lie, as absolute paths; a resumed run remembers them."""
    paths = dict(stored)
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
    return paths


class TrainJob:
    """The cases of two CSVs, prepared in memory."""

    only_finishes = False

    def __init__(self, args: Namespace, recipe: EasyDict, paths: dict, device, meta: dict | None):
        self.recipe, self.device, self.paths, self.ckpt_path = recipe, device, paths, args.ckpt_path
        self.record = {"model": recipe.model, "recipe": recipe, "paths": paths}
        validation = []
        if paths["eval_split_file_path"] is None:
            LOGGER.info("no validation: no --eval_split_file_path, and no val.csv beside the training CSV")
        else:
            names = read_split(paths["eval_split_file_path"])
            validation = promise12.list_cases(paths["data_path"], names)
        training = promise12.list_cases(paths["data_path"], read_split(paths["train_split_file_path"]))
        self.cases = prepare_cases(training, recipe, "preparing training cases")
        mine = validation[device.rank :: device.num_ranks]
        self.validates, self.validation = bool(validation), prepare_cases(mine, recipe, "preparing validation cases")
        _tell_oddities(self.cases, {paths.case for paths in validation})

    def build(self):
        """The Parts of the run, at step 0."""
        from mindvoxel.train import builder

        return builder.build(self.recipe, self.cases, self.device)

    def start(self, parts) -> None:
        """From the weights of --ckpt_path, if any."""
        from mindvoxel.train import builder

        if self.ckpt_path is not None:
            builder.start_from(parts.network, self.ckpt_path)

    def restore(self, parts, meta: dict, values: dict) -> None:
        """Go on from a checkpoint."""
        from mindvoxel.train import builder

        builder.restore(parts, meta, values, self.paths["output_path"])

    def measure(self, parts, folder: Path) -> bool:
        """Nothing is measured instead of trained."""
        return False

    def callbacks(self, parts, folder: Path) -> tuple[list, list]:
        """What happens at the end of an epoch before the report, and after it."""
        from mindvoxel.train.callbacks import Save, Validate

        train, state = self.recipe.train, parts.trainer.state
        save = Save(folder, train.save_interval, train.epochs, state, parts.writer(self.record))
        if not self.validates:
            return [], [save]
        score = scorer(parts.network, self.validation, self.recipe, parts.trainer.ranks)
        return [Validate(train.eval_interval, train.epochs, score)], [save]

    def finish(self, parts, folder: Path) -> dict:
        """Nothing: the last epoch validates."""
        return {}


def _tell_oddities(cases: list[Prepared], validation: set[str]) -> None:
    """What may be meant, and spoils a result where it is not."""
    empty = [case.case for case in cases if not case.label.any()]
    if empty:
        LOGGER.info("no foreground in the training label of %s; nothing is learnt from it alone", ", ".join(empty))
    shared = sorted({case.case for case in cases} & validation)
    if shared:
        LOGGER.info("in training and validation both, so that its score proves little: %s", ", ".join(shared))


EVAL_SECTIONS = ("data", "device", "eval")
EVAL_NEEDS = ("data_path",)


def add_eval_flags(parser: common.Parser) -> None:
    parser.add_argument("--data_path", help="folder with img/ and gt/ (PROMISE12 layout)")
    parser.add_argument("--eval_split_file_path", help="CSV of images, one file name a line; without it all of img/")


class EvalJob(Segments):
    """The scans of a split."""

    def __init__(self, args: Namespace, recipe: EasyDict, meta: dict):
        names = read_split(args.eval_split_file_path) if args.eval_split_file_path else None
        self.paths, self.recipe = promise12.list_cases(args.data_path, names), recipe
        self.meta = {"data_path": str(args.data_path)}

    def score(self, network, folder: Path) -> list[dict]:
        """Rows of metrics; the masks go to `folder`."""
        from mindvoxel.train.predict import foreground_predictor

        cases, predict, rows = (
            prepare_cases(self.paths, self.recipe, "preparing cases"),
            foreground_predictor(network),
            [],
        )
        for case, path in zip(progress(cases, what="evaluating", unit="case"), self.paths, strict=True):
            mask = segment(case, predict, self.recipe)
            write_volume(folder / f"{case.case}_prediction{single_file_suffix(path.image)}", mask)
            rows += score(case, mask, self.recipe)
        return rows
