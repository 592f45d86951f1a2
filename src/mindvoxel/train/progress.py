"""progress.png: how a run went, drawn anew after each epoch, where matplotlib is installed."""

import json
from functools import cache
from pathlib import Path

from mindvoxel.files import replacing
from mindvoxel.log import LOGGER

_PANELS = (  # figures of metrics.jsonl in each panel, from above
    ("loss", ("loss", "val_loss")),
    ("Dice", ("val_patch_dice", "val_patch_dice_ema", "val_dice")),
    ("s", ("seconds", "data_wait_seconds")),
    ("learning rate", ("learning_rate",)),
)


@cache
def _matplotlib():
    """The package's Figure, or None, which is said once."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        LOGGER.info("no progress.png: matplotlib is not installed (pip install 'mindvoxel[plot]'); the run goes on")
        return None
    return Figure


def draw_progress(metrics: Path, picture: Path) -> None:
    """Draw all epochs of metrics.jsonl; nothing without matplotlib. Raises OSError where it cannot be written."""
    figure_class = _matplotlib()
    if figure_class is None:
        return
    lines = [json.loads(line) for line in metrics.read_text(encoding="utf-8").splitlines()]
    figure = figure_class(figsize=(10, 14), layout="constrained")
    for axes, (title, names) in zip(figure.subplots(len(_PANELS), sharex=True), _PANELS, strict=True):
        for name in names:
            points = [(line["epoch"], line[name]) for line in lines if line.get(name) is not None]
            if points:
                axes.plot(*zip(*points, strict=True), label=name, marker="." if len(points) < 30 else None)
        axes.set_ylabel(title)
        if axes.lines:
            axes.legend()
        axes.grid(visible=True)
    axes.set_xlabel("epoch")
    axes.xaxis.get_major_locator().set_params(integer=True)  # of all panels, which share it
    with replacing(picture) as partial:
        figure.savefig(partial, format="png", dpi=80)
