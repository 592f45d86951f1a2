"""Real scans, read, preprocessed, predicted and written back."""

import numpy as np
import pytest

from mindvoxel.config import load_recipe, override
from mindvoxel.data.prepare import prepare_case
from mindvoxel.datasets.promise12 import list_cases
from mindvoxel.volume import check_same_grid, read_volume, write_volume

PUBLISHED = {"spacing_mm": (1.5, 1.0, 1.0), "patch_size": (64, 128, 128)}


@pytest.mark.parametrize("centre_crop", [True, False])
def test_the_gland_survives_the_way_there_and_back(prostate_t2, tmp_path, centre_crop):
    for paths in list_cases(prostate_t2):
        case = prepare_case(paths.case, paths.image, paths.label, centre_crop=centre_crop, **PUBLISHED)
        mask = case.restore(case.label, "linear").voxels >= 0.5
        truth = case.truth.voxels
        assert 2 * (mask & truth).sum() / (mask.sum() + truth.sum()) > 0.98
        write_volume(tmp_path / f"{paths.case}.mha", case.source.with_voxels(mask))
        back = read_volume(tmp_path / f"{paths.case}.mha")
        check_same_grid(read_volume(paths.image), back, ("scan", "mask"), tolerance_mm=1e-6)
        assert np.array_equal(back.voxels > 0, mask)


def test_a_network_segments_real_scans_in_their_own_geometry(cpu, prostate_t2, tmp_path):
    from mindvoxel.cli.cases import segment
    from mindvoxel.train.predict import foreground_predictor
    from mindvoxel.zoo import build_network

    recipe = override(load_recipe("vnet", "small"), {"network.width": 2, "data.patch_size": (16, 32, 32)})
    network = build_network("vnet", **recipe.network)
    predict = foreground_predictor(network)
    paths = list_cases(prostate_t2)[0]
    case = prepare_case(
        paths.case,
        paths.image,
        spacing_mm=tuple(recipe.data.spacing_mm),
        patch_size=tuple(recipe.data.patch_size),
        centre_crop=False,
    )
    mask = segment(case, predict, recipe)
    write_volume(tmp_path / "mask.mha", mask)
    back = read_volume(tmp_path / "mask.mha")
    assert back.voxels.shape == read_volume(paths.image).voxels.shape
    check_same_grid(read_volume(paths.image), back, ("scan", "mask"), tolerance_mm=1e-6)
    assert set(np.unique(back.voxels)) <= {0, 1}
    # the batch norm of a network that predicts must not have moved
    assert not network.training
