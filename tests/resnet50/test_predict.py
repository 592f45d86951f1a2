"""Photographs through the real command: one table, written whole, that the network's own logits explain."""

import json
import os
import shutil

import numpy as np
import pandas as pd
import pytest

from mindvoxel.cli import predict
from mindvoxel.cli.predict_photos import find_photos
from mindvoxel.data.photos import PhotoForm, prepare_photo, read_photo
from mindvoxel.errors import InputError
from mindvoxel.prediction.classifier import likeliest, predictions_csv

from ..photos import a_photo, write_photo
from ..seeded_runs import photos_run

CLASSES = ("a,b", "bee", "cow", "dog", "eel", "fox")


@pytest.fixture(scope="module")
def trained(cpu, tmp_path_factory):
    return photos_run(tmp_path_factory.mktemp("photos") / "run", CLASSES, network__depths=[1])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Five photos of several types and sizes, two of them of one name."""
    root, rng = tmp_path_factory.mktemp("input"), np.random.default_rng(5)
    write_photo(root / "x" / "1.JPEG", a_photo(0, (41, 60), rng))
    write_photo(root / "y" / "1.JPEG", a_photo(3, (60, 41), rng))
    write_photo(root / "y" / "z" / "tall.png", a_photo(1, (200, 9), rng))
    write_photo(root / "grey.png", a_photo(2, (36, 36), rng)[..., 0])
    write_photo(root / "tiny.jpg", a_photo(4, (5, 7), rng))
    (root / "notes.txt").write_text("no photo")
    write_photo(root / ".cache" / "hidden.png", a_photo(2, (36, 36), rng))
    return root


def call(*words) -> int:
    return predict.main(["--device_target", "CPU", *map(str, words)])


def logits_of(trained, paths) -> np.ndarray:
    """By the network itself, a photo at a time."""
    import mindspore as ms

    from mindvoxel.prediction.networks import network_of

    network, recipe, _ = network_of(trained / "last.ckpt", "resnet50")
    form = PhotoForm(32, 36, tuple(recipe.data.mean), (58.0, 58.0, 58.0))
    photos = [ms.Tensor(prepare_photo(read_photo(path), form)[None]) for path in paths]
    return np.concatenate([network(photo).asnumpy() for photo in photos])


@pytest.mark.parametrize("words", [[], ["--engine", "openvino", "--batch_size", "2", "--model", "resnet50"]])
def test_the_table_is_what_the_network_says(trained, folder, tmp_path, words):
    assert call("--model_dir", trained, "--input", folder, "--output", tmp_path, *words) == 0
    table = pd.read_csv(tmp_path / "predictions.csv")
    names = ["grey.png", "tiny.jpg", "x/1.JPEG", "y/1.JPEG", "y/z/tall.png"]
    assert list(table.columns) == ["photo", "rank", "class", "probability"]
    assert table.photo.tolist() == [name for name in names for _ in range(5)]
    assert table["rank"].tolist() == [1, 2, 3, 4, 5] * 5
    logits = logits_of(trained, [folder / name for name in names]).astype(np.float64)
    raised = np.exp(logits - logits.max(1, keepdims=True))
    expected = raised / raised.sum(1, keepdims=True)
    assert np.ptp(expected, axis=0).max() > 0.01  # the photos are told apart
    for row in table.itertuples():
        share = expected[names.index(row.photo)]
        assert row.probability == pytest.approx(share[CLASSES.index(row[3])], abs=2e-5)
        assert row.probability == pytest.approx(np.sort(share)[-row.rank], abs=2e-5)
    assert not list(tmp_path.glob(".partial*"))


def test_a_trained_run_is_right_as_often_as_in_its_evaluation(run, photos, tmp_path):
    words = ["--model_dir", run, "--checkpoint", "best", "--input", photos / "val", "--output", tmp_path]
    assert call(*words) == 0
    table = pd.read_csv(tmp_path / "predictions.csv")
    first = table[table["rank"] == 1]
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert (first.photo.str.split("/").str[0] == first["class"]).mean() == max(line["val_top1"] for line in lines)
    among = table[table.photo.str.split("/").str[0] == table["class"]]
    assert len(among) / len(first) in [line["val_top5"] for line in lines]


def test_a_photo_by_its_name_and_bf16(trained, folder, tmp_path):
    for precision in ("f32", "bf16"):
        words = ["--model_dir", trained, "--input", folder / "y" / "1.JPEG", "--precision", precision]
        assert call(*words, "--output", tmp_path / precision) == 0
    exact, rounded = (pd.read_csv(tmp_path / p / "predictions.csv") for p in ("f32", "bf16"))
    assert exact.photo.tolist() == ["1.JPEG"] * 5
    assert 0 < np.abs(exact.probability - rounded.probability).max() < 0.03


def test_photos_that_cannot_be_read_are_named_and_the_others_done(trained, folder, tmp_path, capfd):
    mixed = tmp_path / "mixed"
    shutil.copytree(folder / "x", mixed)
    whole = (mixed / "1.JPEG").read_bytes()
    (mixed / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (mixed / os.fsdecode(b"\xff.jpg")).write_bytes(whole)
    assert call("--model_dir", trained, "--input", mixed, "--output", tmp_path / "out") == 1
    said = capfd.readouterr()
    assert "2 of 3 photos failed (cut.jpg, \\udcff.jpg), the log above says why" in said.err
    assert f"{tmp_path / 'out' / 'predictions.csv'} holds the others" in said.err
    assert "cut.jpg: truncated after" in said.out and "its name is not UTF-8" in said.out
    assert set(pd.read_csv(tmp_path / "out" / "predictions.csv").photo) == {"1.JPEG"}
    (mixed / "1.JPEG").unlink()
    assert call("--model_dir", trained, "--input", mixed, "--output", tmp_path / "none") == 1
    assert "nothing is written" in capfd.readouterr().err
    assert not list((tmp_path / "none").iterdir())


def test_a_table_that_is_there_is_replaced_on_demand_alone(trained, folder, tmp_path, capfd):
    (tmp_path / "predictions.csv").write_text("mine")
    words = ["--model_dir", trained, "--input", folder / "tiny.jpg", "--output", tmp_path]
    assert call(*words) == 2
    assert "is there already; name another --output, or say --overwrite" in capfd.readouterr().err
    assert (tmp_path / "predictions.csv").read_text() == "mine"
    assert call(*words, "--overwrite") == 0
    assert len(pd.read_csv(tmp_path / "predictions.csv")) == 5


@pytest.mark.parametrize("words", [["--tta", "full"], ["--overlap", "0.5"], ["--prune", "1"], ["--folds", "0"]])
def test_flags_of_scans_are_refused(trained, folder, tmp_path, capfd, words):
    assert call("--model_dir", trained, "--input", folder, "--output", tmp_path / "out", *words) == 2
    assert f"unrecognized arguments: {' '.join(words)}; predict.py --help says more" in capfd.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_run_of_another_model_or_without_its_classes_is_refused(trained, folder, tmp_path, capfd):
    words = ["--model_dir", trained, "--input", folder, "--output", tmp_path]
    assert call(*words, "--model", "vnet") == 2
    assert "runs of resnet50, not of vnet; use resnet50/predict.py" in capfd.readouterr().err
    assert call(*words, "--batch_size", "0") == 2
    assert "--batch_size must be 1 or more, got 0" in capfd.readouterr().err
    nameless = photos_run(tmp_path / "nameless", ("a", "b"), network__num_classes=3)
    assert call("--model_dir", nameless, "--input", folder, "--output", tmp_path) == 2
    assert "last.ckpt: names 2 classes, and its network has 3; train it anew" in capfd.readouterr().err


def test_a_network_that_gives_no_number_ends_the_command(trained, folder, tmp_path, capfd):
    import mindspore as ms

    from mindvoxel.prediction.networks import network_of
    from mindvoxel.train import checkpoint

    network, _, meta = network_of(trained / "last.ckpt", "resnet50")
    broken = network.trainable_params()[-1]
    broken.set_data(ms.Tensor(np.full(broken.shape, np.nan, np.float32)))
    shutil.copytree(trained, tmp_path / "run")
    checkpoint.save(tmp_path / "run" / "last.ckpt", network, meta)
    assert call("--model_dir", tmp_path / "run", "--input", folder, "--output", tmp_path / "out") == 1
    assert "its network gives values that are not finite" in capfd.readouterr().err
    assert not list((tmp_path / "out").iterdir())


def test_nothing_to_classify_is_told(tmp_path):
    with pytest.raises(InputError, match="no photo in it or below"):
        find_photos(tmp_path)
    with pytest.raises(InputError, match="no such file or folder"):
        find_photos(tmp_path / "none")


def test_the_table_by_hand():
    """Two classes of equal logits come in their own order; fewer than five classes give fewer rows."""
    logits = np.log(np.array([0.25, 0.5, 0.25], np.float32))
    expected = 'photo,rank,class,probability\n"a,1.png",1,b,0.500000\n"a,1.png",2,a,0.250000\n"a,1.png",3,c,0.250000\n'
    assert predictions_csv(likeliest("a,1.png", logits, ("a", "b", "c"))) == expected
    rows = likeliest("p", np.array([1e4, 0.0], np.float32), ("a", "b"))
    assert rows == [("p", 1, "a", "1.000000"), ("p", 2, "b", "0.000000")]
