"""Segment or classify cases with a trained network, write the masks, and score them."""

from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from easydict import EasyDict

from mindvoxel import config
from mindvoxel.cli import common
from mindvoxel.cli.kinds import kind_of
from mindvoxel.errors import InputError, naming
from mindvoxel.log import LOGGER, add_file, set_up
from mindvoxel.metrics.report import remove_report
from mindvoxel.train import device as devices


def parse(argv: Sequence[str], model: str | None) -> tuple[Namespace, EasyDict]:
    """Flags, and the default recipe that says which overrides there are; the values come from the checkpoint."""
    parser = common.Parser("eval.py", __doc__)
    chosen = common.choose_model(argv, model, parser)
    kind = kind_of(chosen)
    parser.add_argument("--ckpt_path", help="checkpoint that train.py wrote: best.ckpt or last.ckpt")
    kind.add_eval_flags(parser)
    parser.add_argument("--output_path", help="folder of masks and tables; without it eval-CHECKPOINT beside it")
    common.add_prune_flag(parser)
    common.add_device_flags(parser)
    recipe = config.load_recipe(chosen)
    common.add_recipe_flags(parser, recipe, kind.EVAL_SECTIONS, "default: the checkpoint's own")
    args = parser.parse_args(argv)
    for name in ("ckpt_path", *kind.EVAL_NEEDS):
        if getattr(args, name) is None:
            raise InputError(f"--{name} is needed")
    args.model = chosen
    return args, recipe


def main(argv: Sequence[str] | None = None, model: str | None = None) -> int:
    return common.run(lambda words: evaluate(words, model), argv)


def evaluate(argv: Sequence[str], model: str | None = None) -> None:
    args, known = parse(argv, model)
    devices.prepare(args.device_target, args.device_id)
    set_up()
    from mindvoxel.prediction.networks import network_of

    network, recipe, meta = network_of(args.ckpt_path, args.model, args.prune)
    recipe = config.override(recipe, common.overrides(args, known))
    job = kind_of(args.model).EvalJob(args, recipe, meta)
    ckpt = Path(args.ckpt_path)
    name = f"eval-{ckpt.stem}-prune{args.prune}" if args.prune else f"eval-{ckpt.stem}"
    folder = common.new_folder(args.output_path or ckpt.parent / name)
    remove_report(folder)
    add_file(folder / "eval.log")
    devices.set_cpu_precision(args.device_target, recipe.device.cpu_precision)
    rows = job.score(network, folder)
    with naming(folder):
        how = {"checkpoint": str(args.ckpt_path), "prune": args.prune}
        table = job.report(folder, rows, {**how, **job.meta, "eval": recipe.eval})
    LOGGER.info("%s", table)
    LOGGER.info("%s in %s", job.leaves, folder)


if __name__ == "__main__":
    raise SystemExit(main())
