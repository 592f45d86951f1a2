"""Bundles of every model through export.py, from weights as they were drawn: read again, and what is refused."""

import gzip
import json
import pickletools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mindvoxel import config
from mindvoxel.bundle import read_bundle
from mindvoxel.cli import export
from mindvoxel.data.dataset import Case, read_image, read_label
from mindvoxel.data.plan import plan_from_json, plan_to_json
from mindvoxel.volume import Volume, write_volume

from ..data.plans import a_configuration, a_plan

CPU = ["--device_target", "CPU"]
STAGES = {"strides": ((1,) * 3, (1, 2, 2), (2,) * 3), "kernels": ((1, 3, 3), (3,) * 3, (3,) * 3), "filters": (4, 8, 8)}
FLAT = {"strides": ((1,) * 2, (2,) * 2), "kernels": ((3,) * 2,) * 2, "filters": (4, 8)}


def the_plan():
    """Two channels, labels 0, 1 and 4, the coarsest axis first, anisotropic; a cascade."""
    way = {"normalization": ("ct", "zscore")}
    full = replace(a_configuration((3.5, 1.0, 0.9), (4, 16, 12), **way), **STAGES)
    plan = a_plan(
        axes=(2, 0, 1),
        labels={"background": 0, "organ": 1, "lesion": 4},
        channels=2,
        c2d=replace(a_configuration((1.0, 0.9), (16, 12), **way), **FLAT),
        c3d_fullres=full,
        c3d_lowres=replace(a_configuration((4.0, 2.0, 2.0), (4, 8, 16), **way), **STAGES),
    )
    cascade = replace(full, previous_stage="3d_lowres")
    return replace(plan, configurations=plan.configurations | {"3d_cascade_fullres": cascade})


def spread_norms(network) -> None:
    """Scales, shifts and statistics of norms as training would leave them: not all alike."""
    import mindspore as ms

    rng = np.random.default_rng(5)
    for parameter in network.get_parameters():
        if parameter.name.endswith(("gamma", "beta", "moving_mean", "bias")):
            near = rng.normal(float(parameter.name.endswith("gamma")), 0.3, parameter.shape)
            parameter.set_data(ms.Tensor(near.astype(np.float32)))


def checkpoint_of(folder: Path, model: str, configuration: str | None = None, change=spread_norms, **recipe) -> Path:
    """A checkpoint as train.py writes it, without any training."""
    from mindvoxel.train import checkpoint
    from mindvoxel.train.builder import seed_everything
    from mindvoxel.train.planned import network_of_plan
    from mindvoxel.zoo import build_network

    seed_everything(3)
    if configuration is None:
        small = {"network.width": 2, "network.down_convs": [1], "network.up_convs": [1], "data.patch_size": [8, 16, 16]}
        changes = small | {"data.spacing_mm": [3.0, 2.0, 2.0], "network.init": "he_normal"}
        chosen = config.override(config.load_recipe(model), changes | recipe)
        network, meta = build_network(model, **chosen.network), {}
    else:
        plan = plan_to_json(the_plan())
        chosen = config.override(config.load_recipe(model), {"network.deep_supervision": True} | recipe)
        known = plan_from_json(plan, "plan")
        network = network_of_plan(chosen, known, known.configurations[configuration])
        meta = {"plan": plan, "configuration": configuration}
    change(network)
    meta |= {"model": model, "recipe": chosen, "state": {"epoch": 7}}
    checkpoint.save(folder / "last.ckpt", network, meta)
    return folder / "last.ckpt"


def run(ckpt: Path, out: Path, *words) -> int:
    model, *flags = map(str, words)
    return export.main([*CPU, "--ckpt_file", str(ckpt), "--file_name", str(out), *flags], model=model)


def bundled(ckpt: Path, out: Path, model: str, *words):
    assert run(ckpt, out, model, "--file_format", "BUNDLE", *words) == 0
    return read_bundle(out)


MODELS = [
    ("vnet", None, ()),
    ("unet3d", "2d", ()),
    ("unet3d", "3d_fullres", ()),
    ("unet3d", "3d_lowres", ()),
    ("unetpp", "3d_fullres", ()),
    ("unetpp", "3d_fullres", ("--prune", 1)),
]


