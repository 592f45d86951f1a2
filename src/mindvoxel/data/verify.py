"""Verification: every fault of a data set at once, before hours are spent on it; its fingerprint in the same pass."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from math import prod
from pathlib import Path

import numpy as np

from mindvoxel.data.dataset import Dataset
from mindvoxel.data.examine import Examined, examine
from mindvoxel.data.fingerprint import Fingerprint, combine, sample_size_of
from mindvoxel.data.workers import run_cases
from mindvoxel.errors import InputError
from mindvoxel.files import write_text
from mindvoxel.log import LOGGER, progress

_MOST_VOXELS = 2**30  # of a case at the spacing of the median case; more would fill the memory
_OTHER_UNIT, _ODD_SPACING = 100.0, 10.0  # times the median, or a part of it


@dataclass(frozen=True)
class Fault:
    """One sentence on what is wrong, and the case where it is; None: the data set as a whole."""

    case: str | None
    sentence: str

    def __str__(self) -> str:
        return self.sentence if self.case is None else f"case {self.case}: {self.sentence}"


@dataclass(frozen=True)
class Report:
    """What verification found.

    faults: preprocessing or training would fail, or learn what nobody meant.  warnings: worth a look.
    label_voxels: of each case, value -> voxels; without the cases whose label cannot be read.
    fingerprint: None where there are faults.
    """

    dataset: Dataset
    faults: tuple[Fault, ...]
    warnings: tuple[Fault, ...]
    label_voxels: dict[str, dict[int, int]]
    fingerprint: Fingerprint | None

    def lines(self) -> Iterator[str]:
        """A table of the label values, then every warning and every fault, a line each."""
        yield from _table(self.dataset, self.label_voxels)
        yield from (f"warning: {warning}" for warning in self.warnings)
        yield from (f"fault: {fault}" for fault in self.faults)

    def log(self) -> None:
        """Log `lines`."""
        for line in self.lines():
            LOGGER.info(line)

    def require_none(self, where: str | Path) -> None:
        """Raise InputError, with how many, where there are faults; `where` names the data set."""
        if self.faults:
            num_cases = len({fault.case for fault in self.faults} - {None})
            many = "1 fault" if len(self.faults) == 1 else f"{len(self.faults)} faults"
            within = f" in {num_cases} of {len(self.dataset.cases)} cases" if num_cases else ""
            raise InputError(f"{where}: {many}{within}, listed above; mend the data set, or leave such cases out")

    def write(self, path: str | Path) -> None:
        """The report as JSON."""
        values = {
            "dataset": self.dataset.name,
            "num_cases": len(self.dataset.cases),
            "labels": self.dataset.labels,
            "faults": [asdict(fault) for fault in self.faults],
            "warnings": [asdict(warning) for warning in self.warnings],
            "label_voxels": self.label_voxels,
        }
        write_text(path, json.dumps(values, indent=1) + "\n")


def verify(dataset: Dataset, *, num_workers: int, allow_empty: bool = False) -> Report:
    """Read every labelled case once and report all its faults, of all cases, with their numbers.

    allow_empty: a label without any foreground is no fault, as of healthy patients.
    """
    facts = replace(dataset, cases=(), test_cases=())  # travels with every worker
    task = partial(examine, dataset=facts, sample_size=sample_size_of(dataset), allow_empty=allow_empty)
    results = run_cases(task, dataset.cases, num_workers=num_workers, what="verification")
    examined = list(progress(results, total=len(dataset.cases), what="verify", unit="case"))
    label_voxels = {one.case: one.label_voxels for one in examined if one.label_voxels is not None}
    odd_faults, odd_warnings = _odd_spacings(examined)
    faults = [
        *_case_list_faults(dataset),
        *_declaration_faults(dataset),
        *(Fault(one.case, sentence) for one in examined for sentence in one.faults),
        *odd_faults,
    ]
    warnings = [
        *_warnings_of(dataset, label_voxels),
        *(Fault(one.case, sentence) for one in examined for sentence in one.warnings),
        *odd_warnings,
    ]
    if not faults and not any(value > 0 for counts in label_voxels.values() for value in counts):
        faults.append(Fault(None, "no label has a voxel above 0, so there is nothing to learn"))
    fingerprint = None if faults else combine(one.measured for one in examined)
    return Report(dataset, tuple(faults), tuple(warnings), label_voxels, fingerprint)


def _case_list_faults(dataset: Dataset) -> Iterator[Fault]:
    if not dataset.cases:
        yield Fault(None, "no labelled case")
    for name, count in Counter(case.case for case in dataset.cases).items():
        if count > 1:
            yield Fault(name, f"{count} cases have this name; give each its own")
    yield from _file_faults(dataset)


def _file_faults(dataset: Dataset) -> Iterator[Fault]:
    """Files that stand for two things, or are not there."""
    users: dict[Path, str] = {}
    for case in dataset.cases:
        own = Counter((*case.images, *([case.label] if case.label else [])))
        for path, count in own.items():
            other = users.setdefault(path, case.case)
            if count > 1:
                yield Fault(case.case, f"{path}: stands for {count} of its files; give each channel and label its own")
            if other != case.case:
                yield Fault(case.case, f"{path}: belongs to case {other} as well; give each case its own files")
    for case in dataset.test_cases:
        for path in case.images:
            if not path.is_file():
                yield Fault(case.case, f"{path}: no such file, of a test case")


def _declaration_faults(dataset: Dataset) -> Iterator[Fault]:
    values = Counter(dataset.labels.values())
    for value in sorted(value for value, count in values.items() if count > 1):
        names = ", ".join(name for name, v in dataset.labels.items() if v == value)
        yield Fault(None, f"label value {value} is declared for {names}; give each name its own value")
    for name, value in dataset.labels.items():
        if value < 0:
            yield Fault(None, f"label {name} has the value {value}; 0 for the background and above it are needed")
    if 0 not in values or len(values) < 2:
        yield Fault(
            None, f"label values {sorted(values)} are declared; 0, for the background, and at least one more are needed"
        )


def _warnings_of(dataset: Dataset, label_voxels: dict[str, dict[int, int]]) -> Iterator[Fault]:
    declared = sorted(set(dataset.labels.values()))
    found = {value for counts in label_voxels.values() for value in counts}
    for name, value in dataset.labels.items():
        if value not in found and label_voxels:
            yield Fault(None, f"label {name} ({value}) is declared and found in no case")
    if declared != list(range(len(declared))):
        yield Fault(
            None,
            f"label values {', '.join(map(str, declared))} are not consecutive: the network learns them as classes "
            f"0 to {len(declared) - 1}, and they are mapped back on output",
        )


def _odd_spacings(examined: list[Examined]) -> tuple[list[Fault], list[Fault]]:
    """Cases whose spacing is in another unit than that of the others: they would vanish, or fill the memory."""
    known = [one for one in examined if one.spacing_mm is not None]
    if not known:
        return [], []
    median = np.median([one.spacing_mm for one in known], axis=0)
    faults, warnings = [], []
    for one in known:
        factors = np.array(one.spacing_mm) / median
        apart = max(factors.max(), 1 / factors.min())
        shape = [max(round(n * factor), 1) for n, factor in zip(one.shape, factors, strict=True)]
        text = (
            f"spacing (z, y, x) of {_triple(one.spacing_mm)} mm where the median case has {_triple(median)} mm: "
            f"resampled to that, its shape {one.shape} becomes {tuple(shape)}; is its spacing right?"
        )
        if apart >= _OTHER_UNIT or prod(shape) > _MOST_VOXELS:
            faults.append(Fault(one.case, text))
        elif apart >= _ODD_SPACING:
            warnings.append(Fault(one.case, text))
    return faults, warnings


def _triple(values) -> str:
    return "(" + ", ".join(f"{value:.4g}" for value in values) + ")"


def _table(dataset: Dataset, label_voxels: dict[str, dict[int, int]]) -> Iterator[str]:
    """A row for each value that is declared or found."""
    names = {value: name for name, value in dataset.labels.items()}
    total = sum(sum(counts.values()) for counts in label_voxels.values())
    yield f"{dataset.name}: {len(dataset.cases)} cases, channels {', '.join(dataset.channels)}"
    yield f"{'value':>6}  {'name':20}  {'cases':>6}  {'voxels':>14}  {'share %':>8}  {'voxels a case':>20}"
    for value in sorted(set(names).union(*label_voxels.values())):
        counts = [found[value] for found in label_voxels.values() if value in found]
        span = f"{min(counts)} to {max(counts)}" if counts else "-"
        share = 100 * sum(counts) / total if total else 0.0
        name = names.get(value, "NOT DECLARED")
        yield f"{value:6}  {name[:20]:20}  {len(counts):6}  {sum(counts):14}  {share:8.3f}  {span:>20}"
