"""Cases on disk: what is written is read, damage is named, and what is not whole does not exist."""

from pathlib import Path

import numpy as np
import pytest

from mindvoxel.data.crop import Crop
from mindvoxel.data.grid import CaseGrid
from mindvoxel.data.store import StoredCase, list_cases, open_case, read_record, remove_case, write_case
from mindvoxel.errors import InputError


def a_case(name: str = "scan_1", label: bool = True, channels: int = 2) -> StoredCase:
    rng = np.random.default_rng(len(name))
    shape = (3, 5, 7)
    grid = CaseGrid(
        source_shape=(7, 5, 4),
        source_spacing_mm=(1.0, 2.0, 3.0),
        origin_mm=(-1.5, 2.0, 3.25),
        direction=(0.0, 1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, -1.0),
        axes=(2, 1, 0),
        crop=Crop((1, 0, 0), (3, 5, 7), (4, 5, 7)),
        shape=shape,
        spacing_mm=(3.0, 2.0, 1.0),
        pad=((0, 0), (1, 2), (0, -1)),
    )
    image = rng.standard_normal((channels, *shape)).astype(np.float32)
    if not label:
        return StoredCase(name, image, None, {}, grid)
    classes = rng.integers(-1, 2, shape).astype(np.int8)
    voxels = np.argwhere(classes == 1).astype(np.int32)
    return StoredCase(name, image, classes, {1: voxels, 2: np.zeros((0, 3), np.int32)}, grid)


def assert_same(found: StoredCase, wanted: StoredCase) -> None:
    assert (found.case, found.grid) == (wanted.case, wanted.grid)
    assert np.array_equal(found.image, wanted.image)
    assert found.image.dtype == np.float32
    assert set(found.locations) == set(wanted.locations)
    for k, voxels in wanted.locations.items():
        assert found.locations[k].dtype == np.int32
        assert np.array_equal(found.locations[k], voxels)
    if wanted.label is None:
        assert found.label is None
    else:
        assert np.array_equal(found.label, wanted.label)
        assert found.label.dtype == wanted.label.dtype


def test_a_case_that_a_killed_process_was_about_to_rename_does_not_exist(tmp_path):
    write_case(tmp_path, a_case(), compress=False)
    (tmp_path / "scan_1.case.json").rename(tmp_path / ".partial-7-scan_1.case.json")
    assert list_cases(tmp_path) == []


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("label", [False, True])
def test_a_case_comes_back_as_it_was(tmp_path, compress, label):
    write_case(tmp_path, a_case(label=label), compress=compress, origin={"key": "k"})
    assert list_cases(tmp_path) == ["scan_1"]
    found = open_case(tmp_path, "scan_1")
    assert_same(found, a_case(label=label))
    assert read_record(tmp_path, "scan_1")["origin"] == {"key": "k"}
    assert isinstance(found.image, np.memmap) != compress
    names = {path.name for path in tmp_path.iterdir()} - {"scan_1.case.json"}
    arrays = ("image", "label", "locations") if label else ("image",)
    assert names == ({"scan_1.npz"} if compress else {f"scan_1.{name}.npy" for name in arrays})


def test_raw_arrays_cannot_be_written_to_by_accident(tmp_path):
    write_case(tmp_path, a_case(), compress=False)
    with pytest.raises(ValueError, match="read-only"):
        open_case(tmp_path, "scan_1").image[:] = 0


def test_a_case_without_any_location_opens(tmp_path):
    case = a_case()
    empty = StoredCase(case.case, case.image, case.label * 0, {1: np.zeros((0, 3), np.int32)}, case.grid)
    write_case(tmp_path, empty, compress=False)
    assert open_case(tmp_path, "scan_1").locations[1].shape == (0, 3)


def test_the_other_form_replaces_the_first_and_leaves_nothing_of_it(tmp_path):
    write_case(tmp_path, a_case(), compress=False)
    write_case(tmp_path, a_case(label=False), compress=True)
    assert {path.name for path in tmp_path.iterdir()} == {"scan_1.npz", "scan_1.case.json"}
    remove_case(tmp_path, "scan_1")
    assert not list(tmp_path.iterdir())


def test_names_with_dots_do_not_meet(tmp_path):
    names = ["a", "a.image", "a.b", "preprocessed"]
    for name in names:
        write_case(tmp_path, a_case(name), compress=name == "a.image")
    assert list_cases(tmp_path) == sorted(names)
    for name in names:
        assert_same(open_case(tmp_path, name), a_case(name))


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def flip_first(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[0] ^= 255
    path.write_bytes(data)


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize(
    ("damage", "says"),
    [(cut, "bytes where"), (Path.unlink, "is absent"), (flip_first, "do not read")],
)
def test_a_damaged_array_is_named(tmp_path, compress, damage, says):
    write_case(tmp_path, a_case(), compress=compress)
    name = "scan_1.npz" if compress else "scan_1.image.npy"
    damage(tmp_path / name)
    with pytest.raises(InputError, match="run mindvoxel preprocess again") as error:
        open_case(tmp_path, "scan_1")
    assert says in str(error.value)
    assert "scan_1" in str(error.value)


def test_an_array_of_another_case_under_this_name_is_seen(tmp_path):
    """The same number of bytes, another shape."""
    write_case(tmp_path, a_case(), compress=False)
    np.save(tmp_path / "scan_1.image.npy", open_case(tmp_path, "scan_1").image.transpose(0, 2, 1, 3).copy())
    with pytest.raises(InputError, match=r"image is .*\[2, 5, 3, 7\].*, not"):
        open_case(tmp_path, "scan_1")


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"bytes": 3}', '{"bytes": {}, "arrays": {}, "form": "raw"}'])
def test_a_damaged_record_is_named(tmp_path, text):
    write_case(tmp_path, a_case(), compress=False)
    (tmp_path / "scan_1.case.json").write_text(text)
    with pytest.raises(InputError, match=r"scan_1\.case\.json"):
        open_case(tmp_path, "scan_1")


def test_a_case_that_was_never_finished_does_not_exist(tmp_path):
    write_case(tmp_path, a_case(), compress=False)
    (tmp_path / "scan_1.case.json").unlink()
    assert list_cases(tmp_path) == []
    with pytest.raises(InputError, match="no such preprocessed case"):
        open_case(tmp_path, "scan_1")


def test_no_folder_is_an_error(tmp_path):
    with pytest.raises(InputError, match="no such folder"):
        list_cases(tmp_path / "none")


def test_a_failed_write_leaves_no_case(tmp_path, monkeypatch):
    """The old case is gone and the new one is not there: never a mixture of both."""
    write_case(tmp_path, a_case(), compress=False)

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "save", full)
    with pytest.raises(OSError, match="No space left") as error:
        write_case(tmp_path, a_case(), compress=False)
    assert error.value.filename == str(tmp_path / "scan_1.image.npy")
    assert not list(tmp_path.iterdir())
