"""A deployment bundle: one folder with the network's files, deploy.json, and a reference case with its answer.

deploy.json says all that happens before and after the network, so that a program without Python can do it; it lists
every other file with its size and SHA-256. docs/en/deploy.md has its keys.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mindvoxel.data.plan import Plan
from mindvoxel.errors import InputError
from mindvoxel.files import laid_out, read_json, write_text
from mindvoxel.inference.labels import sliding_of
from mindvoxel.inference.stream import Sliding

VERSION = 1
DEPLOY, MINDIR, ONNX = "deploy.json", "model.mindir", "model.onnx"
IMAGE, LABELS = "reference/image.nii.gz", "reference/labels.nii.gz"
FILES = (MINDIR, ONNX, IMAGE, LABELS)
PHOTO, PREDICTIONS = "reference/image.png", "reference/predictions.csv"
PHOTO_FILES = (MINDIR, ONNX, PHOTO, PREDICTIONS)
_REMEDY = "copy the bundle again, whole, or export it anew"
Groups = Sequence[Sequence[int]]


@dataclass(frozen=True)
class Bundle:
    """A bundle whose files are as they were written.

    labels: name -> value of each class, in masks the background first.  way: of its preprocessing, planned or scan, or
    photo of a classifier.  validated_with_tta, nsd_tolerance_mm: how the run that trained it scored its validation,
    with mirrored windows or not, and to which surface distance; of a classifier False and None.  deploy: all of
    deploy.json.
    """

    folder: Path
    model: str
    channels: tuple[str, ...]
    labels: dict[str, int]
    way: str
    validated_with_tta: bool
    nsd_tolerance_mm: float | None
    deploy: dict

    @property
    def label_values(self) -> tuple[int, ...]:
        """The value of each class of the network."""
        return tuple(self.labels.values())


def planned_part(plan: Plan, configuration: str, groups: Groups, *, validated_with_tta: bool) -> dict:
    """What deploy.json says of a network that a plan sized: channels, classes, and the way of a scan.

    groups: of label values, of each of which the largest component alone stays.
    """
    chosen = plan.configurations[configuration]
    way, sliding = chosen.preprocessing, sliding_of(plan, configuration)
    names = {value: name for name, value in plan.labels.items()}
    preprocessing = {
        "way": "planned",
        "axes": list(plan.axes),
        "crop": way.crop,
        "order": way.order,
        "normalization": [_normalization(plan, channel, scheme) for channel, scheme in enumerate(way.normalization)],
        "spacing_mm": None if chosen.spacing_mm is None else list(chosen.spacing_mm),
        "rounding": way.rounding,
        "anisotropy": way.anisotropy,
        "image_interpolation": "cubic",
        "logits_interpolation": "linear",
    }
    return {
        "channels": list(plan.channels),
        "classes": [{"value": value, "name": names[value]} for value in plan.label_values],
        "preprocessing": preprocessing,
        "sliding": _sliding(sliding, range(chosen.dim), sliding.average, validated_with_tta),
        "postprocessing": {"keep_largest": [list(group) for group in groups], "neighbours": 26},
    }


def _normalization(plan: Plan, channel: int, scheme: str) -> dict:
    if scheme != "ct":
        return {"scheme": scheme}
    known = plan.intensities[channel]
    limits = {"low": known.percentile_00_5, "high": known.percentile_99_5}
    return {"scheme": scheme} | limits | {"mean": known.mean, "sd": known.sd}


def scan_part(data: dict, words: dict) -> dict:
    """What deploy.json says of V-Net, by the sections `data` and `eval` of its recipe."""
    window, mirror_axes = tuple(data["patch_size"]), tuple(words["mirror_axes"])
    preprocessing = {
        "way": "scan",
        "spacing_mm": list(data["spacing_mm"]),
        "min_shape": list(window),
        "centre_crop": data["centre_crop"],
        "image_interpolation": "linear",
        "restore_order": words["restore_order"],
    }
    sliding = Sliding(window, words["overlap"], words["blend"])
    return {
        "channels": ["MRI"],
        "classes": [{"value": 0, "name": "background"}, {"value": 1, "name": "prostate"}],
        "preprocessing": preprocessing,
        "sliding": _sliding(sliding, mirror_axes or range(3), "foreground", bool(mirror_axes)),
        "postprocessing": {"keep_largest": [[1]] if words["largest_component"] else [], "neighbours": 6},
    }


def photo_part(data: dict, classes: Sequence[str]) -> dict:
    """What deploy.json says of a classifier, by the section `data` of its recipe; classes: their names in order."""
    preprocessing = {"way": "photo", "short_side": data["short_side"], "size": data["size"]}
    return {
        "channels": ["red", "green", "blue"],
        "classes": [{"value": value, "name": name} for value, name in enumerate(classes)],
        "preprocessing": preprocessing | {"mean": list(data["mean"]), "sd": list(data["sd"])},
    }


def _sliding(sliding: Sliding, tta_axes: Sequence[int], average: str, validated_with_tta: bool) -> dict:
    return {
        "window": list(sliding.window),
        "overlap": sliding.overlap,
        "spread": sliding.spread,
        "blend": sliding.blend,
        "average": average,
        "pad_value": sliding.pad_value,
        "tta_axes": list(tta_axes),
        "validated_with_tta": validated_with_tta,
    }


def network_part(window: tuple[int, ...], answer: tuple[int, ...], precision: str) -> dict:
    """What deploy.json says of the network's tensors, which are float32, in batches of one.

    window: (C, [D,] H, W).  answer: (K, [D,] H, W), or (K,) of a classifier.  precision: in which its convolutions are
    computed, f32 or f16.
    """
    return {
        "input": "image",
        "output": "logits",
        "input_shape": [1, *window],
        "output_shape": [1, *answer],
        "layout": "NCDHW" if len(window) == 4 else "NCHW",
        "precision": precision,
    }


def files_of(way: str) -> tuple[str, ...]:
    """The files of a bundle beside deploy.json, by the way of its preprocessing."""
    return PHOTO_FILES if way == "photo" else FILES


def sha256_of(path: str | Path) -> str:
    """Of a file, in hexadecimal digits."""
    with Path(path).open("rb") as file:
        found = hashlib.sha256()
        while block := file.read(1 << 20):
            found.update(block)
    return found.hexdigest()


def write_deploy(folder: Path, values: dict) -> None:
    """deploy.json of the files that lie in `folder` already; `values` is what it says beside version and files."""
    files = {name: _entry(folder / name) for name in files_of(values["preprocessing"]["way"])}
    write_text(folder / DEPLOY, laid_out({"version": VERSION} | values | {"files": files}) + "\n")


def _entry(path: Path) -> dict:
    return {"bytes": path.stat().st_size, "sha256": sha256_of(path)}


def read_bundle(folder: str | Path) -> Bundle:
    """deploy.json, with the size and SHA-256 of every file that it lists compared.

    Raises InputError, in one sentence, where a file is missing or changed, a key is missing or of another type, or the
    version is another one.
    """
    folder = Path(folder)
    path = folder / DEPLOY
    deploy = read_json(path, "name a folder that export.py --file_format BUNDLE wrote")
    if deploy.get("version") != VERSION:
        raise InputError(
            f"{path}: version {deploy.get('version')}, and this program reads version {VERSION}; update mindvoxel, or "
            "export the bundle anew"
        )
    preprocessing = _get(deploy, path, "preprocessing", dict)
    way = _get(preprocessing, path, "way", str)
    files = _get(deploy, path, "files", dict)
    for name in dict.fromkeys((*files_of(way), *files)):
        _check_file(folder, path, name, files.get(name))
    tta, nsd_tolerance_mm = False, None
    if way != "photo":
        tta = _get(_get(deploy, path, "sliding", dict), path, "validated_with_tta", bool)
        nsd_tolerance_mm = _get(deploy, path, "nsd_tolerance_mm", float)
    model, channels = _get(deploy, path, "model", str), tuple(map(str, _get(deploy, path, "channels", list)))
    return Bundle(folder, model, channels, _labels(deploy, path), way, tta, nsd_tolerance_mm, deploy)


def _labels(deploy: dict, path: Path) -> dict[str, int]:
    classes = _get(deploy, path, "classes", list)
    labels = {entry["name"]: entry["value"] for entry in classes if _is_class(entry)}
    if len(set(labels.values())) < max(len(classes), 2):
        raise InputError(f"{path}: classes must be two or more, each with a value and a name of its own; {_REMEDY}")
    return labels


def _get(values: dict, path: Path, key: str, kind: type):
    fitting = (int, float) if kind is float else (kind,)
    if type(values.get(key)) not in fitting:
        found = f"is {values[key]!r}" if key in values else "is missing"
        raise InputError(f"{path}: {key} {found}, where {_KINDS[kind]} is needed; {_REMEDY}")
    return values[key]


_KINDS = {dict: "an object", list: "a list", str: "a text", bool: "true or false", float: "a number"}


def _is_class(entry) -> bool:
    if not isinstance(entry, dict) or type(entry.get("value")) is not int:
        return False
    return -32768 <= entry["value"] <= 32767 and isinstance(entry.get("name"), str)


def _check_file(folder: Path, deploy: Path, name: str, entry) -> None:
    known = isinstance(entry, dict) and type(entry.get("bytes")) is int and isinstance(entry.get("sha256"), str)
    if not known or Path(name).is_absolute() or ".." in Path(name).parts:
        raise InputError(f"{deploy}: files says nothing usable of {name!r}, bytes and sha256 are needed; {_REMEDY}")
    path = folder / name
    if not path.is_file():
        raise InputError(f"{path}: no such file, which {deploy.name} lists; {_REMEDY}")
    size = path.stat().st_size
    if size != entry["bytes"]:
        raise InputError(f"{path}: {size} bytes, and {deploy.name} says {entry['bytes']}; {_REMEDY}")
    if sha256_of(path) != entry["sha256"]:
        raise InputError(f"{path}: changed since it was exported, its SHA-256 is not {deploy.name}'s; {_REMEDY}")
