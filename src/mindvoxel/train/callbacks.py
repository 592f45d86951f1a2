"""What happens at the end of an epoch: one callback, one job; each takes the epoch's figures and may add to them."""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mindvoxel.files import write_text
from mindvoxel.log import LOGGER
from mindvoxel.train.loop import State
from mindvoxel.train.progress import draw_progress


@dataclass(frozen=True)
class Validate:
    """Score whole volumes, or all photos, each `interval` epochs and after the last of `epochs` (None: not then); adds
    what `score` returns."""

    interval: int
    epochs: int | None
    score: Callable[[], dict]

    def __call__(self, figures: dict) -> None:
        if figures["epoch"] % self.interval == 0 or figures["epoch"] == self.epochs:
            figures |= self.score()


@dataclass(frozen=True)
class Save:
    """Write last.ckpt each `interval` epochs, after scoring whole volumes or photos and at the end; best.ckpt where the
    figure `score` rises (None: never); epoch_N.ckpt each `keep_interval` epochs (0: never)."""

    folder: Path
    interval: int
    epochs: int
    state: State
    write: Callable[[Path], None]
    score: str | None = "val_dice"
    keep_interval: int = 0

    def __call__(self, figures: dict) -> None:
        score = figures.get(self.score)
        if score is not None:
            known = -1.0 if math.isnan(score) else score  # no label at all: any checkpoint is the best so far
            if self.state.best is None or known > self.state.best:
                self.state.best = known
                self.write(self.folder / "best.ckpt")
        scored = {"val_dice", "val_top1"} & figures.keys()
        if scored or figures["epoch"] % self.interval == 0 or figures["epoch"] == self.epochs:
            self.write(self.folder / "last.ckpt")
        if self.keep_interval and figures["epoch"] % self.keep_interval == 0:
            self.write(self.folder / f"epoch_{figures['epoch']}.ckpt")


@dataclass(frozen=True)
class Report:
    """One line to the log, and one JSON line to metrics.jsonl, an epoch; `first_epoch` epochs of it are kept."""

    path: Path
    epochs: int
    first_epoch: int = 0

    def __post_init__(self):
        """Drop the lines of epochs that a resumed run does again, because no checkpoint held them, and half a line that
        a full disk or a kill left at the end."""
        if self.path.exists():
            lines = self.path.read_text(encoding="utf-8").splitlines(keepends=True)
            lines = [line for line in lines if line.endswith("\n")]
            write_text(self.path, "".join(line for line in lines if json.loads(line)["epoch"] <= self.first_epoch))

    def __call__(self, figures: dict) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(_strict(figures)) + "\n")
        parts = [f"epoch {figures['epoch']}/{self.epochs}", f"loss {figures['loss']:.4f}"]
        if "val_patch_dice" in figures:
            by_class = ", ".join(f"{name} {dice:.3f}" for name, dice in figures["val_patch_dice_by_class"].items())
            parts.append(f"val_patch_dice (proxy) {figures['val_patch_dice']:.4f} ({by_class})")
            parts.append(f"its average {figures['val_patch_dice_ema']:.4f}")
        if "val_dice" in figures:
            parts.append(f"validation Dice {figures['val_dice']:.4f}")
        if "val_top1" in figures:
            parts.append(f"validation top-1 {figures['val_top1']:.4f}, top-5 {figures['val_top5']:.4f}")
        if figures.get("skipped_steps"):
            parts.append(f"{figures['skipped_steps']} steps skipped")
        LOGGER.info("%s, %.1f s (%.1f s waiting for data)", ", ".join(parts), *_times(figures))


def _strict(figures: dict) -> dict:
    """NaN, which JSON has not, as None."""

    def known(value):
        if isinstance(value, dict):
            return _strict(value)
        return None if isinstance(value, float) and math.isnan(value) else value

    return {key: known(value) for key, value in figures.items()}


def _times(figures: dict) -> tuple[float, float]:
    return figures["seconds"], figures["data_wait_seconds"]


@dataclass(frozen=True)
class Plot:
    """Draw progress.png from metrics.jsonl: losses and Dice, seconds an epoch, learning rate."""

    folder: Path

    def __call__(self, figures: dict) -> None:
        draw_progress(self.folder / "metrics.jsonl", self.folder / "progress.png")
