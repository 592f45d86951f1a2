"""Folders of masks: which prediction belongs to which truth, what the values mean, and how one pair is scored."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from pathlib import Path

from mindvoxel.data.dataset import Case, image_header, read_label
from mindvoxel.data.fingerprint import count_values
from mindvoxel.data.images import IMAGES
from mindvoxel.datasets import listing
from mindvoxel.errors import InputError
from mindvoxel.files import read_json
from mindvoxel.log import LOGGER
from mindvoxel.metrics.conventions import count_case
from mindvoxel.metrics.report import Value, score_case
from mindvoxel.volume import Vector, Volume

_ENDINGS = ("_segmentation", "_prediction")  # of PROMISE12's labels, of eval.py's masks
_BYTES_PER_VOXEL = 24  # peak of one case: both masks as stored and as int16, and what their metrics need


@dataclass(frozen=True)
class Pair:
    """A case and the files of its two masks; no prediction counts as an empty one."""

    case: str
    pred: Path | None
    truth: Path


def list_masks(folder: str | Path) -> dict[str, Path]:
    """Masks of a folder by the name of their case, sorted; raises InputError where it is absent, empty or ambiguous."""
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; a folder of masks is needed")
    masks: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        suffix = next((s for s in IMAGES if path.name.lower().endswith(s)), None)
        if suffix is None or path.name.startswith(".") or not path.is_file():
            continue
        case = path.name[: -len(suffix)]
        for ending in _ENDINGS:
            case = case.removesuffix(ending)
        if case in masks:
            raise InputError(f"{path}: {masks[case].name} is of the same case {case}; keep one of them")
        masks[case] = path
    if not masks:
        raise InputError(f"{folder}: no masks; files of one of {', '.join(IMAGES)} are needed")
    return dict(sorted(masks.items()))


def pair_masks(predictions: str | Path, labels: str | Path, *, missing: str) -> list[Pair]:
    """Every truth with its prediction, by the name of the case.

    missing: what a truth without a prediction is: "error", "empty" (scored against no voxel) or "skip" (left out). A
    prediction without a truth is named in the log. Raises InputError that names all cases at fault.
    """
    preds, truths = list_masks(predictions), list_masks(labels)
    absent = [case for case in truths if case not in preds]
    if absent and missing == "error":
        raise InputError(
            f"{predictions}: no prediction for {len(absent)} of {len(truths)} labels ({', '.join(absent)}); predict "
            "them, or say --missing_as_empty or --only_predicted"
        )
    extra = [case for case in preds if case not in truths]
    if extra:
        LOGGER.warning("%d predictions have no label and are not scored: %s", len(extra), ", ".join(extra))
    if absent:
        what = "count as empty" if missing == "empty" else "are left out"
        LOGGER.warning("%d of %d labels have no prediction and %s", len(absent), len(truths), what)
    pairs = [Pair(case, preds.get(case), truth) for case, truth in truths.items()]
    pairs = [pair for pair in pairs if pair.pred is not None or missing == "empty"]
    if not pairs:
        raise InputError(f"{predictions}: no prediction of any label in {labels}; masks are paired by file name")
    return pairs


def labels_of_json(path: str | Path) -> dict[str, Value]:
    """The foreground classes and regions under "labels" of a JSON file: value: name (MSD, nnU-Net v1), or name: value
    (nnU-Net v2, plan.json), where a list of values is a region.

    Raises InputError that names what is at fault.
    """
    path = Path(path)
    values = read_json(path, "a dataset.json or plan.json with labels is needed")
    labels = listing.entry(values, "labels", dict, path)
    if "ignore" in labels:
        raise InputError(f"{path}: label 'ignore' says where a truth is unknown, which no score here knows; remove it")
    if all(key.isdecimal() for key in labels):
        labels = listing.msd_labels(values, path)
    known = {name: _value(path, name, value) for name, value in labels.items()}
    foreground = {name: value for name, value in known.items() if value != 0}
    if not foreground:
        raise InputError(f"{path}: no label above 0 under 'labels'; a class to score is needed")
    return foreground


def _value(path: Path, name: str, value: object) -> Value:
    whole = value if isinstance(value, list) and value else [value]
    if not all(isinstance(v, int) and not isinstance(v, bool) for v in whole):
        raise InputError(f"{path}: label {name!r} is {value!r}; a whole number, or a list of them, is needed")
    return tuple(whole) if isinstance(value, list) else value


def parse_regions(text: str | None, labels: dict[str, Value]) -> dict[str, Value]:
    """`tumour=1+2+3;core=2+3` as {name: values}.

    Raises InputError for another form, a value that is no class of `labels`, or a name that is taken.
    """
    classes = {value for value in labels.values() if not isinstance(value, tuple)}
    regions: dict[str, Value] = {}
    for part in filter(None, (part.strip() for part in (text or "").split(";"))):
        found = re.fullmatch(r"([^=]+)=\s*(\d+(?:\s*\+\s*\d+)*)", part)
        if not found:
            raise InputError(f"--regions {part!r} is not understood; NAME=1+2+3 is needed, several parted by ;")
        name, values = found[1].strip(), tuple(int(v) for v in found[2].split("+"))
        unknown = sorted(set(values) - classes)
        if unknown:
            raise InputError(f"--regions {name} has {unknown[0]}, not one of the classes {sorted(classes)}")
        if name in labels or name in regions:
            raise InputError(f"--regions {name!r} is named twice; choose another name")
        regions[name] = values
    return regions


def peak_bytes(pairs: list[Pair], spacing_mm: Vector | None) -> int:
    """Memory that the largest case takes, by the headers of all truths: a large mask may be a small file."""
    shapes = [image_header(Case(pair.case, (pair.truth,), None), spacing_mm).shape for pair in pairs]
    return max(map(prod, shapes)) * _BYTES_PER_VOXEL


def values_in(pair: Pair, tell: Callable[[str], None], *, spacing_mm: Vector | None) -> set[int]:
    """Values of both masks, for run_cases."""
    tell("reading")
    paths = [path for path in (pair.truth, pair.pred) if path is not None]
    return set().union(*(count_values(_read(path, spacing_mm).voxels) for path in paths))


@dataclass(frozen=True)
class Scoring:
    """What is to be done with each pair, see the flags of `mindvoxel score`; values: all that the masks may hold."""

    convention: str
    labels: dict[str, Value]
    values: frozenset[int]
    nsd_tolerance_mm: float
    lesions: bool
    spacing_mm: Vector | None
    num_threads: int


def score_pair(pair: Pair, tell: Callable[[str], None], *, scoring: Scoring) -> list[dict]:
    """Rows of one pair, for run_cases: of report.score_case, or of conventions.count_case."""
    tell("reading")
    truth = _read(pair.truth, scoring.spacing_mm)
    _require_known(pair.truth, truth, scoring.values)
    if pair.pred is None:
        pred = truth.with_voxels(0 * truth.voxels)
    else:
        pred = _read(pair.pred, scoring.spacing_mm)
        _require_known(pair.pred, pred, scoring.values)
    tell("scoring")
    if scoring.convention != "mindvoxel":
        return count_case(pair.case, pred, truth, scoring.labels)
    return score_case(
        pair.case,
        pred,
        truth,
        scoring.labels,
        scoring.nsd_tolerance_mm,
        lesions=scoring.lesions,
        num_threads=scoring.num_threads,
    )


def _read(path: Path, spacing_mm: Vector | None) -> Volume:
    return read_label(Case(path.name, (), path), spacing_mm)


def _require_known(path: Path, mask: Volume, values: frozenset[int]) -> None:
    strange = {value: count for value, count in count_values(mask.voxels).items() if value not in values}
    if strange:
        found = ", ".join(f"{value} in {count} voxels" for value, count in strange.items())
        raise InputError(f"{path}: value {found}, where {', '.join(map(str, sorted(values)))} are known; mend the mask")
