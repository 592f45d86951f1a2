"""The published learning rates as test vectors."""

import pytest

from mindvoxel.train.schedule import (
    cosine,
    cosine_annealing,
    poly,
    rates_of,
    steps,
    warmed_up,
    warmup_cosine,
    warmup_poly,
)


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


def test_poly_as_nnunet_by_the_epoch_and_as_nvidia_by_the_step():
    rates = poly(0.01, 1000 * 250, hold=250)
    assert rates[:251] == [0.01] * 250 + [pytest.approx(0.01 * 0.999**0.9)]
    assert rates[500 * 250] == pytest.approx(0.01 * 0.5**0.9)
    assert rates[-1] == pytest.approx(0.01 * 0.001**0.9)
    steps = poly(3e-4, 100, end=1e-5)
    assert steps[0] == pytest.approx(3e-4)
    assert steps[50] == pytest.approx(1e-5 + 2.9e-4 * 0.5**0.9)
    assert steps[99] == pytest.approx(1e-5 + 2.9e-4 * 0.01**0.9)


def test_cosine():
    assert cosine(2.0, 4) == pytest.approx([2, 1 + 0.5**0.5, 1, 1 - 0.5**0.5])


def test_cosine_annealing_restarts_at_4096_and_12288():
    rates = cosine_annealing(1.0, 13000)
    assert [rates[i] for i in (0, 2048, 4096, 8192, 12288)] == pytest.approx([1, 0.55, 1, 0.55, 1])
    assert rates[4095] == pytest.approx(0.1, abs=1e-6)
    assert rates[12287] == pytest.approx(0.1, abs=1e-6)


def test_the_peak_decay_that_nvidia_ignores():
    rates = cosine_annealing(2.0, 8, first_cycle=1, longer=2, lowest=0.1, peak_decay=0.5)
    # cycles of 1, 2 and 4 steps, then the fourth begins
    assert [rates[i] for i in (0, 1, 3, 7)] == pytest.approx([2, 2 * (0.1 + 0.45), 2 * (0.1 + 0.225), 2 * 0.2125])
    assert rates[2] == pytest.approx(2 * (0.1 + 0.45 * 0.5))


def test_warm_up_of_any_schedule():
    assert warmed_up([1.0] * 4, 2, start=0.5) == pytest.approx([0.5, 0.75, 1, 1])
    assert warmed_up(poly(1.0, 4, power=1), 2) == pytest.approx([0, 0.375, 0.5, 0.25])
    assert warmed_up([1.0, 1.0], 0) == [1.0, 1.0]


def test_schedules_by_name():
    assert rates_of("none", 0.5, 3) == [0.5] * 3
    assert rates_of("poly", 1.0, 2, power=1.0) == [1.0, 0.5]
    assert rates_of("cosine_annealing", 1.0, 3, first_cycle=2) == cosine_annealing(1.0, 3, first_cycle=2)
    with pytest.raises(ValueError, match="schedule must be one of none, poly, cosine, cosine_annealing, got 'step'"):
        rates_of("step", 1.0, 3)


def test_steps_of_a_tenth():
    assert steps(2.0, 5, boundaries=(2, 4)) == pytest.approx([2, 2, 0.2, 0.2, 0.02])
    assert steps(2.0, 2, boundaries=(2, 4)) == [2.0, 2.0]
    assert warmed_up(steps(1.0, 4, boundaries=(3,)), 2) == pytest.approx([0, 0.5, 1, 0.1])


def test_mlperf_s_warm_up_and_poly():
    rates = warmup_poly(10.0, 42 * 312, warmup_steps=5 * 312)
    assert len(rates) == 42 * 312
    assert [rates[i] for i in (0, 780, 1560)] == pytest.approx([0, 5, 10])
    total = 37 * 312 + 1
    assert rates[1561] == pytest.approx(1e-4 + 9.9999 * (1 - 1 / total) ** 2)
    assert rates[-1] == pytest.approx(1e-4 + 9.9999 * (2 / total) ** 2)
    assert warmup_poly(1.0, 4, warmup_steps=0, end=0.0) == pytest.approx([1, 0.64, 0.36, 0.16])
    assert warmup_poly(1.0, 2, warmup_steps=2) == pytest.approx([0, 0.5])
    assert warmup_poly(1.0, 3, warmup_steps=10) == pytest.approx([0, 0.1, 0.2])
