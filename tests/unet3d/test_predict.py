"""New scans through the real command, and through Python: one run, its folds, a whole cross-validation."""

import json
import os
import re
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

import mindvoxel
from mindvoxel.cli import predict, train
from mindvoxel.data.dataset import Case, read_image
from mindvoxel.data.postprocess import keep_largest
from mindvoxel.errors import InputError
from mindvoxel.volume import Volume, read_volume, write_volume

TINY = ["--model", "unet3d", "--device_target", "CPU", "--recipe", "small", "--first_filters", "2", "--epochs", "1"]
TINY += ["--steps_per_epoch", "1", "--batch_size", "2", "--val_steps", "0", "--num_workers", "0", "--fold", "0"]


@pytest.fixture(scope="module")
def trained(data, tmp_path_factory) -> Path:
    """A cross-validation of two configurations and folds 0 and 1, best.json included; only fold 0 was trained, fold 1
    has its weights, disturbed."""
    root = tmp_path_factory.mktemp("cross") / "out"
    for dim, name in ((3, "3d_fullres"), (2, "2d")):
        folder = root / name / "fold_0"
        more = ["--validate", "true" if dim == 3 else "false", "--output_path", folder, "--dim", dim]
        assert train.main([*TINY, *map(str, ["--data_path", data, *more])]) == 0
        disturbed_copy(folder, root / name / "fold_1")
    best = {"version": 1, "configurations": ["3d_fullres", "2d"], "folds": [0, 1], "postprocessing": [[1, 4], [4]]}
    (root / "best.json").write_text(json.dumps(best))
    return root


def disturbed_copy(run: Path, other: Path) -> None:
    import mindspore as ms

    from mindvoxel.train import checkpoint

    shutil.copytree(run, other)
    record = json.loads((other / "recipe.json").read_text())
    (other / "recipe.json").write_text(json.dumps(record | {"fold": 1}))
    meta, values = checkpoint.load(run / "last.ckpt")
    rng = np.random.default_rng(5)
    for value in values.values():
        noise = 0.3 * rng.standard_normal(value.shape) * (value.asnumpy().ndim > 1)
        value.set_data(ms.Tensor((value.asnumpy() + noise).astype(value.asnumpy().dtype)))
    write_again(other / "last.ckpt", meta, values)


def write_again(path: Path, meta: dict, values: dict) -> None:
    from mindspore import nn

    from mindvoxel.train import checkpoint

    cell = nn.Cell()
    for name, value in values.items():
        cell.insert_param_to_cell(name.replace(".", "_"), value)
        value.name = name
    checkpoint.save(path, cell, meta)


@pytest.fixture(scope="module")
def held_out(trained, source, tmp_path_factory) -> Path:
    """A folder with the images of the validation cases."""
    folder = tmp_path_factory.mktemp("held_out")
    for name in json.loads((trained / "3d_fullres" / "fold_0" / "recipe.json").read_text())["val_cases"]:
        shutil.copy(source / "imagesTr" / f"{name}.nii.gz", folder)
    return folder


def run(*words) -> int:
    return predict.main(["--device_target", "CPU", *map(str, words)])


def refused(capfd, *words) -> str:
    capfd.readouterr()
    assert run(*words) == 2
    return capfd.readouterr().err


def scan_of(path: Path) -> Volume:
    return read_image(Case("scan", (path,), None))


def test_a_run_predicts_what_its_validation_did(trained, held_out, tmp_path, capfd):
    fold = trained / "3d_fullres" / "fold_0"
    assert run("--model_dir", fold, "--input", held_out, "--output", tmp_path) == 0
    said = capfd.readouterr().out
    assert "unet3d: networks 1 of 3d_fullres\n" in said
    assert re.search(r"^2 of 2 cases in [\d.]+ s, [\d.]+ s each$", said, re.MULTILINE)
    assert re.search(r"^\d+ windows, [\d.]+ a second; peak memory \d+ MB$", said, re.MULTILINE)
    for path in held_out.iterdir():
        ours, theirs = read_volume(tmp_path / path.name), read_volume(fold / "validation" / path.name)
        assert np.array_equal(ours.voxels, theirs.voxels)
        assert set(np.unique(ours.voxels)) <= {0, 1, 4}
        scan = scan_of(path)
        assert (ours.spacing_mm, ours.origin_mm) == (scan.spacing_mm, scan.origin_mm)
        assert np.allclose(ours.direction, scan.direction)


