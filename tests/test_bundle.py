"""deploy.json as it is written by hand, and what a reader says of a bundle that is not as it was exported."""

import json
from dataclasses import replace

import pytest

from mindvoxel import bundle, config
from mindvoxel.errors import InputError

from .data.plans import a_configuration, a_plan


def test_what_it_says_of_a_plan():
    chosen = a_configuration((3.0, 1.0, 1.0), (4, 8, 8), normalization=("ct", "zscore"))
    labels = {"lesion": 4, "background": 0, "organ": 1}
    plan = a_plan(axes=(2, 0, 1), labels=labels, channels=2, c3d_lowres=chosen)
    assert bundle.planned_part(plan, "3d_lowres", ((1, 4), (4,)), validated_with_tta=True) == {
        "channels": ["channel 0", "channel 1"],
        "classes": [
            {"value": 0, "name": "background"},
            {"value": 1, "name": "organ"},
            {"value": 4, "name": "lesion"},
        ],
        "preprocessing": {
            "way": "planned",
            "axes": [2, 0, 1],
            "crop": "nonzero",
            "order": "normalize_resample",
            "normalization": [
                {"scheme": "ct", "low": 0.0, "high": 80.0, "mean": 40.0, "sd": 10.0},
                {"scheme": "zscore"},
            ],
            "spacing_mm": [3.0, 1.0, 1.0],
            "rounding": "round",
            "anisotropy": "above_3",
            "image_interpolation": "cubic",
            "logits_interpolation": "linear",
        },
        "sliding": {
            "window": [4, 8, 8],
            "overlap": 0.5,
            "spread": True,
            "blend": "nnunet",
            "average": "logits",
            "pad_value": 0.0,
            "tta_axes": [0, 1, 2],
            "validated_with_tta": True,
        },
        "postprocessing": {"keep_largest": [[1, 4], [4]], "neighbours": 26},
    }


def test_what_it_says_of_other_planners_and_of_slices():
    flat = a_configuration((1.0, 0.5), (8, 12), crop="positive", anisotropy="from_3", rounding="floor", pad=True)
    plan = replace(a_plan(c2d=flat), planner="nvidia")
    part = bundle.planned_part(plan, "2d", (), validated_with_tta=False)
    sliding = {"window": [8, 12], "overlap": 0.25, "spread": False, "blend": "constant", "average": "logits"}
    assert part["sliding"] == sliding | {"pad_value": 0.0, "tta_axes": [0, 1], "validated_with_tta": False}
    assert part["preprocessing"]["spacing_mm"] == [1.0, 0.5]
    assert part["preprocessing"]["crop"] == "positive"
    assert part["postprocessing"] == {"keep_largest": [], "neighbours": 26}
    plan = replace(a_plan(c3d=a_configuration(None)), planner="nnunet_v1")
    part = bundle.planned_part(plan, "3d", (), validated_with_tta=False)
    assert part["sliding"]["average"] == "probabilities"
    assert part["preprocessing"]["spacing_mm"] is None


def test_what_it_says_of_v_net():
    recipe = config.load_recipe("vnet")
    assert bundle.scan_part(recipe.data, recipe.eval) == {
        "channels": ["MRI"],
        "classes": [{"value": 0, "name": "background"}, {"value": 1, "name": "prostate"}],
        "preprocessing": {
            "way": "scan",
            "spacing_mm": [1.5, 1.0, 1.0],
            "min_shape": [64, 128, 128],
            "centre_crop": False,
            "image_interpolation": "linear",
            "restore_order": "linear",
        },
        "sliding": {
            "window": [64, 128, 128],
            "overlap": 0.5,
            "spread": True,
            "blend": "gaussian",
            "average": "foreground",
            "pad_value": 0.0,
            "tta_axes": [0, 1, 2],
            "validated_with_tta": False,
        },
        "postprocessing": {"keep_largest": [[1]], "neighbours": 6},
    }
    changes = {"eval.mirror_axes": (2,), "eval.largest_component": False, "data.centre_crop": True}
    other = config.override(recipe, changes | {"eval.restore_order": "nearest", "eval.blend": "constant"})
    part = bundle.scan_part(other.data, other.eval)
    assert (part["sliding"]["tta_axes"], part["sliding"]["validated_with_tta"]) == ([2], True)
    assert part["sliding"]["blend"] == "constant"
    assert part["preprocessing"]["centre_crop"] and part["preprocessing"]["restore_order"] == "nearest"
    assert part["postprocessing"]["keep_largest"] == []


def test_what_it_says_of_a_classifier():
    recipe = config.load_recipe("resnet50")
    assert bundle.photo_part(recipe.data, ["n02", "n01"]) == {
        "channels": ["red", "green", "blue"],
        "classes": [{"value": 0, "name": "n02"}, {"value": 1, "name": "n01"}],
        "preprocessing": {
            "way": "photo",
            "short_side": 256,
            "size": 224,
            "mean": [123.68, 116.78, 103.94],
            "sd": [1.0, 1.0, 1.0],
        },
    }


def test_what_it_says_of_tensors():
    part = bundle.network_part((2, 16, 20), (3, 16, 20), "f16")
    assert part == {
        "input": "image",
        "output": "logits",
        "input_shape": [1, 2, 16, 20],
        "output_shape": [1, 3, 16, 20],
        "layout": "NCHW",
        "precision": "f16",
    }
    assert bundle.network_part((1, 4, 8, 8), (2, 4, 8, 8), "f32")["layout"] == "NCDHW"
    assert bundle.network_part((3, 8, 8), (5,), "f32")["output_shape"] == [1, 5]


