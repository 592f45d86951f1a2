"""plan.json: read as it was written, every fault named with its key, and what makes preprocessed data stale."""

import json
from dataclasses import fields, replace

import numpy as np
import pytest

from mindvoxel.data import plan_check
from mindvoxel.data.plan import (
    SCHEMES,
    Configuration,
    Intensity,
    Plan,
    Preprocessing,
    difference,
    plan_from_json,
    plan_to_json,
    preprocessing_key,
    read_plan,
    write_plan,
)
from mindvoxel.errors import InputError

GREY = Intensity(100.0, 20.0, 99.0, -1000.0, 900.0, 10.0, 200.0)
FLAT = Configuration(
    patch_size=(64, 48),
    batch_size=12,
    spacing_mm=(1.0, 1.0),
    median_shape=(20, 60, 50),
    strides=((1, 1), (2, 2)),
    kernels=((3, 3), (3, 3)),
    filters=(32, 64),
    preprocessing=Preprocessing(("ct", "zscore")),
)
FULL = replace(
    FLAT,
    patch_size=(10, 32, 64),
    spacing_mm=(3.0, 0.5, 0.5),
    strides=((1, 1, 1), (1, 2, 2), (2, 2, 2)),
    kernels=((1, 3, 3), (3, 3, 3), (3, 3, 3)),
    filters=(32, 64, 128),
    dummy_2d=True,
)
PLAN = Plan(
    planner="nnunet_v2",
    dataset="Made up",
    memory_gb=8.0,
    channels=("CT", "PET"),
    labels={"background": 0, "organ": 1, "tumour": 4},
    axes=(1, 0, 2),
    intensities=(GREY, replace(GREY, mean=3.0)),
    configurations={"2d": FLAT, "3d_fullres": FULL, "3d_cascade": replace(FULL, previous_stage="2d")},
)


def test_reads_as_it_was_written(tmp_path):
    write_plan(tmp_path / "plan.json", PLAN)
    assert read_plan(tmp_path / "plan.json") == PLAN
    text = (tmp_path / "plan.json").read_text()
    assert '      "patch_size": [10, 32, 64],\n' in text
    assert json.loads(text) == plan_to_json(PLAN)


def test_every_key_has_a_rule():
    for rules, kind in (
        (plan_check.PLAN, Plan),
        (plan_check.CONFIGURATION, Configuration),
        (plan_check.PREPROCESSING, Preprocessing),
        (plan_check.INTENSITY, Intensity),
    ):
        assert list(rules) == [field.name for field in fields(kind)]


def broken(*path, value):
    """PLAN as JSON with one value replaced, or the key removed where `value` is `...`."""
    values = plan_to_json(PLAN)
    at = values
    for key in path[:-1]:
        at = at[key]
    if value is ...:
        del at[path[-1]]
    else:
        at[path[-1]] = value
    return values


