"""From any layout to any other, where the other can say it: files copied or linked as they are, or written anew."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from mindvoxel.data.dataset import Case, Dataset, image_header, read_label
from mindvoxel.data.images import read_channels, suffix_of
from mindvoxel.data.pictures import PICTURES
from mindvoxel.datasets import csv_list, msd, nnunet_v2, promise12
from mindvoxel.errors import InputError, naming
from mindvoxel.files import replacing_folder
from mindvoxel.log import LOGGER, progress
from mindvoxel.volume import Volume, write_volume


@dataclass(frozen=True)
class _Layout:
    """How a layout names its files, without suffix, and what it takes as it is.

    image: (case, number of the file, number of files, whether it is a test case) -> path.  label: case -> path.
    taken: suffixes of files that need not be written anew.  new: suffix of those that are.
    joined: all channels in one file.  same: every file of the set has one suffix.
    keeps: files may hold several channels, if each case has as many files: "all", "pictures" or "none".
    write_index: (folder, data set, suffix of the files).
    """

    image: Callable[[str, int, int, bool], str]
    label: Callable[[str], str]
    write_index: Callable[[Path, Dataset, str], None]
    taken: tuple[str, ...] = (".nii.gz",)
    new: str = ".nii.gz"
    joined: bool = False
    same: bool = True
    keeps: str = "none"


def _numbered(case: str, number: int, count: int, test: bool) -> str:
    return f"images{'Ts' if test else 'Tr'}/{case}_{number:04d}"


_TARGETS = {
    "msd": _Layout(
        lambda case, number, count, test: f"images{'Ts' if test else 'Tr'}/{case}",
        lambda case: f"labelsTr/{case}",
        lambda root, dataset, suffix: msd.write_index(root, dataset),
        joined=True,
    ),
    "nnunet_v1": _Layout(
        _numbered, lambda case: f"labelsTr/{case}", lambda root, dataset, suffix: msd.write_index(root, dataset)
    ),
    "nnunet_v2": _Layout(
        _numbered,
        lambda case: f"labelsTr/{case}",
        nnunet_v2.write_index,
        taken=(".nii.gz", ".nrrd", ".mha", ".png", ".bmp"),  # of a TIFF it wants the spacing in a JSON
        keeps="pictures",
    ),
    "csv": _Layout(
        lambda case, number, count, test: f"images/{case}" + (f"_{number:04d}" if count > 1 else ""),
        lambda case: f"labels/{case}",
        lambda root, dataset, suffix: csv_list.write_index(root, dataset),
        taken=(".nii.gz", ".nii", ".nrrd", ".mha", ".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff"),
        same=False,
        keeps="all",
    ),
    "promise12": _Layout(
        lambda case, number, count, test: f"{'test/' if test else ''}img/{case}",
        lambda case: f"gt/{case}{promise12.LABEL_SUFFIX}",
        lambda root, dataset, suffix: None,
        taken=(".nii.gz", ".nii", ".nrrd", ".mha"),
        new=".mha",
        same=False,
    ),
}


def convert(dataset: Dataset, output: str | Path, layout: str, link: bool = False) -> tuple[int, int]:
    """Write `dataset` to the new folder `output` in `layout`; returns how many files were taken and written anew.

    Names of cases, channels and labels, voxels and geometry stay; files that the layout takes as they are get copied,
    or linked (symbolic links to the originals) where `link`. A 4-D file is split or joined as the layout needs it.
    The folder appears when all of it is there. Raises InputError where the layout cannot hold the data set, or a file
    cannot be used.
    """
    _check_said(dataset, layout)
    with replacing_folder(output) as folder:
        run = _Run(dataset, _TARGETS[layout], folder, link)
        total = len(dataset.cases) + len(dataset.test_cases)
        with progress(total=total, what=f"conversion to {layout}", unit="case") as bar:
            cases = run.place_all(dataset.cases, False, bar.update)
            test_cases = run.place_all(dataset.test_cases, True, bar.update)
        moved = replace(dataset, cases=cases, test_cases=test_cases)
        run.target.write_index(folder, moved, run.suffix or run.target.new)
    return run.num_taken, run.num_written


def _check_said(dataset: Dataset, layout: str) -> None:
    """Raise InputError where `layout` has no words for something in `dataset`; log what it leaves out."""
    if not dataset.cases and not dataset.test_cases:
        raise InputError(f"{dataset.name}: no case in it; there is nothing to convert")
    if dataset.regions and layout not in ("nnunet_v2", "csv"):
        raise InputError(
            f"{dataset.name}: declares regions ({', '.join(dataset.regions)}), which {layout} has no words for; "
            "convert it to nnunet_v2 or csv"
        )
    if layout != "promise12":
        return
    foreground = {name: value for name, value in dataset.labels.items() if value != 0}
    if len(dataset.channels) != 1 or list(foreground.values()) != [1] or not dataset.cases:
        raise InputError(
            f"{dataset.name}: {len(dataset.channels)} channels, the labels {foreground} and {len(dataset.cases)} "
            "labelled cases; promise12 holds one channel and one label of value 1, and needs a labelled case"
        )
    LOGGER.info("promise12 has no names: channel %s becomes MRI, label %s prostate", dataset.channels[0], *foreground)


class _Run:
    """One conversion on its way: where to, how, and how many files were taken as they are or written anew."""

    def __init__(self, dataset: Dataset, target: _Layout, root: Path, link: bool):
        self.dataset, self.target, self.root, self.link = dataset, target, root, link
        cases = (*dataset.cases, *dataset.test_cases)
        self.suffix = _common_suffix(cases, target)
        self.num_files = _files_a_case(cases, len(dataset.channels), target, self.suffix)
        self.num_taken = self.num_written = 0

    def place_all(self, cases: tuple[Case, ...], test: bool, done: Callable[[], object]) -> tuple[Case, ...]:
        """The cases as they lie below the new root."""
        placed = []
        for case in cases:
            placed.append(self._place(case, test))
            done()
        return tuple(placed)

    def _place(self, case: Case, test: bool) -> Case:
        num_channels = image_header(case, self.dataset.spacing_mm).num_channels
        if num_channels != len(self.dataset.channels):
            raise InputError(
                f"{case.image}: {num_channels} channels in case {case.case}, and the data set names "
                f"{len(self.dataset.channels)} ({', '.join(self.dataset.channels)}); every case needs all of them"
            )
        images = []
        for i, (old, read) in enumerate(self._files(case)):
            images.append(self._store(self.target.image(case.case, i, self.num_files, test), old, read))
        label = None
        if case.label:
            spacing_mm = self.dataset.spacing_mm
            label = self._store(self.target.label(case.case), case.label, lambda: read_label(case, spacing_mm))
        return Case(case.case, tuple(images), label)

    def _files(self, case: Case) -> list[tuple[Path | None, Callable[[], Volume]]]:
        """The new image files of a case: the old file where it stays one, and what reads its channels."""

        def read(path: Path) -> Volume:
            return read_channels(path, self.dataset.spacing_mm)

        if len(case.images) == self.num_files:
            return [(path, partial(read, path)) for path in case.images]
        volumes = [read(path) for path in case.images]
        channels = [channel for volume in volumes for channel in volume.voxels]
        if self.num_files == 1:
            return [(None, lambda: volumes[0].with_voxels(np.stack(channels)))]
        return [(None, partial(volumes[0].with_voxels, channel)) for channel in channels]

    def _store(self, name: str, old: Path | None, read: Callable[[], Volume]) -> Path:
        suffix = suffix_of(old) if old else ""
        as_it_is = suffix in self.target.taken and self.suffix in (None, suffix)
        path = self.root / f"{name}{suffix if as_it_is else self.target.new}"
        path.parent.mkdir(parents=True, exist_ok=True)
        if not as_it_is:
            write_volume(path, read())
            self.num_written += 1
            return path
        if self.link:
            path.symlink_to(old.resolve())
        else:
            with old.open("rb") as source, naming(path), path.open("xb") as copy:
                shutil.copyfileobj(source, copy, 1 << 20)
        self.num_taken += 1
        return path


def _files_a_case(cases: tuple[Case, ...], num_channels: int, target: _Layout, suffix: str | None) -> int:
    """How many image files a case has in the new layout."""
    if target.joined:
        return 1
    counts = {len(case.images) for case in cases}
    if len(counts) == 1 and target.keeps == "all":
        return counts.pop()
    if counts == {1} and target.keeps == "pictures" and suffix in PICTURES:
        return 1
    return num_channels


def _common_suffix(cases: tuple[Case, ...], target: _Layout) -> str | None:
    """The one suffix of every file, where the layout needs one; None where each file may have its own."""
    if not target.same:
        return None
    found = {suffix_of(path) for case in cases for path in (*case.images, case.label) if path}
    return found.pop() if len(found) == 1 and found <= set(target.taken) else target.new
