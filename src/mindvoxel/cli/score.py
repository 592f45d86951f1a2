"""Score a folder of predicted masks against a folder of labels: a table, metrics.csv and summary.json."""

import json
from argparse import Namespace
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from mindvoxel.cli import common, masks
from mindvoxel.data.machine import available_cores
from mindvoxel.data.workers import choose_workers, run_cases
from mindvoxel.errors import InputError, naming
from mindvoxel.files import write_text
from mindvoxel.log import LOGGER, progress, set_up
from mindvoxel.metrics import conventions, nnunet
from mindvoxel.metrics.report import Value, summarise, write_report, write_rows, write_summary
from mindvoxel.metrics.table import format_published, format_table

CONVENTIONS = ("mindvoxel", *conventions.CONVENTIONS)


def main(argv: Sequence[str] | None = None) -> int:
    return common.run(score, argv)


def parse(argv: Sequence[str]) -> Namespace:
    parser = common.Parser("mindvoxel score", __doc__)
    parser.add_argument("--predictions", required=True, help="folder of predicted masks")
    parser.add_argument("--labels", required=True, help="folder of labels; a mask is paired by its file name")
    parser.add_argument(
        "--labels_json",
        help="plan.json or dataset.json (MSD, nnU-Net v1 or v2) that names the classes; their values do if not given",
    )
    parser.add_argument(
        "--convention", default="mindvoxel", choices=CONVENTIONS, help="how empty masks count and which means are made"
    )
    parser.add_argument("--regions", help="classes scored as one besides: tumour=1+2+3;core=2+3")
    parser.add_argument("--lesions", action="store_true", help="count lesions found, missed and false, too")
    parser.add_argument("--nsd_tolerance_mm", type=float, default=2.0, help="borders this close count as equal, mm")
    parser.add_argument("--nnunet_summary", choices=("v1", "v2"), help="form of nnunet's summary.json; v2 if not given")
    missing = parser.add_mutually_exclusive_group()
    missing.add_argument("--missing_as_empty", action="store_true", help="a label without a prediction is a miss")
    missing.add_argument("--only_predicted", action="store_true", help="labels without a prediction are left out")
    parser.add_argument("--spacing_mm", type=common.spacing, help="z,y,x of masks that know none, mm")
    parser.add_argument("--workers", type=int, help="processes; 0 works in this one; as many as fit if not given")
    parser.add_argument("--output", help="folder to write; PREDICTIONS/score-CONVENTION if not given")
    args = parser.parse_args(argv)
    _check(args)
    return args


def _check(args: Namespace) -> None:
    if args.lesions and args.convention != "mindvoxel":
        raise InputError(f"--lesions belongs to the mindvoxel convention, not to {args.convention}")
    if args.nnunet_summary and args.convention != "nnunet":
        raise InputError(f"--nnunet_summary belongs to --convention nnunet, not to {args.convention}")
    if not 0 <= args.nsd_tolerance_mm < float("inf"):
        raise InputError(f"--nsd_tolerance_mm must be 0 or more, got {args.nsd_tolerance_mm}")


def score(argv: Sequence[str]) -> None:
    args = parse(argv)
    set_up()
    missing = "empty" if args.missing_as_empty else "skip" if args.only_predicted else "error"
    pairs = masks.pair_masks(args.predictions, args.labels, missing=missing)
    workers = choose_workers(args.workers, masks.peak_bytes(pairs, args.spacing_mm))
    scoring = _scoring(args, pairs, workers)
    folder = common.new_folder(args.output or Path(args.predictions) / f"score-{args.convention}")
    rows = [row for part in _run(partial(masks.score_pair, scoring=scoring), pairs, workers, "scoring") for row in part]
    write = _write_own if args.convention == "mindvoxel" else _write_published
    with naming(folder):
        table = write(args, folder, pairs, rows)
    LOGGER.info("%s", table)
    LOGGER.info("metrics.csv and summary.json in %s", folder)


def _run(function, pairs: list[masks.Pair], workers: int, what: str):
    results = run_cases(function, pairs, num_workers=workers, what=what)
    return progress(results, total=len(pairs), what=what, unit="case")


def _scoring(args: Namespace, pairs: list[masks.Pair], workers: int) -> masks.Scoring:
    classes = _classes(args, pairs, workers)
    labels = classes | masks.parse_regions(args.regions, classes)
    values = {0}.union(*(value if isinstance(value, tuple) else (value,) for value in labels.values()))
    if args.convention != "mindvoxel":
        try:
            labels = conventions.labels_for(args.convention, labels)
        except ValueError as error:
            raise InputError(str(error)) from error
    if args.nnunet_summary == "v1":
        labels = {conventions.BACKGROUND: 0} | labels
    return masks.Scoring(
        convention=args.convention,
        labels=labels,
        values=frozenset(values),
        nsd_tolerance_mm=args.nsd_tolerance_mm,
        lesions=args.lesions,
        spacing_mm=args.spacing_mm,
        num_threads=max(available_cores() // max(workers, 1), 1),
    )


def _classes(args: Namespace, pairs: list[masks.Pair], workers: int) -> dict[str, Value]:
    """Foreground classes and regions by name; where neither a file nor the convention names them, by all values."""
    if args.labels_json:
        return masks.labels_of_json(args.labels_json)
    if args.convention == "mlperf":
        return conventions.MLPERF_LABELS
    found = _run(partial(masks.values_in, spacing_mm=args.spacing_mm), pairs, workers, "reading values")
    values = sorted(set().union(*found) - {0})
    if not values:
        raise InputError(f"{args.labels}: every mask is empty; name the classes by --labels_json")
    LOGGER.info("classes by their values, as no --labels_json names them: %s", values)
    return {str(value): value for value in values}


def _meta(args: Namespace) -> dict:
    return {key: value for key, value in vars(args).items() if key not in {"output", "workers", "convention"}}


def _write_own(args: Namespace, folder: Path, pairs: list[masks.Pair], rows: list[dict]) -> str:
    write_report(folder, rows, _meta(args))
    return format_table(summarise(rows))


def _write_published(args: Namespace, folder: Path, pairs: list[masks.Pair], rows: list[dict]) -> str:
    """For nnunet summary.json is in nnU-Net's own form; the table leaves the background of version 1 out."""
    write_rows(folder / "metrics.csv", conventions.score_rows(args.convention, rows))
    if args.convention != "nnunet":
        summary = conventions.summarise(args.convention, rows)
        write_summary(folder / "summary.json", {"meta": _meta(args), **summary})
        return format_published(summary)
    foreground = [row for row in rows if row["value"] != 0]
    files = {pair.case: (str(pair.pred or "missing"), str(pair.truth)) for pair in pairs}
    if args.nnunet_summary == "v1":
        own = nnunet.summary_v1(rows, files, Path(args.labels).resolve().parent.name)
    else:
        own = nnunet.summary_v2(foreground, files)
    write_text(folder / "summary.json", json.dumps(own, indent=4, sort_keys=True) + "\n")
    return format_published(conventions.summarise("nnunet", foreground))


if __name__ == "__main__":
    raise SystemExit(main())
