"""A V-Net's run predicts new scans as eval.py would."""

import json

import numpy as np
import pytest

from mindvoxel import config
from mindvoxel.cli import predict
from mindvoxel.volume import Volume, read_volume, write_volume


@pytest.fixture(scope="module")
def vnet_run(cpu, tmp_path_factory):
    """A folder as train.py leaves it, with weights as they were drawn."""
    from mindvoxel.train import checkpoint
    from mindvoxel.zoo import build_network

    folder = tmp_path_factory.mktemp("vnet")
    recipe = config.load_recipe("vnet", "small")
    changes = {"network.width": 2, "network.down_convs": [1], "network.up_convs": [1], "data.patch_size": [8, 16, 16]}
    recipe = config.override(recipe, changes | {"data.spacing_mm": [3.0, 2.0, 2.0], "eval.largest_component": False})
    checkpoint.save(folder / "last.ckpt", build_network("vnet", **recipe.network), {"model": "vnet", "recipe": recipe})
    (folder / "recipe.json").write_text(json.dumps({"model": "vnet", "recipe": recipe}))
    return folder


def test_the_command_gives_the_mask_of_the_evaluation(vnet_run, tmp_path, capfd):
    from mindvoxel.cli.cases import segment
    from mindvoxel.data.prepare import prepare_case
    from mindvoxel.prediction.networks import network_of
    from mindvoxel.train.predict import foreground_predictor

    rng, image = np.random.default_rng(0), tmp_path / "Case07.mha"
    scan = Volume(rng.normal(200, 40, (9, 41, 37)).astype(np.int16), (3.5, 1.1, 0.9), (4.0, -2.0, 9.0))
    write_volume(image, scan)
    network, recipe, _ = network_of(vnet_run / "last.ckpt", "vnet")
    data = recipe.data
    case = prepare_case(
        "Case07",
        image,
        spacing_mm=tuple(data.spacing_mm),
        patch_size=tuple(data.patch_size),
        centre_crop=data.centre_crop,
    )
    expected = segment(case, foreground_predictor(network), recipe).voxels
    words = [
        "--model",
        "vnet",
        "--model_dir",
        str(vnet_run),
        "--input",
        str(image),
        "--device_target",
        "CPU",
        "--output",
    ]
    assert predict.main([*words, str(tmp_path / "masks")]) == 0
    mask = read_volume(tmp_path / "masks" / "Case07.mha")
    assert (mask.spacing_mm, mask.origin_mm) == (scan.spacing_mm, scan.origin_mm)
    assert 0 < expected.mean() < 1
    assert (mask.voxels == expected).mean() > 0.9999
    assert predict.main([*words, str(tmp_path / "more"), "--save_probabilities"]) == 2
    assert "vnet gives masks alone" in capfd.readouterr().err


def test_a_scan_without_contrast_fails_by_its_name(vnet_run, tmp_path, capfd):
    write_volume(tmp_path / "flat.nii.gz", Volume(np.full((9, 20, 20), 7, np.int16), (3.0, 2.0, 2.0)))
    words = ["--device_target", "CPU", "--model_dir", str(vnet_run), "--input", str(tmp_path / "flat.nii.gz")]
    assert predict.main([*words, "--output", str(tmp_path / "masks"), "--tta", "full"]) == 1
    assert "1 of 1 cases failed (flat)" in capfd.readouterr().err
