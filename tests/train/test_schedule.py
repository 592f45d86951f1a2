"""The published learning rates as test vectors."""

import pytest

from mindvoxel.train.schedule import warmup_cosine


def test_published_schedule_of_5000_steps():
    rates = warmup_cosine(1e-3, 5000)
    assert len(rates) == 5000
    assert rates[0] == pytest.approx(3e-4)
    assert rates[60] == pytest.approx(0.65e-3)  # half way through warm-up
    assert rates[120] == pytest.approx(1e-3)
    assert rates[120 + 2500] == pytest.approx(0.5e-3)
    # the divisor is the total, so it does not reach 0
    assert rates[-1] == pytest.approx(1.44e-6, rel=0.01)


def test_warm_up_longer_than_the_run():
    rates = warmup_cosine(1.0, 3, warmup_steps=10, warmup_start=0.5)
    assert rates == pytest.approx([0.5, 0.55, 0.6])


def test_no_warm_up():
    assert warmup_cosine(2.0, 2, warmup_steps=0) == pytest.approx([2.0, 1.0])
