"""What the pages say is what the commands do: every command of every README is run, and both languages agree."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGES = [
    ("README.md", "README_CN.md"),
    ("vnet/README.md", "vnet/README_CN.md"),
    ("docs/en/cpu.md", "docs/zh/cpu.md"),
    ("docs/en/augmentation.md", "docs/zh/augmentation.md"),
]
# Appended to whatever trains, so that it takes seconds; nothing else of a command is changed.
TINY = "--recipe small --width 2 --down_convs 1,1 --up_convs 1,1 --patch_size 8,16,16 --spacing_mm 6,4,4 --epochs 1"
TINY += " --batch_size 1"


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
        if path.name not in {"vnet", "results", ".git"}:
            (folder / path.name).symlink_to(path)
    (folder / "vnet").mkdir()
    for path in (ROOT / "vnet").iterdir():
        (folder / "vnet" / path.name).symlink_to(path)
    write_phantom(folder / "promise12", num_cases=50, size_scale=0.2)
    (folder / "prostate_t2").symlink_to(folder / "promise12")
    return folder


def run(block: str, workspace: Path) -> str:
    """A block as one bash script on the CPU; `python` is the one that runs the tests."""
    lines = []
    for line in block.splitlines():
        trains = re.search(r"train\w*\.(sh|py)|DATA=\S+ bash scripts/quickstart", line)
        if trains and "--resume" not in line:
            line += " " + TINY
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


def test_published_recipes_table_names_every_recipe():
    from mindvoxel.config import recipe_names

    for page in ("vnet/README.md", "vnet/README_CN.md"):
        assert set(re.findall(r"^\| `(\w+)` \|", text(page), re.MULTILINE)) == set(recipe_names("vnet"))
