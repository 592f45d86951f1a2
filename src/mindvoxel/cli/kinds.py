"""What commands do otherwise for each kind of model: `scans`, `planned` cases, `photos` (mindvoxel.config.kind_of).

A kind is a module of this package with
add_train_flags(parser), settle(args)       its flags of train.py, and what follows from them before anything is read
data_paths(args, stored)                    where the data lie, absolute; stored: of the run that is resumed, or {}
TrainJob(args, recipe, paths, device, meta) the data of a run, and build, start, restore, measure, callbacks, finish
add_eval_flags(parser), EVAL_SECTIONS       its flags of eval.py, and what of the recipe can be changed
EvalJob(args, recipe, meta)                 what is evaluated, and score and report: rows of metrics, and their tables
"""

from types import ModuleType

from mindvoxel import config
from mindvoxel.cli import photos, planned, scans

_MODULES = {"scans": scans, "planned": planned, "photos": photos}


def kind_of(model: str) -> ModuleType:
    """The module for the model's kind."""
    return _MODULES[config.kind_of(model)]
