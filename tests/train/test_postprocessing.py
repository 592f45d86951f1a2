"""Which largest components are kept: nnU-Net v2's rule on masks that can be checked by hand."""

import numpy as np
import pytest

from mindvoxel.train.postprocessing import Judged, choose_postprocessing, foreground_helps
from mindvoxel.volume import Volume, write_volume

NAN = float("nan")


def case(folder, name: str, truth: dict, pred: dict) -> Judged:
    """A case of 3×5×20 voxels whose row (1, 2) holds these values at these places along x."""
    paths = []
    for kind, voxels in (("truth", truth), ("pred", pred)):
        labels = np.zeros((3, 5, 20), np.uint8)
        for value, places in voxels.items():
            labels[1, 2, list(places)] = value
        paths.append(folder / f"{name}_{kind}.nii.gz")
        write_volume(paths[-1], Volume(labels, (3.0, 1.0, 1.0)))
    return Judged(name, paths[1], paths[0])


def test_all_foreground_as_one_where_it_helps(tmp_path):
    truth = {1: range(2, 6), 4: range(6, 10)}
    cases = [case(tmp_path, "a", truth, truth), case(tmp_path, "b", truth, truth | {4: [*range(6, 10), 15, 16]})]
    choice = choose_postprocessing(cases, (1, 4), None, 0)
    assert choice.groups == ((1, 4),)  # then class 4 alone has nothing to gain
    assert choice.before == {1: 1, 4: pytest.approx((1 + 8 / 10) / 2)}
    assert choice.after == {1: 1, 4: 1}


def test_a_single_class_where_all_foreground_as_one_would_hurt_another(tmp_path):
    truth = {1: range(2, 6), 4: range(10, 13)}  # they do not touch
    cases = [case(tmp_path, "a", truth, {1: range(2, 6), 4: [8, 10, 11, 12]})]
    choice = choose_postprocessing(cases, (1, 4), None, 0)
    assert choice.groups == ((4,),)
    assert choice.before == {1: 1, 4: pytest.approx(6 / 7)} and choice.after == {1: 1, 4: 1}


def test_then_each_class_on_top_of_all_foreground(tmp_path):
    truth = {1: range(2, 6), 4: range(6, 10)}
    torn = {1: [2, 3, 4, 5, 10], 4: range(6, 10)}  # a voxel of class 1 behind class 4, connected through it
    cases = [case(tmp_path, "a", truth, torn), case(tmp_path, "b", truth, truth | {4: [*range(6, 10), 18]})]
    choice = choose_postprocessing(cases, (1, 4), None, 0)
    assert choice.groups == ((1, 4), (1,))
    assert choice.after == {1: 1, 4: 1}


def test_nothing_where_nothing_helps_and_one_class_is_asked_once(tmp_path):
    two = {1: [2, 3, 8, 9, 10]}
    choice = choose_postprocessing([case(tmp_path, "a", two, two)], (1,), None, 0)
    assert choice.groups == () and choice.before == choice.after == {1: 1}
    choice = choose_postprocessing([case(tmp_path, "b", {1: [2, 3]}, {1: [2, 3, 9]})], (1,), None, 0)
    assert choice.groups == ((1,),)


def test_a_case_without_a_class_is_left_out_once_its_false_voxels_are_gone(tmp_path):
    cases = [case(tmp_path, "a", {1: range(2, 6)}, {1: range(2, 6), 4: [9]})]
    cases.append(case(tmp_path, "b", {1: range(2, 6), 4: range(6, 9)}, {1: range(2, 6), 4: range(6, 9)}))
    choice = choose_postprocessing(cases, (1, 4), None, 0)
    assert choice.before == {1: 1, 4: 0.5} and choice.after == {1: 1, 4: 1} and choice.groups == ((1, 4),)


@pytest.mark.parametrize(
    ("before", "after", "helps"),
    [
        ((0.5, 0.5), (0.6, 0.5), True),
        ((0.5, 0.5), (0.9, 0.49), False),
        ((0.5, 0.5), (0.5, 0.5), False),
        ((0.5, NAN), (0.6, NAN), True),
        ((NAN, NAN), (NAN, NAN), False),
    ],
)
def test_the_mean_must_rise_and_no_class_fall(before, after, helps):
    assert foreground_helps(dict(enumerate(before)), dict(enumerate(after))) is helps


def test_several_processes_find_the_same(tmp_path):
    truth = {1: range(2, 6), 4: range(6, 10)}
    cases = [case(tmp_path, f"{k}", truth, truth | {4: [*range(6, 10), *range(15, 16 + k)]}) for k in range(3)]
    assert choose_postprocessing(cases, (1, 4), None, 2) == choose_postprocessing(cases, (1, 4), None, 0)
