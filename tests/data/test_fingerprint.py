"""Fingerprints of arrays that can be checked by hand, the same from one process and from two."""

from dataclasses import replace

import numpy as np
import pytest

from mindvoxel.data import fingerprint as module
from mindvoxel.data.dataset import Case, Dataset
from mindvoxel.data.fingerprint import (
    CaseFingerprint,
    Foreground,
    Moments,
    combine,
    count_values,
    measure,
    read_fingerprint,
    take_fingerprint,
    write_fingerprint,
)
from mindvoxel.datasets.msd import open_msd
from mindvoxel.errors import InputError
from mindvoxel.volume import Volume, write_volume
from tests.conftest import SHARED


def case_of(values: list[float], name: str = "a", sample_size: int = 1000):
    """A case whose foreground has these values, in a row of a (3, 4, n + 2) image; label value 5."""
    image, label = np.zeros((1, 3, 4, len(values) + 2), np.float32), np.zeros((3, 4, len(values) + 2), np.int16)
    image[0, 1, 1, 1:-1], label[1, 1, 1:-1] = values, 5
    return measure(name, image, label, (3.0, 1.0, 1.0), count_values(label), sample_size)


def test_a_case_by_hand():
    one = case_of([1, 2, 3, 10])
    assert one.case == CaseFingerprint("a", (1, 1, 4), (3.0, 1.0, 1.0), (3, 4, 6))
    assert one.label_voxels == {0: 68, 5: 4}
    both = combine([one, case_of([4, 4], "b")])
    (intensity,) = both.intensities
    values = np.array([1, 2, 3, 10, 4, 4])
    assert intensity.mean == 4.0
    assert intensity.sd == pytest.approx(values.std())
    assert (intensity.min, intensity.max) == (1.0, 10.0)
    found = (intensity.percentile_00_5, intensity.median, intensity.percentile_99_5)
    assert found == pytest.approx(tuple(np.percentile(values, [0.5, 50, 99.5])))
    assert both.label_voxels == {0: 68 + 46, 5: 6}
    assert both.size_after_crop == pytest.approx((4 / 72 + 2 / 48) / 2)


def test_background_inside_the_box_counts_for_no_intensity():
    image, label = np.full((1, 3, 3, 3), 100, np.float32), np.zeros((3, 3, 3), np.int16)
    image[0, 1, 1, 1], label[1, 1, 1] = 7, 1
    (channel,) = measure("a", image, label, (1.0, 1.0, 1.0), count_values(label), 10).channels
    assert (channel.low, channel.high, channel.sample.tolist()) == (7, 7, [7])


def test_each_channel_has_its_own_intensities_and_any_of_them_keeps_a_voxel():
    image, label = np.zeros((2, 5, 5, 5), np.float32), np.zeros((5, 5, 5), np.int16)
    image[0, 1, 2, 2], image[1, 3, 2, 2] = 5, -8
    label[1:4, 2, 2] = 1
    both = combine([measure("a", image, label, (1.0, 1.0, 1.0), count_values(label), 10)])
    assert both.cases[0].shape == (3, 1, 1)
    assert [(i.min, i.max, i.median) for i in both.intensities] == [(0, 5, 0), (-8, 0, 0)]


def test_moments_merge_to_those_of_the_whole_and_are_exact_far_from_0(monkeypatch):
    monkeypatch.setattr(module, "_CHUNK", 7)
    values = (np.random.default_rng(1).standard_normal(100) + 1e6).astype(np.float32)
    whole = Moments.of(values)
    assert (whole.count, whole.mean) == (100, pytest.approx(values.mean(dtype=np.float64), rel=1e-15))
    assert whole.squares / 100 == pytest.approx(values.var(dtype=np.float64), rel=1e-9)
    assert Moments().merge(whole) == whole
    assert whole.merge(Moments()) == whole


def test_a_large_case_weighs_as_much_as_it_has_voxels():
    """900 voxels of 1 kept as 10, 100 of 2 kept as 10: the median is 1, the 99.5th percentile 2."""
    rng = np.random.default_rng(0)
    parts = [Foreground.of(np.full(n, v, np.float32), 10, rng) for n, v in ((900, 1), (100, 2))]
    assert [part.sample.size for part in parts] == [10, 10]
    intensity = module._intensity(parts)
    assert (intensity.percentile_00_5, intensity.median, intensity.percentile_99_5) == (1, 1, 2)
    assert intensity.mean == pytest.approx(1.1)


def test_percentiles_of_a_sample_are_near_those_of_all():
    values = np.random.default_rng(3).normal(100, 20, 500_000).astype(np.float32)
    foreground = Foreground.of(values, 50_000, np.random.default_rng(4))
    intensity = module._intensity([foreground])
    low, median, high = np.percentile(values, [0.5, 50, 99.5])
    assert foreground.sample.size == 50_000
    assert intensity.median == pytest.approx(median, abs=0.5)
    assert (intensity.percentile_00_5, intensity.percentile_99_5) == pytest.approx((low, high), abs=2)