def test_what_is_there_stays_unless_it_was_made_otherwise(trained, held_out, tmp_path, capfd):
    words = ["--model_dir", trained / "3d_fullres" / "fold_0", "--output", tmp_path / "masks"]
    first, second = sorted(held_out.iterdir())
    assert run(*words, "--input", first) == 0
    (tmp_path / "masks" / first.name).write_bytes(b"stays")
    assert run(*words, "--input", held_out) == 0
    assert "1 of 2 masks are there and stay" in capfd.readouterr().out
    assert (tmp_path / "masks" / first.name).read_bytes() == b"stays"
    assert read_volume(tmp_path / "masks" / second.name).shape
    said = refused(capfd, *words, "--input", held_out, "--tta", "full")
    assert "were made with tta None, not full" in said
    assert run(*words, "--input", held_out, "--tta", "full", "--overlap", "0", "--overwrite") == 0
    assert read_volume(tmp_path / "masks" / first.name).shape


def test_sigterm_ends_it_as_ctrl_c_does_and_it_goes_on(trained, held_out, tmp_path, capfd, monkeypatch):
    words = ["--model_dir", trained / "3d_fullres" / "fold_0", "--input", held_out, "--output", tmp_path]
    segment, asked, before = mindvoxel.Predictor.segment, [], signal.getsignal(signal.SIGTERM)

    def interrupted(self, *rest):
        asked.append(1)
        if len(asked) == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return segment(self, *rest)

    monkeypatch.setattr(mindvoxel.Predictor, "segment", interrupted)
    assert run(*words) == 130
    assert capfd.readouterr().err.splitlines()[-1] == "error: interrupted"
    assert signal.getsignal(signal.SIGTERM) == before
    first, second = sorted(path.name for path in held_out.iterdir())
    assert sorted(path.name for path in tmp_path.iterdir()) == [first, "predict.json"]
    assert run(*words) == 0
    assert "1 of 2 masks are there and stay" in capfd.readouterr().out
    assert (tmp_path / second).is_file()


def test_probabilities_that_lack_are_made_and_a_file_that_is_there_is_not_taken_for_the_mask(
    trained, held_out, tmp_path, capfd
):
    path = sorted(held_out.iterdir())[0]
    words = ["--model_dir", trained / "3d_fullres" / "fold_0", "--input", path, "--output"]
    assert run(*words, tmp_path / "masks") == 0
    assert run(*words, tmp_path / "masks", "--save_probabilities") == 0
    assert "1 of 1 cases in" in capfd.readouterr().out
    assert len(list((tmp_path / "masks" / "probabilities").iterdir())) == 3
    assert run(*words, tmp_path / "masks", "--save_probabilities") == 0
    assert "1 of 1 masks are there and stay" in capfd.readouterr().out
    (tmp_path / "mask.nii.gz").touch()
    assert "mask.nii.gz: is there already; name another --output" in refused(capfd, *words, tmp_path / "mask.nii.gz")


def test_a_case_that_fails_leaves_the_others_and_ends_with_its_name(trained, held_out, tmp_path, capfd):
    images = tmp_path / "images"
    shutil.copytree(held_out, images)
    good = sorted(images.iterdir())[0]
    (images / "broken.nii.gz").write_bytes(good.read_bytes()[:-2000])  # its header is whole
    words = ["--model_dir", trained / "3d_fullres" / "fold_0", "--input", images, "--output", tmp_path / "masks"]
    assert run(*words) == 1
    assert "1 of 3 cases failed (broken)" in capfd.readouterr().err
    assert len(list((tmp_path / "masks").glob("*.nii.gz"))) == 2
    shutil.copy(good, images / "broken.nii.gz")
    assert run(*words) == 0
    mended, same = (read_volume(tmp_path / "masks" / name) for name in ("broken.nii.gz", good.name))
    assert np.array_equal(mended.voxels, same.voxels)


