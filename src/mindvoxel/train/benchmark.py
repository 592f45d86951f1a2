"""How fast a network trains and predicts: steps timed after a warm-up, waiting for data and computing apart."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from mindvoxel.log import progress
from mindvoxel.train.loop import Trainer
from mindvoxel.train.pipeline import Batch

PROFILED_STEPS = 10  # after one that compiles


def time_training(trainer: Trainer, batch_size: int, steps: int, warmup_steps: int) -> dict[str, float]:
    """NVIDIA's figures of a training benchmark: throughput_train, patches a second on all devices (2-D: slices), and
    latency_train_mean, _90, _95 and _99, ms a step with its data; and the mean ms of waiting for data and computing."""
    waits, computes = [], []
    bar = progress(total=warmup_steps + steps, what="benchmark", unit="step")
    with bar:
        batches = _endless(trainer)
        for number in range(warmup_steps + steps):
            start = time.perf_counter()
            batch = next(batches)
            ready = time.perf_counter()
            trainer.train(batch)
            if number >= warmup_steps:
                waits.append(1000 * (ready - start))
                computes.append(1000 * (time.perf_counter() - ready))
            bar.update()
        batches.close()
    figures = _figures("train", np.add(waits, computes), batch_size * trainer.loader.num_ranks)
    figures |= {"data_wait_mean": np.mean(waits), "compute_mean": np.mean(computes)}
    return {name: round(float(value), 3) for name, value in figures.items()}


def time_prediction(
    run: Callable[[np.ndarray], np.ndarray], shape: tuple[int, ...], steps: int, warmup_steps: int
) -> dict[str, float]:
    """NVIDIA's figures of a prediction benchmark: throughput_predict, windows (2-D: slices) a second, and
    latency_predict_mean, _90, _95 and _99, ms a call of the network with a batch of `shape` (N, C, [D,] H, W)."""
    batch = np.random.default_rng(0).standard_normal(shape, np.float32)
    latencies = []
    for number in progress(range(warmup_steps + steps), what="benchmark", unit="step"):
        start = time.perf_counter()
        run(batch)
        if number >= warmup_steps:
            latencies.append(1000 * (time.perf_counter() - start))
    figures = _figures("predict", np.array(latencies), shape[0])
    return {name: round(float(value), 3) for name, value in figures.items()}


def _figures(mode: str, latencies: np.ndarray, batch_size: int) -> dict[str, float]:
    """Throughput and latency by NVIDIA's names, of calls that took so many ms."""
    figures = {f"throughput_{mode}": 1000 * batch_size / latencies.mean(), f"latency_{mode}_mean": latencies.mean()}
    return figures | {f"latency_{mode}_{q}": np.percentile(latencies, q) for q in (90, 95, 99)}


def profile_training(trainer: Trainer, folder: Path) -> None:
    """MindSpore's own profile of ten steps, after one that compiles, to `folder`."""
    from mindspore import profiler

    batches = _endless(trainer)
    trainer.train(next(batches))
    with profiler.profile(on_trace_ready=profiler.tensorboard_trace_handler(str(folder))):
        for _ in range(PROFILED_STEPS):
            trainer.train(next(batches))
    batches.close()


def _endless(trainer: Trainer) -> Iterator[Batch]:
    epoch = 0
    while True:
        yield from trainer.loader.epoch(epoch)
        epoch += 1
