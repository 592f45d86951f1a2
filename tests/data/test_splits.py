"""Split files and splits; the published one is a test vector."""

import pytest

from mindvoxel.data.splits import (
    Fold,
    choose_fold,
    csv_fold,
    five_folds,
    published_kits19,
    published_promise12,
    random_split,
    read_split,
    read_splits,
    write_split,
    write_splits,
)
from mindvoxel.errors import InputError

NAMES = [f"Case{i:02d}.mhd" for i in range(50)]


def split_file(folder, content: bytes):
    (folder / "train.csv").write_bytes(content)
    return folder / "train.csv"


def test_the_published_split():
    train, held_out = published_promise12()
    assert held_out == [f"Case{i}.mhd" for i in (11, 15, 19, 30, 42, 43, 44, 46, 48, 49)]
    assert len(train) == 40
    assert train[:3] == ["Case00.mhd", "Case01.mhd", "Case02.mhd"]
    assert sorted(train + held_out) == NAMES


@pytest.mark.parametrize(
    "content",
    [
        b"Case00.mhd\nCase01.mhd\n",
        b"Case00.mhd\nCase01.mhd",
        b"Case00.mhd\r\nCase01.mhd\r\n",
        b"Case00.mhd\rCase01.mhd\r",
        b"\xef\xbb\xbfCase00.mhd\r\nCase01.mhd\r\n",
        b"\n\nCase00.mhd\n   \n\t\nCase01.mhd\n\n",
        b"  Case00.mhd \t\nCase01.mhd\n",
        b"Case00.mhd,\nCase01.mhd,\n",
        b"Case00.mhd ,\r\nCase01.mhd , ,\r\n,,\r\n",
    ],
    ids=["LF", "no end", "CRLF", "CR", "BOM", "blank lines", "blanks", "commas", "blanks and commas"],
)
def test_ways_to_write_two_names(tmp_path, content):
    assert read_split(split_file(tmp_path, content)) == ["Case00.mhd", "Case01.mhd"]


@pytest.mark.parametrize("content", [b"Case07.mhd", b"Case07.mhd\n", b"\xef\xbb\xbfCase07.mhd\r\n"])
def test_a_single_line(tmp_path, content):
    assert read_split(split_file(tmp_path, content)) == ["Case07.mhd"]


def test_the_order_of_the_file_is_kept(tmp_path):
    assert read_split(split_file(tmp_path, b"Case02.mhd\nCase00.mhd\n")) == ["Case02.mhd", "Case00.mhd"]


def test_names_of_other_scripts(tmp_path):
    assert read_split(split_file(tmp_path, "前列腺 1.nii.gz\n".encode())) == ["前列腺 1.nii.gz"]


@pytest.mark.parametrize("content", [b"", b"\n \r\n", b"\xef\xbb\xbf", b",,\n"])
def test_an_empty_file_is_refused(tmp_path, content):
    with pytest.raises(InputError, match=r"train\.csv: empty split file"):
        read_split(split_file(tmp_path, content))


def test_a_double_name_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"train\.csv: Case00\.mhd stands in it more than once"):
        read_split(split_file(tmp_path, b"Case00.mhd\nCase01.mhd\nCase00.mhd\n"))


@pytest.mark.parametrize("content", ["Prüfling.mhd\n".encode("latin-1"), "Case00.mhd\n".encode("utf-16")])
def test_what_is_not_utf_8_is_refused(tmp_path, content):
    with pytest.raises(InputError, match=r"train\.csv: not a text file in UTF-8"):
        read_split(split_file(tmp_path, content))


def test_a_file_that_is_not_there_and_a_folder_are_refused(tmp_path):
    for path in (tmp_path / "none.csv", tmp_path):
        with pytest.raises(InputError, match="no such split file"):
            read_split(path)


def test_what_is_written_is_read_and_nothing_else_stays(tmp_path):
    write_split(tmp_path / "val.csv", ["Case03.mhd", "Prüfling.nii.gz"])
    assert (tmp_path / "val.csv").read_bytes() == "Case03.mhd\nPrüfling.nii.gz\n".encode()
    assert read_split(tmp_path / "val.csv") == ["Case03.mhd", "Prüfling.nii.gz"]
    assert [path.name for path in tmp_path.iterdir()] == ["val.csv"]


