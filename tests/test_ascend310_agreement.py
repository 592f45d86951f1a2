"""The C++ program and Python find the same labels on real scans: 99.9 % of the voxels, and the geometry exactly."""

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from scipy import ndimage

from mindvoxel.cli import export, predict, preprocess
from mindvoxel.data.plan import read_plan, write_plan
from mindvoxel.data.planning.changes import change_plan
from mindvoxel.ops.norm import is_usable

from .conftest import SHARED
from .seeded_runs import planned_run, vnet_run
from .unet3d.conftest import write_folder

LEAST_SHARE = 0.999  # of the voxels, that have the same label


@pytest.fixture(scope="module")
def scans(tmp_path_factory) -> Path:
    """Folders of real scans: prostate, hippocampus (5 cases), spleen."""
    if not SHARED.is_dir():
        pytest.skip(f"{SHARED} is absent: real scans are needed")
    root = tmp_path_factory.mktemp("scans")
    (root / "prostate").symlink_to(SHARED / "prostate_t2")
    write_msd(root / "hippocampus", sorted((SHARED / "Task04_Hippocampus" / "imagesTr").glob("*.nii.gz"))[:5], "MRI")
    write_msd(root / "spleen", [SHARED / "ct_spleen" / "image.nii.gz"], "CT")
    return root


def write_msd(root: Path, images: list[Path], modality: str) -> None:
    """An MSD folder of these images and the labels beside them."""
    training = []
    for sub in ("imagesTr", "labelsTr"):
        (root / sub).mkdir(parents=True)
    for image in images:
        label = image.parent / "label.nii.gz"
        label = label if label.exists() else image.parents[1] / "labelsTr" / image.name
        for path, sub in ((image, "imagesTr"), (label, "labelsTr")):
            (root / sub / image.name).symlink_to(path)
        training.append({"image": f"./imagesTr/{image.name}", "label": f"./labelsTr/{image.name}"})
    labels = {"0": "background", "1": "one", "2": "two"} if len(images) > 1 else {"0": "background", "1": "one"}
    meta = {"name": root.name, "modality": {"0": modality}, "labels": labels, "training": training, "test": []}
    (root / "dataset.json").write_text(json.dumps(meta))


def planned(source: Path, folder: Path, *flags: str, **changes) -> Path:
    """What mindvoxel preprocess --plan_only writes, its 3d_fullres changed."""
    words = ["--data", str(source), "--output", str(folder), "--plan_only", "--workers", "0", *flags]
    assert preprocess.main(words) == 0
    if changes:
        write_plan(folder / "plan.json", change_plan(read_plan(folder / "plan.json"), "3d_fullres", **changes))
    return folder


def bundle_of(run: Path, prune: int = 0, postprocessing: Path | None = None) -> Path:
    """The run's bundle, made once and not verified: that it agrees is looked at here."""
    model = json.loads((run / "recipe.json").read_text())["model"]
    folder = run.with_name(f"{run.name}_{prune}.bundle")
    words = ["--model", model, "--ckpt_file", run / "last.ckpt", "--file_format", "BUNDLE", "--file_name", folder]
    words += ["--prune", prune, "--no_verify", "--device_target", "CPU"]
    words += ["--postprocessing", postprocessing] if postprocessing else []
    if not folder.exists():
        assert export.main(list(map(str, words))) == 0
    return folder


def check_agreement(by_python: Path, by_program: Path, labels: set[int]) -> None:
    """Every mask of one folder against that of the other; both hold several labels, of `labels` alone."""
    names = sorted(path.name for path in by_python.iterdir() if path.suffix != ".json")
    assert names == sorted(path.name for path in by_program.iterdir() if path.suffix != ".json")
    for name in names:
        ours, theirs = (sitk.ReadImage(str(folder / name)) for folder in (by_python, by_program))
        for key in ("GetSize", "GetSpacing", "GetOrigin", "GetDirection", "GetPixelID"):
            assert getattr(ours, key)() == getattr(theirs, key)(), (name, key)
        a, b = sitk.GetArrayViewFromImage(ours), sitk.GetArrayViewFromImage(theirs)
        values, counts = np.unique(a, return_counts=True)
        assert set(values) <= labels and (counts > 0.01 * a.size).sum() > 1, (name, values, counts)
        assert (a == b).mean() >= LEAST_SHARE, (name, (a == b).mean())


def check_convolutions(folder: Path, by_mindvoxel: str) -> None:
    """By report.json the program's convolutions were this project's, as many as that, where the processor can."""
    engine = json.loads((folder / "report.json").read_text())["engine"]
    assert (f"; {by_mindvoxel} by MindVoxel, " if is_usable() else "; convolutions by OpenVINO: ") in engine


