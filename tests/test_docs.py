"""What the pages say is what the commands do: every command of every README is run, and both languages agree."""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from .seeded_runs import planned_run
from .unet3d.conftest import write_folder

ROOT = Path(__file__).resolve().parents[1]
PAGES = [(f"{folder}README.md", f"{folder}README_CN.md") for folder in ("", "vnet/", "unet3d/", "unetpp/", "resnet50/")]
PAGES += [(f"docs/en/{page.name}", f"docs/zh/{page.name}") for page in sorted((ROOT / "docs" / "en").iterdir())]
MODELS = ("vnet", "unet3d", "unetpp", "resnet50")
# Appended to whatever trains, so that it takes seconds; nothing else of a command is changed.
TINY = "--recipe small --width 2 --down_convs 1,1 --up_convs 1,1 --patch_size 8,16,16 --spacing_mm 6,4,4 --epochs 1"
TINY += " --batch_size 1"
TINY_UNET = "--recipe small --first_filters 2 --epochs 1 --steps_per_epoch 2 --batch_size 2 --val_steps 1"
TINY_UNET += " --bench_steps 2 --bench_warmup_steps 1"


def text(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text(page), re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory) -> Path:
    """The checkout through links, with `promise12` in it: 50 tiny phantoms under PROMISE12's names."""
    from mindvoxel.datasets.phantom import write_phantom

    folder = tmp_path_factory.mktemp("checkout")
    for path in ROOT.iterdir():
        if path.name not in {*MODELS, "results", ".git"}:
            (folder / path.name).symlink_to(path)
    for model in MODELS:
        (folder / model).mkdir()
        for path in (ROOT / model).iterdir():
            (folder / model / path.name).symlink_to(path)
    write_folder(folder / "Task04_Hippocampus")
    write_phantom(folder / "promise12", num_cases=50, size_scale=0.2)
    (folder / "prostate_t2").symlink_to(folder / "promise12")
    return folder