def test_bad_input_is_told_before_any_network_is_loaded(trained, held_out, tmp_path, capfd, monkeypatch):
    monkeypatch.setattr(predict, "Predictor", None)
    fold = trained / "3d_fullres" / "fold_0"
    write_volume(tmp_path / "one.nii.gz", Volume(np.zeros((8, 9, 10), np.int16), (1.0, 1.0, 1.0)))
    words = ["--model_dir", fold, "--output", tmp_path / "masks"]
    assert "1 channels, and the networks take 4" in refused(capfd, *words, "--input", tmp_path / "one.nii.gz")
    assert "no such file or folder" in refused(capfd, *words, "--input", tmp_path / "none")
    assert "overlap must be at least 0 and below 1" in refused(capfd, *words, "--input", held_out, "--overlap", "1")
    assert "precision bf16 is of the CPU" in refused(
        capfd, *words, "--input", held_out, "--precision", "bf16", "--device_target", "Ascend"
    )
    assert "--input and --output are needed" in refused(capfd, "--model_dir", fold)
    assert "each once, got '0,0'" in refused(capfd, *words, "--folds", "0,0")
    assert not (tmp_path / "masks").exists()
    monkeypatch.undo()
    assert predict.main(["--model_dir", str(fold), "--input", str(held_out), "--output", "x"], model="vnet") == 2
    assert "runs of unet3d, not of vnet" in capfd.readouterr().err


def test_channel_files_of_one_case_are_the_4_d_file(trained, held_out, tmp_path):
    path = sorted(held_out.iterdir())[0]
    scan = scan_of(path)
    (tmp_path / "in").mkdir()
    for number, channel in enumerate(scan.voxels):
        write_volume(tmp_path / "in" / f"p_{number:04d}.nrrd", scan.with_voxels(channel))
    words = ["--model_dir", trained / "3d_fullres" / "fold_0"]
    assert run(*words, "--input", tmp_path / "in", "--output", tmp_path / "out") == 0
    assert run(*words, "--input", path, "--output", tmp_path / "mask.nii.gz") == 0
    apart, together = read_volume(tmp_path / "out" / "p.nrrd"), read_volume(tmp_path / "mask.nii.gz")
    assert np.array_equal(apart.voxels, together.voxels)


def test_pictures_are_one_slice_of_the_spacing_that_is_given(trained, tmp_path, capfd):
    rng, folder = np.random.default_rng(2), tmp_path / "in"
    folder.mkdir()
    for number in range(4):
        pixels = rng.integers(0, 255, (23, 17), np.uint8)
        sitk.WriteImage(sitk.GetImageFromArray(pixels), str(folder / f"p.v2 b_{number:04d}.png"))
    words = ["--model_dir", trained / "2d" / "fold_0", "--input", folder, "--output", tmp_path / "out"]
    assert "p.v2 b_0000.png: knows no spacing; give the spacing_mm" in refused(capfd, *words)
    assert "three spacings above 0 in mm" in refused(capfd, *words, "--spacing_mm", "1,1")
    assert run(*words, "--spacing_mm", "4,0.9,1.1") == 0
    mask = read_volume(tmp_path / "out" / "p.v2 b.nii.gz")
    assert mask.shape == (1, 23, 17) and np.allclose(mask.spacing_mm, (4, 0.9, 1.1))
    assert "were made with spacing_mm [4.0, 0.9, 1.1], not [4.0, 1.0, 1.0]" in refused(
        capfd, *words, "--spacing_mm", "4,1,1"
    )


