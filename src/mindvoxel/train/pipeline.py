"""Batches of augmented patches, drawn so that the same (seed, epoch, sample) always gives the same numbers."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial

import numpy as np

from mindvoxel.data.ahead import in_order
from mindvoxel.data.prepare import Prepared
from mindvoxel.errors import InputError


@dataclass(frozen=True)
class Batch:
    """image (N, C, [D,] H, W) float32; label (N, [D,] H, W) integers; noise (N, K) float32 for dropout, or None.

    cases: the names in this step's batches of all ranks, whose gradients are averaged.
    """

    image: np.ndarray
    label: np.ndarray
    noise: np.ndarray | None
    cases: tuple[str, ...]


def drawn(
    sample: Callable, order: np.ndarray, batch_size: int, first: int, rank: int, num_ranks: int, num_workers: int
) -> Iterator[tuple[np.ndarray, list]]:
    """The steps of an epoch from number `first` on: (the part of `order` that all ranks see, sample(number) for each of
    this rank's), prepared ahead by threads. What does not fill a batch on all ranks is left out."""
    wide = batch_size * num_ranks
    steps = [order[i * wide : (i + 1) * wide] for i in range(first, len(order) // wide)]
    mine = (step[rank::num_ranks].tolist() for step in steps)
    with closing(in_order(sample, mine, num_workers)) as batches:
        yield from zip(steps, batches, strict=True)


@dataclass(frozen=True)
class PatchLoader:
    """Epochs of `repeats` patches a case in random order, batches of `batch_size` for this rank.

    cut(image, label, rng) -> (image, label): the patch of a case. Every rank gets the same number of batches; what
    does not fill a batch on all ranks is left out of the epoch. Threads, not processes: an error keeps its own
    traceback, nothing dies unseen, and the interpolation releases the interpreter.
    """

    cases: Sequence[Prepared]
    cut: Callable
    batch_size: int
    noise_channels: int
    seed: int
    repeats: int = 1
    rank: int = 0
    num_ranks: int = 1
    num_workers: int = 2
    unit = "cases"  # what `names` are of

    def __post_init__(self):
        if self.num_batches < 1:
            raise InputError(
                f"{len(self.cases)} training cases × {self.repeats} repeats do not fill one batch of {self.batch_size} "
                f"on {self.num_ranks} devices; raise --repeats or lower --batch_size"
            )

    @property
    def num_batches(self) -> int:
        """Batches of an epoch, on every rank."""
        return len(self.cases) * self.repeats // (self.batch_size * self.num_ranks)

    @property
    def names(self) -> list[str]:
        """Of the cases."""
        return [case.case for case in self.cases]

    def epoch(self, epoch: int, first: int = 0) -> Iterator[Batch]:
        """The batches of `epoch` from number `first` on, prepared ahead by the threads."""
        order = np.random.default_rng([self.seed, epoch]).permutation(len(self.cases) * self.repeats)
        place = {"rank": self.rank, "num_ranks": self.num_ranks, "num_workers": self.num_workers}
        sample = partial(self.sample, epoch)
        with closing(drawn(sample, order, self.batch_size, first, **place)) as steps:
            for step, samples in steps:
                yield self._stack(samples, step)

    def sample(self, epoch: int, number: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Sample `number` of `epoch`: image, label (D, H, W), noise (K,)."""
        rng = np.random.default_rng([self.seed, epoch, number])
        case = self.cases[number % len(self.cases)]
        noise = rng.uniform(size=self.noise_channels).astype(np.float32)
        return *self.cut(case.image, case.label, rng), noise

    def _stack(self, samples: list, step: np.ndarray) -> Batch:
        images, labels, noises = zip(*samples, strict=True)
        names = tuple(self.cases[number % len(self.cases)].case for number in step)
        noise = np.stack(noises) if self.noise_channels else None
        return Batch(np.stack(images)[:, None], np.stack(labels), noise, names)
