"""Which postprocessing a cross-validation recommends: nnU-Net v2's rule on which largest components to keep.

Published rule (nnunetv2 2.8.1, postprocessing/remove_connected_components.py, determine_postprocessing): keep only the
largest component of all foreground if that raises the mean Dice and lowers no class's; then, where there are several
classes, of each class in turn if that raises its own Dice. A class's Dice is the mean over cases, empty masks in both
left out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from mindvoxel.data.dataset import Case, read_label
from mindvoxel.data.postprocess import keep_largest
from mindvoxel.data.workers import Tell, run_cases
from mindvoxel.log import progress
from mindvoxel.metrics.overlap import dice
from mindvoxel.volume import Vector, check_same_grid

Group = tuple[int, ...]
DiceOf = dict[int, float]  # label value -> Dice


@dataclass(frozen=True)
class Judged:
    """A case and the files of its two masks."""

    case: str
    pred: Path
    truth: Path


@dataclass(frozen=True)
class Choice:
    """groups: for keep_largest.  before, after: mean Dice by label value without and with them."""

    groups: tuple[Group, ...]
    before: DiceOf
    after: DiceOf


def choose_postprocessing(
    cases: Sequence[Judged], values: Sequence[int], spacing_mm: Vector | None, num_workers: int
) -> Choice:
    """What the rule chooses for the foreground label `values`.

    spacing_mm: of masks that know none.
    """
    foreground, groups = tuple(values), ()
    trial = partial(_trial, values=foreground, spacing_mm=spacing_mm)
    before, (whole,) = _means(trial, cases, (), (foreground,), num_workers)
    if foreground_helps(before, whole):
        groups, after = (foreground,), whole
    else:
        after = before
    if len(foreground) > 1:
        now, each = _means(trial, cases, groups, tuple((value,) for value in foreground), num_workers)
        for value, then in zip(foreground, each, strict=True):
            if then[value] > now[value]:
                groups, after = (*groups, (value,)), after | {value: then[value]}
    return Choice(groups, before, after)


def foreground_helps(before: DiceOf, after: DiceOf) -> bool:
    """Whether the mean over classes rises and no class falls; a class that no case has (NaN) is left out."""
    return mean_dice(after) > mean_dice(before) and not any(after[value] < before[value] for value in before)


def mean_dice(by_value: DiceOf) -> float:
    """Mean of the classes that have one; NaN where none has."""
    known = [value for value in by_value.values() if not np.isnan(value)]
    return float(np.mean(known)) if known else float("nan")


def _means(trial, cases: Sequence[Judged], base: tuple[Group, ...], candidates: tuple[Group, ...], num_workers: int):
    """Mean Dice by label value over all cases: with the groups `base`, and with each candidate besides."""
    found = run_cases(
        partial(trial, base=base, candidates=candidates), cases, num_workers=num_workers, what="postprocessing"
    )
    by_case = list(progress(found, total=len(cases), what="largest components", unit="case"))
    before, *after = ([case[i] for case in by_case] for i in range(len(candidates) + 1))
    return _mean_over_cases(before), [_mean_over_cases(each) for each in after]


def _mean_over_cases(cases: list[DiceOf]) -> DiceOf:
    known = {value: [case[value] for case in cases if not np.isnan(case[value])] for value in cases[0]}
    return {value: float(np.mean(some)) if some else float("nan") for value, some in known.items()}


def _trial(
    case: Judged,
    tell: Tell,
    *,
    values: Group,
    spacing_mm: Vector | None,
    base: tuple[Group, ...],
    candidates: tuple[Group, ...],
) -> list[DiceOf]:
    """Dice by label value of a case with the groups `base`, then with each candidate besides; for run_cases."""
    tell("reading")
    truth, pred = (read_label(Case(case.case, (), path), spacing_mm) for path in (case.truth, case.pred))
    check_same_grid(truth, pred, (str(case.truth), str(case.pred)))
    tell("keeping largest components")
    labels = keep_largest(pred.voxels, base)
    found = [{value: dice(labels == value, truth.voxels == value) for value in values}]
    for group in candidates:
        kept = keep_largest(labels, [group])
        found.append(found[0] | {value: dice(kept == value, truth.voxels == value) for value in group})
    return found
