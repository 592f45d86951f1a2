"""The runs of a cross-validation, OUT/CONFIGURATION/fold_K, brought together."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mindvoxel.data.plan import Plan, plan_from_json
from mindvoxel.data.previous import changed_scores
from mindvoxel.data.splits import NUM_FOLDS
from mindvoxel.data.stored_dataset import read_dataset
from mindvoxel.errors import InputError
from mindvoxel.files import read_json
from mindvoxel.log import LOGGER
from mindvoxel.metrics.report import read_rows
from mindvoxel.train.volumes import Scans

_AGAIN = "train it with mindvoxel cross_validate"


@dataclass(frozen=True)
class Fold:
    """A fold's validation scans as one configuration, or an ensemble, segments them.

    masks: their folder.  rows: their metrics.
    """

    number: int
    masks: Path
    rows: list[dict]


@dataclass(frozen=True)
class CrossValidation:
    """Finished runs of one plan and one data set.

    folds: by configuration, every configuration with the same numbers and cases.
    """

    folder: Path
    model: str
    plan: Plan
    scans: Scans
    folds: dict[str, list[Fold]]

    @property
    def numbers(self) -> list[int]:
        """Of the folds."""
        return [fold.number for fold in next(iter(self.folds.values()))]

    def run(self, configuration: str, number: int) -> Path:
        """The folder of a run."""
        return run_folder(self.folder, configuration, number)


def run_folder(folder: Path, configuration: str, number: int) -> Path:
    """Where a run of a cross-validation lies."""
    return folder / configuration / f"fold_{number}"


def is_finished(run: Path) -> bool:
    """Whether all epochs of a run are trained, and its validation scans scored after them."""
    validation = run / "validation"
    if not all(path.is_file() for path in (run / "recipe.json", validation / "summary.json")):
        return False
    epochs = read_json(run / "recipe.json", _AGAIN)["recipe"]["train"]["epochs"]
    scored = read_json(validation / "summary.json", _AGAIN).get("meta", {}).get("epoch")
    return scored == epochs and (validation / "metrics.csv").is_file()


def open_cross_validation(
    folder: Path, configurations: Sequence[str] | None = None, numbers: Sequence[int] | None = None
) -> CrossValidation:
    """Read the runs; without names all configurations that are there, without numbers all folds.

    Raises InputError where a run is absent, not finished, or of another plan than the others, where a case is
    validated twice, and, without numbers, where one is validated never.
    """
    present = configurations_in(folder)
    chosen = list(configurations or present)
    there = {number for name in chosen for number in present.get(name, ())}
    wanted = sorted(set(numbers) if numbers is not None else there)
    if not chosen or not wanted:
        raise InputError(f"{folder}: no run CONFIGURATION/fold_K in it; mindvoxel cross_validate makes them")
    records = {name: [_record(run_folder(folder, name, number), name, number) for number in wanted] for name in chosen}
    _require_one_plan(folder, records)
    run, record = run_folder(folder, chosen[0], wanted[0]), records[chosen[0]][0]
    plan, dataset = plan_from_json(record["plan"], str(run / "recipe.json")), read_dataset(run / "dataset.json")
    cases = _cases_once(folder, records)
    if numbers is None:
        _require_all(folder, chosen[0], wanted, [case.case for case in dataset.cases], cases)
    ordered = sorted(chosen, key=list(plan.configurations).index)
    scans = Scans(plan, ordered[0], dataset, cases, None)
    folds = {name: [_fold(run_folder(folder, name, r["fold"]), r, scans) for r in records[name]] for name in ordered}
    return CrossValidation(folder, record["model"], plan, scans, folds)


def configurations_in(folder: Path) -> dict[str, list[int]]:
    """Names of configurations with a run in the folder, and the numbers of their folds."""
    found: dict[str, list[int]] = {}
    for path in sorted(folder.glob("*/fold_*/recipe.json")):
        number = re.fullmatch(r"fold_(\d+)", path.parent.name)
        if number:
            found.setdefault(path.parent.parent.name, []).append(int(number[1]))
    return found


def _record(run: Path, configuration: str, number: int) -> dict:
    """What recipe.json says of a finished run."""
    if not (run / "recipe.json").is_file():
        raise InputError(f"{run}: no such run; {_AGAIN}, or leave it out with --folds or --configurations")
    record = read_json(run / "recipe.json", _AGAIN)
    if (record.get("configuration"), record.get("fold")) != (configuration, number):
        raise InputError(
            f"{run}: holds a run of {record.get('configuration')}, fold {record.get('fold')}; {configuration}, fold "
            f"{number} is needed there"
        )
    if not is_finished(run):
        raise InputError(f"{run}: is not finished; give mindvoxel cross_validate again, it goes on where it was")
    _tell_outdated(run, record)
    return record


def _tell_outdated(run: Path, record: dict) -> None:
    """Warn of a cascade's run whose previous stage was trained anew since."""
    stage = record["plan"]["configurations"][record["configuration"]].get("previous_stage")
    if stage is None:
        return
    beside = run.parents[1] / stage
    previous = beside if beside.is_dir() else Path(record["paths"]["previous_path"])
    if changed_scores(previous, record.get("previous_scores", {})):
        LOGGER.warning(
            "%s: learned from other predictions than those that %s holds now; remove the run, and give mindvoxel "
            "cross_validate again, to train it on these",
            run,
            previous,
        )


