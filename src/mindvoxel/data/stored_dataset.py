"""The folder that mindvoxel preprocess writes: plan, data set, splits, and preprocessed cases by configuration."""

import json
from dataclasses import dataclass
from pathlib import Path

from mindvoxel.data.dataset import Dataset, dataset_from_json
from mindvoxel.data.plan import Plan, preprocessing_key, read_plan
from mindvoxel.data.splits import Fold, choose_fold, five_folds, read_splits
from mindvoxel.data.store import check_fresh, list_cases
from mindvoxel.errors import InputError

BY_DIM = {2: "2d", 3: "3d_fullres"}


@dataclass(frozen=True)
class StoredDataset:
    """plan.json and dataset.json of `folder`, which agree about channels and labels."""

    folder: Path
    plan: Plan
    dataset: Dataset

    def folds(self) -> list[Fold]:
        """Those of splits.json; without that file the five published ones."""
        names = [case.case for case in self.dataset.cases]
        path = self.folder / "splits.json"
        return read_splits(path, names) if path.is_file() else five_folds(names)

    def fold(self, number: int) -> Fold:
        """Fold `number`; beyond the last a random one, see choose_fold."""
        return choose_fold(self.folds(), number, [case.case for case in self.dataset.cases])

    def require_cases(self, configuration: str, fold: Fold) -> Path:
        """The folder of a configuration's cases; InputError where they are stale, of another plan, or not all there."""
        folder = self.folder / configuration
        check_fresh(folder, preprocessing_key(self.plan, configuration))
        missing = sorted({*fold.train, *fold.val} - set(list_cases(folder)))
        if missing:
            raise InputError(
                f"{folder}: {len(missing)} cases of the fold are not preprocessed (first: {missing[0]}); run "
                "mindvoxel preprocess again, it goes on where it was"
            )
        return folder


def open_stored(folder: str | Path) -> StoredDataset:
    """Read and check the folder; raises InputError where it is none, or plan and data set are not of one another."""
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; mindvoxel preprocess writes it")
    plan, dataset = read_plan(folder / "plan.json"), read_dataset(folder / "dataset.json")
    for name, ours, theirs in (
        ("channels", plan.channels, dataset.channels),
        ("labels", plan.labels, dict(dataset.labels)),
    ):
        if ours != theirs:
            raise InputError(
                f"{folder}: plan.json has the {name} {ours}, dataset.json {theirs}; both must be of one data set: run "
                "mindvoxel preprocess again into another --output"
            )
    return StoredDataset(folder, plan, dataset)


def read_dataset(path: str | Path) -> Dataset:
    """dataset.json as mindvoxel preprocess writes it; raises InputError."""
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file; mindvoxel preprocess writes it beside plan.json")
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path}: no JSON ({error}); preprocess anew") from error
    return dataset_from_json(values, str(path))


def configuration_of(plan: Plan, dim: int | None, name: str | None) -> str:
    """The configuration that --dim or --configuration asks for; raises InputError where the plan has none such."""
    if name is None and dim is None:
        raise InputError("--dim is needed, 2 or 3, or --configuration")
    chosen = name or BY_DIM[dim]
    if chosen not in plan.configurations:
        raise InputError(f"the plan has no configuration {chosen}; choose one of {', '.join(plan.configurations)}")
    found = plan.configurations[chosen]
    if dim is not None and found.dim != dim:
        raise InputError(f"--configuration {chosen} is {found.dim}-D and --dim is {dim}; leave one out")
    return chosen
