"""A whole data set: killed and run again it gives the same bytes; what is there is kept, what is stale is refused."""

import os
import random
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mindvoxel.data import preprocess_dataset as work
from mindvoxel.data.fingerprint import CaseFingerprint, Fingerprint
from mindvoxel.data.plan import preprocessing_key, write_plan
from mindvoxel.data.store import check_fresh, list_cases, open_case
from mindvoxel.errors import InputError
from mindvoxel.volume import read_volume, write_volume

from .plans import INTENSITY, a_configuration, a_dataset, a_plan

PLAN = a_plan(c2d=a_configuration((0.9, 1.2), (8, 8)), c3d=a_configuration((2.5, 0.9, 1.2)))


def job(output: Path, plan=PLAN, compress: bool = False) -> work.Job:
    return work.Job(plan, tuple(plan.configurations), output, None, compress)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def run(dataset, output, *, num_workers=0, **more) -> list[work.Done]:
    options = {name: more.pop(name) for name in ("plan", "compress") if name in more}
    return work.preprocess_dataset(dataset, job(output, **options), num_workers=num_workers, **more)


@pytest.fixture
def dataset(tmp_path):
    (tmp_path / "data").mkdir()
    return a_dataset(tmp_path / "data")


def test_every_case_in_every_configuration_then_none_again(dataset, tmp_path):
    done = run(dataset, tmp_path / "out")
    assert [case.made for case in done] == [("2d", "3d")] * 4
    for name in ("2d", "3d"):
        assert list_cases(tmp_path / "out" / name) == [f"case_{i}" for i in range(4)]
        case = open_case(tmp_path / "out" / name, "case_2")
        assert set(np.unique(case.label)) == {0, 1, 2}
        assert case.image.shape[1:] == case.grid.shape
        assert {k: len(v) for k, v in case.locations.items()} == {k: int((case.label == k).sum()) for k in (1, 2)}
    before = contents(tmp_path / "out")
    assert [(case.made, case.shared) for case in run(dataset, tmp_path / "out")] == [((), ())] * 4
    assert contents(tmp_path / "out") == before


@pytest.mark.parametrize("compress", [False, True])
def test_workers_and_shards_write_the_same_bytes(dataset, tmp_path, compress):
    run(dataset, tmp_path / "one", compress=compress)
    run(dataset, tmp_path / "two", num_workers=2, compress=compress)
    for shard in ((1, 3), (0, 3), (2, 3)):
        cases = run(dataset, tmp_path / "three", shard=shard, compress=compress)
        assert [case.case for case in cases] == [f"case_{i}" for i in range(shard[0], 4, 3)]
    assert contents(tmp_path / "one") == contents(tmp_path / "two") == contents(tmp_path / "three")


def test_equal_configurations_share_their_files(dataset, tmp_path):
    """Slices that lie as far apart as the plan wants them: 2d and 3d come out the same."""
    plan = a_plan(c2d=a_configuration((0.9, 1.2), (8, 8)), c3d=a_configuration((2.0, 0.9, 1.2)))
    assert [(case.made, case.shared) for case in run(dataset, tmp_path, plan=plan)] == [(("2d",), ("3d",))] * 4
    for name, content in contents(tmp_path / "2d").items():
        if name != "preprocessed.json":
            assert content == (tmp_path / "3d" / name).read_bytes()
            assert (tmp_path / "2d" / name).samefile(tmp_path / "3d" / name)
    once = work.disk_bytes(tmp_path, ["2d"])
    assert work.disk_bytes(tmp_path, ["2d", "3d"]) - once == (tmp_path / "3d" / "preprocessed.json").stat().st_size


