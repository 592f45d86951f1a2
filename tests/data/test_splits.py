"""Split files and splits; the published one is a test vector."""

import pytest

from mindvoxel.data.splits import published_promise12, random_split, read_split, write_split
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
