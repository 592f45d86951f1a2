"""predict.json: how the masks of a folder were made, and of which images, so that no command mixes in others."""

import json
from collections.abc import Sequence
from pathlib import Path

from mindvoxel.data.dataset import Case
from mindvoxel.errors import InputError, naming
from mindvoxel.files import read_json, write_text

RECORD = "predict.json"


def record_masks(folder: Path, how: dict, cases: Sequence[Case], masks: dict[str, Path], overwrite: bool) -> None:
    """Write predict.json, or add these cases to it; how: JSON-able words and numbers.

    Raises InputError, unless `overwrite`, where masks that are there were made otherwise, of other images, or by nobody
    knows what, such as a folder of labels.
    """
    path, images = folder / RECORD, {case.case: [str(image.resolve()) for image in case.images] for case in cases}
    old = read_json(path, "remove it, or say --overwrite") if path.is_file() else {}
    changed = [key for key in how if old.get(key) != how[key]]
    known = {} if changed else old.get("cases", {})
    if not overwrite:
        if old and changed:
            raise InputError(
                f"{folder}: its masks were made with {changed[0]} {old.get(changed[0])}, not {how[changed[0]]}; "
                "name another --output, or say --overwrite"
            )
        for case, mask in masks.items():
            if mask.exists() and known.get(case) != images[case]:
                raise InputError(
                    f"{mask}: is there already, and no mask that this command made of {', '.join(images[case])}; name "
                    "another --output, or say --overwrite"
                )
    with naming(path):
        write_text(path, json.dumps(how | {"cases": known | images}, indent=1) + "\n")
