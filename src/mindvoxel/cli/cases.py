"""Cases of a data set, prepared by a recipe, how a network scores on them, and the report of segmented cases."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from easydict import EasyDict

from mindvoxel.data.dataset import Case
from mindvoxel.data.prepare import Prepared, prepare_case
from mindvoxel.inference import segment_case
from mindvoxel.log import progress
from mindvoxel.metrics.report import score_case, summarise, write_report
from mindvoxel.metrics.table import format_table
from mindvoxel.volume import Volume

LABELS = {"prostate": 1}


class Segments:
    """The part that evaluations of segmented cases share: their report."""

    leaves = "masks, metrics.csv and summary.json"

    def report(self, folder: Path, rows: list[dict], meta: dict) -> str:
        """Write metrics.csv and summary.json; the summary as text."""
        write_report(folder, rows, meta)
        return format_table(summarise(rows))


def prepare_cases(cases: list[Case], recipe: EasyDict, what: str) -> list[Prepared]:
    """All cases, in order, read and resampled by `num_workers` threads; the first fault ends it."""
    if not cases:
        return []

    def prepare(paths: Case) -> Prepared:
        return prepare_case(
            paths.case,
            paths.image,
            paths.label,
            spacing_mm=tuple(recipe.data.spacing_mm),
            patch_size=tuple(recipe.data.patch_size),
            centre_crop=recipe.data.centre_crop,
        )

    with ThreadPoolExecutor(max(recipe.data.num_workers, 1)) as pool:
        try:
            return list(progress(pool.map(prepare, cases), total=len(cases), what=what, unit="case"))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def segment(case: Prepared, predict: Callable, recipe: EasyDict) -> Volume:
    """The mask of a case, by the recipe's `eval` section."""
    return segment_case(
        case,
        predict,
        window=tuple(recipe.data.patch_size),
        overlap=recipe.eval.overlap,
        blend=recipe.eval.blend,
        mirror_axes=tuple(recipe.eval.mirror_axes),
        restore_order=recipe.eval.restore_order,
        keep_largest=recipe.eval.largest_component,
    )


def score(case: Prepared, mask: Volume, recipe: EasyDict) -> list[dict]:
    return score_case(case.case, mask, case.truth, LABELS, recipe.eval.nsd_tolerance_mm)


def scorer(network, cases: list[Prepared], recipe: EasyDict, ranks) -> Callable[[], dict]:
    """A callable that segments this rank's cases with the network as it is, and returns the mean Dice and HD95 of those
    of all ranks."""
    from mindvoxel.train.predict import foreground_predictor

    predict = foreground_predictor(network)

    def validate() -> dict:
        shown = progress(cases, what="validation", unit="case")
        scored = ranks.join([score(case, segment(case, predict, recipe), recipe) for case in shown])
        means = summarise([row for rows in scored for row in rows])["mean"]
        return {"val_dice": means["dice"], "val_hd95_mm": means["hd95_mm"]}

    return validate
