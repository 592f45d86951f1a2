"""run_infer_310.sh on the CPU: its tables are those of eval.py on the same cases."""

from pathlib import Path

import pytest
import SimpleITK as sitk

from mindvoxel.cli import eval as evaluation
from mindvoxel.cli import preprocess
from mindvoxel.metrics.report import read_rows

from .seeded_runs import planned_run, vnet_run
from .test_ascend310_agreement import bundle_of
from .test_scripts import ROOT, bash
from .unet3d.conftest import write_folder

SCRIPT = ROOT / "scripts" / "run_infer_310.sh"
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def environment(harness) -> dict:
    import openvino

    return {"BUILD_DIR": harness, "OPENVINO_DIR": Path(openvino.__file__).parent}


def evaluated(run: Path, model: str, folder: Path, *flags) -> None:
    words = ["--model", model, "--ckpt_path", run / "last.ckpt", "--device_target", "CPU", "--output_path", folder]
    assert evaluation.main(list(map(str, [*words, *flags]))) == 0


def check_tables(ours: Path, theirs: Path, masks: dict[str, tuple[str, str]]) -> None:
    """Rows are of the same cases and labels in the same order, and equal where the masks are."""
    rows = [read_rows(folder / "metrics.csv") for folder in (ours, theirs)]
    assert [(row["case"], row["label"]) for row in rows[0]] == [(row["case"], row["label"]) for row in rows[1]]
    equal = set()
    for case, names in masks.items():
        voxels = [
            sitk.GetArrayFromImage(sitk.ReadImage(str(folder / name)))
            for folder, name in zip((ours, theirs), names, strict=True)
        ]
        assert (voxels[0] == voxels[1]).mean() >= 0.999
        if (voxels[0] == voxels[1]).all():
            equal.add(case)
    assert equal, "no case has equal masks, so that nothing is compared"
    for one, other in zip(*rows, strict=True):
        if one["case"] in equal:
            assert list(map(str, one.values())) == list(map(str, other.values()))


def test_v_net(environment, phantom, tmp_path):
    (tmp_path / "val.csv").write_text("Case04.mhd\nCase01.mhd\n")
    network = {"network__width": 2, "network__down_convs": [1, 1], "network__up_convs": [1, 1]}
    data = {"data__patch_size": [8, 16, 16], "data__spacing_mm": [6.0, 4.0, 4.0], "eval__largest_component": False}
    data["eval__nsd_tolerance_mm"] = 1.0  # not the default
    run = vnet_run(tmp_path / "run", **data, **network)
    evaluated(run, "vnet", tmp_path / "eval", "--data_path", phantom, "--eval_split_file_path", tmp_path / "val.csv")
    words = (bundle_of(run) / "model.mindir", phantom, "val.csv", 0, "--threads", 2)
    done = bash(SCRIPT, *words, cwd=tmp_path, OUTPUT="out", **environment)
    assert done.returncode == 0, done.stdout + done.stderr
    masks = {case: (f"{case}.mha", f"{case}_prediction.mha") for case in ("Case04", "Case01")}
    check_tables(tmp_path / "out", tmp_path / "eval", masks)
    assert "prostate" in done.stdout
    assert done.stdout == (tmp_path / "out" / "screen.log").read_text()


def test_a_model_of_a_plan(environment, tmp_path):
    source, data = write_folder(tmp_path / "Task99_Made", num_cases=5), tmp_path / "data"
    assert preprocess.main(["--data", str(source), "--output", str(data), "--workers", "0"]) == 0
    run = planned_run(tmp_path / "run", "unet3d", data, "3d_fullres")
    evaluated(run, "unet3d", tmp_path / "eval")
    names = [row["case"] for row in read_rows(tmp_path / "eval" / "metrics.csv") if row["label"] == "organ"]
    (tmp_path / "val.csv").write_text("\n".join(names))
    words = (bundle_of(run), data, "val.csv", 0)
    done = bash(SCRIPT, *words, cwd=tmp_path, OUTPUT="out", **environment)
    assert done.returncode == 0, done.stdout + done.stderr
    check_tables(tmp_path / "out", tmp_path / "eval", {name: (f"{name}.nii.gz",) * 2 for name in names})


@pytest.mark.parametrize(
    ("words", "target", "fault"),
    [
        (("absent", "data", "val.csv", "0"), "CPU", "absent: no bundle"),
        (("absent", "data", "val.csv", "0"), "GPU", "DEVICE_TARGET=GPU: the program runs on Ascend or CPU"),
    ],
)
def test_bad_input(environment, tmp_path, words, target, fault):
    done = bash(SCRIPT, *words, cwd=tmp_path, OUTPUT="out", **environment, DEVICE_TARGET=target)
    assert done.returncode == 2
    assert fault in done.stdout + done.stderr


def test_a_build_that_fails_is_told(tmp_path):
    done = bash(SCRIPT, "b", "data", "val.csv", 0, cwd=tmp_path, OUTPUT="out", OPENVINO_DIR=tmp_path)
    assert done.returncode == 2
    assert "see out/build.log: build.sh: OPENVINO_DIR=" in done.stderr
    assert "holds no OpenVINOConfig.cmake" in done.stderr and done.stderr.count("\n") == 1
