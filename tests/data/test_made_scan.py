"""Made scans: for every plan two windows along one axis, and all that a wrong program would stumble over."""

from dataclasses import replace

import numpy as np
import pytest

from mindvoxel.data.made_scan import scan_for_plan, scan_for_vnet
from mindvoxel.data.prepare import prepare_volume
from mindvoxel.data.preprocess import anisotropic_axis, preprocess_volume
from mindvoxel.inference import Member, Sliding, sliding_of
from mindvoxel.volume import read_volume, write_volume

from .plans import a_configuration, a_plan

PLANS = {
    "isotropic": ((1.0, 1.0, 1.0), (16, 24, 40), {}),
    "odd": ((0.9, 0.71, 0.53), (5, 7, 9), {"normalization": ("zscore_mask",)}),
    "three times, not apart": ((3.0, 1.0, 1.0), (4, 8, 8), {}),
    "three times, apart": ((3.0, 1.0, 1.0), (4, 8, 8), {"anisotropy": "from_3", "rounding": "floor"}),
    "anisotropic": ((3.1, 1.0, 1.0), (4, 8, 8), {"order": "resample_normalize"}),
    "two coarse axes": ((4.0, 4.0, 1.0), (4, 8, 8), {}),
    "nvidia": ((2.0, 1.0, 1.0), (6, 12, 10), {"crop": "positive", "anisotropy": "from_3", "rounding": "floor"}),
    "nothing resampled": (None, (6, 12, 10), {}),
    "one voxel": ((1.0, 1.0, 1.0), (1, 1, 2), {}),
    "colour": ((1.0, 1.0, 1.0), (8, 8, 8), {"normalization": ("rgb",)}),
    "flat": ((1.0, 0.6), (16, 20), {}),
}


@pytest.mark.parametrize("name", PLANS)
@pytest.mark.parametrize("planner", ["nnunet_v2", "nvidia"])
@pytest.mark.parametrize("axes", [(0, 1, 2), (2, 0, 1)])
def test_a_scan_for_a_plan(name, planner, axes, tmp_path):
    spacing_mm, patch, way = PLANS[name]
    plan = replace(a_plan(axes=axes, c3d=a_configuration(spacing_mm, patch, **way)), planner=planner)
    sliding = sliding_of(plan, "3d")
    scan = scan_for_plan(plan, "3d", sliding.overlap)
    write_volume(tmp_path / "scan.nii.gz", scan.with_voxels(scan.voxels[0]))  # its geometry is the file's from here on
    read = read_volume(tmp_path / "scan.nii.gz")
    case = preprocess_volume(read.with_voxels(read.voxels[None]), plan, "3d", "made")
    grid = case.grid
    member = Member(case.image, grid, [None], sliding)
    assert member.num_windows() == (2 if len(patch) == 3 else 4)
    assert all(before > 0 for before in grid.crop.start)
    assert all(n < full for n, full in zip(grid.crop.shape, grid.crop.full, strict=True))
    direction = np.array(read.direction).reshape(3, 3)
    assert np.abs(direction).max() < 0.999
    assert np.allclose(direction @ direction.T, np.eye(3), atol=1e-6)
    assert np.linalg.det(direction) > 0
    assert all(read.origin_mm)
    assert np.ptp(case.image) > 0.5
    if spacing_mm is not None and len(spacing_mm) == 3:
        scan_mm = tuple(grid.source_spacing_mm[axis] for axis in axes)
        assert all(abs(old - new) > 0.1 * new for old, new in zip(scan_mm, grid.spacing_mm, strict=True))
        rule = way.get("anisotropy", "above_3")
        assert anisotropic_axis(scan_mm, grid.spacing_mm, rule) == anisotropic_axis(spacing_mm, spacing_mm, rule)


def test_channels_differ_and_a_scan_is_the_same_each_time():
    plan = a_plan(channels=2, c3d=a_configuration((1.0, 1.0, 1.0), (8, 8, 8), normalization=("ct", "zscore")))
    scans = [scan_for_plan(plan, "3d", 0.5) for _ in range(2)]
    assert np.array_equal(scans[0].voxels, scans[1].voxels)
    assert np.corrcoef(scans[0].voxels[0].ravel(), scans[0].voxels[1].ravel())[0, 1] < 0.9
    assert scans[0].voxels.min() < 0.0 and scans[0].voxels.max() > 80.0  # beyond the plan's percentiles, which clip


@pytest.mark.parametrize("cover", [True, False])
def test_a_scan_for_v_net(cover):
    spacing_mm, window = (1.5, 1.0, 1.0), (16, 24, 8)
    scan = scan_for_vnet(spacing_mm, window, 0.5, cover=cover)
    case = prepare_volume("made", scan, spacing_mm=spacing_mm, patch_size=window, centre_crop=not cover)
    assert len(Sliding(window).boxes(case.image.shape)) == (2 if cover else 1)  # a centre crop is one window
    assert case.crop.full[0] > window[0]
    assert scan.spacing_mm != spacing_mm
    assert (scan.voxels[0] == 0).all()