def test_counting_is_unique_s(monkeypatch):
    monkeypatch.setattr(module, "_CHUNK", 11)
    label = np.random.default_rng(5).integers(-3, 300, (5, 7, 9)).astype(np.int16)
    label[0, 0, 0] = 32767
    values, counts = np.unique(label, return_counts=True)
    assert count_values(label) == dict(zip(values.tolist(), counts.tolist(), strict=True))


def test_no_foreground_anywhere():
    image, label = np.ones((1, 2, 2, 2), np.float32), np.zeros((2, 2, 2), np.int16)
    empty = measure("a", image, label, (1.0, 1.0, 1.0), count_values(label), 10)
    with pytest.raises(InputError, match="no label has a voxel above 0"):
        combine([empty])
    assert combine([empty, case_of([3], "b")]).intensities[0].mean == 3


@pytest.fixture
def dataset(tmp_path) -> Dataset:
    """Three cases of different shapes."""
    rng = np.random.default_rng(7)
    cases = []
    for number in range(3):
        shape = (5 + number, 9, 11)
        image = np.zeros(shape, np.float32)
        image[1:-1, 2:7, 3:] = rng.normal(50, 9, (shape[0] - 2, 5, 8))
        label = (image > 55).astype(np.uint8)
        paths = tmp_path / f"image{number}.nii.gz", tmp_path / f"label{number}.nii.gz"
        for path, voxels in zip(paths, (image, label), strict=True):
            write_volume(path, Volume(voxels, (2.5, 1.0, 0.5)))
        cases.append(Case(f"case{number}", paths[:1], paths[1]))
    return Dataset("three", ("MRI",), {"background": 0, "organ": 1}, tuple(cases))


def test_one_process_and_two_find_the_same(dataset, monkeypatch):
    alone = take_fingerprint(dataset, num_workers=0)
    assert [case.shape for case in alone.cases] == [(3, 5, 8), (4, 5, 8), (5, 5, 8)]
    assert [case.source_shape for case in alone.cases] == [(5, 9, 11), (6, 9, 11), (7, 9, 11)]
    assert {case.spacing_mm for case in alone.cases} == {(2.5, 1.0, 0.5)}
    assert sum(alone.label_voxels.values()) == 99 * 18
    assert take_fingerprint(dataset, num_workers=2) == alone


def test_a_sample_depends_on_the_case_alone(dataset, monkeypatch):
    monkeypatch.setattr(module, "SAMPLE", 30)
    monkeypatch.setattr(module, "SAMPLE_OF_CASE", 5)
    once = take_fingerprint(dataset, num_workers=0)
    again = take_fingerprint(replace(dataset, cases=dataset.cases[::-1]), num_workers=0)
    assert replace(once, cases=()).intensities[0].median == pytest.approx(again.intensities[0].median)
    assert once.intensities[0].median != pytest.approx(55)


def test_a_fingerprint_is_read_as_it_was_written(tmp_path):
    written = combine([case_of([1, 2, 3, 10]), case_of([4, 4.25], "b")])
    write_fingerprint(tmp_path / "fingerprint.json", written)
    assert read_fingerprint(tmp_path / "fingerprint.json") == written


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda text: text[:100], "not JSON in UTF-8"),
        (lambda text: "[]", "a JSON object with keys is needed"),
        (lambda text: text.replace('"version": 1', '"version": 9'), "not a fingerprint .its version is not 1"),
        (lambda text: text.replace('"sd"', '"deviation"'), "deviation"),
        (lambda text: text.replace('"cases"', '"scans"'), "cases"),
    ],
)
def test_what_is_not_a_fingerprint(tmp_path, damage, said):
    path = tmp_path / "fingerprint.json"
    write_fingerprint(path, combine([case_of([1, 2])]))
    path.write_text(damage(path.read_text()))
    with pytest.raises(InputError, match=said) as raised:
        read_fingerprint(path)
    assert str(raised.value).startswith(f"{path}: ")
    path.unlink()
    with pytest.raises(InputError, match="no such file; take a fingerprint"):
        read_fingerprint(path)


def test_hippocampus_s_figures():
    """The first 12 cases: shapes as nnU-Net 2.8.1's own fingerprint has them, intensities by NumPy over all voxels."""
    root = SHARED / "Task04_Hippocampus"
    if not root.is_dir():
        pytest.skip(f"{root} is absent: the real hippocampus scans are needed")
    dataset = open_msd(root)
    found = take_fingerprint(replace(dataset, cases=dataset.cases[:12]), num_workers=2)
    assert found.size_after_crop == 1.0
    assert [c.shape for c in found.cases[:4]] == [(35, 51, 35), (35, 52, 34), (38, 52, 36), (40, 47, 34)]
    assert found.label_voxels == {0: 713_270, 1: 21_374, 2: 19_278}
    (intensity,) = found.intensities
    assert intensity.mean == pytest.approx(399.0099689668409, rel=1e-12)
    assert intensity.sd == pytest.approx(164.3697543653276, rel=1e-12)
    assert (intensity.min, intensity.max) == (21.0, 1228.8173828125)
    percentiles = (intensity.percentile_00_5, intensity.median, intensity.percentile_99_5)
    assert percentiles == pytest.approx((39.0, 390.4445495605469, 905.89251709), rel=1e-6)
