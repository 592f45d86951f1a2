"""Layout of the Medical Segmentation Decathlon (Antonelli et al. 2022): dataset.json with the folders it names.

One file a case; several channels are the fourth axis of a 4-D file.
"""

import json
from pathlib import Path

from mindvoxel.data.dataset import Case, Dataset
from mindvoxel.data.images import name_of
from mindvoxel.datasets import listing
from mindvoxel.files import write_text
from mindvoxel.volume import Vector


def open_msd(root: str | Path, spacing_mm: Vector | None = None, check_files: bool = True) -> Dataset:
    """The data set that root/dataset.json lists; raises InputError with expected and found names where a file lacks."""
    root = Path(root)
    where = root / "dataset.json"
    values = listing.read_json(where)
    training, test = listing.image_entries(values, where, root)
    if check_files:
        listed = [*(path for pair in training for path in pair), *test]
        listing.require_files(listed, f"{where} lists them; add them, or take them out of it")
    cases = listing.check_cases((Case(name_of(image), (image,), label) for image, label in training), where)
    test_cases = listing.check_cases((Case(name_of(image), (image,), None) for image in test), where)
    channels = listing.channel_names(values, "modality", where)
    labels = listing.msd_labels(values, where)
    return Dataset(str(values.get("name") or root.resolve().name), channels, labels, cases, test_cases, spacing_mm)


def write_index(root: Path, dataset: Dataset, suffix: str = ".nii.gz") -> None:
    """root/dataset.json for `dataset`, whose files lie in imagesTr, labelsTr and imagesTs already."""
    values = {
        "name": dataset.name,
        "tensorImageSize": "3D" if len(dataset.channels) == 1 else "4D",
        "modality": {str(i): name for i, name in enumerate(dataset.channels)},
        "labels": {str(value): name for name, value in dataset.labels.items()},
        "numTraining": len(dataset.cases),
        "numTest": len(dataset.test_cases),
        "training": [
            {"image": f"./imagesTr/{case.case}{suffix}", "label": f"./labelsTr/{case.case}{suffix}"}
            for case in dataset.cases
        ],
        "test": [f"./imagesTs/{case.case}{suffix}" for case in dataset.test_cases],
    }
    write_text(root / "dataset.json", json.dumps(values, indent=1, ensure_ascii=False) + "\n")
