"""Learning rates."""

import math
from collections.abc import Sequence


def warmup_cosine(
    learning_rate: float, total_steps: int, *, warmup_steps: int = 120, warmup_start: float = 0.3
) -> list[float]:
    """The learning rate of each step, as V-Net was published (research/cv/vnet, utils.py).

    For `warmup_steps` linear from warmup_start · B to B, then B·(1 + cos(π(i - warmup) / total)) / 2. The divisor is
    the total, not what is left after warm-up, so the rate does not quite reach 0: 1.44e-6 for 5000 steps at 1e-3.
    """
    rates = []
    for step in range(total_steps):
        if step < warmup_steps:
            share = warmup_start + (1 - warmup_start) * step / warmup_steps
        else:
            share = (1 + math.cos(math.pi * (step - warmup_steps) / total_steps)) / 2
        rates.append(learning_rate * share)
    return rates


def poly(learning_rate: float, total_steps: int, *, end: float = 0.0, power: float = 0.9, hold: int = 1) -> list[float]:
    """end + (B - end)·(1 - i / total)^power, i the step's number, or with `hold` that of the last multiple of it.

    nnU-Net: end 0, and `hold` the steps of an epoch, so that the rate changes from epoch to epoch; NVIDIA: end 1e-5,
    from step to step.
    """
    return [end + (learning_rate - end) * (1 - i // hold * hold / total_steps) ** power for i in range(total_steps)]


def cosine(learning_rate: float, total_steps: int) -> list[float]:
    """B·(1 + cos(πi / total)) / 2: from B towards 0 over all steps (Loshchilov & Hutter 2017)."""
    return [learning_rate * (1 + math.cos(math.pi * i / total_steps)) / 2 for i in range(total_steps)]


def cosine_annealing(
    learning_rate: float,
    total_steps: int,
    *,
    first_cycle: int = 4096,
    longer: float = 2.0,
    lowest: float = 0.1,
    peak_decay: float = 1.0,
) -> list[float]:
    """Cosines with warm restarts (Loshchilov & Hutter 2017), of which each cycle is `longer` times the one before.

    Within cycle k, a share s of which is over, B·(lowest + (1 - lowest)·peak_decay^k·(1 + cos(πs)) / 2): `lowest` is a
    share of B. NVIDIA's nnU-Net parses its peak decay of 0.95 and trains with 1.
    """
    rates, start, length, peak = [], 0, float(first_cycle), 1.0
    for step in range(total_steps):
        if step - start >= length:
            start, length, peak = start + length, length * longer, peak * peak_decay
        wave = (1 + math.cos(math.pi * (step - start) / length)) / 2
        rates.append(learning_rate * (lowest + (1 - lowest) * peak * wave))
    return rates


def steps(learning_rate: float, total_steps: int, *, boundaries: Sequence[int], factor: float = 0.1) -> list[float]:
    """B, times `factor` from each of the steps `boundaries` on (He et al. 2016)."""
    return [learning_rate * factor ** sum(step >= boundary for boundary in boundaries) for step in range(total_steps)]


def warmup_poly(
    learning_rate: float, total_steps: int, *, warmup_steps: int, end: float = 1e-4, power: float = 2.0
) -> list[float]:
    """MLPerf's for LARS: B·i / warmup up to step i = warmup, then `poly` from B to `end` in total - warmup + 1 steps,
    whose end is not reached."""
    rising = [learning_rate * step / warmup_steps for step in range(min(warmup_steps, total_steps))]
    falling = poly(learning_rate, total_steps - warmup_steps + 1, end=end, power=power)
    return rising + falling[: total_steps - len(rising)]


def warmed_up(rates: list[float], steps: int, start: float = 0.0) -> list[float]:
    """`rates` with their first `steps` scaled linearly, from the share `start` at the first to 1 after them; they keep
    their number, so the schedule below goes on meanwhile."""
    return [rate * (start + (1 - start) * i / steps) if i < steps else rate for i, rate in enumerate(rates)]


RANK_SCALES = {"none": lambda num_ranks: 1.0, "linear": float, "sqrt": math.sqrt}


def scaled_rate(learning_rate: float, scaling: str, num_ranks: int) -> float:
    """The learning rate for `num_ranks` times the batch: as it is (none), times their number (linear, Goyal et al.
    2017) or times its root (sqrt, Krizhevsky 2014)."""
    return learning_rate * RANK_SCALES[scaling](num_ranks)


def rates_of(name: str, learning_rate: float, total_steps: int, **form) -> list[float]:
    """One rate a step of `none`, `poly`, `cosine` or `cosine_annealing`; `form` as their own arguments."""
    if name not in SCHEDULES:
        raise ValueError(f"schedule must be one of {', '.join(SCHEDULES)}, got {name!r}")
    return SCHEDULES[name](learning_rate, total_steps, **form)


def constant(learning_rate: float, total_steps: int) -> list[float]:
    """B at every step."""
    return [learning_rate] * total_steps


SCHEDULES = {"none": constant, "poly": poly, "cosine": cosine, "cosine_annealing": cosine_annealing}