def test_a_cross_validation_averages_all_then_keeps_the_largest(trained, held_out, tmp_path, capfd):
    words = ["--model_dir", trained, "--input", held_out, "--output", tmp_path, "--save_probabilities"]
    assert run(*words) == 0
    assert "networks 2 of 3d_fullres, 2 of 2d; of the labels 1 and 4; 4 only the largest" in capfd.readouterr().out
    alone, differ = mindvoxel.Predictor(trained / "3d_fullres" / "fold_1", device_target="CPU"), 0
    for path in held_out.iterdir():
        scan = scan_of(path)
        values = [tmp_path / "probabilities" / path.name.replace(".nii", f"_{value}.nii") for value in (0, 1, 4)]
        planes = np.stack([read_volume(value).voxels for value in values])
        assert np.allclose(planes.sum(0), 1, atol=1e-5)
        expected = np.array([0, 1, 4], np.uint8)[planes.argmax(0)]
        mask = read_volume(tmp_path / path.name).voxels
        assert np.array_equal(mask, keep_largest(expected, [(1, 4), (4,)]))
        differ += int((alone.predict_volume(scan).voxels != expected).sum())
    assert differ > 0


def test_folds_of_a_configuration_are_averaged_as_logits(trained, held_out):
    scan = scan_of(sorted(held_out.iterdir())[0])
    folds = [mindvoxel.Predictor(trained / "3d_fullres" / f"fold_{k}", device_target="CPU") for k in (0, 1)]
    both = mindvoxel.Predictor(trained / "3d_fullres", device_target="CPU", overlap=0.0)
    (case,) = both.prepare(scan)
    window = both._way.slidings["3d_fullres"].window
    assert all(n <= w for n, w in zip(case.image.shape[1:], window, strict=True))  # one window: the mean is by hand
    pad = [((w - n) // 2, (w - n) - (w - n) // 2) for n, w in zip(case.image.shape[1:], window, strict=True)]
    patch = np.pad(case.image, [(0, 0), *pad])
    logits = np.mean([fold._way.engines["3d_fullres"][0].logits(patch) for fold in folds], axis=0)
    inside = tuple(slice(a, a + n) for (a, _), n in zip(pad, case.image.shape[1:], strict=True))
    assert case.grid.shape == case.grid.crop.shape  # nothing is resampled
    expected = np.array([0, 1, 4])[logits[(slice(None), *inside)].argmax(0)]
    labels = both.segment([case]).voxels
    assert np.array_equal(case.grid.permute(labels)[case.grid.crop.slices], expected)
    assert both.num_windows([case]) == 2


def test_an_array_and_its_spacing_are_enough(trained, held_out):
    path = sorted(held_out.iterdir())[0]
    scan, before = scan_of(path), scan_of(path).voxels
    fold = trained / "3d_fullres" / "fold_0"
    predictor = mindvoxel.Predictor(fold, device_target="CPU")
    labels = predictor.predict(scan.voxels, scan.spacing_mm)
    assert labels.shape == scan.shape
    assert np.array_equal(scan.voxels, before)
    assert np.array_equal(labels, read_volume(fold / "validation" / path.name).voxels)
    assert np.array_equal(labels, mindvoxel.predict(scan.voxels, scan.spacing_mm, fold, device_target="CPU"))
    wide = np.zeros((*scan.voxels.shape[:3], 2 * scan.shape[2]))
    wide[..., ::2] = scan.voxels
    for same in (np.asfortranarray(scan.voxels), wide[..., ::2], scan.voxels.astype(">f4"), scan.voxels.tolist()):
        assert np.array_equal(labels, predictor.predict(same, list(scan.spacing_mm)))
    for wrong, what in (
        (scan.voxels[0, 0], "D, H, W"),
        (scan.voxels[:2], "2 channels in its images, the plan has 4"),
        (np.full((4, 5, 6, 7), np.nan), "not finite"),
        (np.full((4, 5, 6, 7), 1e300), "not finite in float32"),
        (scan.voxels + 0j, "whole or real numbers, got complex"),
        ("scan.nii.gz", "whole or real numbers"),
    ):
        with pytest.raises(InputError, match=what):
            predictor.predict(wrong, scan.spacing_mm)
    with pytest.raises(InputError, match="not finite"):
        predictor.predict_volume(scan.with_voxels(np.full(scan.voxels.shape, np.inf)))
    for wrong in ((1.0, 0.0, 1.0), (1.0, 1.0), 1.0, None):
        with pytest.raises(InputError, match="three spacings above 0"):
            predictor.predict(scan.voxels, wrong)
    for folds in (0, (), (0, 0), ("1",)):
        with pytest.raises(InputError, match="folds must "):
            mindvoxel.Predictor(fold.parent, device_target="CPU", folds=folds)


def test_a_predictor_keeps_its_precision_beside_another(trained, held_out):
    scan = scan_of(sorted(held_out.iterdir())[0])
    first = mindvoxel.Predictor(trained / "3d_fullres" / "fold_1", device_target="CPU")
    (engine,), patch = first._way.engines["3d_fullres"], np.random.default_rng(0).random((4, 10, 20, 16), np.float32)
    assert engine.window == patch.shape
    before, labels = engine.logits(patch), first.predict_volume(scan).voxels
    try:
        other = mindvoxel.Predictor(trained / "3d_fullres" / "fold_1", device_target="CPU", precision="bf16")
    except InputError:
        pytest.skip("the processor has no bf16")
    assert not np.array_equal(other._way.engines["3d_fullres"][0].logits(patch), before)
    assert np.array_equal(engine.logits(patch), before)
    assert np.array_equal(first.predict_volume(scan).voxels, labels)


def test_a_run_that_is_still_trained_is_told(trained, tmp_path, monkeypatch):
    from mindvoxel.train import checkpoint

    said = []
    monkeypatch.setattr("mindvoxel.log.LOGGER.warning", lambda text, *words: said.append(text % words))
    run_folder = shutil.copytree(trained / "3d_fullres" / "fold_0", tmp_path / "run")
    mindvoxel.Predictor(run_folder, device_target="CPU")
    assert said == []
    meta, values = checkpoint.load(run_folder / "last.ckpt")
    write_again(run_folder / "last.ckpt", meta | {"state": meta["state"] | {"epoch": 0}}, values)
    mindvoxel.Predictor(run_folder, device_target="CPU")
    assert said == [f"{run_folder / 'last.ckpt'}: of 1 epochs 0 are trained"]


@pytest.mark.parametrize("name", ["3d_fullres", "2d"])
def test_openvino_agrees_with_mindspore(trained, held_out, name, capfd):
    scan = scan_of(sorted(held_out.iterdir())[0])
    run_folder, options = trained / name / "fold_1", {"tta": "full"}
    ours = mindvoxel.Predictor(run_folder, device_target="CPU", **options)
    theirs = mindvoxel.Predictor(run_folder, engine="openvino", **options)
    (one,), (other,) = ours._way.engines.values(), theirs._way.engines.values()
    patch = np.random.default_rng(1).standard_normal(one[0].window).astype(np.float32)
    expected = one[0].logits(patch)
    assert np.abs(other[0].logits(patch) - expected).max() < 1e-3 * np.abs(expected).max()
    same = ours.predict_volume(scan).voxels == theirs.predict_volume(scan).voxels
    assert same.mean() > 0.999


def test_the_benchmark_prints_nvidia_s_figures(trained, capfd):
    words = ["--model_dir", trained, "--benchmark", "--bench_steps", 3, "--bench_warmup_steps", 1, "--batch_size", 2]
    assert run(*words) == 0
    said = capfd.readouterr().out
    for name in ("throughput_predict", "latency_predict_mean", "latency_predict_90", "latency_predict_99"):
        assert len(re.findall(rf"^{name}: [\d.]+ ", said, re.MULTILINE)) == 2
    assert "2d: 2 windows of (4, 20, 16) a call" in said
