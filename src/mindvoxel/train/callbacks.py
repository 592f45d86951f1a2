"""What happens at the end of an epoch: one callback, one job; each takes the epoch's figures and may add to them."""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from mindvoxel.files import write_text
from mindvoxel.log import LOGGER
from mindvoxel.train.loop import State


@dataclass(frozen=True)
class Validate:
    """Score whole volumes each `interval` epochs and after the last; adds what `score` returns."""

    interval: int
    epochs: int
    score: Callable[[], dict]

    def __call__(self, figures: dict) -> None:
        if figures["epoch"] % self.interval == 0 or figures["epoch"] == self.epochs:
            figures |= self.score()


@dataclass(frozen=True)
class Save:
    """Write last.ckpt each `interval` epochs, at each validation and at the end; best.ckpt where `val_dice` rises."""

    folder: Path
    interval: int
    epochs: int
    state: State
    write: Callable[[Path], None]

    def __call__(self, figures: dict) -> None:
        score = figures.get("val_dice")
        if score is not None:
            known = -1.0 if math.isnan(score) else score  # no label at all: any checkpoint is the best so far
            if self.state.best is None or known > self.state.best:
                self.state.best = known
                self.write(self.folder / "best.ckpt")
        if score is not None or figures["epoch"] % self.interval == 0 or figures["epoch"] == self.epochs:
            self.write(self.folder / "last.ckpt")


@dataclass(frozen=True)
class Report:
    """One line to the log, and one JSON line to metrics.jsonl, an epoch; `first_epoch` epochs of it are kept."""

    path: Path
    epochs: int
    first_epoch: int = 0

    def __post_init__(self):
        """Drop the lines of epochs that a resumed run does again, because no checkpoint held them."""
        if self.path.exists():
            lines = self.path.read_text(encoding="utf-8").splitlines(keepends=True)
            write_text(self.path, "".join(line for line in lines if json.loads(line)["epoch"] <= self.first_epoch))

    def __call__(self, figures: dict) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            strict = {k: None if isinstance(v, float) and math.isnan(v) else v for k, v in figures.items()}
            file.write(json.dumps(strict) + "\n")
        parts = [f"epoch {figures['epoch']}/{self.epochs}", f"loss {figures['loss']:.4f}"]
        if "val_dice" in figures:
            parts.append(f"validation Dice {figures['val_dice']:.4f}")
        if figures.get("skipped_steps"):
            parts.append(f"{figures['skipped_steps']} steps skipped")
        LOGGER.info("%s, %.1f s (%.1f s waiting for data)", ", ".join(parts), *_times(figures))


def _times(figures: dict) -> tuple[float, float]:
    return figures["seconds"], figures["data_wait_seconds"]
