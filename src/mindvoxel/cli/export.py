"""Export a trained network as MINDIR, ONNX or AIR, and check the file against the network."""

from collections.abc import Sequence
from pathlib import Path

from mindvoxel.cli import common
from mindvoxel.errors import InputError, naming
from mindvoxel.log import LOGGER, set_up
from mindvoxel.train import device as devices

FORMATS = ("MINDIR", "ONNX", "AIR")


def main(argv: Sequence[str] | None = None, model: str | None = None) -> int:
    return common.run(lambda words: export(words, model), argv)


def export(argv: Sequence[str], model: str | None = None) -> None:
    parser = common.Parser("export.py", __doc__)
    chosen = common.choose_model(argv, model, parser)
    parser.add_argument("--ckpt_file", "--ckpt_path", help="checkpoint that train.py wrote")
    parser.add_argument("--file_format", default="MINDIR", help=f"one of {', '.join(FORMATS)}; AIR on Ascend only")
    parser.add_argument("--file_name", default=chosen, help="path of the file to write, without its suffix")
    parser.add_argument("--batch_size", type=int, default=1, help="windows a call; the file is fixed to it")
    common.add_device_flags(parser)
    args = parser.parse_args(argv)
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
    devices.prepare(args.device_target, args.device_id)
    set_up()
    from mindvoxel.nn.exporting import exportable
    from mindvoxel.prediction.networks import network_of, window_of
    from mindvoxel.train.exporter import export_checked

    with exportable():
        network, recipe, meta = network_of(args.ckpt_file, chosen)
    common.new_folder(Path(args.file_name).resolve().parent)
    shape = (args.batch_size, *window_of(recipe, meta, args.ckpt_file))
    with naming(args.file_name):
        path, difference = export_checked(network, shape, Path(args.file_name), args.file_format)
    checked = "not run, no other runtime reads it" if difference is None else f"largest difference {difference:.2g}"
    LOGGER.info("%s: input %s float32, output logits; checked against the network: %s", path, shape, checked)


if __name__ == "__main__":
    raise SystemExit(main())