C = ("configurations", "3d_fullres")
FAULTS = [
    (("planner",), "nnunet", "planner must be one of nnunet_v2, nnunet_v1, nvidia, got 'nnunet'"),
    (("planner",), ..., "planner is missing"),
    (("dataset",), "", "dataset must be a text"),
    (("memory_gb",), -1, "memory_gb must be a number above 0, or null, got -1"),
    (("memory_gb",), True, "memory_gb must be"),
    (("memory_gb",), 10**400, "memory_gb must be"),
    (("channels",), [], "channels must be a list of one or more names"),
    (("channels",), ["CT"], "intensities has 2 entries for 1 channels"),
    (("labels",), {"background": 0}, "labels must be"),
    (("labels",), {"background": 1, "organ": 2}, "labels must be"),
    (("labels",), {"background": 0, "organ": -1}, "labels must be"),
    (("labels",), {"background": 0, "organ": 1.0}, "labels must be"),
    (("labels",), {"background": 0, "organ": 40000}, "labels must be"),
    (("axes",), [0, 1, 1], "axes must be 0, 1 and 2 in some order, got [0, 1, 1]"),
    (("axes",), [False, 1, 2], "axes must be"),
    (("intensities",), {}, "intensities must be a list of objects"),
    (("intensities", 1, "sd"), -1, "intensities[1].sd must be a number, 0 or more"),
    (("intensities", 1, "mean"), float("nan"), "intensities[1].mean must be a number, got nan"),
    (("intensities", 0, "std"), 3, "intensities[0].std is unknown"),
    (("intensities", 0, "percentile_00_5"), 300, "intensities[0].percentile_00_5 is above percentile_99_5"),
    (("configurations",), {}, "configurations must be an object with one configuration or more"),
    (("configurations", "../2d"), {}, "configurations must be"),
    (("version",), 2, "version must be 1, got 2"),
    (("memory",), 8, "memory is unknown; did you mean memory_gb?"),
    ((*C, "patchsize"), [1], "configurations.3d_fullres.patchsize is unknown; did you mean patch_size?"),
    ((*C, "learning_rate"), 1, "learning_rate is unknown; known are patch_size, batch_size"),
    ((*C, "batch_size"), ..., "configurations.3d_fullres.batch_size is missing"),
    ((*C, "batch_size"), 2.0, "batch_size must be a whole number from 1 to 2147483647, got 2.0"),
    ((*C, "batch_size"), 0, "batch_size must be"),
    ((*C, "patch_size"), [10, 32], "configurations.3d_fullres.spacing_mm has 3 values, patch_size has 2; give 2"),
    ((*C, "patch_size"), [10, 30, 64], "patch_size [10, 30, 64] is no multiple of [2, 4, 4]"),
    ((*C, "patch_size"), [10, 30, 64], "the nearest is [10, 32, 64]"),
    ((*C, "patch_size"), [1, 1, 1], "the nearest is [2, 4, 4]"),
    ((*C, "patch_size"), "10,32,64", "patch_size must be 2 or 3 whole numbers"),
    ((*C, "spacing_mm"), [3, 0, 0.5], "spacing_mm must be"),
    ((*C, "median_shape"), [60, 50], "median_shape must be 3 whole numbers"),
    ((*C, "strides"), [], "strides must be a list of stages"),
    ((*C, "strides", 0), [1, 2, 2], "strides[0] is [1, 2, 2]; the first stage has the patch's size"),
    ((*C, "strides", 1), [2, 2], "strides[1] has 2 values, patch_size has 3"),
    ((*C, "kernels"), [[1, 3, 3]], "kernels has 1 stages, strides has 3; give 3"),
    ((*C, "kernels", 2), [3, 3, 2], "kernels[2] is [3, 3, 2]; odd numbers are needed"),
    ((*C, "filters"), [32, 64], "filters has 2 stages, strides has 3; give 3"),
    ((*C, "batch_dice"), 1, "batch_dice must be true or false"),
    (("configurations", "2d", "dummy_2d"), True, "configurations.2d.dummy_2d is true in a 2-D configuration"),
    ((*C, "previous_stage"), "3d_lowres", "previous_stage is '3d_lowres'; another one of 2d, 3d_fullres, 3d_cascade"),
    ((*C, "previous_stage"), "3d_fullres", "previous_stage is '3d_fullres'; another"),
    ((*C, "previous_stage"), "2d", "3d_fullres.previous_stage is '2d' here and in 3d_cascade; only one"),
    (("configurations", "2d", "preprocessing", "crop"), "positive", "3d_cascade.previous_stage is '2d'; the two must"),
    (("configurations", "3d_cascade", "preprocessing", "pad"), True, "the two must crop alike and pad nothing"),
    ((*C, "preprocessing"), None, "preprocessing must be an object, got None"),
    ((*C, "preprocessing", "order"), "resample", "preprocessing.order must be one of normalize_resample"),
    ((*C, "preprocessing", "pad"), 0, "preprocessing.pad must be true or false"),
    ((*C, "preprocessing", "normalization"), ["ct"], "normalization has 1 schemes for 2 channels"),
    ((*C, "preprocessing", "normalization"), ["ct", "z"], "normalization must be a list of schemes out of ct, zscore"),
    ((*C, "preprocessing", "normalization"), ["ct", []], "normalization must be"),
]


