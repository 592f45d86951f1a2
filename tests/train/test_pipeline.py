"""Batches: the same numbers whoever prepares them, each case once, equal lengths on every rank."""

from dataclasses import dataclass
from functools import partial

import numpy as np
import pytest

from mindvoxel.data.augment.transform import augment_case
from mindvoxel.data.augment.vnet import augmentations
from mindvoxel.errors import InputError
from mindvoxel.train.pipeline import PatchLoader


@dataclass(frozen=True)
class Case:
    case: str
    image: np.ndarray
    label: np.ndarray


@pytest.fixture(scope="module")
def cases():
    rng = np.random.default_rng(0)
    shape = (9, 14, 11)
    return [
        Case(f"Case{i:02d}", rng.standard_normal(shape, np.float32), (rng.random(shape) > 0.8).astype(np.uint8))
        for i in range(7)
    ]


def loader(cases, **changes) -> PatchLoader:
    cut = partial(augment_case, transforms=augmentations((4, 6, 5), (1.5, 1.0, 1.0), True, 0.5))
    settings = {"batch_size": 2, "noise_channels": 3, "seed": 5, "num_workers": 2} | changes
    return PatchLoader(cases, cut, **settings)


def epoch_of(loader: PatchLoader, number: int) -> list:
    return list(loader.epoch(number))


def test_shapes_and_types(cases):
    batch = epoch_of(loader(cases), 0)[0]
    assert batch.image.shape == (2, 1, 4, 6, 5)
    assert batch.image.dtype == np.float32
    assert batch.label.shape == (2, 4, 6, 5)
    assert batch.noise.shape == (2, 3)
    assert len(batch.cases) == 2


def test_threads_change_nothing(cases):
    for ours, alone in zip(epoch_of(loader(cases), 3), epoch_of(loader(cases, num_workers=0), 3), strict=True):
        assert np.array_equal(ours.image, alone.image)
        assert np.array_equal(ours.label, alone.label)
        assert np.array_equal(ours.noise, alone.noise)
        assert ours.cases == alone.cases


def test_an_epoch_shows_each_case_at_most_once_and_epochs_differ(cases):
    orders = [[name for batch in epoch_of(loader(cases), number) for name in batch.cases] for number in range(4)]
    assert all(len(set(order)) == len(order) == 6 for order in orders)
    assert len({tuple(order) for order in orders}) > 1


def test_repeats(cases):
    names = [name for batch in epoch_of(loader(cases, repeats=4), 0) for name in batch.cases]
    assert len(names) == 28
    assert all(names.count(case.case) == 4 for case in cases)


def test_ranks_together_see_what_one_rank_of_their_whole_batch_sees(cases):
    one = epoch_of(loader(cases, batch_size=2), 1)
    ranks = [epoch_of(loader(cases, batch_size=1, rank=r, num_ranks=2), 1) for r in range(2)]
    assert len(ranks[0]) == len(ranks[1]) == len(one)
    for whole, first, second in zip(one, *ranks, strict=True):
        assert np.array_equal(whole.image, np.concatenate([first.image, second.image]))
        assert np.array_equal(whole.noise, np.concatenate([first.noise, second.noise]))
        assert whole.cases == first.cases == second.cases  # a fault of any rank's batch names them all


def test_too_few_cases_for_a_batch(cases):
    with pytest.raises(InputError, match="do not fill one batch of 4 on 2 devices"):
        loader(cases, batch_size=4, num_ranks=2)


def test_the_error_of_a_thread_is_the_error_of_the_run(cases):
    def broken(image, label, rng):
        raise RuntimeError("what went wrong")

    with pytest.raises(RuntimeError, match="what went wrong"):
        list(PatchLoader(cases, broken, 2, 0, seed=0).epoch(0))
