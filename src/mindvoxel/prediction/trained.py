"""Which checkpoints a model folder means: of one run, of a configuration's folds, or of a whole cross-validation."""

from dataclasses import dataclass, field
from pathlib import Path

from mindvoxel.data.plan import Plan, plan_from_json
from mindvoxel.data.previous import changed_scores, previous_runs, runs_in
from mindvoxel.data.stored_dataset import read_dataset
from mindvoxel.errors import InputError
from mindvoxel.files import read_json
from mindvoxel.log import LOGGER
from mindvoxel.volume import Vector

CHECKPOINTS = ("last", "best")
VERSION = 1  # of best.json


@dataclass(frozen=True)
class Trained:
    """Trained networks that predict together.

    model: the name of all of them.  plan: of all of them; None where the model knows no plan (V-Net).
    checkpoints: the files of each configuration, a fold each.
    postprocessing: groups of label values, of each of which only the largest component stays.
    spacing_mm: (z, y, x) of images that know none, as the training data had them.
    previous: as checkpoints, of the previous stages in a cascade that are not among these.
    """

    model: str
    plan: Plan | None
    checkpoints: dict[str, tuple[Path, ...]]
    postprocessing: tuple[tuple[int, ...], ...] = ()
    spacing_mm: Vector | None = None
    previous: dict[str, tuple[Path, ...]] = field(default_factory=dict)

    @property
    def num_channels(self) -> int:
        """Of a scan."""
        return len(self.plan.channels) if self.plan else 1


def find_trained(model_dir: str | Path, folds: tuple[int, ...] | None = None, checkpoint: str = "last") -> Trained:
    """The networks of a run, of OUT/CONFIGURATION with its fold_K, or of OUT with its best.json.

    folds: those to take, else all that are there, or those of best.json.  checkpoint: one of CHECKPOINTS.
    Raises InputError where there is none, one lacks, or they are not of one model and plan.
    """
    folder = Path(model_dir)
    if checkpoint not in CHECKPOINTS:
        raise InputError(f"checkpoint must be one of {', '.join(CHECKPOINTS)}, got {checkpoint!r}")
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; name a run that train.py wrote, or a cross-validation")
    if (folder / "recipe.json").is_file():
        if folds is not None:
            raise InputError(f"{folder}: is one run, among which no folds can be chosen; leave --folds out")
        return _trained([folder], None, checkpoint)
    if (folder / "best.json").is_file():
        best = read_best(folder / "best.json")
        _tell_changed(folder, best)
        chosen = folds or tuple(best["folds"])
        runs = [run for name in best["configurations"] for run in _fold_runs(folder / name, chosen)]
        return _trained(runs, chosen, checkpoint, best)
    if _runs(folder):
        return _trained(_fold_runs(folder, folds), folds, checkpoint)
    inner = sorted(inner.name for inner in folder.iterdir() if inner.is_dir() and _runs(inner))
    if inner:
        raise InputError(
            f"{folder}: no best.json says which of {', '.join(inner)} is best; run mindvoxel results {folder}, or name "
            "one of these folders"
        )
    raise InputError(f"{folder}: no run in it; a folder with recipe.json is needed, or with fold_0, fold_1, …")


def _runs(folder: Path) -> dict[int, Path]:
    """Those fold_K of a configuration that have begun, by their numbers."""
    return {number: run for number, run in runs_in(folder).items() if (run / "recipe.json").is_file()}


def _fold_runs(folder: Path, folds: tuple[int, ...] | None) -> list[Path]:
    """The runs fold_K of a configuration, in the order of their numbers."""
    found = _runs(folder)
    missing = [fold for fold in folds or () if fold not in found]
    if missing:
        shown = ", ".join(map(str, found)) or "none"
        raise InputError(f"{folder}: no run of fold {missing[0]}, found {shown}; train it, or choose others by --folds")
    return [found[fold] for fold in sorted(folds or found)]


