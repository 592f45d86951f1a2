"""What predict.py is given: a file, the channel files of one case, a folder of images, or a data set's test cases."""

import re
from collections.abc import Sequence
from pathlib import Path

from mindvoxel.data.dataset import Case, image_header
from mindvoxel.data.images import IMAGES, name_of
from mindvoxel.datasets import listing
from mindvoxel.datasets.layouts import open_dataset
from mindvoxel.errors import InputError
from mindvoxel.volume import WRITABLE, Vector, single_file_suffix

_CHANNEL = re.compile(r"(.+)_(\d{4})")  # nnU-Net's name of a channel's file, without its suffix
_MASK = re.compile(r"(.+)_(?:gt|label|labels|mask|seg|segmentation)", re.IGNORECASE)
_SHOWN = 5


def find_cases(inputs: Sequence[str | Path], num_channels: int) -> list[Case]:
    """The cases that `--input` names; none of their files has been read.

    inputs: one path, or the channel files of one case in their order.  A folder that holds images is taken as it is:
    by nnU-Net's names, CASE_0000, CASE_0001 …, where all of its files have such a number below num_channels, else a
    case a file. Any other folder, or a CSV, is a data set, whose test cases are taken.
    Raises InputError where nothing is found, a channel's file lacks, or a mask lies among the images.
    """
    paths = [Path(path) for path in inputs]
    missing = [path for path in paths if not path.exists()]
    if missing:
        raise InputError(f"{missing[0]}: no such file or folder; name an image, a folder of images, or a data set")
    if len(paths) > num_channels:
        raise InputError(
            f"--input names {len(paths)} files, a case has {num_channels} channels; name a folder of cases"
        )
    if len(paths) > 1:
        return list(listing.check_cases([Case(_case_of(paths[0]), tuple(paths), None)], paths[0].parent))
    path = paths[0]
    if path.is_file() and path.name.lower().endswith(IMAGES):
        return [_single(path, num_channels)]
    images = listing.images_in(path)
    if images:
        return list(listing.check_cases(_grouped(path, images, num_channels), path))
    cases = list(open_dataset(path, check_files=False).test_cases)
    if not cases:
        raise InputError(f"{path}: no test case in this data set; name the folder of the images, as imagesTr")
    return cases


def _case_of(path: Path) -> str:
    found = _CHANNEL.fullmatch(name_of(path))
    return found[1] if found else name_of(path)


def _channel_paths(path: Path, num_channels: int) -> tuple[Path, ...]:
    """The channel files of the case that `path` is of, by nnU-Net's names."""
    name = name_of(path)
    return tuple(path.with_name(f"{name[:-4]}{k:04d}{path.name[len(name) :]}") for k in range(num_channels))


def _is_channel(path: Path, num_channels: int) -> bool:
    found = _CHANNEL.fullmatch(name_of(path))
    return found is not None and int(found[2]) < num_channels


def _single(path: Path, num_channels: int) -> Case:
    """A file, with the other channels of its case beside it where they are all there."""
    if _is_channel(path, num_channels) and all(file.is_file() for file in _channel_paths(path, num_channels)):
        return Case(_case_of(path), _channel_paths(path, num_channels), None)
    return Case(name_of(path), (path,), None)


def _grouped(folder: Path, images: list[Path], num_channels: int) -> list[Case]:
    if not all(_is_channel(path, num_channels) for path in images):
        _refuse_masks(folder, images)
        return [Case(name_of(path), (path,), None) for path in images]
    cases = {_channel_paths(path, num_channels): _case_of(path) for path in images}
    listing.require_files(
        [file for files in cases for file in files],
        f"a case has {num_channels} channels, CASE_0000 to CASE_{num_channels - 1:04d}, all of one type",
    )
    return [Case(name, files, None) for files, name in cases.items()]


def _refuse_masks(folder: Path, images: list[Path]) -> None:
    """Raise InputError where the names say that the mask of an image lies beside it: it is no scan."""
    paths = {name_of(path): path for path in images}
    for name, path in paths.items():
        scan = paths.get(found[1]) if (found := _MASK.fullmatch(name)) else paths.get(f"{name}_0000")
        if scan is not None:
            raise InputError(
                f"{folder}: {path.name} seems to be the mask of {scan.name}; put masks into another folder, or name "
                "the scans one by one"
            )


def check_headers(cases: Sequence[Case], num_channels: int, spacing_mm: Vector | None) -> None:
    """Read the headers of all cases; raises InputError that counts those at fault and tells the first few."""
    faults = []
    for case in cases:
        try:
            found = image_header(case, spacing_mm).num_channels
            if found != num_channels:
                raise InputError(
                    f"{case.image}: {found} channels, and the networks take {num_channels}; name that many"
                )
        except InputError as error:
            faults.append(str(error))
    if faults:
        count = f"{len(faults)} of {len(cases)} cases cannot be read: " if len(cases) > 1 else ""
        more = f"; and {len(faults) - _SHOWN} more" if len(faults) > _SHOWN else ""
        raise InputError(count + "; ".join(faults[:_SHOWN]) + more)


def mask_paths(cases: Sequence[Case], output: str | Path) -> dict[str, Path]:
    """Where the mask of each case goes: `output` itself for a single case where it names an image file, else
    output/CASE with the type of its image. Raises InputError where a mask would lie among the scans."""
    output, images = Path(output), [image for case in cases for image in case.images]
    if output.name.lower().endswith(IMAGES) and not output.is_dir():
        if len(cases) > 1:
            raise InputError(f"--output {output} is a file, and there are {len(cases)} cases; name a folder")
        if not output.name.endswith(WRITABLE):
            raise InputError(f"--output {output}: masks are written as one of {', '.join(WRITABLE)}; name such a file")
        if output.resolve() in [image.resolve() for image in images]:
            raise InputError(f"--output {output} is the scan itself; name another file")
        return {cases[0].case: output}
    if output.resolve() in [image.parent.resolve() for image in images]:
        raise InputError(f"--output {output} holds the scans; name another folder, so that none is replaced")
    return {case.case: output / (case.case + single_file_suffix(case.image)) for case in cases}