def _require_one_plan(folder: Path, records: dict[str, list[dict]]) -> None:
    (first, *_), *_ = records.values()
    for name, each in records.items():
        for record in each:
            for key in ("model", "plan"):
                if record[key] != first[key]:
                    raise InputError(
                        f"{run_folder(folder, name, record['fold'])}: its {key} is not that of "
                        f"{run_folder(folder, first['configuration'], first['fold'])}; all runs of a cross-validation "
                        "need the same: keep those of one in a folder"
                    )


def _cases_once(folder: Path, records: dict[str, list[dict]]) -> list[str]:
    """Validation cases in the order of the folds, which have to be the same in every configuration."""
    (name, first), *others = records.items()
    for other, each in others:
        for ours, theirs in zip(first, each, strict=True):
            if ours["val_cases"] != theirs["val_cases"]:
                raise InputError(
                    f"{run_folder(folder, other, theirs['fold'])}: validates other cases than "
                    f"{run_folder(folder, name, ours['fold'])}; train both on one splits.json"
                )
    fold_of: dict[str, int] = {}
    for record in first:
        for case in record["val_cases"]:
            if case in fold_of:
                raise InputError(
                    f"{folder / name}: folds {fold_of[case]} and {record['fold']} both validate {case}; each case may "
                    "be validated once: choose folds of one splits.json with --folds"
                )
            fold_of[case] = record["fold"]
    return list(fold_of)


def _require_all(
    folder: Path, configuration: str, numbers: Sequence[int], labelled: Sequence[str], validated: Sequence[str]
) -> None:
    never = sorted(set(labelled) - set(validated))
    if never:
        absent = next(n for n in range(len(numbers) + NUM_FOLDS) if n not in numbers)
        raise InputError(
            f"{run_folder(folder, configuration, absent)}: no such run, and {len(never)} of {len(labelled)} cases are "
            f"validated in no fold (first: {never[0]}); {_AGAIN}, or say --folds {','.join(map(str, numbers))}"
        )


def _fold(run: Path, record: dict, scans: Scans) -> Fold:
    masks = run / "validation"
    rows = read_rows(masks / "metrics.csv")
    absent = [name for name in record["val_cases"] if not (masks / scans.mask_name(name)).is_file()]
    if absent or {row["case"] for row in rows} != set(record["val_cases"]):
        what = f"the mask of {absent[0]} is gone" if absent else "metrics.csv is not of the fold's validation cases"
        raise InputError(f"{masks}: {what}; make it anew with train.py --resume {run} --validation_only")
    return Fold(record["fold"], masks, rows)
