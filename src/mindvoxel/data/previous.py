"""What the previous stage of a cascade predicted for cases: files of the runs that had them in validation."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np

from mindvoxel.data.plan import Plan, difference, preprocessing_key, read_plan
from mindvoxel.data.splits import Fold
from mindvoxel.errors import InputError
from mindvoxel.files import replacing

FOLDER = "next_stage"  # of a run
RUN = "fold_"  # what the names of runs begin with, before the number of the fold


@dataclass(frozen=True)
class PreviousStage:
    """files: case -> its classes (D, H, W) on the preprocessed grid of the next stage; num_classes: with background."""

    files: dict[str, Path]
    num_classes: int

    def open(self, case: str) -> np.ndarray:
        """(D, H, W) unsigned classes, mapped into memory; raises InputError where the file is damaged."""
        try:
            return np.load(self.files[case], mmap_mode="r", allow_pickle=False)
        except (ValueError, EOFError) as error:
            raise InputError(
                f"{self.files[case]}: does not read ({error}); write it anew with --resume "
                f"{self.files[case].parents[1]} --validation_only"
            ) from error

    def append_to(self, image: np.ndarray, case: str) -> np.ndarray:
        """(C, D, H, W) -> (C + 1, D, H, W): the classes as numbers in a further channel."""
        classes = self.open(case)
        if classes.shape != image.shape[1:]:
            raise InputError(
                f"{self.files[case]}: classes of shape {classes.shape}, the preprocessed case has {image.shape[1:]}; "
                "train the previous stage anew on this data"
            )
        return append_classes(image, classes)


def append_classes(image: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """(C, D, H, W) and classes (D, H, W) -> (C + 1, D, H, W) float32."""
    return np.concatenate([image, classes[None]], dtype=np.float32)


def write_previous(run: str | Path, case: str, classes: np.ndarray) -> None:
    """Write RUN/next_stage/CASE.npy, whole or not at all; raw, since patches are read from it without the rest."""
    folder = Path(run) / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(folder / f"{case}.npy") as partial, partial.open("wb") as file:
        np.save(file, classes, allow_pickle=False)


def previous_runs(run: str | Path, stage: str, recorded: str) -> Path:
    """The folder with the runs of `stage` that a run takes: OUT/STAGE beside OUT/CONFIGURATION/fold_K, else the one
    that it was trained with; raises InputError where neither is there."""
    beside = Path(run).resolve().parents[1] / stage
    for folder in (beside, Path(recorded)):
        if folder.is_dir():
            return folder
    raise InputError(
        f"{run}: takes what {stage} predicts, and the runs of that are neither in {beside} nor in {recorded}; put "
        "them beside"
    )


def runs_in(folder: str | Path) -> dict[int, Path]:
    """The folders fold_K below `folder` by their numbers, in order."""
    found = {}
    for path in Path(folder).glob(f"{RUN}*"):
        if number := re.fullmatch(rf"{RUN}(\d+)", path.name):
            found[int(number[1])] = path
    return dict(sorted(found.items()))


def scores_in(folder: str | Path) -> dict[str, str]:
    """fold_K -> SHA-256 of its validation/metrics.csv, of the runs below `folder` that have one: it changes when a run
    is trained or validated anew with another outcome."""
    paths = {run.name: run / "validation" / "metrics.csv" for run in runs_in(folder).values()}
    return {name: sha256(path.read_bytes()).hexdigest() for name, path in paths.items() if path.is_file()}


def changed_scores(folder: str | Path, before: dict[str, str]) -> list[str]:
    """The runs below `folder` that score otherwise than scores_in said before; one without a score is left out."""
    now = scores_in(folder)
    return [name for name, score in before.items() if now.get(name, score) != score]


def find_previous(
    folder: str | Path, plan: Plan, configuration: str, cases: Sequence[str], folds: Sequence[Fold] = ()
) -> PreviousStage:
    """The files of `cases` below the folder of the previous stage's runs, fold_0, fold_1, …; the first that has a case.

    folds: of the data set, to say which run is to be trained.
    Raises InputError for a run of another plan, and where cases are missing.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; the runs of the previous stage are needed in it, {RUN}0 and so on")
    files = {}
    for run in runs_in(folder).values():
        here = {case: run / FOLDER / f"{case}.npy" for case in cases if case not in files}
        here = {case: path for case, path in here.items() if path.is_file()}
        if here:
            _check_plan(run, plan, configuration)
        files |= here
    missing = [case for case in cases if case not in files]
    if missing:
        stage = plan.configurations[configuration].previous_stage
        raise InputError(
            f"{folder}: {len(missing)} of {len(cases)} cases have no prediction of {stage} (first: {missing[0]}); "
            f"{_remedy(folder, stage, missing[0], folds)}"
        )
    return PreviousStage(files, len(plan.label_values))


def _remedy(folder: Path, stage: str, case: str, folds: Sequence[Fold]) -> str:
    number = next((number for number, fold in enumerate(folds) if case in fold.val), None)
    if number is None:
        return f"train the fold of {stage} that validates it"
    run = folder / f"{RUN}{number}"
    if (run / "last.ckpt").is_file():
        return f"finish its run with --resume {run}, and --validation_only where its epochs are done"
    return f"train it first: --configuration {stage} --fold {number} --output_path {run}"


def _check_plan(run: Path, plan: Plan, configuration: str) -> None:
    theirs = read_plan(run / "plan.json")
    old = preprocessing_key(theirs, configuration) if configuration in theirs.configurations else {}
    if changed := difference(old, preprocessing_key(plan, configuration)):
        raise InputError(f"{run}: a run of another plan for {configuration}: {changed}; train it anew on this one")
