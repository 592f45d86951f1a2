"""Any layout of a data set by its name, or found out by what its folder holds."""

from pathlib import Path

from mindvoxel.data.dataset import Dataset
from mindvoxel.data.images import name_of, suffix_of
from mindvoxel.datasets import csv_list, listing
from mindvoxel.datasets.csv_list import open_csv
from mindvoxel.datasets.msd import open_msd
from mindvoxel.datasets.nnunet_v1 import open_nnunet_v1
from mindvoxel.datasets.nnunet_v2 import open_nnunet_v2
from mindvoxel.datasets.promise12 import open_promise12
from mindvoxel.errors import InputError
from mindvoxel.headers import require_utf8
from mindvoxel.volume import Vector

LAYOUTS = {
    "msd": open_msd,
    "nnunet_v1": open_nnunet_v1,
    "nnunet_v2": open_nnunet_v2,
    "csv": open_csv,
    "promise12": open_promise12,
}


def open_dataset(
    path: str | Path, layout: str = "auto", spacing_mm: Vector | None = None, *, check_files: bool = True
) -> Dataset:
    """The data set at `path`, a folder or a CSV; every file that it names is there, none has been read.

    layout: one of LAYOUTS, or auto.  spacing_mm: (z, y, x), taken for images that know none.
    check_files: False leaves it to verification to tell which files lack, beside all other faults.
    Raises InputError where nothing of the kind is there, or files lack, with expected and found names.
    """
    path = Path(path)
    if layout != "auto" and layout not in LAYOUTS:
        raise InputError(f"layout {layout!r} is unknown; auto or one of {', '.join(LAYOUTS)} is needed")
    if not path.exists():
        raise InputError(f"{path}: no such folder or CSV file; name the folder of a data set")
    dataset = LAYOUTS[_layout_of(path) if layout == "auto" else layout](path, spacing_mm, check_files)
    for case in (*dataset.cases, *dataset.test_cases):
        for named in (*case.images, *([case.label] if case.label else []), Path(case.case)):
            require_utf8(named)
    both = {case.case for case in dataset.cases} & {case.case for case in dataset.test_cases}
    if both:
        raise InputError(f"{path}: case {min(both)} is a training case and a test case both; rename one of them")
    return dataset


def _layout_of(path: Path) -> str:
    if path.is_file():
        if path.suffix.lower() == ".csv":
            return "csv"
        raise InputError(f"{path}: neither a folder nor a CSV file; name the folder of a data set")
    if (path / "dataset.json").is_file():
        return _layout_of_json(path)
    if (path / csv_list.FILE).is_file():
        return "csv"
    if (path / "img").is_dir():
        return "promise12"
    found = listing.shortened(sorted(p.name for p in path.iterdir())) or "nothing"
    raise InputError(
        f"{path}: no data set of a known layout; dataset.json (MSD, nnU-Net), {csv_list.FILE}, or the folders img and "
        f"gt (PROMISE12) were looked for, found {found}"
    )


def _layout_of_json(root: Path) -> str:
    """MSD and nnU-Net v1 share their dataset.json: the names of the files tell them apart."""
    where = root / "dataset.json"
    values = listing.read_json(where)
    if "channel_names" in values:
        return "nnunet_v2"
    if "modality" not in values:
        raise InputError(
            f"{where}: neither 'modality' (MSD, nnU-Net v1) nor 'channel_names' (nnU-Net v2) in it, one of which names "
            f"the channels; found {listing.shortened(list(values))}"
        )
    training, test = listing.image_entries(values, where, root)
    for image in [image for image, _ in training] + test:
        if not image.is_file() and image.with_name(f"{name_of(image)}_0000{suffix_of(image)}").is_file():
            return "nnunet_v1"
    return "msd"