def test_a_file_system_without_links_gets_copies(dataset, tmp_path, monkeypatch):
    def no_links(*_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    plan = a_plan(c2d=a_configuration((0.9, 1.2), (8, 8)), c3d=a_configuration((2.0, 0.9, 1.2)))
    assert [(case.made, case.shared) for case in run(dataset, tmp_path, plan=plan)] == [(("2d", "3d"), ())] * 4
    assert np.array_equal(open_case(tmp_path / "2d", "case_0").image, open_case(tmp_path / "3d", "case_0").image)


def test_a_changed_source_is_done_again_and_nothing_else(dataset, tmp_path):
    run(dataset, tmp_path / "out")
    path = dataset.cases[1].image
    volume = read_volume(path)
    write_volume(path, replace(volume, voxels=volume.voxels + 1))
    assert [case.case for case in run(dataset, tmp_path / "out") if case.made] == ["case_1"]


def test_a_damaged_case_is_done_again(dataset, tmp_path):
    run(dataset, tmp_path / "out")
    good = contents(tmp_path / "out")
    (tmp_path / "out" / "3d" / "case_3.label.npy").write_bytes(b"")
    assert [case.made for case in run(dataset, tmp_path / "out") if case.made] == [("3d",)]
    assert contents(tmp_path / "out") == good


def test_the_other_form_is_written_when_asked_for(dataset, tmp_path):
    run(dataset, tmp_path / "out")
    run(dataset, tmp_path / "out", compress=True)
    assert not list((tmp_path / "out").rglob("*.npy"))
    assert len(list((tmp_path / "out").rglob("*.npz"))) == 8


def test_cases_that_left_the_data_set_are_removed(dataset, tmp_path):
    run(dataset, tmp_path / "out")
    run(replace(dataset, cases=dataset.cases[1:]), tmp_path / "out")
    assert not [path for path in (tmp_path / "out").rglob("case_0*")]
    assert list_cases(tmp_path / "out" / "3d") == ["case_1", "case_2", "case_3"]


def test_another_plan_is_refused_with_the_reason_and_made_anew_on_request(dataset, tmp_path):
    run(dataset, tmp_path / "out")
    before = contents(tmp_path / "out")
    other = a_plan(c2d=PLAN.configurations["2d"], c3d=a_configuration((2.5, 0.9, 1.3)))
    with pytest.raises(InputError, match=r"3d: .*spacing_mm was \(2.5, 0.9, 1.2\), is \(2.5, 0.9, 1.3\); add --overw"):
        run(dataset, tmp_path / "out", plan=other)
    assert contents(tmp_path / "out") == before
    with pytest.raises(InputError, match="spacing_mm was"):
        check_fresh(tmp_path / "out" / "3d", preprocessing_key(other, "3d"))
    check_fresh(tmp_path / "out" / "3d", preprocessing_key(PLAN, "3d"))
    run(dataset, tmp_path / "out", plan=other, overwrite=True)
    assert open_case(tmp_path / "out" / "3d", "case_0").grid.spacing_mm == (2.5, 0.9, 1.3)
    check_fresh(tmp_path / "out" / "3d", preprocessing_key(other, "3d"))


def test_a_change_that_preprocessing_does_not_see_keeps_the_cases(dataset, tmp_path):
    run(dataset, tmp_path)
    config = replace(PLAN.configurations["3d"], batch_size=9, patch_size=(2, 4, 4))
    other = a_plan(c2d=PLAN.configurations["2d"], c3d=config)
    assert not any(case.made for case in run(dataset, tmp_path, plan=other))


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, "no preprocessed cases"),
        ("{", "is damaged"),
        ("\udcff", "is damaged"),
        ('{"version": 99, "key": {}}', "of version 99"),
    ],
)
def test_a_folder_that_does_not_say_what_it_holds_is_not_fresh(dataset, tmp_path, text, says):
    run(dataset, tmp_path)
    record = tmp_path / "3d" / "preprocessed.json"
    record.unlink()
    if text:
        record.write_text(text, encoding="utf-8", errors="surrogateescape")
    with pytest.raises(InputError, match=says):
        check_fresh(tmp_path / "3d", preprocessing_key(PLAN, "3d"))
    with pytest.raises(InputError, match="add --overwrite"):
        run(dataset, tmp_path)
    run(dataset, tmp_path, overwrite=True)
    check_fresh(tmp_path / "3d", preprocessing_key(PLAN, "3d"))