@pytest.fixture
def made(tmp_path):
    """A bundle whose files are a few bytes."""
    (tmp_path / "reference").mkdir()
    for name in bundle.FILES:
        (tmp_path / name).write_bytes(name.encode())
    part = bundle.planned_part(a_plan(c3d=a_configuration()), "3d", (), validated_with_tta=True)
    bundle.write_deploy(tmp_path, {"model": "unet3d", "nsd_tolerance_mm": 3} | part)
    return tmp_path


def test_read_again(made):
    found = bundle.read_bundle(made)
    assert (found.folder, found.model, found.channels) == (made, "unet3d", ("channel 0",))
    assert found.labels == {"background": 0, "organ": 1, "lesion": 2}
    assert found.label_values == (0, 1, 2)
    assert found.validated_with_tta
    assert (found.way, found.nsd_tolerance_mm) == ("planned", 3.0)
    files = found.deploy["files"]
    assert list(files) == list(bundle.FILES)
    # printf model.onnx | sha256sum
    sha256 = "d7c4b743081e6ccdf263598ab3a94f5df38c9f2aec014973c0806819d7762f26"
    assert files["model.onnx"] == {"bytes": 10, "sha256": sha256}
    (made / "notes.txt").write_text("what is not listed is nobody's business")
    bundle.read_bundle(made)


def test_a_classifier_s_is_read_again(tmp_path):
    """It has other reference files, no windows, and no surface distance."""
    (tmp_path / "reference").mkdir()
    for name in bundle.PHOTO_FILES:
        (tmp_path / name).write_bytes(name.encode())
    part = bundle.photo_part(config.load_recipe("resnet50").data, ["n02", "n01"])
    bundle.write_deploy(tmp_path, {"model": "resnet50"} | part)
    found = bundle.read_bundle(tmp_path)
    assert (found.way, found.labels, found.channels) == ("photo", {"n02": 0, "n01": 1}, ("red", "green", "blue"))
    assert (found.validated_with_tta, found.nsd_tolerance_mm) == (False, None)
    (tmp_path / bundle.PREDICTIONS).unlink()
    assert f"{tmp_path / bundle.PREDICTIONS}: no such file, which deploy.json lists" in refused(tmp_path)


def refused(folder) -> str:
    with pytest.raises(InputError) as caught:
        bundle.read_bundle(folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("name", bundle.FILES)
def test_a_changed_byte_or_a_missing_file(made, name):
    path = made / name
    whole = path.read_bytes()
    path.write_bytes(bytes([whole[0] ^ 1]) + whole[1:])
    assert f"{path}: changed since it was exported, its SHA-256 is not deploy.json's; copy" in refused(made)
    path.write_bytes(whole[:-1])
    assert f"{path}: {len(whole) - 1} bytes, and deploy.json says {len(whole)}; copy" in refused(made)
    path.unlink()
    assert f"{path}: no such file, which deploy.json lists; copy" in refused(made)


def test_a_folder_that_is_no_bundle(tmp_path):
    assert f"{tmp_path / 'deploy.json'}: no such file; name a folder that export.py" in refused(tmp_path)
    (tmp_path / "deploy.json").write_bytes(b"\x80\x04K\x01.")
    assert "not JSON in UTF-8" in refused(tmp_path)


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("version", 2, "version 2, and this program reads version 1; update mindvoxel, or export"),
        ("version", None, "version None"),
        ("files", [], "files is [], where an object is needed"),
        ("files", {}, "files says nothing usable of 'model.mindir'"),
        ("model", 3, "model is 3, where a text is needed"),
        ("channels", "MRI", "channels is 'MRI', where a list is needed"),
        ("classes", [{"value": 0, "name": "background"}], "classes must be two or more"),
        ("classes", [{"value": 0, "name": "a"}, {"value": "1", "name": "b"}], "each with a value and a name"),
        ("classes", [{"value": 0, "name": "a"}, {"value": 1, "name": "a"}], "a name of its own"),
        ("classes", [{"value": 0, "name": "a"}, {"value": 0, "name": "b"}], "a name of its own"),
        ("classes", [{"value": 0, "name": "a"}, {"value": 32768, "name": "b"}], "a name of its own"),
        ("classes", [0, 1], "a name of its own"),
        ("preprocessing", {"way": None}, "way is None, where a text is needed"),
        ("nsd_tolerance_mm", "2", "nsd_tolerance_mm is '2', where a number is needed"),
        ("nsd_tolerance_mm", True, "nsd_tolerance_mm is True, where a number is needed"),
        ("sliding", {"validated_with_tta": 1}, "validated_with_tta is 1, where true or false is needed"),
        ("sliding", {}, "validated_with_tta is missing, where true or false is needed"),
    ],
)
def test_a_deploy_json_of_another_kind(made, key, value, said):
    deploy = json.loads((made / "deploy.json").read_text())
    (made / "deploy.json").write_text(json.dumps(deploy | {key: value}))
    assert said in refused(made)


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd"])
def test_a_file_outside_the_folder_is_not_looked_at(made, name):
    deploy = json.loads((made / "deploy.json").read_text())
    deploy["files"][name] = {"bytes": 1, "sha256": "0"}
    (made / "deploy.json").write_text(json.dumps(deploy))
    assert f"files says nothing usable of {name!r}" in refused(made)
