"""Classify photographs with the network of a run: predictions.csv holds the five likeliest classes of each."""

import os
import resource
import time
from argparse import Namespace
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

from mindvoxel import config
from mindvoxel.cli import common
from mindvoxel.data.ahead import in_order
from mindvoxel.data.photos import SUFFIXES, prepare_photo, read_photo
from mindvoxel.errors import InputError, WorkError
from mindvoxel.files import read_json, write_text
from mindvoxel.log import LOGGER, progress, set_up
from mindvoxel.prediction.classifier import Classifier, likeliest, predictions_csv
from mindvoxel.prediction.predictor import ENGINES, PRECISIONS, Options
from mindvoxel.prediction.trained import CHECKPOINTS, find_trained

NAME = "predictions.csv"
_SHOWN = 5


def is_meant(argv: Sequence[str], model: str | None) -> bool:
    """Whether the model that the entry point, --model or the run of --model_dir names classifies photos."""
    from mindvoxel.zoo import model_names

    model = common.flag(argv, "--model") or model
    folder = common.flag(argv, "--model_dir")
    if model is None and folder and (record := Path(folder, "recipe.json")).is_file():
        model = read_json(record, "train.py writes it").get("model")
    return model in model_names() and config.kind_of(model) == "photos"


def parse(argv: Sequence[str]) -> Namespace:
    parser = common.Parser("predict.py", __doc__)
    parser.add_argument("--model", help="of the run, which says it itself if not given")
    parser.add_argument("--model_dir", required=True, help="a run: the folder that train.py wrote")
    parser.add_argument("--input", required=True, help="a photo, or a folder of photos with its subfolders")
    parser.add_argument("--output", required=True, help=f"folder of {NAME}")
    parser.add_argument("--checkpoint", choices=CHECKPOINTS, default="last", help="last.ckpt or best.ckpt")
    parser.add_argument("--engine", choices=ENGINES, default="mindspore", help="openvino computes on the CPU")
    parser.add_argument("--precision", choices=PRECISIONS, default="f32", help="in which the CPU multiplies")
    parser.add_argument("--batch_size", type=int, default=16, help="photos a call of the network")
    parser.add_argument("--overwrite", action="store_true", help=f"make a {NAME} that is there anew")
    common.add_device_flags(parser)
    args = parser.parse_args(argv)
    if args.batch_size < 1:
        raise InputError(f"--batch_size must be 1 or more, got {args.batch_size}")
    return args


def predict(argv: Sequence[str], model: str | None) -> None:
    args = parse(argv)
    set_up()
    names = ("checkpoint", "engine", "precision", "device_target", "device_id")
    options = Options(**{name: getattr(args, name) for name in names})
    trained = find_trained(args.model_dir, None, options.checkpoint)
    common.check_model(trained.model, args, model)
    photos = find_photos(args.input)
    table = common.new_folder(args.output) / NAME
    if table.exists() and not args.overwrite:
        raise InputError(f"{table}: is there already; name another --output, or say --overwrite")
    classifier = Classifier(trained, options, min(args.batch_size, len(photos)))
    LOGGER.info("%s: %s, %d classes", trained.model, args.model_dir, len(classifier.classes))
    with common.unwound():
        _classify(photos, classifier, table, min(args.batch_size, len(photos)))


def find_photos(given: str | Path) -> dict[str, Path]:
    """A file by its name, or the photos of a folder and its subfolders by their paths below it, sorted.

    Hidden files and folders, and links to folders, are not looked at. Raises InputError where there is none, OSError
    where a folder cannot be read.
    """
    given = Path(given)
    if given.is_file():
        return {given.name: given}
    if not given.is_dir():
        raise InputError(f"{given}: no such file or folder; name a photo, or a folder of photos")
    found = []
    for folder, inner, names in os.walk(given, onerror=_raise):
        inner[:] = [name for name in inner if not name.startswith(".")]
        photos = (name for name in names if name.lower().endswith(SUFFIXES) and not name.startswith("."))
        found += [Path(folder, name) for name in photos]
    if not found:
        raise InputError(f"{given}: no photo in it or below ({', '.join(SUFFIXES)}); name the folder that holds some")
    return {path.relative_to(given).as_posix(): path for path in sorted(found)}


def _raise(error: OSError):
    raise error


def _classify(photos: dict[str, Path], classifier: Classifier, table: Path, batch_size: int) -> None:
    """Write the table of all photos that can be read; raises WorkError that names the others, of a lone photo
    InputError."""
    begin, rows, failed, network = time.perf_counter(), [], [], 0.0
    bar = progress(total=len(photos), what="classifying", unit="photo")
    with bar, closing(_batches(photos, classifier, batch_size)) as batches:
        for names, results in batches:
            read = {n: r for n, r in zip(names, results, strict=True) if not isinstance(r, Exception)}
            for name, fault in zip(names, results, strict=True):
                if name not in read:
                    if len(photos) == 1 and isinstance(fault, InputError):
                        raise fault
                    failed.append(name.encode("utf-8", "backslashreplace").decode())  # an archive may leave other bytes
                    LOGGER.error("%s failed: %s", failed[-1], str(fault) or "not enough memory")
            start = time.perf_counter()
            if read:
                for name, logits in zip(read, classifier.logits(list(read.values())), strict=True):
                    rows += likeliest(name, logits, classifier.classes)
            network += time.perf_counter() - start
            bar.update(len(names))
    if rows:
        write_text(table, predictions_csv(rows))
    total = time.perf_counter() - begin
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    done = len(photos) - len(failed)
    LOGGER.info("%d of %d photos in %.1f s, %.1f a second", done, len(photos), total, done / total)
    LOGGER.info("network %.1f s; peak memory %.0f MB", network, peak)
    if failed:
        more = f" and {len(failed) - _SHOWN} more" if len(failed) > _SHOWN else ""
        raise WorkError(
            f"{len(failed)} of {len(photos)} photos failed ({', '.join(failed[:_SHOWN])}{more}), the log above says "
            f"why; {f'{table} holds the others' if done else 'nothing is written'}"
        )
    LOGGER.info("%s: the classes of each photo", table)


def _batches(photos: dict[str, Path], classifier: Classifier, size: int) -> Iterator[tuple[list[str], list]]:
    """Names, and what becomes of each photo: (3, size, size), or why it cannot be read; the next are read ahead."""

    def prepare(name: str):
        try:
            return prepare_photo(read_photo(photos[name]), classifier.form)
        except (InputError, OSError, MemoryError) as error:
            return error

    names = list(photos)
    steps = [names[i : i + size] for i in range(0, len(names), size)]
    with closing(in_order(prepare, steps, num_workers=1, steps_ahead=2)) as results:
        yield from zip(steps, results, strict=True)