def read_best(path: Path) -> dict:
    """best.json with its configurations, folds and postprocessing."""
    best = read_json(path, "mindvoxel results writes it")
    lists = {"configurations": str, "folds": int, "postprocessing": list}
    good = all(
        isinstance(best.get(key), list) and all(isinstance(item, kind) for item in best[key])
        for key, kind in lists.items()
    )
    if best.get("version") != VERSION or not good or not best["configurations"] or not best["folds"]:
        raise InputError(f"{path}: version {VERSION} with {', '.join(lists)} is needed; run mindvoxel results again")
    return best


def _tell_changed(folder: Path, best: dict) -> None:
    """Warn of runs that score otherwise than when best.json was written; a copy without their scores is not asked."""
    for name, scores in best.get("scores", {}).items():
        for run in changed_scores(folder / name, scores):
            LOGGER.warning(
                "%s: was trained or validated anew after best.json chose by it; run mindvoxel results %s again",
                folder / name / run,
                folder,
            )


def _trained(folders: list[Path], folds: tuple[int, ...] | None, checkpoint: str, best: dict | None = None) -> Trained:
    """The runs of these folders together; best: best.json, where it says which configurations they are.

    folds: those that are asked for, of a previous stage, too.
    """
    records = {folder: read_json(folder / "recipe.json", "train.py writes it") for folder in folders}
    first = records[folders[0]]
    checkpoints: dict[str, tuple[Path, ...]] = {}
    for folder, record in records.items():
        for key in ("model", "plan"):
            if record.get(key) != first.get(key):
                raise InputError(f"{folder}: its {key} is not that of {folders[0]}; name runs that share it")
        path = folder / f"{checkpoint}.ckpt"
        if not path.is_file():
            raise InputError(f"{path}: no such checkpoint; train the run, or name another by --checkpoint")
        name = record.get("configuration", record["model"])
        checkpoints[name] = (*checkpoints.get(name, ()), path)
    if len(checkpoints) > 1 and best is None:
        raise InputError(f"{folders[0].parent}: runs of {', '.join(checkpoints)} side by side; keep one configuration")
    if best is not None and set(checkpoints) != set(best["configurations"]):
        raise InputError(
            f"{folders[0].parents[1]}: its runs are of {', '.join(checkpoints)}, best.json names "
            f"{', '.join(best['configurations'])}; run mindvoxel results again"
        )
    plan = plan_from_json(first["plan"], str(folders[0] / "recipe.json")) if first.get("plan") else None
    spacing_mm = read_dataset(folders[0] / "dataset.json").spacing_mm if plan else None
    groups = tuple(map(tuple, best["postprocessing"])) if best else ()
    previous: dict[str, tuple[Path, ...]] = {}
    for name, paths in checkpoints.items():
        stage = plan.configurations[name].previous_stage if plan else None
        if stage is not None and stage not in checkpoints:
            run = paths[0].parent
            earlier = _previous(run, stage, records[run], folds, checkpoint)
            previous |= earlier.previous | earlier.checkpoints
    return Trained(first["model"], plan, checkpoints, groups, spacing_mm, previous)


def _previous(run: Path, stage: str, record: dict, folds: tuple[int, ...] | None, checkpoint: str) -> Trained:
    """The networks of the stage before a cascade's run."""
    folder = previous_runs(run, stage, record["paths"]["previous_path"])
    runs = _fold_runs(folder, folds)
    for found in runs:
        theirs = read_json(found / "recipe.json", "train.py writes it")
        if theirs.get("configuration") != stage or theirs.get("plan") != record["plan"]:
            raise InputError(f"{found}: no run of {stage} by the plan of {run}; put those beside that are")
    if not runs:
        raise InputError(f"{folder}: no run fold_K in it; {run} takes what {stage} predicts: train it, or put it there")
    return _trained(runs, folds, checkpoint)
