"""Export a trained network as MINDIR, ONNX or AIR, or as a bundle with all that deployment needs, and check it."""

from argparse import Namespace
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from mindvoxel.cli import common
from mindvoxel.errors import InputError, naming
from mindvoxel.log import LOGGER, set_up
from mindvoxel.train import device as devices

FORMATS = ("MINDIR", "ONNX", "AIR", "BUNDLE")
PRECISIONS = ("f32", "f16")


def main(argv: Sequence[str] | None = None, model: str | None = None) -> int:
    return common.run(lambda words: export(words, model), argv)


def parse(argv: Sequence[str], model: str | None) -> Namespace:
    parser = common.Parser("export.py", __doc__)
    chosen = common.choose_model(argv, model, parser)
    parser.add_argument("--ckpt_file", "--ckpt_path", help="checkpoint that train.py wrote")
    parser.add_argument("--file_format", default="MINDIR", help=f"one of {', '.join(FORMATS)}; AIR on Ascend only")
    text = "path of the file to write, without its suffix, or of the bundle's folder; NAME or NAME_bundle if not given"
    parser.add_argument("--file_name", help=text)
    parser.add_argument("--batch_size", type=int, default=1, help="windows a call; the file is fixed to it")
    text = "of convolutions; f16 is kept only where the reference case's labels stay (Dice 0.99), or photos their class"
    parser.add_argument("--precision", choices=PRECISIONS, default="f32", help=text)
    common.add_prune_flag(parser)
    checked = parser.add_mutually_exclusive_group()
    text = "run the files and compare them with the network, the default"
    checked.add_argument("--verify", action="store_true", default=True, help=text)
    checked.add_argument("--no_verify", dest="verify", action="store_false", help="write the files unchecked")
    own = parser.add_argument_group("bundle")
    text = "what the files are compared on: an image, its channel files, or a photo; a made one if not given"
    own.add_argument("--reference_case", nargs="+", default=[], metavar="IMAGE", help=text)
    text = "best.json of mindvoxel results: of which labels only the largest component is kept"
    own.add_argument("--postprocessing", metavar="FILE", help=text)
    common.add_device_flags(parser)
    args = parser.parse_args(argv)
    args.model = chosen
    _check_flags(args)
    if args.file_name is None:
        args.file_name = f"{chosen}_bundle" if args.file_format == "BUNDLE" else chosen
    return args


def _check_flags(args: Namespace) -> None:
    """Raise InputError for flags that do not go together."""
    bundled, half = args.file_format == "BUNDLE", args.precision == "f16"
    if args.ckpt_file is None:
        raise InputError("--ckpt_file is needed")
    if args.file_format not in FORMATS:
        raise InputError(f"--file_format must be one of {', '.join(FORMATS)}, got {args.file_format!r}")
    if args.batch_size < 1:
        raise InputError(f"--batch_size must be 1 or more, got {args.batch_size}")
    if args.file_format == "AIR" and args.device_target != "Ascend":
        raise InputError(
            f"--file_format AIR needs an Ascend backend and --device_target is {args.device_target}; "
            "export MINDIR or ONNX here, or AIR on an Ascend host"
        )
    if bundled and args.batch_size != 1:
        raise InputError(f"--batch_size {args.batch_size}: a bundle's files take one window a call; leave it out")
    if half and not args.verify:
        raise InputError("--precision f16 is kept only where it agrees with f32; leave --no_verify out")
    if args.postprocessing and not bundled:
        raise InputError(f"--postprocessing is written into a bundle, not into {args.file_format}; leave it out")
    if args.reference_case and not (bundled or half):
        raise InputError(
            f"--reference_case is for --file_format BUNDLE or --precision f16; a {args.file_format} file in f32 is "
            "compared on random input: leave it out"
        )


def export(argv: Sequence[str], model: str | None = None) -> None:
    args = parse(argv, model)
    devices.prepare(args.device_target, args.device_id)
    set_up()
    from mindvoxel.prediction.bundling import write_bundle
    from mindvoxel.prediction.source import load_source

    source = load_source(args.ckpt_file, args.model, args.prune, args.device_target, args.device_id)
    bundled = args.file_format == "BUNDLE"
    if source.is_second_stage and (bundled or args.precision == "f16"):
        raise InputError(
            f"{args.ckpt_file}: {source.configuration} takes the prediction of "
            f"{source.plan.configurations[source.configuration].previous_stage} as input, so it has no bundle and no "
            "f16; export it as MINDIR or ONNX in f32, or a configuration that stands alone"
        )
    if args.postprocessing:
        source = replace(source, groups=_groups(args.postprocessing, source))
    folder = Path(args.file_name)
    common.new_folder(folder.resolve().parent)
    with naming(args.file_name):
        if bundled:
            write_bundle(source, folder, args.precision, args.reference_case, verify=args.verify)
            LOGGER.info("%s: a bundle of %s", folder, args.model)
        else:
            _export_file(args, source)


def _groups(path: str, source) -> tuple[tuple[int, ...], ...]:
    """The largest components that a cross-validation chose to keep."""
    from mindvoxel.prediction.trained import read_best

    if source.classifies:
        raise InputError(f"--postprocessing: {source.recipe.model} tells the class of photos; leave it out")
    if source.plan is None:
        raise InputError(
            f"--postprocessing: {source.recipe.model} has that of its recipe, --largest_component of train.py and "
            "eval.py; leave it out"
        )
    best, known = read_best(Path(path)), source.plan.label_values[1:]
    named = [value for group in best["postprocessing"] for value in group]
    strange = [value for value in named if type(value) is not int or value not in known]
    if strange:
        raise InputError(
            f"{path}: its postprocessing names label {strange[0]!r}, the network's foreground is "
            f"{', '.join(map(str, known))}; name the best.json of its cross-validation"
        )
    if best["configurations"] != [source.configuration]:
        LOGGER.warning(
            "%s chose its postprocessing for %s, and this is %s alone",
            path,
            " with ".join(best["configurations"]),
            source.configuration,
        )
    return tuple(map(tuple, best["postprocessing"]))


def _export_file(args: Namespace, source) -> None:
    from mindvoxel.prediction.bundling import reference_check
    from mindvoxel.train.exporter import HalfPrecision, export_checked, random_check

    network, shape, check = source.network, (args.batch_size, *source.window), None
    if args.precision == "f16":
        check = reference_check(source, args.reference_case, args.batch_size)
        network = HalfPrecision(network)
    elif args.verify and args.file_format != "AIR":
        check = random_check(network, shape)
    path, found = export_checked(network, shape, Path(args.file_name), args.file_format, check)
    why = "not run, no other runtime reads it" if args.verify else "no"
    LOGGER.info("%s: input %s float32, output logits; checked against the network: %s", path, shape, found or why)


if __name__ == "__main__":
    raise SystemExit(main())
