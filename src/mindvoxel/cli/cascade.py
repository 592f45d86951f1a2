"""Where a run of a cascade finds the predictions of its previous stage."""

import re
from pathlib import Path

from mindvoxel.data.previous import RUN, PreviousStage, find_previous
from mindvoxel.data.splits import Fold
from mindvoxel.data.stored_dataset import StoredDataset
from mindvoxel.errors import InputError

HELP = (
    "of a cascade: folder with fold_0 to fold_4 of its previous stage; without it OUT/STAGE of an --output_path "
    "OUT/CONFIGURATION/fold_K"
)


def previous_of(data: StoredDataset, configuration: str, fold: Fold, paths: dict[str, str]) -> PreviousStage | None:
    """The predictions for the cases of a fold; None where the configuration has no previous stage.

    paths: output_path and, where it is given, previous_path, which else is put in where output_path tells it.
    """
    stage = data.plan.configurations[configuration].previous_stage
    if stage is None:
        if "previous_path" in paths:
            raise InputError(f"--previous_path has no place: {configuration} has no previous stage; drop it")
        return None
    if "previous_path" not in paths:
        run = Path(paths["output_path"])
        if run.parent.name != configuration or not re.fullmatch(rf"{RUN}\d+", run.name):
            raise InputError(
                f"--previous_path is needed: the folder with {RUN}0 to {RUN}4 of {stage}, whose predictions "
                f"{configuration} takes"
            )
        paths["previous_path"] = str(run.parents[1] / stage)
    cases = [*fold.train, *fold.val]
    return find_previous(paths["previous_path"], data.plan, configuration, cases, data.folds())
