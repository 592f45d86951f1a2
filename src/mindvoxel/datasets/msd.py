"""Layout of the Medical Segmentation Decathlon (Antonelli et al. 2022): dataset.json with the folders it names."""

import json
from pathlib import Path

from mindvoxel.data.dataset import Case, Dataset
from mindvoxel.volume import stem_of


def open_msd(root: str | Path) -> Dataset:
    """The data set that root/dataset.json lists."""
    root = Path(root)
    meta = json.loads((root / "dataset.json").read_text(encoding="utf-8"))
    channels = tuple(name for _, name in sorted(meta["modality"].items(), key=lambda item: int(item[0])))
    labels = {name: int(value) for value, name in meta["labels"].items()}
    cases = tuple(
        Case(stem_of(entry["image"]), (root / entry["image"],), root / entry["label"]) for entry in meta["training"]
    )
    return Dataset(meta["name"], channels, labels, cases)
