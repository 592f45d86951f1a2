"""The C++ program classifies photographs as predict.py does, and tells in one line what it cannot do."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from mindvoxel.cli import eval as evaluation
from mindvoxel.cli import export, infer_310, predict

from .photos import a_photo, write_photo
from .seeded_runs import photos_run
from .test_ascend310 import Infer, change, files_of
from .test_ascend310_read_photos import JPEG, PLAIN, SHAPES, as_file

CLASSES = ("cow", 'an "ant", a bee', "dog", "ewe", "fox", "gnu")  # as no folder would sort them


@pytest.fixture(scope="module")
def run(cpu, tmp_path_factory) -> Path:
    return photos_run(tmp_path_factory.mktemp("photos") / "run", CLASSES)


@pytest.fixture(scope="module")
def exported(run) -> Path:
    folder = run.parent / "bundle"
    words = ["--model", "resnet50", "--ckpt_file", run / "last.ckpt", "--device_target", "CPU", "--file_name", folder]
    assert export.main(list(map(str, [*words, "--file_format", "BUNDLE"]))) == 0
    return folder


@pytest.fixture
def infer(harness, exported, tmp_path) -> Infer:
    return Infer(harness / "infer", Path(shutil.copytree(exported, tmp_path / "bundle")), tmp_path)


def rows_of(folder: Path) -> list[dict]:
    with (folder / "predictions.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def write_photos(folder: Path) -> None:
    for number, shape in enumerate(SHAPES):
        pixels = a_photo(number, shape, np.random.default_rng(number))
        write_photo(folder / f"a_{number % 2}" / f"{number}, ü.png", pixels)
        write_photo(folder / "a" / f"{number}.jpg", pixels if number % 2 else pixels[..., 0])  # colours at half size


def test_classes_and_probabilities_are_those_of_predict_py(infer, run, tmp_path):
    write_photos(infer.input)
    done = infer()
    assert (done.returncode, done.stderr) == (0, "")
    words = ["--model_dir", run, "--input", infer.input, "--output", tmp_path / "theirs", "--device_target", "CPU"]
    assert predict.main(list(map(str, words)), model="resnet50") == 0
    ours, theirs = rows_of(infer.output), rows_of(tmp_path / "theirs")
    assert len(ours) == 12 * 5
    assert len({row["class"] for row in theirs if row["rank"] == "1"}) > 1  # else little is compared
    for one, other in zip(ours, theirs, strict=True):
        assert (one["photo"], one["rank"], one["class"]) == (other["photo"], other["rank"], other["class"])
        assert float(one["probability"]) == pytest.approx(float(other["probability"]), abs=1e-4)
    report = json.loads((infer.output / "report.json").read_text())
    assert [case["case"] for case in report["cases"]] == [row["photo"] for row in ours[::5]]
    assert (report["windows"]["calls"], report["stages"]["read_s"] > 0) == (12, True)
    heading = done.stdout.splitlines()[1]
    assert heading.split()[0] == "photo" and "preprocess s" in heading


def test_a_folder_of_classes_is_scored_as_eval_py_scores_it(infer, run, harness, tmp_path, capfd):
    for label, name in enumerate(sorted(CLASSES)):
        for number in range(3):
            pixels = a_photo(label, (33, 41), np.random.default_rng([label, number]))
            write_photo(tmp_path / "data" / "val" / name / f"{number}.png", pixels)
    words = ["--model", "resnet50", "--ckpt_path", run / "last.ckpt", "--data_path", tmp_path / "data"]
    words += ["--output_path", tmp_path / "theirs", "--device_target", "CPU"]
    assert evaluation.main(list(map(str, words))) == 0
    words = ["--infer", harness / "infer", "--mindir_path", infer.bundle / "model.mindir", "--split_file_path", "none"]
    words += ["--data_path", tmp_path / "data", "--output_path", tmp_path / "ours", "--device", "cpu", "--threads", 2]
    capfd.readouterr()
    assert infer_310.main(list(map(str, words))) == 0
    assert "all classes" in capfd.readouterr().out
    ours, theirs = (metrics_of(tmp_path / name) for name in ("ours", "theirs"))
    assert len(ours) == 18
    for one, other in zip(ours, theirs, strict=True):
        assert int(one["rank"]) == min(int(other["rank"]), 6)
        assert {key: one[key] for key in ("photo", "class", "predicted")} == {
            key: other[key] for key in ("photo", "class", "predicted")
        }
    summaries = [json.loads((tmp_path / name / "summary.json").read_text()) for name in ("ours", "theirs")]
    assert [summaries[0][key] for key in ("top1", "top5")] == [summaries[1][key] for key in ("top1", "top5")]
    assert (summaries[0]["loss"], 0 < summaries[0]["top5"] < 1) == (None, True)
    words[words.index("none")] = "val.csv"
    assert infer_310.main(list(map(str, words))) == 2
    assert "all photos of val/ are scored; give none in its place" in capfd.readouterr().err


def metrics_of(folder: Path) -> list[dict]:
    with (folder / "metrics.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_self_test(infer):
    done = infer("--self_test")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("self-test passed: the class of the reference photo is ")
    change(infer.bundle, "preprocessing/mean", [0.0, 0.0, 255.0])
    said = infer.refused("--self_test", status=1)
    assert "self-test failed: the class of the reference photo is" in said and "0.05 are needed" in said


def test_the_network_stage_takes_prepared_photos(infer, tmp_path):
    import openvino

    infer.input.mkdir()
    image = np.random.default_rng(0).standard_normal((1, 3, 32, 32)).astype("<f4")
    image.tofile(infer.input / "a.bin")
    assert infer("--stage", "network").returncode == 0
    compiled = openvino.Core().compile_model(infer.bundle / "model.onnx", "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    found = np.fromfile(infer.output / "a_0.bin", "<f4")
    np.testing.assert_allclose(found, compiled(image)[0][0], atol=1e-4)


def test_a_photo_that_cannot_be_read_does_not_stop_the_others(infer):
    for name in ("a.png", "c.png"):
        write_photo(infer.input / name, PLAIN)
    as_file(infer.input / "b.jpg", JPEG[:-1])
    (infer.input / "d.jpg").symlink_to("absent")
    done = infer()
    assert done.returncode == 1
    first, second, last = done.stderr.splitlines()
    assert first.startswith("b.jpg failed: ") and "truncated" in first
    assert second.startswith("d.jpg failed: ") and "no such file" in second
    assert last.startswith("error: 2 of 4 photos failed (b.jpg, d.jpg)")
    assert [row["photo"] for row in rows_of(infer.output)[::5]] == ["a.png", "c.png"]
    assert files_of(infer.output) == ["predictions.csv", "report.json"]


def test_a_photo_alone_ends_both_programs_alike(infer, run, tmp_path, capfd):
    infer.input = as_file(tmp_path / "a.jpg", JPEG[:-1])
    assert "a.jpg: truncated" in infer.refused()
    words = ["--model_dir", run, "--input", infer.input, "--output", tmp_path / "theirs", "--device_target", "CPU"]
    assert predict.main(list(map(str, words)), model="resnet50") == 2
    assert "a.jpg: truncated" in capfd.readouterr().err


def folder_without_photos(infer):
    infer.input = infer.input / "empty"
    infer.input.mkdir()
    return (), "empty: no photo in this folder or below it"


def mirrors(infer):
    return ("--tta",), "--tta mirrors the windows of scans"


def table_that_is_there(infer):
    infer.output.mkdir()
    (infer.output / "predictions.csv").touch()
    return (), "predictions.csv is there already"


def bundle_of_other_classes(infer):
    deploy = json.loads((infer.bundle / "deploy.json").read_text())
    change(infer.bundle, "classes", deploy["classes"][:5])
    change(infer.bundle, "network/output_shape", [1, 5])
    return (), "the tensor logits is f32"


def bundle_of_voxels(infer):
    change(infer.bundle, "network/output_shape", [1, 6, 32, 32])
    return (), "network.output_shape is (1, 6, 32, 32), and by classes and size (1, 6) is needed"


def bundle_without_its_answer(infer):
    (infer.bundle / "reference" / "predictions.csv").write_text("photo,rank\n")
    return ("--self_test",), "predictions.csv has 11 bytes"


@pytest.mark.parametrize(
    "damage",
    [
        folder_without_photos,
        mirrors,
        table_that_is_there,
        bundle_of_other_classes,
        bundle_of_voxels,
        bundle_without_its_answer,
    ],
)
def test_bad_input_is_one_line_and_status_2(infer, damage):
    write_photo(infer.input / "z.png", PLAIN)
    words, said = damage(infer)
    assert said in infer.refused(*words)


@pytest.mark.parametrize(
    ("before", "after", "number"),
    [("photo,rank", "rank,photo", 1), (",2,", ",3,", 3), (",0.", ",p", 2), ("\n", "\r\n", 1), (".png", ".jpg", 2)],
)
def test_an_answer_that_export_py_did_not_write(infer, before, after, number):
    import hashlib

    path = infer.bundle / "reference" / "predictions.csv"
    words = path.read_text().replace(before, after).encode()
    path.write_bytes(words)
    entry = {"bytes": len(words), "sha256": hashlib.sha256(words).hexdigest()}
    deploy = json.loads((infer.bundle / "deploy.json").read_text())
    deploy["files"]["reference/predictions.csv"] = entry
    (infer.bundle / "deploy.json").write_text(json.dumps(deploy))
    assert f"predictions.csv: line {number} is not as export.py writes it" in infer.refused("--self_test")