@pytest.mark.parametrize(("model", "configuration", "words"), MODELS, ids=str)
def test_a_bundle_of_every_model(cpu, tmp_path, model, configuration, words):
    ckpt = checkpoint_of(tmp_path, model, configuration)
    found = bundled(ckpt, tmp_path / "out", model, *words)
    assert sorted(path.relative_to(found.folder).as_posix() for path in found.folder.rglob("*")) == [
        "deploy.json",
        "model.mindir",
        "model.onnx",
        "reference",
        "reference/image.nii.gz",
        "reference/labels.nii.gz",
    ]
    deploy = found.deploy
    assert deploy["checkpoint"]["configuration"] == configuration
    assert (deploy["checkpoint"]["epoch"], deploy["checkpoint"]["prune"]) == (7, words[1] if words else 0)
    for name in ("model.mindir", "model.onnx"):
        assert deploy["verified"][name]["largest_difference"] < 1e-4
        assert deploy["verified"][name]["dice"] > 0.99
    assert found.label_values == ((0, 1) if model == "vnet" else (0, 1, 4))
    image = read_image(Case("reference", (found.folder / "reference" / "image.nii.gz",), None))
    labels = read_label(Case("reference", (), found.folder / "reference" / "labels.nii.gz"))
    assert (labels.shape, labels.spacing_mm, labels.origin_mm) == (image.shape, image.spacing_mm, image.origin_mm)
    assert labels.direction == pytest.approx(image.direction, abs=1e-6)  # NIfTI holds them as float32
    values = set(np.unique(labels.voxels).tolist())
    assert {0} < values <= set(found.label_values)
    assert_no_pickle(found.folder)


