"""The training loop."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import mindspore as ms
import numpy as np

from mindvoxel.errors import WorkError
from mindvoxel.log import LOGGER, progress
from mindvoxel.train.pipeline import Batch, PatchLoader
from mindvoxel.train.ranks import Ranks
from mindvoxel.train.step import MAX_SKIPPED_IN_A_ROW, LossScale, TrainStep
from mindvoxel.train.watch import PATIENCE_IN_STEPS_S, WATCH

_NAMED = 16  # cases of a batch in a sentence


@dataclass
class State:
    """How far a run has come: whole epochs, steps, and what happened on the way.

    best: highest score so far.  ema: of val_patch_dice, where patches are validated.  losses: of the steps of the epoch
    under way, where the run was told to end within it.
    """

    epoch: int = 0
    step: int = 0
    num_skipped: int = 0
    best: float | None = None
    ema: float | None = None
    scale: LossScale = field(default_factory=LossScale)
    losses: list[float] = field(default_factory=list)


class Trainer:
    """Runs epochs and hands each one's figures to the callbacks in turn, which may add their own.

    may_skip: steps with an overflow are skipped and counted (mixed precision); else they end the run.
    callbacks: callables of one dict (epoch, step, loss, learning_rate, seconds, data_wait_seconds, …).
    """

    def __init__(
        self,
        step: TrainStep,
        loader: PatchLoader,
        rates: Sequence[float],
        state: State,
        ranks: Ranks,
        *,
        may_skip: bool,
    ):
        self.step, self.loader, self.rates, self.state = step, loader, rates, state
        self.ranks, self.may_skip = ranks, may_skip
        self.skipped_in_a_row = 0

    def run(self, epochs: int, callbacks: Sequence[Callable[[dict], None]]) -> bool:
        """From the state's epoch to `epochs`; False where a rank was told to end, after a step that all ranks did."""
        total, train = (
            epochs * self.loader.num_batches,
            WATCH.watched(self.train, "a training step", PATIENCE_IN_STEPS_S),
        )
        with progress(total=total, initial=self.state.step, what="training", unit="step") as bar:
            WATCH.training(True)
            while self.state.epoch < epochs:
                figures = self._epoch(train, bar)
                if figures is None:
                    return False
                for callback in callbacks:
                    callback(figures)
        WATCH.training(False)
        return True

    def _epoch(self, train: Callable[[Batch], float], bar) -> dict | None:
        start, waited, losses = time.perf_counter(), 0.0, self.state.losses
        batches = self.loader.epoch(self.state.epoch, len(losses))
        for _ in range(len(losses), self.loader.num_batches):
            asked = time.perf_counter()
            batch = next(batches)
            waited += time.perf_counter() - asked
            losses.append(train(batch))
            bar.set_postfix(loss=f"{losses[-1]:.4f}", refresh=False)
            bar.update()
            if self.ranks.any(WATCH.told):
                batches.close()
                return None
        batches.close()
        self.state.epoch += 1
        self.state.losses = []
        figures = {"epoch": self.state.epoch, "step": self.state.step, "loss": float(np.mean(losses))}
        figures["learning_rate"] = self.rates[max(self.state.step - self.state.num_skipped - 1, 0)]
        if self.may_skip:
            figures |= {"loss_scale": self.state.scale.value, "skipped_steps": self.state.num_skipped}
        return figures | {"seconds": time.perf_counter() - start, "data_wait_seconds": waited}

    def train(self, batch: Batch) -> float:
        """One step; its loss."""
        noise = None if batch.noise is None else ms.Tensor(batch.noise)
        scale = ms.Tensor(self.state.scale.value, ms.float32) if self.state.scale.is_used else None
        loss, finite = self.step(ms.Tensor(batch.image), ms.Tensor(batch.label), noise, scale)
        value = float(loss.asnumpy())
        if not np.isfinite(value):
            raise WorkError(self._failure(f"the loss is {value}", batch))
        self._account(bool(finite.asnumpy()), batch)
        self.state.step += 1
        return value

    def _account(self, finite: bool, batch: Batch) -> None:
        """Count a skipped step, adjust the loss scale, and stop where skipping does not help."""
        if not finite:
            if not self.may_skip:
                raise WorkError(self._failure("a gradient is not finite", batch))
            self.state.num_skipped += 1
            LOGGER.info("step %d skipped: overflow at loss scale %g", self.state.step + 1, self.state.scale.value)
        self.skipped_in_a_row = 0 if finite else self.skipped_in_a_row + 1
        if self.skipped_in_a_row >= MAX_SKIPPED_IN_A_ROW:
            raise WorkError(self._failure(f"{self.skipped_in_a_row} steps in a row overflowed", batch))
        self.state.scale.adjust(finite)

    def _failure(self, what: str, batch: Batch) -> str:
        mend = "lower --learning_rate" + (", or choose --amp_level O0" if self.may_skip else "")
        names, more = ", ".join(batch.cases[:_NAMED]), len(batch.cases) - _NAMED
        names += f" and {more} more" if more > 0 else ""
        return (
            f"{what} at step {self.state.step + 1} (epoch {self.state.epoch + 1}), in a batch of the cases "
            f"{names}; look at these images, {mend}; a checkpoint that was written is kept"
        )
