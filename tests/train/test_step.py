"""One step: the loss scale, overflow, precision."""

import numpy as np
import pytest

from mindvoxel.errors import WorkError


@pytest.fixture(scope="module")
def ms(cpu):
    import mindspore

    return mindspore


def test_dynamic_scale_halves_at_an_overflow_and_doubles_after_1000_good_steps(ms):
    from mindvoxel.train.step import LossScale

    scale = LossScale.of("O2", 0.0)
    assert (scale.value, scale.dynamic) == (65536.0, True)
    scale.adjust(False)
    assert scale.value == 32768.0
    for _ in range(999):
        scale.adjust(True)
    assert scale.value == 32768.0
    scale.adjust(True)
    assert scale.value == 65536.0
    for _ in range(40):
        scale.adjust(False)
    assert scale.value == 1.0


def test_the_scale_does_not_grow_until_the_loss_overflows(ms):
    from mindvoxel.train.step import LossScale

    scale = LossScale(2.0**23, dynamic=True)
    for _ in range(3000):
        scale.adjust(True)
    assert scale.value == 2.0**24


def test_fixed_scale_and_none(ms):
    from mindvoxel.train.step import LossScale

    fixed = LossScale.of("O3", 256.0)
    fixed.adjust(False)
    assert fixed.value == 256.0
    assert LossScale.of("O0", 256.0) == LossScale(1.0)


def weights(network) -> np.ndarray:
    return np.concatenate([p.asnumpy().ravel() for p in network.trainable_params()])


@pytest.mark.parametrize("level", ["O0", "O1", "O2", "O3", "auto"])
def test_every_precision_lowers_the_loss_with_float32_weights(ms, level, make_trainer):
    parts = make_trainer(level)
    seen = []
    parts.trainer.run(4, [lambda figures: seen.append(figures["loss"])])
    assert seen[-1] < seen[0]
    assert parts.trainer.state.step == 4
    assert all(p.dtype == ms.float32 for p in parts.network.trainable_params())


def test_the_levels_compute_in_different_precision(ms, make_trainer):
    outputs = {}
    image = ms.Tensor(np.random.default_rng(0).standard_normal((1, 1, 8, 16, 16)).astype(np.float32))
    for level in ("O0", "O1", "O2", "O3"):
        network = make_trainer(level).network
        network.set_train(False)
        outputs[level] = network(image).asnumpy().astype(np.float32)
    largest = np.abs(outputs["O0"]).max()
    for level in ("O1", "O2", "O3"):
        difference = np.abs(outputs[level] - outputs["O0"]).max() / largest
        assert 1e-5 < difference < 3e-2, (level, difference)
    assert not np.array_equal(outputs["O1"], outputs["O2"])
    assert not np.array_equal(outputs["O2"], outputs["O3"])


def test_auto_says_that_the_cpu_operator_stays_in_float32(ms, caplog, make_trainer):
    import logging

    from mindvoxel.log import LOGGER

    LOGGER.addHandler(caplog.handler)
    try:
        with caplog.at_level(logging.INFO, "mindvoxel"):
            make_trainer("auto")
    finally:
        LOGGER.removeHandler(caplog.handler)
    assert "stays in float32" in caplog.text


def test_a_resumed_run_of_another_precision_starts_its_own_loss_scale(ms, tmp_path, make_trainer):
    from mindvoxel.train import builder, checkpoint

    before = make_trainer("O0")
    before.trainer.run(1, [])
    before.writer({"model": "vnet"})(tmp_path / "last.ckpt")
    meta, values = checkpoint.load(tmp_path / "last.ckpt")
    after = make_trainer("O2")
    builder.restore(after, meta, values, "last.ckpt")
    assert (after.trainer.state.scale.value, after.trainer.state.scale.dynamic) == (65536.0, True)
    assert after.trainer.state.step == 1


def test_another_number_of_steps_an_epoch_is_refused_at_resume(ms, tmp_path, make_trainer):
    from mindvoxel.errors import InputError
    from mindvoxel.train import builder, checkpoint

    before = make_trainer("O0")
    before.trainer.run(1, [])
    before.writer({"model": "vnet"})(tmp_path / "last.ckpt")
    meta, values = checkpoint.load(tmp_path / "last.ckpt")
    meta["state"]["step"] = 2
    with pytest.raises(InputError, match="resume with the same cases, batch size, repeats and devices"):
        builder.restore(make_trainer("O0"), meta, values, "last.ckpt")
    meta["state"]["step"] = 1
    meta["cases"] = ["CaseA", "CaseC"]
    with pytest.raises(InputError, match="resume with the same cases"):
        builder.restore(make_trainer("O0"), meta, values, "last.ckpt")


def test_an_overflow_is_skipped_counted_and_changes_no_weight(ms, make_trainer):
    parts = make_trainer("O2", loss_scale=2.0**120)
    before = weights(parts.network)
    parts.trainer.run(1, [])
    assert parts.trainer.state.num_skipped == 1
    assert np.array_equal(before, weights(parts.network))


def test_endless_overflow_ends_the_run_with_the_cases(ms, make_trainer):
    parts = make_trainer("O2", loss_scale=2.0**120)
    parts.trainer.rates = [1e-3] * 100
    with pytest.raises(WorkError, match="20 steps in a row overflowed .*Case[AB], Case[AB]"):
        parts.trainer.run(100, [])


def test_a_loss_that_is_not_finite_ends_the_run_with_the_cases(ms, make_trainer):
    parts = make_trainer("O0", poison=lambda image: image * np.float32(np.inf))
    before = weights(parts.network)
    saying = r"the loss is nan at step 1 .*Case[AB], Case[AB]; .*lower --learning_rate; a checkpoint that was written"
    with pytest.raises(WorkError, match=saying):
        parts.trainer.run(1, [])
    assert np.array_equal(before, weights(parts.network))
