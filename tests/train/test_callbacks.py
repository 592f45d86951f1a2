"""What happens at the end of an epoch."""

import json

import numpy as np
import pytest

from mindvoxel.train.callbacks import Report, Save, Validate


def figures(epoch: int, **more) -> dict:
    return {"epoch": epoch, "loss": 0.5, "seconds": 1.0, "data_wait_seconds": 0.0} | more


def test_validation_each_interval_and_after_the_last_epoch():
    validate, seen = Validate(2, 5, lambda: {"val_dice": 0.7}), []
    for epoch in range(1, 6):
        entry = figures(epoch)
        validate(entry)
        seen.append(entry.get("val_dice"))
    assert seen == [None, 0.7, None, 0.7, 0.7]


@pytest.fixture
def save(cpu, tmp_path):
    from mindvoxel.train.loop import State

    state = State()
    written = []

    def write(path):
        written.append(path.name)

    return Save(tmp_path, interval=3, epochs=7, state=state, write=write), written, state


def test_best_is_written_where_the_score_rises_and_last_beside_it(save):
    callback, written, state = save
    for epoch, score in [(1, 0.5), (2, 0.8), (3, 0.6), (4, 0.8)]:
        callback(figures(epoch, val_dice=score))
    assert written == ["best.ckpt", "last.ckpt", "best.ckpt", "last.ckpt", "last.ckpt", "last.ckpt"]
    assert state.best == 0.8


def test_last_is_written_each_interval_and_at_the_end(save):
    callback, written, _ = save
    done = []
    for epoch in range(1, 8):
        callback(figures(epoch))
        done.append(len(written))
    assert done == [0, 0, 1, 1, 1, 2, 3]
    assert set(written) == {"last.ckpt"}


def test_best_follows_the_figure_that_is_named_and_every_third_is_kept(cpu, tmp_path):
    from mindvoxel.train.loop import State

    written = []
    named = {"score": "val_patch_dice_ema", "keep_interval": 3}
    callback = Save(tmp_path, 1, 4, State(), lambda path: written.append(path.name), **named)
    for epoch, score in [(1, 0.5), (2, 0.4), (3, 0.6), (4, 0.1)]:
        callback(figures(epoch, val_patch_dice_ema=score, val_dice=epoch))
    assert written == ["best.ckpt", *["last.ckpt"] * 2, "best.ckpt", "last.ckpt", "epoch_3.ckpt", "last.ckpt"]
    written.clear()
    Save(tmp_path, 1, 4, State(), lambda path: written.append(path.name), score=None)(figures(1, val_dice=1.0))
    assert written == ["last.ckpt"]


def test_a_score_that_cannot_be_had_still_leaves_a_best_checkpoint(save):
    callback, written, _ = save
    callback(figures(1, val_dice=float("nan")))
    callback(figures(2, val_dice=0.1))
    assert written.count("best.ckpt") == 2


def test_report_keeps_strict_json_and_drops_what_is_done_again(tmp_path):
    path = tmp_path / "metrics.jsonl"
    report = Report(path, epochs=4)
    for epoch in (1, 2, 3):
        report(figures(epoch, val_dice=float("nan") if epoch == 1 else 0.5))
    assert json.loads(path.read_text().splitlines()[0])["val_dice"] is None
    Report(path, epochs=4, first_epoch=2)
    assert [json.loads(line)["epoch"] for line in path.read_text().splitlines()] == [1, 2]


def test_half_a_line_that_a_full_disk_left_does_not_stop_a_resumed_run(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"epoch": 1}\n{"epoch": 2, "lo')
    Report(path, epochs=4, first_epoch=1)
    assert path.read_text() == '{"epoch": 1}\n'


def test_a_bad_epoch_leaves_the_checkpoint_of_the_good_one(make_trainer, tmp_path):
    """Epoch 2 is poisoned: last.ckpt still holds epoch 1, and loads."""
    from mindvoxel.errors import WorkError
    from mindvoxel.train import checkpoint

    parts = make_trainer("O0")
    save = Save(tmp_path, interval=1, epochs=4, state=parts.trainer.state, write=parts.writer({"model": "vnet"}))

    def poison(entry):
        for case in parts.trainer.loader.cases:
            case.image[:] = np.nan

    with pytest.raises(WorkError, match=r"the loss is nan at step 2 \(epoch 2\)"):
        parts.trainer.run(4, [save, poison])
    meta, values = checkpoint.load(tmp_path / "last.ckpt")
    assert meta["state"]["epoch"] == 1
    checkpoint.load_network(parts.network, values, "last.ckpt")
    assert all(np.isfinite(p.asnumpy()).all() for p in parts.network.trainable_params())
