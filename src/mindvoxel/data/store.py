"""Preprocessed cases on disk: three arrays and a JSON file a case, which is written last and says that it is whole."""

import json
import os
import re
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mindvoxel.data.grid import CaseGrid
from mindvoxel.data.plan import difference
from mindvoxel.errors import InputError
from mindvoxel.files import replacing, write_text

FOLDER_FILE = "preprocessed.json"
SUFFIX = ".case.json"
VERSION = 1  # of what preprocessing does: another one makes cases stale
ARRAYS = ("image", "label", "locations")


@dataclass(frozen=True)
class StoredCase:
    """A preprocessed case. Raw arrays are views of the files (np.memmap, read-only); copy what is to be changed.

    image: (C, D, H, W) float32.  label: (D, H, W) classes, −1 outside the non-zero mask; None: a test case.
    locations: class -> (N, 3) int32 voxels (z, y, x) of that class, a fixed random choice; empty: it has none.
    """

    case: str
    image: np.ndarray
    label: np.ndarray | None
    locations: dict[int, np.ndarray]
    grid: CaseGrid


def write_case(folder: str | Path, stored: StoredCase, *, compress: bool, origin: dict | None = None) -> None:
    """Write a case: CASE.image.npy, CASE.label.npy and CASE.locations.npy, or all three in CASE.npz where `compress`.

    CASE.case.json comes last, by a rename: a case without it does not exist, whenever the process was stopped.
    origin: kept in it, of what the case was made. Raises OSError where the folder cannot be written.
    """
    folder = Path(folder)
    remove_case(folder, stored.case)
    classes = sorted(stored.locations)
    arrays = {"image": stored.image, "label": stored.label}
    if stored.label is not None:
        none = np.zeros((0, 3), np.int32)
        arrays["locations"] = np.concatenate([none, *(stored.locations[k] for k in classes)])
    arrays = {name: array for name, array in arrays.items() if array is not None}
    if compress:
        files = [folder / f"{stored.case}.npz"]
        with replacing(files[0]) as partial, partial.open("wb") as file:
            np.savez_compressed(file, **arrays)
    else:
        files = [folder / f"{stored.case}.{name}.npy" for name in arrays]
        for path, array in zip(files, arrays.values(), strict=True):
            with replacing(path) as partial, partial.open("wb") as file:
                np.save(file, array, allow_pickle=False)
    record = {
        "case": stored.case,
        "form": "compressed" if compress else "raw",
        "bytes": {path.name: path.stat().st_size for path in files},
        "arrays": {name: {"shape": array.shape, "dtype": str(array.dtype)} for name, array in arrays.items()},
        "locations": {str(k): len(stored.locations[k]) for k in classes},
        "grid": stored.grid.to_json(),
        "origin": origin or {},
    }
    write_text(folder / f"{stored.case}{SUFFIX}", json.dumps(record) + "\n")


def link_case(folder: str | Path, twin: str | Path, case: str) -> bool:
    """Put a case that is whole in the folder `twin` into `folder`, too, by hard links, which take no space.

    False where the file system has none. Sound, since files of a case are replaced and never written to.
    """
    folder, twin = Path(folder), Path(twin)
    remove_case(folder, case)
    names = [*read_record(twin, case)["bytes"], f"{case}{SUFFIX}"]
    try:
        for name in names:
            os.link(twin / name, folder / name)
    except OSError:
        remove_case(folder, case)
        return False
    return True


def remove_case(folder: str | Path, case: str) -> None:
    """Remove a case, its JSON file first."""
    for name in _names(case):
        (Path(folder) / name).unlink(missing_ok=True)


def remove_unfinished(folder: str | Path, cases: Iterable[str]) -> None:
    """Remove what a process that was killed left of these cases; nobody else may be writing them."""
    ours = {name for case in cases for name in _names(case)}
    for path in Path(folder).glob(".partial-*"):
        found = re.fullmatch(r"\.partial-\d+-(.*)", path.name)
        if found and found[1] in ours:
            path.unlink(missing_ok=True)


def _names(case: str) -> list[str]:
    """Every file of a case, the one first that says that it is whole."""
    return [f"{case}{SUFFIX}", f"{case}.npz", *(f"{case}.{name}.npy" for name in ARRAYS)]


def list_cases(folder: str | Path) -> list[str]:
    """Names of the whole cases of a folder, sorted; raises InputError where there is no such folder."""
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; mindvoxel preprocess writes it")
    names = [path.name.removesuffix(SUFFIX) for path in folder.glob(f"*{SUFFIX}")]
    return sorted(name for name in names if not name.startswith(".partial-"))  # what a killed process was writing