@pytest.fixture
def compare(cpu, harness, tmp_path):
    """compare(run, bundle, source, labels): both sides segment; gives the program's folder.  mirrored: with --tta."""

    def both(
        run: Path, bundle: Path, source: Path, labels: set[int], *, prune: int = 0, mirrored: bool = False
    ) -> Path:
        outputs = [tmp_path / f"{side}_{source.name}_{prune}_{mirrored}" for side in ("python", "program")]
        words = ["--model_dir", run, "--input", source, "--output", outputs[0], "--device_target", "CPU"]
        words += ["--prune", prune, "--tta", "full" if mirrored else "none"]
        assert predict.main(list(map(str, words))) == 0
        words = [harness / "infer", "--bundle", bundle, "--input", source, "--output", outputs[1], "--device", "cpu"]
        words += ["--tta"] if mirrored else []
        done = subprocess.run(list(map(str, words)), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        check_agreement(*outputs, labels)
        return outputs[1]

    return both


def test_prostate_by_v_net(compare, scans, tmp_path):
    """Two oblique scans: resampled, windows, the probability back on the scan's grid, the largest component."""
    changes = {"network__width": 16, "network__down_convs": [1], "network__up_convs": [1]}
    run = vnet_run(tmp_path / "vnet", **changes, data__patch_size=[8, 48, 48])
    found = compare(run, bundle_of(run), scans / "prostate" / "img", {0, 1})
    check_convolutions(found, "7 of 7 convolutions (5 blocked) and 6 normalisations")


def test_prostate_by_a_u_net(compare, scans, tmp_path):
    """By a plan made from the two scans, on a coarser grid with a smaller patch."""
    plan = planned(scans / "prostate", tmp_path / "plan", patch_size=(8, 32, 32), spacing_mm=(4.0, 2.6, 2.4))
    run = planned_run(tmp_path / "unet3d", "unet3d", plan, "3d_fullres", first_filters=4)
    compare(run, bundle_of(run), scans / "prostate" / "img", {0, 1})


def test_spleen_by_a_u_net(compare, scans, tmp_path):
    """A CT, clipped by its foreground's percentiles; its slices of 5 mm are resampled apart."""
    plan = planned(scans / "spleen", tmp_path / "plan", patch_size=(8, 32, 32), spacing_mm=(8.0, 2.2, 2.0))
    run = planned_run(tmp_path / "unet3d", "unet3d", plan, "3d_fullres", first_filters=4)
    compare(run, bundle_of(run), scans / "spleen" / "imagesTr", {0, 1})


@pytest.mark.parametrize(("configuration", "filters"), [("2d", 4), ("3d_fullres", 16)])
def test_hippocampus_by_a_u_net(compare, scans, tmp_path, configuration, filters):
    """Five scans by the plan as it is; one also with mirrors."""
    plan = planned(scans / "hippocampus", tmp_path / "plan")
    run = planned_run(tmp_path / configuration, "unet3d", plan, configuration, first_filters=filters)
    folder = scans / "hippocampus" / "imagesTr"
    found = compare(run, bundle_of(run), folder, {0, 1, 2})
    if filters == 16:
        check_convolutions(found, "18 of 18 convolutions (17 blocked) and 14 normalisations")
    compare(run, bundle_of(run), min(folder.iterdir()), {0, 1, 2}, mirrored=True)


@pytest.mark.parametrize("planner", ["nnunet_v1", "nvidia"])
def test_hippocampus_by_the_rules_of_others(compare, scans, tmp_path, planner):
    """Probabilities in the place of logits; fixed steps, positive voxels, sizes rounded down."""
    plan = planned(scans / "hippocampus", tmp_path / "plan", "--planner", planner)
    run = planned_run(tmp_path / "run", "unet3d", plan, "3d_fullres", first_filters=4)
    compare(run, bundle_of(run), min((scans / "hippocampus" / "imagesTr").iterdir()), {0, 1, 2})


def test_hippocampus_by_unet_plus_plus_at_each_level(compare, scans, tmp_path):
    plan = planned(scans / "hippocampus", tmp_path / "plan", patch_size=(16, 16, 16))
    run = planned_run(tmp_path / "unetpp", "unetpp", plan, "3d_fullres", first_filters=4)
    depth = len(read_plan(plan / "plan.json").configurations["3d_fullres"].filters) - 1
    assert depth == 2
    for level in range(1, depth + 1):
        scan = min((scans / "hippocampus" / "imagesTr").iterdir())
        compare(run, bundle_of(run, level), scan, {0, 1, 2}, prune=level)


def test_channels_label_values_and_the_largest_component(compare, tmp_path):
    """Four channels in a 4-D file, or in files of their own; labels 0, 1 and 4; the foreground's largest component."""
    plan = planned(write_folder(tmp_path / "Task99_Made"), tmp_path / "plan")
    root = tmp_path / "out"
    run = planned_run(root / "3d_fullres" / "fold_0", "unet3d", plan, "3d_fullres", first_filters=4)
    best = {"version": 1, "configurations": ["3d_fullres"], "folds": [0], "postprocessing": [[1, 4], [4]]}
    (root / "best.json").write_text(json.dumps(best))
    joined, apart = tmp_path / "Task99_Made" / "imagesTr", tmp_path / "apart"
    apart.mkdir()
    for path in joined.iterdir():
        image = sitk.ReadImage(str(path))
        for number in range(image.GetSize()[3]):
            sitk.WriteImage(image[:, :, :, number], str(apart / f"{path.name.split('.')[0]}_{number:04d}.nii.gz"))
    bundle = bundle_of(run, postprocessing=root / "best.json")
    for source in (joined, apart):
        for mask in compare(root, bundle, source, {0, 1, 4}).glob("*.nii.gz"):
            labels = sitk.GetArrayFromImage(sitk.ReadImage(str(mask)))
            for group in best["postprocessing"]:
                assert ndimage.label(np.isin(labels, group), np.ones((3, 3, 3)))[1] == 1
