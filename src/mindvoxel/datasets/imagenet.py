"""ImageNet's layout (Russakovsky et al. 2015): a folder of photographs for each class, below train/ and val/."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mindvoxel.data.photos import SUFFIXES
from mindvoxel.datasets.listing import shortened
from mindvoxel.errors import InputError
from mindvoxel.headers import require_utf8

SPLITS = ("train", "val")


@dataclass(frozen=True, slots=True)
class Photo:
    """A photograph and the index of its class. ImageNet has 1.3 million: a path is put together when it is needed."""

    folder: Path
    name: str
    label: int

    @property
    def path(self) -> Path:
        return self.folder / self.name

    @property
    def relative(self) -> str:
        """CLASS/NAME, as tables name it."""
        return f"{self.folder.name}/{self.name}"


def list_photos(
    root: str | Path, split: str, classes: Sequence[str] | None = None
) -> tuple[list[Photo], tuple[str, ...]]:
    """The photographs ROOT/SPLIT/CLASS/*.JPEG (jpg, jpeg, png, in capitals or not), sorted by path, and the classes.

    split: train or val.  classes: as a checkpoint names them, by which labels count; without them the sorted folder
    names of ROOT/train. A class may lack in the split; none of the files is opened.
    Raises InputError where a folder lacks, holds no photograph, or is not of these classes, and for names that are not
    UTF-8, which no table and no checkpoint can hold.
    """
    if split not in SPLITS:
        raise ValueError(f"split must be one of {', '.join(SPLITS)}, got {split!r}")
    root = Path(root)
    classes = tuple(classes or _folders(root / "train"))
    index = {name: label for label, name in enumerate(classes)}
    folders = _folders(root / split)
    foreign = [name for name in folders if name not in index]
    if foreign:
        raise InputError(
            f"{root / split}: {len(foreign)} of its {len(folders)} folders are none of the {len(classes)} classes "
            f"({shortened(foreign)}); name them as in training, or move them away"
        )
    return [photo for name in folders for photo in _photos(root / split / name, index[name])], classes


def _folders(split: Path) -> list[str]:
    """Sorted names of the class folders; hidden ones, as .ipynb_checkpoints, are not looked at."""
    if not split.is_dir():
        raise InputError(f"{split}: no such folder; photos are needed as {split}/CLASS/PHOTO.JPEG")
    with os.scandir(split) as entries:
        kinds = {entry.name: entry.is_dir() for entry in entries if not entry.name.startswith(".")}
    names = sorted(name for name, folder in kinds.items() if folder)
    flat = [name for name, folder in kinds.items() if not folder and name.lower().endswith(SUFFIXES)]
    if flat:
        raise InputError(
            f"{split}: {len(flat)} photos lie in it without a class ({shortened(sorted(flat))}); move each into the "
            "folder of its class, as docs/en/photos.md shows for ImageNet's own val folder"
        )
    if not names:
        raise InputError(f"{split}: no class folder in it; photos are needed as {split}/CLASS/PHOTO.JPEG")
    _require_utf8(split, names)
    return names


def _require_utf8(folder: Path, names: Sequence[str]) -> None:
    for name in names:
        if not name.isascii():  # which is all but free, for 1.3 million names
            require_utf8(folder / name)


def _photos(folder: Path, label: int) -> list[Photo]:
    with os.scandir(folder) as entries:
        names = sorted(
            entry.name
            for entry in entries
            if entry.name.lower().endswith(SUFFIXES) and not entry.name.startswith(".") and entry.is_file()
        )
    if not names:
        raise InputError(f"{folder}: no photo in it ({', '.join(SUFFIXES)}); put some there, or remove the folder")
    _require_utf8(folder, names)
    return [Photo(folder, name, label) for name in names]
