"""Work done ahead by threads and handed out in order."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

STEPS_AHEAD = 3


def in_order(make: Callable, steps: Iterable[list], num_workers: int, steps_ahead: int = STEPS_AHEAD) -> Iterator[list]:
    """[make(item) for item in step] for each of `steps`, the items of the next ones under way in threads.

    num_workers: 0 makes everything when it is asked for, without a thread. The results are the same whatever it is.
    steps_ahead: how many are under way or done at once, the one that is asked for among them.
    An error of `make` is raised here, as it was; where the caller stops, what has not begun is left.
    """
    if num_workers == 0:
        for step in steps:
            yield [make(item) for item in step]
        return
    with ThreadPoolExecutor(num_workers) as pool, closing(_under_way(pool, make, steps, steps_ahead)) as results:
        yield from results


def _under_way(pool: ThreadPoolExecutor, make: Callable, steps: Iterable[list], ahead: int) -> Iterator[list]:
    waiting: deque = deque()
    todo = iter(steps)
    try:
        while True:
            while len(waiting) < ahead and (step := next(todo, None)) is not None:
                waiting.append([pool.submit(make, item) for item in step])
            if not waiting:
                return
            yield [future.result() for future in waiting.popleft()]
    finally:
        pool.shutdown(wait=False, cancel_futures=True)