def assert_no_pickle(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            data = path.read_bytes()
            for stream in (data, gzip.decompress(data) if path.suffix == ".gz" else b"?"):
                with pytest.raises(ValueError):
                    list(pickletools.genops(stream))


def test_what_deploy_json_says_beside_the_way_of_a_scan(cpu, tmp_path):
    """The rest is in test_bundle.py, by hand."""
    import mindspore as ms

    import mindvoxel

    best = {"version": 1, "configurations": ["2d"], "folds": [0], "postprocessing": [[1, 4], [1]]}
    (tmp_path / "best.json").write_text(json.dumps(best))
    dataset = {"name": "made", "channels": ["CT", "MRI"], "labels": {"background": 0, "organ": 1, "lesion": 4}}
    dataset |= {"cases": [], "test_cases": [], "regions": {}, "spacing_mm": [2.0, 0.5, 0.5]}
    (tmp_path / "dataset.json").write_text(json.dumps(dataset))
    ckpt = checkpoint_of(tmp_path, "unet3d", "2d", **{"eval.tta": "none", "eval.nsd_tolerance_mm": 3.0})
    words = ("--postprocessing", tmp_path / "best.json", "--no_verify")
    deploy = bundled(ckpt, tmp_path / "out", "unet3d", *words).deploy
    assert deploy["version"] == 1
    assert deploy["model"] == "unet3d"
    assert deploy["made_with"] == {"mindvoxel": mindvoxel.__version__, "mindspore": ms.__version__}
    assert len(deploy["checkpoint"]["sha256"]) == 64
    assert deploy["network"]["input_shape"] == [1, 2, 16, 12]
    assert deploy["network"]["output_shape"] == [1, 3, 16, 12]
    assert deploy["default_spacing_mm"] == [2.0, 0.5, 0.5]
    assert deploy["postprocessing"]["keep_largest"] == [[1, 4], [1]]
    assert not deploy["sliding"]["validated_with_tta"]
    assert deploy["nsd_tolerance_mm"] == 3.0
    assert deploy["verified"] == {}
    assert deploy["reference"] == {"made": True, "tta": False}


@pytest.mark.parametrize(("model", "configuration"), [("vnet", None), ("unet3d", "2d")])
def test_half_precision(cpu, tmp_path, model, configuration):
    ckpt = checkpoint_of(tmp_path, model, configuration)
    deploy = bundled(ckpt, tmp_path / "out", model, "--precision", "f16").deploy
    assert deploy["network"]["precision"] == "f16"
    assert 1e-5 < deploy["verified"]["model.mindir"]["largest_difference"] < 1e-2


def overflow(network) -> None:
    import mindspore as ms

    for parameter in network.get_parameters():
        if parameter.name == "downs.0.0.conv.weight":  # the norm after it divides by what this multiplies
            parameter.set_data(ms.Tensor(1e7 * parameter.asnumpy()))


def test_half_precision_that_overflows_is_not_kept(cpu, tmp_path, capfd):
    ckpt = checkpoint_of(tmp_path, "unet3d", "2d", change=overflow)
    out = tmp_path / "out"
    out.mkdir()
    words = ("unet3d", "--file_format", "BUNDLE")
    assert run(ckpt, out / "net", *words, "--precision", "f16") == 1
    assert "not finite by mindspore" in capfd.readouterr().err
    assert not list(out.iterdir())


def test_a_half_precision_file_takes_its_batch(cpu, tmp_path, capfd):
    ckpt = checkpoint_of(tmp_path, "unet3d", "2d")
    words = ("unet3d", "--file_format", "ONNX", "--precision", "f16", "--batch_size", 3)
    assert run(ckpt, tmp_path / "net", *words) == 0
    said = capfd.readouterr().out
    assert "input (3, 2, 16, 12) float32" in said and "Dice" in said


def test_a_scan_of_one_s_own(cpu, tmp_path, capfd):
    """Two channel files of 7×21×18 voxels in many windows, of which four are compared."""
    rng, files = np.random.default_rng(1), []
    grid = {"spacing_mm": (1.4, 1.1, 1.0), "origin_mm": (3.0, 2.0, 1.0)}
    for number in range(2):
        files.append(tmp_path / f"scan_{number:04d}.mha")
        write_volume(files[-1], Volume(rng.normal(40, 20, (7, 21, 18)).astype(np.float32), **grid))
    ckpt = checkpoint_of(tmp_path, "unet3d", "2d")
    found = bundled(ckpt, tmp_path / "out", "unet3d", "--reference_case", *files)
    assert found.deploy["reference"] == {"made": False, "tta": False}
    image = read_image(Case("reference", (found.folder / "reference" / "image.nii.gz",), None))
    scan = read_image(Case("scan", tuple(files), None))
    assert np.array_equal(image.voxels, scan.voxels)
    assert image.spacing_mm == pytest.approx(scan.spacing_mm)
    assert "inputs compared: 4" in capfd.readouterr().out
    words = ("unet3d", "--file_format", "BUNDLE", "--reference_case", files[0])
    assert run(ckpt, tmp_path / "one", *words) == 2
    assert "1 channels, the network takes 2; name that many" in capfd.readouterr().err
    assert not (tmp_path / "one").exists()


def background_alone(network) -> None:
    import mindspore as ms

    for parameter in network.get_parameters():
        if parameter.name == "heads.0.bias":
            parameter.set_data(ms.Tensor(np.array([1e3, 0, 0], np.float32)))


def test_a_reference_without_foreground_is_told(cpu, tmp_path, capfd):
    ckpt = checkpoint_of(tmp_path, "unet3d", "2d", change=background_alone)
    bundled(ckpt, tmp_path / "out", "unet3d", "--no_verify")
    assert "hold the background alone" in capfd.readouterr().out


def test_what_is_refused(cpu, tmp_path, capfd):
    def refused(*words, out: Path = tmp_path / "out") -> str:
        assert run(ckpt, out, "unet3d", *words) == 2
        assert not (tmp_path / "out").exists()
        return capfd.readouterr().err

    ckpt = checkpoint_of(tmp_path, "unet3d", "3d_cascade_fullres")
    alone = "takes the prediction of 3d_lowres as input, so it has no bundle and no f16"
    assert alone in refused("--file_format", "BUNDLE")
    assert alone in refused("--file_format", "ONNX", "--precision", "f16")
    ckpt = checkpoint_of(tmp_path, "unet3d", "2d")
    words = ("--file_format", "BUNDLE", "--postprocessing", tmp_path / "best.json")
    for strange in (2, 0, 4.0, True):  # 0 is the background; what is no whole number the C++ program refuses
        best = {"version": 1, "configurations": ["2d"], "folds": [0], "postprocessing": [[1, strange]]}
        (tmp_path / "best.json").write_text(json.dumps(best))
        assert f"its postprocessing names label {strange!r}, the network's foreground is 1, 4" in refused(*words)
    (tmp_path / "best.json").write_text("[]")
    assert "a JSON object" in refused(*words)
    taken = tmp_path / "taken"
    taken.mkdir()
    (taken / "file").touch()
    assert "exists and is not an empty folder" in refused("--file_format", "BUNDLE", out=taken)
    assert [path.name for path in taken.iterdir()] == ["file"]
