"""Segment the cases of a split with a trained network, write the masks, and score them."""

from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from easydict import EasyDict

from mindvoxel import config
from mindvoxel.cli import common
from mindvoxel.cli.cases import prepare_cases, score, segment
from mindvoxel.data.splits import read_split
from mindvoxel.datasets import promise12
from mindvoxel.errors import InputError, naming
from mindvoxel.log import LOGGER, add_file, progress, set_up
from mindvoxel.metrics.report import summarise, write_report
from mindvoxel.metrics.table import format_table
from mindvoxel.train import device as devices
from mindvoxel.volume import SUFFIXES, write_volume


def parse(argv: Sequence[str], model: str | None) -> tuple[Namespace, EasyDict]:
    """Flags, and the default recipe that says which overrides there are; the values come from the checkpoint."""
    parser = common.Parser("eval.py", __doc__)
    chosen = common.choose_model(argv, model, parser)
    parser.add_argument("--ckpt_path", help="checkpoint that train.py wrote: best.ckpt or last.ckpt")
    parser.add_argument("--data_path", help="folder with img/ and gt/ (PROMISE12 layout)")
    parser.add_argument("--eval_split_file_path", help="CSV of images, one file name a line; without it all of img/")
    parser.add_argument("--output_path", help="folder of masks and tables; without it eval-CHECKPOINT beside it")
    common.add_device_flags(parser)
    recipe = config.load_recipe(chosen)
    common.add_recipe_flags(parser, recipe, ("data", "device", "eval"), "default: the checkpoint's own")
    args = parser.parse_args(argv)
    for name in ("ckpt_path", "data_path"):
        if getattr(args, name) is None:
            raise InputError(f"--{name} is needed")
    return args, recipe


def main(argv: Sequence[str] | None = None, model: str | None = None) -> int:
    return common.run(lambda words: evaluate(words, model), argv)


def evaluate(argv: Sequence[str], model: str | None = None) -> None:
    args, known = parse(argv, model)
    devices.prepare(args.device_target, args.device_id)
    set_up()
    from mindvoxel.cli.networks import network_of
    from mindvoxel.train.predict import foreground_predictor

    network, recipe, _ = network_of(args.ckpt_path, args.model)
    recipe = config.override(recipe, common.overrides(args, known))
    names = read_split(args.eval_split_file_path) if args.eval_split_file_path else None
    paths = promise12.list_cases(args.data_path, names)
    ckpt = Path(args.ckpt_path)
    folder = common.new_folder(args.output_path or ckpt.parent / f"eval-{ckpt.stem}")
    for name in ("summary.json", "metrics.csv"):  # of an earlier evaluation: they must not outlive its masks
        (folder / name).unlink(missing_ok=True)
    add_file(folder / "eval.log")
    devices.set_cpu_precision(args.device_target, recipe.device.cpu_precision)
    cases = prepare_cases(paths, recipe, "preparing cases")
    predict = foreground_predictor(network)
    rows = []
    for case, path in zip(progress(cases, what="evaluating", unit="case"), paths, strict=True):
        mask = segment(case, predict, recipe)
        write_volume(folder / f"{case.case}_prediction{mask_suffix(path.image)}", mask)
        rows += score(case, mask, recipe)
    meta = {"checkpoint": str(args.ckpt_path), "data_path": str(args.data_path), "eval": recipe.eval}
    with naming(folder):
        write_report(folder, rows, meta)
    LOGGER.info("%s", format_table(summarise(rows)))
    LOGGER.info("masks, metrics.csv and summary.json in %s", folder)


def mask_suffix(image: Path) -> str:
    """The type of the scan, in one file: MetaImage's pair of header and data becomes .mha."""
    suffix = next(s for s in SUFFIXES if image.name.endswith(s))
    return ".mha" if suffix == ".mhd" else suffix


if __name__ == "__main__":
    raise SystemExit(main())
