"""Two configurations of a cross-validation together: each fold's validation scans segmented by both its networks."""

from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path

from mindvoxel.cli.planned import EvalJob
from mindvoxel.data.dataset import Case, read_label
from mindvoxel.errors import naming
from mindvoxel.inference import segment
from mindvoxel.log import progress
from mindvoxel.metrics.report import read_rows, remove_report, write_report
from mindvoxel.train import device as devices
from mindvoxel.train.cross_validation import CrossValidation, Fold
from mindvoxel.volume import Volume, write_volume


def ensemble(cross: CrossValidation, pair: tuple[str, str], target: str, device_id: int) -> list[Fold]:
    """The folds of two configurations whose probabilities are averaged on the scan's grid.

    Masks and figures go to OUT/A+B/fold_K/validation; those that are newer than both checkpoints are taken as they are.
    """
    return [_fold(cross, pair, number, target, device_id) for number in cross.numbers]


def _fold(cross: CrossValidation, pair: tuple[str, str], number: int, target: str, device_id: int) -> Fold:
    name = "+".join(pair)
    folder = cross.folder / name / f"fold_{number}" / "validation"
    checkpoints = [cross.run(configuration, number) / "last.ckpt" for configuration in pair]
    if _is_newer(folder / "metrics.csv", checkpoints):
        return Fold(number, folder, read_rows(folder / "metrics.csv"))
    folder.mkdir(parents=True, exist_ok=True)
    remove_report(folder)
    networks, rows = _Networks(cross.model, checkpoints, target, device_id), []
    for case in progress(networks.names, what=f"{name}, fold {number}", unit="case"):
        path = folder / cross.scans.mask_name(case)
        if not _is_newer(path, checkpoints):
            write_volume(path, networks.segment(case))
        mask = read_label(Case(case, (), path), cross.scans.dataset.spacing_mm)
        rows += cross.scans.score(case, mask, networks.nsd_tolerance_mm)
    with naming(folder):
        write_report(folder, rows, {"checkpoints": [str(path) for path in checkpoints]})
    return Fold(number, folder, rows)


def _is_newer(path: Path, checkpoints: Sequence[Path]) -> bool:
    made = [checkpoint.stat().st_mtime_ns for checkpoint in checkpoints]
    return path.is_file() and path.stat().st_mtime_ns > max(made)


class _Networks:
    """The networks of one fold, each with its own way of preparing a scan."""

    def __init__(self, model: str, checkpoints: Sequence[Path], target: str, device_id: int):
        devices.prepare(target, device_id)
        from mindvoxel.prediction.networks import network_of
        from mindvoxel.train.predict import logits_predictor

        self.members = []
        for path in checkpoints:
            network, recipe, meta = network_of(path, model)
            devices.set_cpu_precision(target, recipe.device.cpu_precision)
            scans = EvalJob(Namespace(ckpt_path=path, data_path=None), recipe, meta).scans
            self.members.append((scans, [logits_predictor(network)], recipe.eval.tta))
        self.names, self.label_values = scans.names, scans.plan.label_values
        self.nsd_tolerance_mm = recipe.eval.nsd_tolerance_mm

    def segment(self, case: str) -> Volume:
        """The labels of a case, by the mean of the probabilities of all networks."""
        members = [scans.member(case, predictors, tta) for scans, predictors, tta in self.members]
        return segment(members, self.label_values)
