"""ImageNet's layout: classes are folders, and what cannot be meant is told."""

import os

import pytest

from mindvoxel.datasets.imagenet import Photo, list_photos
from mindvoxel.errors import InputError


def lay_out(root, *names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


def refused(root, split="train", classes=None) -> str:
    with pytest.raises(InputError) as error:
        list_photos(root, split, classes)
    return str(error.value)


def test_labels_are_the_places_of_sorted_folder_names(tmp_path):
    lay_out(tmp_path, "train/b/2.JPEG", "train/b/10.jpg", "train/a/x.PNG", "train/a/notes.txt", "train/a/.x.jpg")
    lay_out(tmp_path, "train/.cache/x.jpg", "train/readme.txt", "val/b/v.jpeg")
    (tmp_path / "train" / "a" / "folder.jpg").mkdir()
    a, b = tmp_path / "train" / "a", tmp_path / "train" / "b"
    photos, classes = list_photos(tmp_path, "train")
    assert classes == ("a", "b")
    assert photos == [Photo(a, "x.PNG", 0), Photo(b, "10.jpg", 1), Photo(b, "2.JPEG", 1)]
    assert photos[0].path == a / "x.PNG"
    assert list_photos(tmp_path, "val") == ([Photo(tmp_path / "val" / "b", "v.jpeg", 1)], ("a", "b"))


def test_a_checkpoint_s_classes_need_no_training_folder(tmp_path):
    lay_out(tmp_path, "val/b/v.jpg")
    assert list_photos(tmp_path, "val", ("a", "b"))[0] == [Photo(tmp_path / "val" / "b", "v.jpg", 1)]
    assert list_photos(tmp_path, "val", ["b", "z"])[0] == [Photo(tmp_path / "val" / "b", "v.jpg", 0)]
    assert f"{tmp_path / 'train'}: no such folder" in refused(tmp_path, "val")


def test_what_lacks_is_told(tmp_path):
    assert f"{tmp_path / 'none' / 'train'}: no such folder; photos are needed as" in refused(tmp_path / "none")
    (tmp_path / "train").mkdir()
    assert "no class folder in it" in refused(tmp_path)
    lay_out(tmp_path, "train/a/images/1.jpg")
    assert f"{tmp_path / 'train' / 'a'}: no photo in it (.jpg, .jpeg, .png)" in refused(tmp_path)


def test_a_val_folder_of_other_or_no_classes_is_refused(tmp_path):
    lay_out(tmp_path, "train/a/1.jpg", "val/a/1.jpg", "val/c/1.jpg")
    assert "1 of its 2 folders are none of the 1 classes (c); name them as in training" in refused(tmp_path, "val")
    lay_out(tmp_path, "val/ILSVRC2012_val_00000001.JPEG")
    said = refused(tmp_path, "val")
    assert "1 photos lie in it without a class (ILSVRC2012_val_00000001.JPEG); move each into" in said


@pytest.mark.parametrize("name", [b"train/\xff/1.jpg", b"train/b/\xff.jpg"])
def test_a_name_that_no_table_could_hold_is_refused(tmp_path, name):
    lay_out(tmp_path, "train/a/é.jpg", os.fsdecode(name))
    assert "its name is not UTF-8" in refused(tmp_path)


def test_another_split_is_a_mistake_of_the_caller(tmp_path):
    with pytest.raises(ValueError, match="split must be one of train, val"):
        list_photos(tmp_path, "test")
