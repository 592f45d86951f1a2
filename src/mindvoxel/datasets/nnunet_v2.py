"""nnU-Net v2's raw layout: DatasetNNN_NAME with imagesTr/CASE_0000.SUFFIX and labelsTr/CASE.SUFFIX, or a list.

dataset.json has channel_names, labels (name -> value, or the values of a region), file_ending, and may list its cases
under "dataset", with paths from its own folder or absolute ones. A picture may hold all channels: CASE_0000.png.
"""

import json
import re
from pathlib import Path

from mindvoxel.data.dataset import Case, Dataset
from mindvoxel.data.images import name_of
from mindvoxel.data.pictures import PICTURES
from mindvoxel.datasets import listing
from mindvoxel.errors import InputError
from mindvoxel.files import write_text
from mindvoxel.volume import Vector

_HINT = "channel k of an image is CASE_000k with the file_ending of dataset.json, the label is CASE without a number"


def open_nnunet_v2(root: str | Path, spacing_mm: Vector | None = None, check_files: bool = True) -> Dataset:
    """The data set of root/dataset.json; raises InputError with expected and found names where a file lacks."""
    root = Path(root)
    where = root / "dataset.json"
    values = listing.read_json(where)
    channels = listing.channel_names(values, "channel_names", where)
    labels, regions = _labels(values, where)
    if "dataset" in values:
        hint = "paths under 'dataset' count from the folder of dataset.json"
        cases = _listed(root, values, where)
    else:
        hint = _HINT
        ending = listing.entry(values, "file_ending", str, where)
        cases = _found(root / "imagesTr", root / "labelsTr", ending, len(channels))
    test_cases: tuple[Case, ...] = ()
    if (root / "imagesTs").is_dir():
        ending = listing.entry(values, "file_ending", str, where)
        test_cases = _found(root / "imagesTs", None, ending, len(channels))
    listing.check_cases(cases, where)
    listing.check_cases(test_cases, root / "imagesTs")
    if check_files:
        listed = [path for case in (*cases, *test_cases) for path in (*case.images, case.label) if path]
        listing.require_files(listed, hint)
    declared = values.get("numTraining", len(cases))
    if declared != len(cases):
        raise InputError(
            f"{where}: numTraining is {declared!r}, and there are {len(cases)} training cases; add the missing ones, "
            "or correct the number"
        )
    if not cases and not test_cases:
        raise InputError(f"{root / 'imagesTr'}: no image in it; {_HINT}")
    name = str(values.get("name") or root.resolve().name)
    return Dataset(name, channels, labels, cases, test_cases, spacing_mm, regions)


def _found(images: Path, labels: Path | None, ending: str, num_channels: int) -> tuple[Case, ...]:
    """The cases that any file in the folders names."""
    numbers: dict[str, set[int]] = {}
    for path in listing.images_in(images):
        found = re.fullmatch(rf"(.+)_(\d{{4}}){re.escape(ending)}", path.name)
        if not found:
            case = re.sub(r"_\d{4}$", "", name_of(path))
            raise InputError(f"{path}: expected {case}_0000{ending}, found {path.name}; {_HINT}")
        numbers.setdefault(found[1], set()).add(int(found[2]))
    for path in listing.images_in(labels) if labels else []:
        if not path.name.endswith(ending):
            raise InputError(f"{path}: expected {name_of(path)}{ending}, found {path.name}; {_HINT}")
        numbers.setdefault(path.name.removesuffix(ending), set())
    highest = max((number for found in numbers.values() for number in found), default=0)
    if highest == 0 and ending.lower() in PICTURES:
        num_channels = 1  # a file, which has them all
    if highest >= num_channels:
        raise InputError(
            f"{images}: channel number {highest:04d} found, and dataset.json names {num_channels} channels, numbered "
            "from 0000; name them all under channel_names, or take the files away"
        )
    return tuple(
        Case(
            case,
            tuple(images / f"{case}_{k:04d}{ending}" for k in range(num_channels)),
            labels / f"{case}{ending}" if labels else None,
        )
        for case in sorted(numbers)
    )


def _listed(root: Path, values: dict, where: Path) -> tuple[Case, ...]:
    cases = []
    for case, files in sorted(listing.entry(values, "dataset", dict, where).items()):
        images, label = (files.get("images"), files.get("label")) if isinstance(files, dict) else (None, None)
        if not isinstance(images, list) or not images or not all(isinstance(p, str) and p for p in (*images, label)):
            raise InputError(
                f"{where}: case {case} under 'dataset' needs a list of file names as 'images' and one as 'label', got "
                f"{files!r}"
            )
        cases.append(Case(case, tuple(root / path for path in images), root / label))
    return tuple(cases)


def _labels(values: dict, where: Path) -> tuple[dict[str, int], dict[str, tuple[int, ...]]]:
    """Every value with its name (label_VALUE where it has none of its own), and the regions where there are any."""
    named = listing.entry(values, "labels", dict, where)
    if "ignore" in named:
        raise InputError(f"{where}: an 'ignore' label is not supported; give its voxels a label, and take it out")
    groups = {name: value if isinstance(value, list) else [value] for name, value in named.items()}
    groups = {
        name: tuple(listing.whole(v, f"a value of label {name}", where) for v in group)
        for name, group in groups.items()
    }
    if any(len(group) == 0 or len(set(group)) < len(group) for group in groups.values()):
        raise InputError(f"{where}: a region under 'labels' needs one value or more, each once, got {named}")
    labels = {name: group[0] for name, group in groups.items() if len(group) == 1}
    if not any(isinstance(value, list) for value in named.values()):
        return listing.with_background(labels, where), {}
    for value in sorted({value for group in groups.values() for value in group} - set(labels.values())):
        labels[f"label_{value}"] = value
    return listing.with_background(labels, where), {name: group for name, group in groups.items() if group != (0,)}


def write_index(root: Path, dataset: Dataset, suffix: str) -> None:
    """root/dataset.json for `dataset`, whose files lie in imagesTr, labelsTr and imagesTs already."""
    values = {
        "name": dataset.name,
        "channel_names": {str(i): name for i, name in enumerate(dataset.channels)},
        "labels": dataset.labels,
        "numTraining": len(dataset.cases),
        "file_ending": suffix,
    }
    if dataset.regions:
        background = {name: 0 for name, value in dataset.labels.items() if value == 0}
        values["labels"] = background | {n: g[0] if len(g) == 1 else list(g) for n, g in dataset.regions.items()}
        values["regions_class_order"] = _class_order(dataset)
    write_text(root / "dataset.json", json.dumps(values, indent=1, ensure_ascii=False) + "\n")


def _class_order(dataset: Dataset) -> list[int]:
    """The value that each region leaves once all regions after it are painted over it."""
    order = []
    regions = list(dataset.regions.items())
    for i, (name, group) in enumerate(regions):
        left = set(group) - {value for _, later in regions[i + 1 :] for value in later}
        if len(left) != 1:
            raise InputError(
                f"{dataset.name}: region {name} has the values {sorted(left)} to itself where nnU-Net v2 needs one; "
                "order the regions from the outermost in, or declare plain labels"
            )
        order.append(left.pop())
    return order