@pytest.mark.parametrize(("path", "value", "words"), FAULTS)
def test_a_fault_is_named_with_its_key(path, value, words):
    with pytest.raises(InputError) as caught:
        plan_from_json(broken(*path, value=value), "FILE")
    sentence = str(caught.value)
    assert sentence.startswith("FILE: ")
    assert words in sentence
    assert "\n" not in sentence


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"{", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[1]", "a JSON object with keys is needed, got a list; write a plan"),
        (b"null", "a JSON object with keys is needed"),
    ],
)
def test_a_file_that_is_no_plan(tmp_path, text, words):
    (tmp_path / "plan.json").write_bytes(text)
    with pytest.raises(InputError, match=words):
        read_plan(tmp_path / "plan.json")
    with pytest.raises(InputError, match="no such file; write a plan"):
        read_plan(tmp_path / "other.json")


def test_any_value_in_any_place_is_read_or_refused():
    """Never another exception: a person may write anything."""
    rng = np.random.default_rng(3)
    odd = [None, True, -1, 0, 1.5, "x", [], {}, [[]], [1, "a"], {"a": []}, [[1], [2, 2]], float("inf"), 10**30]

    def places(value, at=()):
        yield at
        if isinstance(value, dict | list):
            for key in value if isinstance(value, dict) else range(len(value)):
                yield from places(value[key], (*at, key))

    read = 0
    for at in [path for path in places(plan_to_json(PLAN)) if path]:
        for index in rng.choice(len(odd), 5, replace=False):
            try:
                plan_from_json(broken(*at, value=odd[index]), "FILE")
                read += 1
            except InputError:
                pass
    assert read > 20


def test_key_is_what_decides_the_data():
    key = preprocessing_key(PLAN, "3d_fullres")
    assert key == json.loads(json.dumps(key))
    assert key["axes"] == [1, 0, 2]
    assert key["label_values"] == [0, 1, 4]
    assert list(key["intensities"]) == ["0"]  # zscore takes none from the plan
    assert "patch_size" not in key
    assert preprocessing_key(PLAN, "3d_cascade") == key


def changed(**values) -> Plan:
    return replace(PLAN, configurations={"3d_fullres": replace(FULL, **values)})


@pytest.mark.parametrize(
    "plan",
    [
        changed(batch_size=3, patch_size=(12, 32, 64), batch_dice=True, dummy_2d=False, median_shape=(1, 1, 1)),
        changed(filters=(1, 2, 3), kernels=FULL.strides, previous_stage="2d"),
        replace(PLAN, labels={"nothing": 0, "a": 4, "b": 1}, memory_gb=4.0, planner="nvidia", dataset="x"),
        replace(PLAN, intensities=(replace(GREY, median=1.0, min=0.0, max=2.0), GREY)),
    ],
)
def test_what_leaves_preprocessed_data_good(plan):
    keys = preprocessing_key(PLAN, "3d_fullres"), preprocessing_key(plan, "3d_fullres")
    assert difference(*keys) is None


@pytest.mark.parametrize(
    ("plan", "reason"),
    [
        (changed(spacing_mm=(3.0, 0.5, 0.75)), "spacing_mm was (3.0, 0.5, 0.5), is (3.0, 0.5, 0.75)"),
        (changed(spacing_mm=None), "spacing_mm was (3.0, 0.5, 0.5), is None"),
        (replace(PLAN, axes=(0, 1, 2)), "axes was (1, 0, 2), is (0, 1, 2)"),
        (replace(PLAN, labels={"a": 0, "b": 2}), "label_values was (0, 1, 4), is (0, 2)"),
        (replace(PLAN, intensities=(replace(GREY, sd=21.0), GREY)), "intensities.0.sd was 20.0, is 21.0"),
        (
            changed(preprocessing=Preprocessing(("ct", "zscore_mask"), rounding="floor")),
            "normalization was (ct, zscore), is (ct, zscore_mask), rounding was round, is floor",
        ),
        (changed(preprocessing=Preprocessing(("ct", "zscore"), pad=True)), "patch_size was absent, is (10, 32, 64)"),
        (changed(preprocessing=Preprocessing(("none", "zscore"))), "intensities.0.mean was 100.0, is absent"),
    ],
)
def test_what_makes_preprocessed_data_stale_is_said(plan, reason):
    keys = preprocessing_key(PLAN, "3d_fullres"), preprocessing_key(plan, "3d_fullres")
    assert reason in difference(*keys)


def test_schemes_are_the_plans_own():
    assert set(SCHEMES) >= {"ct", "zscore", "zscore_mask"}