def read_record(folder: str | Path, case: str) -> dict:
    """CASE.case.json, with the sizes of its files checked; raises InputError where one is absent or of another size."""
    path = Path(folder) / f"{case}{SUFFIX}"
    if not path.is_file():
        raise InputError(f"{path}: no such preprocessed case; run mindvoxel preprocess again, it goes on where it was")
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        sizes = dict(record["bytes"])
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: damaged ({error}); remove it and run mindvoxel preprocess again") from error
    for name, size in sizes.items():
        file = Path(folder) / name
        found = file.stat().st_size if file.is_file() else None
        if found != size:
            what = "is absent" if found is None else f"holds {found} bytes where {size} were written"
            raise InputError(f"{file}: {what}; remove {path.name} and run mindvoxel preprocess again")
    return record


def open_case(folder: str | Path, case: str) -> StoredCase:
    """A case of a folder; raw arrays are mapped, not read. Raises InputError where it is not there, or damaged."""
    folder = Path(folder)
    record = read_record(folder, case)
    try:
        arrays = _arrays(folder, record)
        for name, wanted in record["arrays"].items():
            found = {"shape": list(arrays[name].shape), "dtype": str(arrays[name].dtype)}
            if found != wanted:
                raise ValueError(f"{name} is {found}, not {wanted}")
        grid = CaseGrid.from_json(record["grid"])
        counts = {int(k): n for k, n in record["locations"].items()}
        ends = np.cumsum(list(counts.values()), dtype=int)
        locations = {k: arrays["locations"][end - n : end] for (k, n), end in zip(counts.items(), ends, strict=True)}
    except (ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile) as error:
        reason = f"{folder / case}{SUFFIX}: its arrays do not read ({error})"
        raise InputError(f"{reason}; remove it and run mindvoxel preprocess again") from error
    return StoredCase(case, arrays["image"], arrays.get("label"), locations, grid)


def _arrays(folder: Path, record: dict) -> dict[str, np.ndarray]:
    case, names = record["case"], record["arrays"]
    if record["form"] == "compressed":
        with np.load(folder / f"{case}.npz", allow_pickle=False) as file:
            return {name: file[name] for name in names}
    paths = {name: folder / f"{case}.{name}.npy" for name in names}
    # an empty file cannot be mapped
    modes = {name: "r" if np.prod(entry["shape"]) else None for name, entry in names.items()}
    return {name: np.load(path, mmap_mode=modes[name], allow_pickle=False) for name, path in paths.items()}


def begin_folder(folder: str | Path, key: dict, *, overwrite: bool) -> None:
    """Make a folder for cases that `key` decides (plan.preprocessing_key), or go on with one.

    Raises InputError where it holds cases of another key; overwrite: those are removed instead.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    reason = _stale_reason(folder, key)
    if reason and not overwrite:
        raise InputError(f"{folder}: {reason}; add --overwrite to make them anew, or name another --output")
    if overwrite:
        for case in list_cases(folder):
            remove_case(folder, case)
    path, text = folder / FOLDER_FILE, json.dumps({"version": VERSION, "key": key}, indent=1) + "\n"
    if not path.is_file() or path.read_bytes() != text.encode():  # other shards may be at work here
        write_text(path, text)


def check_fresh(folder: str | Path, key: dict) -> None:
    """Raise InputError unless the cases of a folder are what `key` decides (plan.preprocessing_key)."""
    if not (Path(folder) / FOLDER_FILE).is_file():
        raise InputError(f"{folder}: no preprocessed cases ({FOLDER_FILE} is absent); mindvoxel preprocess makes them")
    if reason := _stale_reason(Path(folder), key):
        raise InputError(f"{folder}: {reason}; run mindvoxel preprocess with --overwrite, or undo that change")


def _stale_reason(folder: Path, key: dict) -> str | None:
    path = folder / FOLDER_FILE
    if not path.is_file():
        return f"it holds cases, but no {FOLDER_FILE} that says of which plan" if list_cases(folder) else None
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        version, old = record["version"], dict(record["key"])
    except (ValueError, KeyError, TypeError) as error:
        return f"{FOLDER_FILE} is damaged ({error})"
    if version != VERSION:
        return f"its cases are of version {version} of the preprocessing, this is {VERSION}"
    changed = difference(old, key)
    return changed and f"its cases were preprocessed by another plan: {changed}"
