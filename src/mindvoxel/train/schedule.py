"""Learning rates."""

import math


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
