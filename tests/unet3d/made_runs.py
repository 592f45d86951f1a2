"""Finished runs of a cross-validation without any training: masks are the truth with what a test does to it."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np

from mindvoxel import config
from mindvoxel.data.dataset import dataset_to_json, read_label
from mindvoxel.data.plan import plan_to_json
from mindvoxel.data.stored_dataset import open_stored
from mindvoxel.metrics.report import score_case, write_report
from mindvoxel.volume import write_volume

Spoil = Callable[[str, np.ndarray], None]


def nothing(name: str, labels: np.ndarray) -> None:
    """A perfect mask."""


def make_run(data: Path, out: Path, configuration: str, number: int, spoil: Spoil = nothing) -> Path:
    """OUT/CONFIGURATION/fold_K with all but the checkpoints; spoil changes a case's labels (D, H, W) in place."""
    stored, run = open_stored(data), out / configuration / f"fold_{number}"
    recipe = config.override(config.load_recipe("unet3d", "small"), {"network.first_filters": 2, "eval.tta": "none"})
    fold, rows = stored.fold(number), []
    record = {"model": "unet3d", "recipe": recipe, "paths": {"data_path": str(data), "output_path": str(run)}}
    record |= {"configuration": configuration, "dim": stored.plan.configurations[configuration].dim, "fold": number}
    record |= {"val_cases": list(fold.val), "deterministic": False, "plan": plan_to_json(stored.plan)}
    (run / "validation").mkdir(parents=True)
    for case in stored.dataset.cases:
        if case.case in fold.val:
            truth = read_label(case)
            labels = truth.voxels.astype(np.uint8)
            spoil(case.case, labels)
            mask = truth.with_voxels(labels)
            write_volume(run / "validation" / f"{case.case}.nii.gz", mask)
            rows += score_case(case.case, mask, truth, {"organ": 1, "lesion": 4}, 2.0)
    write_report(run / "validation", rows, {"run": str(run), "epoch": recipe.train.epochs, "eval": recipe.eval})
    (run / "dataset.json").write_text(json.dumps(dataset_to_json(stored.dataset)))
    (run / "recipe.json").write_text(json.dumps(record))
    return run