@pytest.mark.parametrize(
    ("count", "fraction", "held_out"), [(50, 0.2, 10), (10, 0.25, 2), (7, 0.01, 1), (2, 0.5, 1), (3, 0.99, 2)]
)
def test_sizes_of_a_random_split(count, fraction, held_out):
    train, evaluate = random_split(NAMES[:count], fraction, seed=0)
    assert (len(train), len(evaluate)) == (count - held_out, held_out)
    assert sorted(train + evaluate) == NAMES[:count]
    assert (train, evaluate) == (sorted(train), sorted(evaluate))


def test_a_seed_gives_one_split_and_another_seed_another():
    splits = {tuple(random_split(NAMES, 0.2, seed)[1]) for seed in range(20)}
    assert len(splits) == 20
    assert random_split(NAMES, 0.2, 7) == random_split(NAMES, 0.2, 7)


def test_every_case_is_held_out_by_some_seed():
    assert {name for seed in range(60) for name in random_split(NAMES, 0.2, seed)[1]} == set(NAMES)


@pytest.mark.parametrize("fraction", [0.0, 1.0, -0.1, 1.5, float("nan")])
def test_a_fraction_that_is_none_is_refused(fraction):
    with pytest.raises(InputError, match="eval_fraction must lie between 0 and 1"):
        random_split(NAMES, fraction, 0)


def test_one_case_cannot_be_split():
    with pytest.raises(InputError, match="at least 2 cases, got 1"):
        random_split(NAMES[:1], 0.2, 0)


def test_a_negative_seed_is_refused():
    with pytest.raises(InputError, match="seed must be 0 or more, got -1"):
        random_split(NAMES, 0.2, -1)


# The Liver folds of nnU-Net's rule (fold 0 is published by Ascend's 3D_Nested_Unet), and fold 0 of NVIDIA's.
LIVER = [f"liver_{i}" for i in range(131)]
LIVER_FOLDS = """\
3,5,11,12,17,19,24,25,27,38,40,41,42,44,51,52,58,64,70,75,77,82,101,112,115,120,128
4,7,10,14,16,21,23,28,45,59,66,67,68,71,73,85,86,91,93,96,103,105,106,116,123,127
0,8,13,18,20,22,26,32,33,35,37,43,48,56,61,78,79,80,87,89,113,114,117,118,121,125
6,9,29,30,31,36,39,46,49,57,60,62,65,69,81,90,92,94,97,100,102,109,111,122,126,130
1,2,15,34,47,50,53,54,55,63,72,74,76,83,84,88,95,98,99,104,107,108,110,119,124,129
""".splitlines()
LIVER_NVIDIA_0 = "1,12,18,25,26,28,30,39,41,42,43,45,50,52,53,59,65,71,76,78,83,103,111,114,117,121,122"


def numbers(names) -> str:
    return ",".join(map(str, sorted(int(name.split("_")[1]) for name in names)))


def test_the_published_liver_folds():
    folds = five_folds(LIVER)
    assert [numbers(fold.val) for fold in folds] == LIVER_FOLDS
    assert all(sorted(fold.train + fold.val) == sorted(LIVER) for fold in folds)
    assert folds[0].val[:3] == ("liver_101", "liver_11", "liver_112")  # in the order of the names


def test_nvidia_sorts_file_names():
    assert numbers(five_folds(LIVER, "nvidia")[0].val) == LIVER_NVIDIA_0


def test_the_order_in_which_cases_come_does_not_matter():
    assert five_folds(LIVER[::-1]) == five_folds(LIVER)


def test_padded_numbers_give_the_same_folds_by_both_rules():
    names = [f"BRATS_{i:03d}" for i in range(1, 78)]
    assert five_folds(names, "nvidia") == five_folds(names)
    assert [len(fold.val) for fold in five_folds(names)] == [16, 16, 15, 15, 15]


def test_five_folds_need_five_cases_and_a_known_rule():
    assert [len(fold.val) for fold in five_folds(LIVER[:5])] == [1] * 5
    with pytest.raises(InputError, match="5 folds need at least 5 cases, got 4"):
        five_folds(LIVER[:4])
    with pytest.raises(ValueError, match="rule must be one of nnunet, nvidia, got 'sklearn'"):
        five_folds(LIVER, "sklearn")


