"""Whole scans of a planned data set, segmented by a network and scored on their own grid."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mindvoxel.data.dataset import Dataset, read_label
from mindvoxel.data.grid import CaseGrid
from mindvoxel.data.plan import Plan
from mindvoxel.data.preprocess import preprocess_case
from mindvoxel.data.previous import PreviousStage, write_previous
from mindvoxel.data.store import open_case
from mindvoxel.errors import InputError
from mindvoxel.inference import Member, reading_classes, segment, segment_for_next, sliding_of
from mindvoxel.log import progress
from mindvoxel.metrics.report import Value, score_case, summarise
from mindvoxel.volume import Volume, single_file_suffix, write_volume


@dataclass(frozen=True)
class Scans:
    """Labelled cases by name, on their way through one configuration of a plan.

    stored: the folder of preprocessed cases; None: they are preprocessed anew from the files of `dataset`.
    previous: of a configuration with a previous stage; None: its cases are scored only, and not segmented.
    """

    plan: Plan
    configuration: str
    dataset: Dataset
    names: Sequence[str]
    stored: Path | None
    previous: PreviousStage | None = None

    def __post_init__(self):
        known = {case.case: case for case in self.dataset.cases}
        strangers = [name for name in self.names if name not in known]
        if strangers:
            raise InputError(
                f"{len(strangers)} cases are not in the data set {self.dataset.name} (first: {strangers[0]})"
            )
        object.__setattr__(self, "files", {name: known[name] for name in self.names})
        for name, case in self.files.items():
            if case.label is None or not case.label.is_file():
                raise InputError(
                    f"{case.label or name}: no such label file, which scoring case {name} on its own grid needs; put "
                    "it back, or leave the scans out with --validate false"
                )

    @property
    def labels(self) -> dict[str, Value]:
        """Foreground classes and the data set's regions, by name."""
        background = self.plan.label_values[0]
        classes = {name: value for name, value in self.plan.labels.items() if value != background}
        return classes | {name: tuple(values) for name, values in self.dataset.regions.items()}

    def image(self, name: str) -> tuple[np.ndarray, CaseGrid]:
        """What the network sees of a case, (C, D, H, W), and its way back; in a cascade the last channel holds the
        classes of the previous stage. Training cases that were padded are made anew, since their padding may have cut
        something off."""
        if self.stored is not None and not self.plan.configurations[self.configuration].preprocessing.pad:
            case = open_case(self.stored, name)
        else:
            spacing = self.dataset.spacing_mm
            case = preprocess_case(self.files[name], self.plan, self.configuration, spacing, training=False)
        if self.plan.configurations[self.configuration].previous_stage is None:
            return case.image, case.grid
        return self.previous.append_to(case.image, name), case.grid

    def member(self, name: str, predictors: Sequence, tta: str) -> Member:
        """A case as this configuration's networks see it, to be segmented alone or with those of others."""
        config = self.plan.configurations[self.configuration]
        mirrored = tuple(range(config.dim)) if tta == "full" else ()
        sliding = sliding_of(self.plan, self.configuration, mirrored)
        if self.previous is not None:
            predictors = [reading_classes(predict, self.previous.num_classes) for predict in predictors]
        return Member(*self.image(name), predictors, sliding, config.preprocessing.anisotropy)

    def segment(self, name: str, predictors: Sequence, tta: str, run: Path | None = None) -> Volume:
        """The labels of a case on the grid of its scan.

        run: the folder of a run, to leave in it what the following stage takes of this one, where the plan has any.
        """
        member, plan = self.member(name, predictors, tta), self.plan
        following = plan.following(self.configuration)
        if run is None or following is None:
            return segment([member], plan.label_values)
        labels, classes = segment_for_next(member, plan.label_values, plan.configurations[following])
        write_previous(run, name, classes)
        return labels

    def score(self, name: str, pred: Volume, nsd_tolerance_mm: float) -> list[dict]:
        """Rows of metrics."""
        truth = read_label(self.files[name], self.dataset.spacing_mm)
        return score_case(name, pred, truth, self.labels, nsd_tolerance_mm)

    def mask_name(self, name: str) -> str:
        """The file of a mask, of the label's own type."""
        return name + single_file_suffix(self.files[name].label)


def score_scans(
    scans: Scans,
    predictors: Sequence,
    eval_words: dict,
    folder: Path | None,
    what: str,
    ranks,
    run: Path | None = None,
) -> list[dict]:
    """Rows of metrics of all cases, each case by one of `ranks` (mindvoxel.train.ranks); the masks go to `folder`
    where there is one; run: see Scans.segment."""
    scored = []
    for name in progress(ranks.share(scans.names), what=what, unit="case"):
        mask = scans.segment(name, predictors, eval_words["tta"], run)
        if folder is not None:
            write_volume(folder / scans.mask_name(name), mask)
        scored.append(scans.score(name, mask, eval_words["nsd_tolerance_mm"]))
    return [row for rows in ranks.join(scored) for row in rows]


def mean_figures(rows: list[dict]) -> dict:
    """val_dice, its value by class, and val_hd95_mm, for an epoch's line."""
    summary = summarise(rows)
    dice = {name: label["metrics"]["dice"]["mean"] for name, label in summary["labels"].items()}
    means = summary["mean"]
    return {"val_dice": means["dice"], "val_hd95_mm": means["hd95_mm"], "val_dice_by_class": dice}