def run(block: str, workspace: Path, tiny: str = TINY) -> str:
    """A block as one bash script on the CPU; `python` is the one that runs the tests."""
    lines = []
    for line in block.splitlines():
        trains = re.search(r"train\w*\.(sh|py)|DATA=\S+ bash scripts/quickstart", line)
        if trains and "--resume" not in line:
            line += " " + tiny
        lines.append(line.replace("--epochs 501", "--epochs 2"))
    environment = dict(os.environ) | {"DEVICE_TARGET": "CPU"}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    words = ["bash", "-e", "-o", "pipefail", "-c", "\n".join(lines)]
    done = subprocess.run(
        words, cwd=workspace, env=environment, capture_output=True, text=True, timeout=900, check=False
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


@pytest.mark.parametrize(("ours", "theirs"), PAGES)
def test_both_languages_hold_the_same_commands_code_and_figures(ours, theirs):
    for language in ("bash", "python", "text"):
        assert blocks(ours, language) == blocks(theirs, language)
    assert text(ours).count("\n## ") == text(theirs).count("\n## ")
    assert text(ours).count("\n| ") == text(theirs).count("\n| ")
    figures = re.compile(r"\d+(?:\.\d+)?(?: %| mm| s\b|e-\d)")
    assert sorted(figures.findall(text(ours))) == sorted(figures.findall(text(theirs)))


@pytest.mark.parametrize("page", [page for pair in PAGES for page in pair])
def test_links_lead_somewhere_and_no_figure_is_left_out(page):
    assert not re.search(r"@\w+@", text(page))
    for target in re.findall(r"\]\(([^)#]+)\)", text(page)):
        if not target.startswith("http"):
            assert (ROOT / page).parent.joinpath(target).exists(), target


def test_quickstart_as_the_readme_has_it(workspace):
    out = run(blocks("README.md", "bash")[0], workspace)
    last = out.strip().splitlines()[-1]
    found = re.fullmatch(r"quickstart: mean Dice (0\.\d{3}) in (\d+) s, results in (\S+)", last)
    assert found, last
    assert float(found[1]) >= 0.85
    assert int(found[2]) < 480
    results = workspace / found[3]
    assert {"vnet.mindir", "vnet.onnx", "train.csv", "val.csv"} <= {p.name for p in results.iterdir()}


def test_quickstart_with_the_user_s_data(workspace):
    out = run(blocks("README.md", "bash")[1], workspace)
    assert out.strip().splitlines()[-1].startswith("quickstart: mean Dice ")


def test_the_test_command_is_the_one_that_ci_runs():
    assert blocks("README.md", "bash")[2] == "bash scripts/test.sh\n"
    assert "scripts/test.sh" in text(".ci/run")


def test_v_net_s_commands_then_python_on_what_they_made(workspace):
    for block in blocks("vnet/README.md", "bash"):
        run(block, workspace)
    assert (workspace / "results" / "vnet" / "vnet.mindir").is_file()
    assert (workspace / "results" / "vnet" / "eval-best" / "metrics.csv").is_file()
    (workspace / "snippet.py").write_text(blocks("README.md", "python")[0])
    run("python snippet.py", workspace)
    assert (workspace / "Case00.nii.gz").is_file()


def test_the_u_net_s_commands(workspace):
    for block in blocks("unet3d/README.md", "bash"):
        run(block, workspace, TINY_UNET)
    folder = workspace / "results" / "hippocampus"
    assert len(list((workspace / "results" / "hippocampus_masks").glob("*.nii.gz"))) == 6
    assert (folder / "unet3d.onnx").is_file()
    assert {"validation", "eval-best", "best.ckpt", "plan.json"} <= {path.name for path in folder.iterdir()}
    assert len((folder / "metrics.jsonl").read_text().splitlines()) == 2
    assert "throughput_train" in (workspace / "results" / "speed" / "train.log").read_text()
    assert list((workspace / "results" / "profile" / "profile").iterdir())


def test_the_page_on_new_scans(data_set):
    for name in ("train.py", "predict.py"):
        (data_set / name).symlink_to(ROOT / name)
    training = "python train.py --model unet3d --data_path pre --dim 3 --fold 0 --output_path results/hippocampus"
    run(f"python preprocess.py --data Task04_Hippocampus --output pre\n{training}", data_set, TINY_UNET)
    run(blocks("docs/en/predict.md", "bash")[0], data_set)
    (data_set / "snippet.py").write_text(blocks("docs/en/predict.md", "python")[0])
    run("python snippet.py", data_set)
    assert len(list((data_set / "results" / "masks").glob("*.nii.gz"))) == 6
    assert (data_set / "labels.nii.gz").read_bytes() == (data_set / "same.nii.gz").read_bytes()


def test_the_page_on_deployment(cpu, harness, data_set):
    """Its packages and its build need a 310 host; the rest runs on the CPU."""
    for name in ("export.py", "scripts", "vnet", "unet3d", "unetpp"):
        (data_set / name).symlink_to(ROOT / name)
    run("python preprocess.py --data Task04_Hippocampus --output pre --plan_only", data_set)
    planned_run(data_set / "results" / "hippocampus", "unet3d", data_set / "pre", "3d_fullres", first_filters=2)
    export, _, build, segment, score = blocks("docs/en/deploy.md", "bash")
    run(export, data_set)
    for line in (build.splitlines()[1], segment):
        command = line.replace("ascend310_infer/build/infer", str(harness / "infer"))
        run(command.replace("--device ascend", "--device cpu"), data_set)
    (short,) = [block for block in blocks("README.md", "bash") if "BUNDLE" in block]
    assert short == export + score
    assert len(list((data_set / "results" / "bundle_masks").glob("*.nii.gz"))) == 6
    report = json.loads((data_set / "results" / "bundle_masks" / "report.json").read_text())
    openvino = Path(importlib.util.find_spec("openvino").origin).parent
    out = run(f"export BUILD_DIR={harness} OPENVINO_DIR={openvino}\n{score}", data_set)
    assert re.search(r"^Anterior +mean ", out, re.MULTILINE), out
    for page in ("docs/en/deploy.md", "docs/zh/deploy.md"):
        table = text(page).split("`report.json`")[1].split("\n\n")[1]
        assert set(re.findall(r"`(\w+)`", table)) >= report.keys() - {"bundle", "tta", "threads"}


def test_the_commands_of_the_page_on_cross_validation(workspace):
    """One fold of them."""
    tiny = f" --folds 0 {TINY_UNET.partition(' --bench')[0]} --tta none"
    lines = blocks("docs/en/cross_validation.md", "bash")[0].splitlines()
    ends = {"mindvoxel cross_validate": tiny, "mindvoxel results": " --folds 0"}
    run("\n".join(line + ends.get(" ".join(line.split()[:2]), "") for line in lines), workspace)
    folder = workspace / "results" / "hippocampus_cv"
    best = json.loads((folder / "best.json").read_text())
    assert best["dice"].keys() == {"2d", "3d_fullres", "2d+3d_fullres"} and best["folds"] == [0]
    for name in best["dice"]:
        masks = sorted(path.name for path in (folder / name / "fold_0" / "validation").glob("*.nii.gz"))
        assert len(masks) == best["num_cases"] == 2
    assert json.loads((folder / "2d" / "fold_0" / "recipe.json").read_text())["recipe"]["train"]["epochs"] == 1


def test_unet_plus_plus_s_commands(workspace):
    """Those of its table are run by tests/unetpp."""
    (block,) = blocks("unetpp/README.md", "bash")
    run(block, workspace, TINY_UNET)
    folder = workspace / "results" / "unetpp"
    assert (folder / "level2.onnx").is_file()
    assert (folder / "eval-last-prune2" / "summary.json").is_file()


def test_the_conversions_of_the_page_on_data_sets(workspace):
    run(blocks("docs/en/datasets.md", "bash")[1], workspace)
    assert len((workspace / "listed" / "cases.csv").read_text().splitlines()) == 51
    assert (workspace / "listed" / "images" / "Case00.nii.gz").is_symlink()


@pytest.fixture
def data_set(tmp_path) -> Path:
    """A folder with Task04_Hippocampus, six made-up cases in the MSD layout, and perfect masks of them."""
    from mindvoxel.volume import Volume, write_volume

    rng = np.random.default_rng(0)
    training = []
    for number in range(6):
        shape = tuple(int(n) for n in rng.integers(28, 44, 3))
        axes = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")
        radius = np.sqrt(sum(axis**2 for axis in axes))
        label = np.where(radius < 0.4, 2, np.where(radius < 0.7, 1, 0)).astype(np.uint8)
        image = (100 + 50 * label + rng.normal(0, 10, shape)).astype(np.float32)
        names = [f"{folder}/hippocampus_{number:03d}.nii.gz" for folder in ("imagesTr", "labelsTr")]
        for name, voxels in zip(names, (image, label), strict=True):
            path = tmp_path / "Task04_Hippocampus" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            write_volume(path, Volume(voxels, (1.0, 1.0, 1.0)))
        training.append({"image": f"./{names[0]}", "label": f"./{names[1]}"})
    labels = {"0": "background", "1": "Anterior", "2": "Posterior"}
    meta = {"name": "Hippocampus", "modality": {"0": "MRI"}, "labels": labels, "training": training, "test": []}
    (tmp_path / "Task04_Hippocampus" / "dataset.json").write_text(json.dumps(meta))
    (tmp_path / "Task04").symlink_to("Task04_Hippocampus")
    for folder in ("masks", "results/fold_0"):
        shutil.copytree(tmp_path / "Task04_Hippocampus" / "labelsTr", tmp_path / folder)
    (tmp_path / "preprocess.py").symlink_to(ROOT / "preprocess.py")
    return tmp_path


def test_the_readme_s_way_from_a_data_set_to_a_table(data_set):
    out = run(blocks("README.md", "bash")[3], data_set)
    assert "6 cases, channels MRI" in out
    assert (
        json.loads((data_set / "preprocessed" / "plan.json").read_text())["configurations"]["3d_fullres"]["batch_size"]
        == 4
    )
    assert len(list((data_set / "preprocessed" / "3d_fullres").glob("*.case.json"))) == 6
    assert re.search(r"^Anterior +mean +1\.000", out, re.MULTILINE), out


@pytest.mark.parametrize("name", ["verify", "preprocessing", "metrics", "inference", "augmentation"])
def test_the_commands_and_python_of_a_page_in_their_order(name, data_set):
    if name == "augmentation":
        run("mindvoxel preprocess --data Task04_Hippocampus --output preprocessed", data_set)
    found = re.findall(r"^```(bash|python)\n(.*?)^```", text(f"docs/en/{name}.md"), re.MULTILINE | re.DOTALL)
    assert found
    for number, (language, block) in enumerate(found):
        if language == "python":
            (data_set / f"snippet{number}.py").write_text(block)
            block = f"python snippet{number}.py"
        run(block, data_set)


def test_published_recipes_table_names_every_recipe():
    from mindvoxel.config import recipe_names

    for model in MODELS:
        for page in (f"{model}/README.md", f"{model}/README_CN.md"):
            table = text(page).split("`--recipe`")[1].split("\n\n")[0]
            assert set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) == set(recipe_names(model))
