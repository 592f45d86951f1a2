"""mindvoxel plan: made, kept, replaced, changed; what a user can get wrong is one sentence and changes nothing."""

import json
import re
from pathlib import Path

import pytest

from mindvoxel.cli import plan as command
from mindvoxel.data.dataset import Case, Dataset, dataset_to_json
from mindvoxel.data.fingerprint import CaseFingerprint, Fingerprint, write_fingerprint
from mindvoxel.data.plan import Intensity, read_plan

GREY = Intensity(100.0, 20.0, 99.0, -1000.0, 900.0, 10.0, 200.0)


@pytest.fixture
def folder(tmp_path):
    """A fingerprint and a data set, as mindvoxel preprocess leaves them: 40 cases of 36 × 50 × 35 voxels."""
    cases = tuple(CaseFingerprint(f"c{i}", (36, 50, 35), (1.0, 1.0, 1.0), (36, 50, 35)) for i in range(40))
    write_fingerprint(tmp_path / "fingerprint.json", Fingerprint(cases, (GREY,), 1.0, {0: 9, 1: 1}))
    data = Dataset("Hippo", ("MRI",), {"background": 0, "hippocampus": 1}, (Case("c0", (tmp_path / "c0.nii",), None),))
    (tmp_path / "dataset.json").write_text(json.dumps(dataset_to_json(data)))
    return tmp_path


@pytest.fixture
def run(folder, capsys):
    """run(*words) -> what it said; status 0."""

    def run(*words) -> str:
        capsys.readouterr()
        status = command.main(["--data", str(folder), *words])
        said = capsys.readouterr()
        assert (status, said.err) == (0, "")
        return said.out

    return run


@pytest.fixture
def refused(folder, capsys):
    """refused(*words, saying=...): status 2, one line, plan.json as it was."""

    def refused(*words, saying: str) -> None:
        path = folder / "plan.json"
        before = path.read_bytes() if path.exists() else None
        capsys.readouterr()
        status = command.main(["--data", str(folder), *words])
        line = capsys.readouterr().err
        assert status == 2
        assert re.fullmatch(r"error: [^\n]+\n", line), line
        assert saying in line
        assert (path.read_bytes() if path.exists() else None) == before

    return refused


def test_a_plan_is_made_and_shown(folder, run):
    said = run()
    plan = read_plan(folder / "plan.json")
    assert (plan.planner, plan.memory_gb) == ("nnunet_v2", 8)
    assert "3d_fullres     40,56,40" in said
    assert "unchanged" in run()


def test_the_page_s_commands_one_after_the_other(run):
    page = (Path(__file__).parents[1] / "docs" / "en" / "planning.md").read_text(encoding="utf-8")
    commands = re.findall(r"^mindvoxel plan --data OUT ?(.*)$", page, re.MULTILINE)
    assert len(commands) == 5
    for words in commands:
        run(*words.split())


def test_another_plan_is_replaced_only_when_asked(folder, run, refused):
    run()
    refused(
        "--memory_gb", "4", "--planner", "nnunet_v1", saying="planner, memory_gb, configurations differs; --overwrite"
    )
    said = run("--memory-gb", "4", "--planner", "nnunet_v1", "--overwrite")
    assert read_plan(folder / "plan.json").planner == "nnunet_v1"
    assert "2d: cases that are preprocessed already are stale (order was normalize_resample" in said


def test_a_broken_plan_is_replaced_only_when_asked(folder, run, refused):
    (folder / "plan.json").write_text("{")
    refused(saying="not JSON")
    assert "cannot be read" in run("--overwrite")
    assert read_plan(folder / "plan.json").dataset == "Hippo"


def test_nvidias_table_on_request(folder, run):
    run("--planner", "nvidia", "--task", "4")
    assert read_plan(folder / "plan.json").configurations["2d"].batch_size == 64


def test_a_change_says_old_and_new_and_what_becomes_stale(folder, run):
    run()
    said = run("--batch_size", "8")
    assert re.search(r"batch_size +2 +-> +8", said)
    assert "3d_fullres: cases that are preprocessed already stay good" in said
    said = run("--configuration", "2d", "--patch_size", "64,32", "--spacing_mm", "1,0.5")
    assert re.search(r"patch_size +56,40 +-> +64,32", said)
    assert re.search(r"median_shape +36,50,35 +-> +36,50,70", said)
    assert "are stale (spacing_mm was (1.0, 1.0), is (1.0, 0.5)); preprocess again" in said
    plan = read_plan(folder / "plan.json")
    assert plan.configurations["3d_fullres"].batch_size == 8
    assert plan.configurations["2d"].patch_size == (64, 32)


def test_a_change_that_changes_nothing(run):
    run()
    assert "is as it was" in run("--batch_size", "2")


def test_what_a_user_can_get_wrong(folder, run, refused):
    refused("--batch_size", "8", saying="plan.json: no such file; write a plan with mindvoxel plan")
    refused("--planner", "nnunet", saying="--planner nnunet is unknown")
    refused("--memory_gb", "lots", saying="invalid float value")
    run()
    refused("--memory_gb", "0", saying="--memory_gb must be above 0")
    refused("--batch_size", "0", saying="batch_size must be a whole number from 1 to 2147483647")
    refused("--patch_size", "40,56", saying="--patch_size must be 3 values")
    refused("--patch_size", "40,x,40", saying="values with commas between them are needed, got '40,x,40'")
    refused("--patch_size", "41,56,40", saying="the nearest that fits is 40,56,40")
    refused("--configuration", "2d", saying="give --batch_size, --patch_size or --spacing_mm")
    refused("--configuration", "3d_lowres", "--batch_size", "2", saying="choose one of 2d, 3d_fullres")
    refused("--batch_size", "2", "--planner", "nvidia", saying="give them one at a time")
    refused("--batch_size", "2", "--memory_gb", "0", saying="give them one at a time")


@pytest.mark.parametrize("name", ["fingerprint.json", "dataset.json"])
def test_what_preprocess_left_is_needed_whole(folder, refused, name):
    for text in ("{", "[" * 100_000, "{}", "[]", "null", '{"channels": 3}'):
        (folder / name).write_text(text)
        refused(saying=name)
    (folder / name).unlink()
    refused(saying=f"{name}: no such f")