def test_a_fold_beyond_the_last_is_random_80_to_20():
    folds = five_folds(LIVER)
    assert choose_fold(folds, 4, LIVER) is folds[4]
    fifth = choose_fold(folds, 5, LIVER)
    assert (len(fifth.train), len(fifth.val)) == (104, 27)
    # by hand: np.random.RandomState(12350).choice(131, 104, replace=False) over the sorted names
    assert fifth.val[:4] == ("liver_100", "liver_104", "liver_112", "liver_113")
    assert fifth == choose_fold(folds, 5, LIVER[::-1])
    assert fifth != choose_fold(folds, 6, LIVER)
    with pytest.raises(InputError, match="fold must be 0 or more, got -1"):
        choose_fold(folds, -1, LIVER)


def test_mlperf_s_split_of_kits19():
    fold = published_kits19()
    assert (len(fold.train), len(fold.val)) == (168, 42)
    assert (fold.val[0], fold.val[12], fold.val[-1]) == ("case_00000", "case_00061", "case_00207")
    assert not set(fold.train) & set(fold.val)


def test_splits_are_read_as_they_were_written(tmp_path):
    folds = five_folds([f"病例_{i}" for i in range(7)])
    write_splits(tmp_path / "splits.json", folds)
    assert read_splits(tmp_path / "splits.json", [f"病例_{i}" for i in range(7)]) == folds
    assert [path.name for path in tmp_path.iterdir()] == ["splits.json"]


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ('[{"train": ["a", "b"], "val": ["b", "c"]}]', "fold 0: b in train and in val; each case"),
        ('[{"train": ["a", "b", "a"], "val": ["c"]}]', "fold 0: a listed more than once"),
        ('[{"train": ["a", "b"], "val": ["c", "x", "y"]}]', "fold 0: x, y not in the data set"),
        (
            '[{"train": ["a"], "val": ["c"]}]',
            "fold 0: b absent from train and from val; each case of the data set has to",
        ),
        ('[{"train": ["a", "b"], "val": ["c"]}, {"train": [], "val": ["a", "b", "c"]}]', "fold 1: no case in train"),
        ('[{"train": ["a", "b", "c"], "val": []}]', "fold 0: no case in val"),
        ('[{"train": ["a", "b"]}]', "a list of .* is needed, one a fold"),
        ('[{"train": "ab", "val": ["c"]}]', "is needed, one a fold"),
        ('[{"train": [1, 2], "val": ["c"]}]', "is needed, one a fold"),
        ('{"train": ["a", "b"], "val": ["c"]}', "is needed, one a fold"),
        ("[]", "is needed, one a fold"),
        ("[{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("", "not JSON"),
    ],
)
def test_splits_that_do_not_fit_are_refused_in_one_sentence(tmp_path, content, fault):
    (tmp_path / "splits.json").write_text(content)
    with pytest.raises(InputError, match=fault) as refused:
        read_splits(tmp_path / "splits.json", ["a", "b", "c"])
    assert "\n" not in str(refused.value)
    assert str(tmp_path / "splits.json") in str(refused.value)


def test_many_faulty_cases_are_counted(tmp_path):
    write_splits(tmp_path / "splits.json", [Fold(("a",), ("b",))])
    with pytest.raises(InputError, match="liver_0, liver_1, liver_10, liver_100, liver_101 and 126 more absent"):
        read_splits(tmp_path / "splits.json", ["a", "b", *LIVER])


@pytest.mark.parametrize("content", [b"\xff\xfe[]", None])
def test_splits_that_cannot_be_read(tmp_path, content):
    if content is not None:
        (tmp_path / "splits.json").write_bytes(content)
    with pytest.raises(InputError, match="not JSON" if content else "no such file of splits"):
        read_splits(tmp_path / "splits.json", ["a"])


def test_two_csv_files_are_a_fold(tmp_path):
    write_split(tmp_path / "train.csv", ["la_003.nii.gz", "la_004"])
    write_split(tmp_path / "val.csv", ["la_007.nii.gz"])
    fold = csv_fold(tmp_path / "train.csv", tmp_path / "val.csv", ["la_003", "la_004", "la_007"])
    assert fold == Fold(("la_003", "la_004"), ("la_007",))
    with pytest.raises(InputError, match=r"train\.csv and .*val\.csv: la_009 absent from train and from val"):
        csv_fold(tmp_path / "train.csv", tmp_path / "val.csv", ["la_003", "la_004", "la_007", "la_009"])
