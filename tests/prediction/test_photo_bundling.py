"""Bundles of a classifier through export.py, from weights as they were drawn: read again, and what is refused."""

import csv
from pathlib import Path

import numpy as np

from mindvoxel import config
from mindvoxel.data.photos import read_photo

from ..photos import a_photo, write_photo
from .test_bundling import assert_no_pickle, bundled, run, spread_norms

CLASSES = ("n02", 'a "b", c', "n01", "ü", "x y", "n3")  # as a checkpoint names them, in an order of their own
SMALL = {"network.width": 4, "network.depths": [1, 1, 1, 1], "data.size": 40, "data.short_side": 48}


def photo_checkpoint(folder: Path, change=spread_norms, classes=CLASSES, **recipe) -> Path:
    """A checkpoint as train.py writes it, without any training."""
    from mindvoxel.train import checkpoint
    from mindvoxel.train.builder import seed_everything
    from mindvoxel.zoo import build_network

    seed_everything(3)
    changes = SMALL | {"network.num_classes": len(classes), "data.sd": [58.0, 57.0, 56.0]}
    chosen = config.override(config.load_recipe("resnet50"), changes | recipe)
    network = build_network("resnet50", **chosen.network)
    change(network)
    meta = {"model": "resnet50", "recipe": chosen, "state": {"epoch": 90}, "classes": list(classes)}
    checkpoint.save(folder / "last.ckpt", network, meta)
    return folder / "last.ckpt"


def rows_of(path: Path) -> list[dict]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_a_bundle_of_a_classifier(cpu, tmp_path):
    found = bundled(photo_checkpoint(tmp_path), tmp_path / "out", "resnet50")
    assert sorted(path.relative_to(found.folder).as_posix() for path in found.folder.rglob("*.*")) == [
        "deploy.json",
        "model.mindir",
        "model.onnx",
        "reference/image.png",
        "reference/predictions.csv",
    ]
    assert_no_pickle(found.folder)
    assert (found.way, tuple(found.labels), found.label_values) == ("photo", CLASSES, tuple(range(6)))
    deploy = found.deploy
    assert deploy["network"] | {"input_shape": [1, 3, 40, 40], "output_shape": [1, 6]} == deploy["network"]
    assert not {"sliding", "postprocessing", "nsd_tolerance_mm", "default_spacing_mm"} & set(deploy)
    for name in ("model.mindir", "model.onnx"):
        assert deploy["verified"][name]["largest_difference"] < 1e-4
        assert deploy["verified"][name]["num_changed"] == 0 < deploy["verified"][name]["num_clear"]
    photo = read_photo(found.folder / "reference" / "image.png")
    assert photo.shape == (61, 85, 3)
    rows = rows_of(found.folder / "reference" / "predictions.csv")
    assert [(row["photo"], row["rank"]) for row in rows] == [("image.png", str(rank)) for rank in range(1, 6)]
    assert {row["class"] for row in rows} < set(CLASSES)
    assert 0.5 < sum(float(row["probability"]) for row in rows) <= 1


def test_a_photo_of_one_s_own_travels_as_its_pixels(cpu, tmp_path, capfd):
    grey = a_photo(1, (53, 71), np.random.default_rng(0))[..., 0]
    path = write_photo(tmp_path / "grey.jpg", grey)
    words = ("resnet50", "--no_verify", "--reference_case", path)
    found = bundled(photo_checkpoint(tmp_path), tmp_path / "out", *words)
    assert found.deploy["reference"]["made"] is False
    assert np.array_equal(read_photo(found.folder / "reference" / "image.png"), read_photo(path))
    words = ("resnet50", "--file_format", "BUNDLE", "--reference_case", path, path)
    assert run(tmp_path / "last.ckpt", tmp_path / "two", *words) == 2
    assert "--reference_case names 2 files, and resnet50 takes one photo" in capfd.readouterr().err


def no_answer(network) -> None:
    import mindspore as ms

    network.head.weight.set_data(ms.Tensor(np.zeros(network.head.weight.shape, np.float32)))


def test_a_reference_without_a_clear_class_is_told(cpu, tmp_path, capfd):
    bundled(photo_checkpoint(tmp_path, change=no_answer), tmp_path / "out", "resnet50", "--no_verify")
    assert (
        "two likeliest classes of the reference photo have probabilities of 0.167 and 0.167" in capfd.readouterr().out
    )


def test_half_precision(cpu, tmp_path, capfd):
    ckpt = photo_checkpoint(tmp_path)
    deploy = bundled(ckpt, tmp_path / "out", "resnet50", "--precision", "f16").deploy
    assert deploy["network"]["precision"] == "f16"
    assert 1e-6 < deploy["verified"]["model.mindir"]["largest_difference"] < 1e-2
    words = ("resnet50", "--file_format", "ONNX", "--precision", "f16", "--batch_size", 3)
    assert run(ckpt, tmp_path / "net", *words) == 0
    said = capfd.readouterr().out
    assert "input (3, 3, 40, 40) float32" in said and "48 of 48 photos of the same class" in said


def overflow(network) -> None:
    import mindspore as ms

    spread_norms(network)
    weight = network.stem.conv.weight  # the norm after it divides by what this multiplies
    weight.set_data(ms.Tensor(1e6 * weight.asnumpy()))


def test_what_is_refused(cpu, tmp_path, capfd):
    def refused(status: int, *words) -> str:
        assert run(tmp_path / "last.ckpt", tmp_path / "out", "resnet50", *words) == status
        assert not (tmp_path / "out").exists()
        return capfd.readouterr().err

    photo_checkpoint(tmp_path, change=overflow)
    bundle = ("--file_format", "BUNDLE")
    assert "photos change their class; not kept" in refused(1, *bundle, "--precision", "f16")
    assert "which has one head; leave it out" in refused(2, *bundle, "--prune", 1)
    (tmp_path / "best.json").touch()
    assert "resnet50 tells the class of photos" in refused(2, *bundle, "--postprocessing", tmp_path / "best.json")
    assert "no such file" in refused(2, *bundle, "--reference_case", tmp_path / "absent.png")
