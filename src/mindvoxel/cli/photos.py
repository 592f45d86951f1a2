"""Commands on colour photographs with one class each: ResNet-50's kind."""

from argparse import Namespace
from pathlib import Path

from easydict import EasyDict

from mindvoxel.cli import common
from mindvoxel.datasets.imagenet import list_photos
from mindvoxel.errors import InputError
from mindvoxel.log import LOGGER
from mindvoxel.metrics.photos import format_photos, shares_of, summarise_photos, sums_of, write_photo_report

_DATA = "folder with train/CLASS/PHOTO.JPEG and val/CLASS/PHOTO.JPEG (ImageNet's layout)"


def add_train_flags(parser: common.Parser) -> None:
    parser.add_argument("--data_path", help=_DATA)
    parser.add_argument("--init_from", metavar="CKPT", help="start from what fits of this checkpoint's weights")


def settle(args: Namespace) -> None:
    args.deterministic, args.extend_epochs = False, 0


def data_paths(args: Namespace, stored: dict) -> dict[str, str]:
    """Where the photos lie, as an absolute path; a resumed run remembers it."""
    if args.data_path is None and "data_path" not in stored:
        raise InputError(f"--data_path is needed: a {_DATA}")
    return {"data_path": str(Path(args.data_path).resolve()) if args.data_path else stored["data_path"]}


class TrainJob:
    """The photos of a folder with train/ and val/."""

    only_finishes = False

    def __init__(self, args: Namespace, recipe: EasyDict, paths: dict, device, meta: dict | None):
        self.recipe, self.device, self.paths, self.init_from = recipe, device, paths, args.init_from
        root, stored = paths["data_path"], meta["classes"] if meta else None
        self.photos, self.classes = list_photos(root, "train", stored)
        self.validation, _ = list_photos(root, "val", self.classes)
        if len(self.classes) != recipe.network.num_classes:
            raise InputError(
                f"{Path(root) / 'train'}: {len(self.classes)} classes, but the network has "
                f"{recipe.network.num_classes}; give --num_classes {len(self.classes)}"
            )
        self.record = {"model": recipe.model, "recipe": recipe, "paths": paths, "classes": list(self.classes)}

    def build(self):
        """The Parts of the run, at step 0."""
        from mindvoxel.train import photos

        return photos.build(self.recipe, self.photos, self.classes, self.device)

    def start(self, parts) -> None:
        """From what fits of the weights of --init_from, if any: of other classes, all but the last layer."""
        if self.init_from is not None:
            from mindvoxel.train import checkpoint

            _, values = checkpoint.load(self.init_from)
            for line in checkpoint.load_matching(parts.network, values, self.init_from):
                LOGGER.info("%s", line)

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
        from mindvoxel.train.predict import batch_predictor

        train, state, ranks = self.recipe.train, parts.trainer.state, parts.trainer.ranks
        photos, predict = labelled(self.validation, self.classes, self.recipe), batch_predictor(parts.network)

        def score() -> dict:
            parts_of_ranks = ranks.gather(sums_of(photos.score(predict, "validation", ranks)))
            shares = shares_of([sum(part) for part in zip(*parts_of_ranks, strict=True)])
            return {f"val_{name}": value for name, value in shares.items()}

        save = Save(folder, train.save_interval, train.epochs, state, parts.writer(self.record), "val_top1")
        return [Validate(train.eval_interval, train.epochs, score)], [save]

    def finish(self, parts, folder: Path) -> dict:
        """Nothing: the last epoch validates."""
        return {}


def labelled(photos: list, classes: tuple[str, ...], recipe: EasyDict):
    """The photos as the network of a recipe is evaluated on them."""
    from mindvoxel.train.photos import LabelledPhotos, form_of

    size = min(recipe.eval.eval_batch_size, len(photos))
    return LabelledPhotos(photos, classes, form_of(recipe), size, recipe.data.num_workers)


# without what cuts training photos: that would change nothing
EVAL_SECTIONS = ("data.size", "data.short_side", "data.mean", "data.sd", "data.num_workers", "device", "eval")
EVAL_NEEDS = ()


def add_eval_flags(parser: common.Parser) -> None:
    parser.add_argument("--data_path", help="folder with val/CLASS/PHOTO.JPEG; without it the run's own")


class EvalJob:
    """All photos of val/, by the classes of the checkpoint."""

    leaves = "metrics.csv and summary.json"

    def __init__(self, args: Namespace, recipe: EasyDict, meta: dict):
        root = args.data_path or meta["paths"]["data_path"]
        photos, self.classes = list_photos(root, "val", meta["classes"])
        self.photos = labelled(photos, self.classes, recipe)
        self.meta = {"data_path": str(root)}

    def score(self, network, folder: Path) -> list[dict]:
        """A row a photo; nothing but tables goes to `folder`."""
        from mindvoxel.train.predict import batch_predictor
        from mindvoxel.train.ranks import Ranks

        return self.photos.score(batch_predictor(network), "evaluating", Ranks())

    def report(self, folder: Path, rows: list[dict], meta: dict) -> str:
        """Write metrics.csv and summary.json; the summary as text."""
        summary = summarise_photos(rows, self.classes)
        write_photo_report(folder, rows, summary, meta)
        return format_photos(summary)
