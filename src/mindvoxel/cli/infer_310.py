"""Segment the cases of a split with the C++ program, or classify photos, and score them as eval.py does: for
scripts/run_infer_310.sh.

Other flags go to the program: --precision bf16, --threads 2, --fallback cpu. Masks that are there are made anew.
"""

import os
import re
import signal
import subprocess
import tempfile
from argparse import Namespace
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from mindvoxel.bundle import DEPLOY, MINDIR, Bundle, read_bundle
from mindvoxel.cli import common, infer_photos
from mindvoxel.data.dataset import Case, Dataset, read_label
from mindvoxel.data.images import suffix_of
from mindvoxel.data.splits import read_split
from mindvoxel.data.stored_dataset import read_dataset
from mindvoxel.datasets.layouts import open_dataset
from mindvoxel.datasets.promise12 import open_promise12
from mindvoxel.errors import InputError, naming
from mindvoxel.log import LOGGER, set_up
from mindvoxel.metrics.report import remove_report, score_case, summarise, write_report
from mindvoxel.metrics.table import format_table
from mindvoxel.volume import Volume, read_volume, single_file_suffix, stem_of

# The file of the voxels: neither in the header, nor a list of files, one a slice.
_DATA_FILE = re.compile(
    rb"^(ElementDataFile[ \t]*=[ \t]*)(?![ \t]|(?:LOCAL|Local|local)[ \t]*\r?$|LIST|[^\r\n]*%)([^\r\n]*?)[ \t]*(\r?)$",
    re.MULTILINE,
)


def main(argv: Sequence[str] | None = None) -> int:
    return common.run(infer, argv)


def infer(argv: Sequence[str]) -> None:
    parser = common.Parser("run_infer_310", __doc__)
    parser.add_argument("--infer", required=True, help="the program that ascend310_infer/build.sh made")
    parser.add_argument("--mindir_path", required=True, help="a bundle's folder, or its model.mindir")
    parser.add_argument(
        "--data_path",
        required=True,
        help="a data set, or a folder that mindvoxel preprocess wrote; of photos the folder of val/",
    )
    parser.add_argument(
        "--split_file_path", required=True, help="CSV of cases, one name a line; none: all, as of photos"
    )
    parser.add_argument("--output_path", required=True, help="folder of masks or classes, and of tables")
    args, flags = parser.parse_known_args(argv)
    set_up()
    bundle = read_bundle(_folder_of(Path(args.mindir_path)))
    if bundle.way == "photo":
        infer_photos.infer(args, bundle, flags, _run)
        return
    dataset, cases = _cases(args, bundle)
    labels = _labels(bundle, dataset)
    folder = common.new_folder(args.output_path)
    remove_report(folder)
    _segment(args.infer, bundle, cases, folder, flags)
    rows = []
    for case in cases:
        mask = folder / (case.case + single_file_suffix(case.image))
        pred, truth = read_label(Case(case.case, (), mask)), _truth(bundle, dataset, case)
        rows += score_case(case.case, pred, truth, labels, bundle.nsd_tolerance_mm)
    with naming(folder):
        write_report(folder, rows, {"bundle": str(bundle.folder), "data_path": args.data_path, "flags": flags})
    LOGGER.info("%s", format_table(summarise(rows)))
    LOGGER.info("masks, metrics.csv and summary.json in %s", folder)


def _folder_of(path: Path) -> Path:
    """The bundle that a MINDIR belongs to, which says what happens before and after the network."""
    folder = path.parent if path.is_file() and path.name == MINDIR else path
    if not (folder / DEPLOY).is_file():
        raise InputError(
            f"{path}: no bundle, {folder / DEPLOY} is not there; write one with export.py --file_format BUNDLE"
        )
    return folder


