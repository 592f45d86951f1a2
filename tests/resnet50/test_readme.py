"""What resnet50/README.md says is what its commands do: on made-up photos, and smaller."""

import csv
import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from ..conftest import ROOT
from ..photos import make_photos
from ..test_docs import blocks, text
from ..test_docs import run as bash
from .conftest import CLASSES, TINY

PAGE = "resnet50/README.md"
FEW = CLASSES[:3]
SMALLER = " ".join(map(str, [*TINY, "--num_classes", len(FEW), "--batch_size", 6, "--epochs", 1]))


@pytest.fixture(scope="module")
def workspace(tmp_path_factory):
    """The entry points, with `imagenet` and `photos` beside them: three classes, five photos each in train and val."""
    folder = tmp_path_factory.mktemp("checkout")
    for path in ROOT.iterdir():
        if path.name not in {"resnet50", "results", ".git"}:
            (folder / path.name).symlink_to(path)
    (folder / "resnet50").mkdir()
    for path in (ROOT / "resnet50").iterdir():
        (folder / "resnet50" / path.name).symlink_to(path)
    make_photos(folder / "imagenet", FEW, count=5)
    (folder / "photos").symlink_to(folder / "imagenet" / "val")
    return folder


def figures(folder) -> dict:
    return json.loads((folder / "metrics.jsonl").read_text().splitlines()[-1])


@pytest.fixture(scope="module")
def two_ranks(workspace, run):
    """What the third and the last line of the launchers say; msrun mostly waits, so that the others go on meanwhile.

    The last layer is new, as there are fewer classes.
    """
    enter, _, msrun, mpirun, evaluate = blocks(PAGE, "bash")[1].splitlines()
    assert mpirun.startswith("bash scripts/train_distribute_gpu.sh 8 0,1,2,3,4,5,6,7 ../imagenet")
    tiny = f"{SMALLER} --optimizer lars --learning_rate 1 --scheduler poly --init_from {run}/best.ckpt"
    tiny += " --batch_size 3"
    (workspace / "results").mkdir()
    (workspace / "results" / "standalone").symlink_to(run)
    msrun = "OUTPUT=../results/two " + msrun.replace(" msrun 8 ", " msrun 2 ")
    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(bash, "\n".join([enter, msrun, evaluate]), workspace, tiny)


@pytest.mark.slow
def test_train_evaluate_predict_export(workspace, two_ranks):
    said = bash(blocks(PAGE, "bash")[0], workspace, SMALLER)
    results = workspace / "results"
    with (results / "resnet50" / "eval-best" / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    summary = json.loads((results / "resnet50" / "eval-best" / "summary.json").read_text())
    assert len(rows) == summary["num_photos"] == 15
    validated = figures(results / "resnet50")
    right = sum(row["class"] == row["predicted"] for row in rows)
    assert summary["top1"] == validated["val_top1"] == right / 15
    assert summary["loss"] == pytest.approx(validated["val_loss"], rel=1e-4)
    assert [summary["classes"][name]["num_photos"] for name in FEW] == [5, 5, 5]
    assert "all classes" in said and "masks" not in said
    with (results / "classes" / "predictions.csv").open(newline="") as file:
        best = {row["photo"]: row["class"] for row in csv.DictReader(file) if row["rank"] == "1"}
    assert best == {row["photo"]: row["predicted"] for row in rows}
    assert (results / "resnet50_bundle" / "deploy.json").is_file()


@pytest.mark.slow
def test_two_ranks_by_msrun_with_lars_at_o2_from_weights_of_other_classes(workspace, two_ranks):
    said = two_ranks.result()
    assert "2 steps an epoch of batch 3 on 2 device(s), epochs 0 to 1, O2" in said
    assert "2 mismatched, 0 absent" in said
    last = figures(workspace / "results" / "two")
    assert last["val_top5"] == 1  # of three classes, on all 15 photos
    assert last["val_top1"] * 15 == pytest.approx(round(last["val_top1"] * 15))
    assert "all classes" in said.splitlines()[-2]


def test_the_stripes_are_what_the_python_makes(workspace):
    (workspace / "snippet.py").write_text(blocks(PAGE, "python")[0].replace("range(40)", "range(2)"))
    bash("python snippet.py", workspace)
    assert len(list((workspace / "stripes").glob("*/*/*.jpg"))) == 2 * len(CLASSES) * 2
    assert "240 photos to validate, chance 0.167" in text(PAGE)
