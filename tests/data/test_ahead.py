"""Work done ahead: the same results in the same order, and no more than is asked for."""

import threading
import time

import pytest

from mindvoxel.data.ahead import STEPS_AHEAD, in_order


@pytest.mark.parametrize("num_workers", [0, 1, 3])
def test_results_come_in_order_whoever_is_first(num_workers):
    def make(item):
        time.sleep(0.002 * (item % 3))
        return item * item

    steps = [[1, 2, 3], [], [4], [5, 6]]
    assert list(in_order(make, steps, num_workers)) == [[1, 4, 9], [], [16], [25, 36]]


def test_only_a_few_steps_are_under_way():
    made = []
    results = in_order(lambda item: made.append(item) or item, ([k] for k in range(100)), 2)
    assert next(results) == [0]
    time.sleep(0.05)
    assert len(made) <= STEPS_AHEAD + 1
    results.close()
    assert threading.active_count() < 20


@pytest.mark.parametrize("num_workers", [0, 2])
def test_an_error_is_raised_as_it_was(num_workers):
    def make(item):
        if item == 2:
            raise OSError(28, "No space left", "x.npy")
        return item

    results = in_order(make, [[0, 1], [2, 3]], num_workers)
    assert next(results) == [0, 1]
    with pytest.raises(OSError, match=r"x\.npy"):
        next(results)


def test_threads_end_where_the_caller_stops():
    before = threading.active_count()
    for number, _ in enumerate(in_order(time.sleep, ([0.001] * 4 for _ in range(1000)), 4)):
        if number == 2:
            break
    deadline = time.monotonic() + 5
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threading.active_count() <= before