def _cases(args: Namespace, bundle: Bundle) -> tuple[Dataset, list[Case]]:
    """The data set, and the labelled cases of it that the split names, in its order."""
    data = Path(args.data_path)
    if bundle.way == "scan":
        dataset = open_promise12(data, check_files=False)
    elif (data / "plan.json").is_file():
        dataset = read_dataset(data / "dataset.json")
    else:
        dataset = open_dataset(data, check_files=False)
    known = {case.case: case for case in dataset.cases}
    listed = known if args.split_file_path == "none" else read_split(args.split_file_path)
    names = [name if name in known else stem_of(name) for name in listed]
    strangers = [name for name in names if name not in known]
    if strangers:
        raise InputError(
            f"{args.split_file_path}: {len(strangers)} of {len(names)} cases are not in {data}, as {strangers[0]}; "
            "name cases of that data set"
        )
    doubled = sorted({name for name in names if names.count(name) > 1})
    if doubled:
        raise InputError(f"{args.split_file_path}: case {doubled[0]} is named more than once; name each case once")
    cases = [known[name] for name in names]
    for case in cases:
        for path in (*case.images, case.label):
            if not path.is_file():
                raise InputError(f"{path}: no such file, and case {case.case} cannot be scored without it")
    return dataset, cases


def _labels(bundle: Bundle, dataset: Dataset) -> dict:
    """Foreground classes, and the data set's regions, as eval.py scores them."""
    if len(dataset.channels) != len(bundle.channels):
        raise InputError(
            f"{bundle.folder}: its channels are {', '.join(bundle.channels)}, the data set's "
            f"{', '.join(dataset.channels)}; take the data set that it was trained on"
        )
    if dict(dataset.labels) != bundle.labels:
        raise InputError(
            f"{bundle.folder}: its classes are {bundle.labels}, the data set's {dict(dataset.labels)}; take the data "
            "set that it was trained on"
        )
    background = bundle.label_values[0]
    classes = {name: value for name, value in dataset.labels.items() if value != background}
    return classes | {name: tuple(values) for name, values in dataset.regions.items()}


def _segment(program: str, bundle: Bundle, cases: list[Case], folder: Path, flags: list[str]) -> None:
    with tempfile.TemporaryDirectory() as scans:
        for case in cases:
            _stage(case, Path(scans), len(bundle.channels))
        words = [program, "--bundle", bundle.folder, "--input", scans, "--output", folder, "--overwrite", *flags]
        words += ["--tta"] if bundle.validated_with_tta else []
        _run(words)


def _run(words: list) -> None:
    """Run a program, with whose status this one ends where it fails; where this process is told to end, the program is
    too, and has ended first."""

    def stop(*_):
        raise SystemExit(128 + signal.SIGTERM)

    before = signal.signal(signal.SIGTERM, stop)
    try:
        process = subprocess.Popen(list(map(str, words)))
        try:
            status = process.wait()
        except BaseException:
            process.terminate()
            process.wait()
            raise
    finally:
        signal.signal(signal.SIGTERM, before)
    if status:
        raise SystemExit(status if status > 0 else 128 - status)  # it has said why


def _stage(case: Case, folder: Path, num_channels: int) -> None:
    """Links to a case's files, a channel each, by nnU-Net's names; to one file of all channels by the case's."""
    numbered = len(case.images) == num_channels
    for number, image in enumerate(case.images):
        name = f"{case.case}_{number:04d}" if numbered else case.case
        staged = folder / (name + suffix_of(image))
        if image.suffix.lower() == ".mhd":  # a copy of the header, which finds its voxels from anywhere
            staged.write_bytes(_DATA_FILE.sub(partial(_absolute, image.resolve().parent), image.read_bytes(), count=1))
        else:
            staged.symlink_to(image.resolve())


def _absolute(folder: Path, found: re.Match) -> bytes:
    return found[1] + os.fsencode(folder / os.fsdecode(found[2])) + found[3]


def _truth(bundle: Bundle, dataset: Dataset, case: Case) -> Volume:
    if bundle.way != "scan":
        return read_label(case, dataset.spacing_mm)
    truth = read_volume(case.label)
    return truth.with_voxels(truth.voxels > 0.5)  # as data/prepare.py has the gland


if __name__ == "__main__":
    raise SystemExit(main())