CHILD = """
import os, signal, sys, threading
from pathlib import Path
sys.path[:] = {path!r}
from mindvoxel.data import preprocess_dataset as work
from mindvoxel.data.dataset import Case, Dataset
from mindvoxel.data.plan import read_plan
data, output, num_cases, seconds = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
cases = tuple(
    Case(f"case_{{i}}", (data / f"case_{{i}}_0000.nii.gz",), data / f"case_{{i}}_label.nii.gz")
    for i in range(num_cases)
)
plan = read_plan(data / "plan.json")
dataset = Dataset("made up", plan.channels, plan.labels, cases)
threading.Timer(seconds, os.kill, (os.getpid(), signal.SIGKILL)).start()
work.preprocess_dataset(dataset, work.Job(plan, tuple(plan.configurations), output, None, False), num_workers=0)
os._exit(0)
"""


def test_killed_at_any_moment_and_run_again_gives_the_same_bytes(tmp_path):
    """kill -9 hits the writer itself, at random moments; in between every case that exists is whole."""
    num_cases, rng = 12, random.Random(5)
    (tmp_path / "data").mkdir()
    dataset = a_dataset(tmp_path / "data", num_cases)
    write_plan(tmp_path / "data" / "plan.json", PLAN)
    run(dataset, tmp_path / "whole")
    wanted = contents(tmp_path / "whole")
    out, kills, status = tmp_path / "out", 0, None
    while kills < 8 or status:
        seconds = rng.uniform(0.005, 0.1) if kills < 8 else 60
        command = [sys.executable, "-c", CHILD.format(path=sys.path), tmp_path / "data", out, num_cases, seconds]
        child = subprocess.run(list(map(str, command)), capture_output=True, check=False)
        status = child.returncode
        assert status in {0, -signal.SIGKILL}, child.stderr
        kills += status != 0
        for folder in out.glob("*"):
            for case in list_cases(folder):
                open_case(folder, case)
                for file in folder.glob(f"{case}.*"):
                    assert file.read_bytes() == wanted[f"{folder.name}/{file.name}"]
        if status == 0:
            assert contents(out) == wanted
            shutil.rmtree(out)


def test_the_plan_has_what_is_asked_for():
    assert work.configurations_of(PLAN, None) == ("2d", "3d")
    assert work.configurations_of(PLAN, "3d, 2d,3d") == ("3d", "2d")
    for text in ("3d,4d", "", ","):
        with pytest.raises(InputError, match=r"--configurations .* choose from 2d, 3d"):
            work.configurations_of(PLAN, text)


def test_what_is_predicted_is_what_is_written(dataset, tmp_path):
    """Disk: all but the headers of the files and the JSON; the labels here are too small for a share of locations."""
    shapes = [read_volume(case.image).shape for case in dataset.cases]
    labels = [read_volume(case.label).voxels for case in dataset.cases]
    counts = {value: sum(int((label == value).sum()) for label in labels) for value in (0, 1, 2)}
    cases = tuple(
        CaseFingerprint(case.case, shape, (2.0, 1.0, 1.0), shape)
        for case, shape in zip(dataset.cases, shapes, strict=True)
    )
    need = work.predict(Fingerprint(cases, (INTENSITY,), 1.0, counts), PLAN, ("2d", "3d"))
    run(dataset, tmp_path / "out")
    files = [path for path in (tmp_path / "out").rglob("*.npy")]
    written = sum(path.stat().st_size - 128 for path in files)
    assert written == pytest.approx(need.disk_bytes, rel=0.05)
    assert 160e6 < need.memory_bytes < 161e6


def test_padding_counts_as_predicted():
    config = a_configuration((1.0, 1.0, 1.0), (16, 16, 16), pad=True, rounding="floor")
    case = CaseFingerprint("a", (20, 7, 9), (1.0, 1.0, 1.5), (30, 30, 30))
    assert work.final_shape(case, a_plan(axes=(2, 0, 1), c3d=config), config) == ((16, 20, 16), (1.0, 1.0, 1.0))
