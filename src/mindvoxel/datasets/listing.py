"""What the layouts share: a dataset.json read with care, paths that stay below their folder, files that are there."""

from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path, PurePosixPath

from mindvoxel.data.dataset import Case
from mindvoxel.data.images import IMAGES
from mindvoxel.errors import InputError
from mindvoxel.files import read_json as read_json  # the first step of every layout

_SHOWN = 5


def entry(values: dict, key: str, kind: type, where: Path):
    """values[key], which must be of `kind`."""
    if not isinstance(values.get(key), kind):
        found = f"{type(values[key]).__name__}" if key in values else "nothing"
        wanted = {dict: "an object", list: "a list", str: "a text"}[kind]
        raise InputError(f"{where}: {wanted} is needed under {key!r}, found {found}")
    return values[key]


def channel_names(values: dict, key: str, where: Path) -> tuple[str, ...]:
    """{"0": name, …} as names in order; raises InputError unless its numbers are 0, 1, …"""
    named = entry(values, key, dict, where)
    if sorted(named, key=str) != sorted(map(str, range(len(named)))) or not named:
        raise InputError(f"{where}: channels are numbered from 0 on without a gap under {key!r}, found {list(named)}")
    return tuple(str(named[str(i)]) for i in range(len(named)))


def with_background(labels: dict[str, int], where: Path) -> dict[str, int]:
    """`labels` by value, with the background 0; raises InputError for a value that two names share."""
    if len(set(labels.values())) < len(labels):
        raise InputError(f"{where}: two labels share a value ({labels}); every label needs its own")
    if 0 not in labels.values():
        labels = {"background": 0, **labels}
    return dict(sorted(labels.items(), key=lambda item: item[1]))


def whole(value, what: str, where: Path) -> int:
    """`value`, a whole number or its text, as int."""
    if isinstance(value, bool) or not isinstance(value, int | str) or not str(value).removeprefix("-").isdecimal():
        raise InputError(f"{where}: {what} must be a whole number, got {value!r}")
    return int(value)


def below(root: Path, name, where: Path) -> Path:
    """The file `name` below `root`, which `where` lists; raises InputError where it leads out of `root`."""
    if not isinstance(name, str) or not name:
        raise InputError(f"{where}: a file name is needed where {name!r} stands")
    pure = PurePosixPath(name)
    if pure.is_absolute() or ".." in pure.parts:
        raise InputError(f"{where}: {name} leads out of its folder; a path below {root} is needed")
    return root / pure


def images_in(folder: Path) -> list[Path]:
    """The image files in `folder`, sorted; hidden ones, as macOS leaves them in archives, are not looked at."""
    if not folder.is_dir():
        return []
    return sorted(p for p in folder.iterdir() if p.name.lower().endswith(IMAGES) and not p.name.startswith("."))


def require_files(paths: Iterable[Path], hint: str) -> None:
    """Raise InputError with what was expected and what was found, unless all `paths` are files."""
    paths = list(paths)
    missing = [path for path in paths if not path.is_file()]
    if not missing:
        return
    folder = missing[0].parent
    here = [path.name for path in missing if path.parent == folder]
    found = [p.name for p in sorted(folder.iterdir()) if not p.name.startswith(".")] if folder.is_dir() else []
    near = [name for wanted in here[:_SHOWN] for name in get_close_matches(wanted, found, n=2, cutoff=0.5)]
    seen = shortened(list(dict.fromkeys(near)) or found) if folder.is_dir() else "no such folder"
    raise InputError(
        f"{folder}: {len(missing)} of {len(paths)} files are missing; expected {shortened(here)}; found "
        f"{seen or 'no file'}; {hint}"
    )


def shortened(names: list[str]) -> str:
    """The first few names, and how many there are besides."""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def check_cases(cases: Iterable[Case], where: Path) -> tuple[Case, ...]:
    """`cases`; raises InputError where two have one name, or a name cannot be that of a file."""
    cases = tuple(cases)
    seen = set()
    for case in cases:
        if not case.case or case.case.startswith((".", "-")) or any(c in case.case for c in '/\\:*?"<>|\0\n\r'):
            raise InputError(f"{where}: case {case.case!r} has a name that no file can have; rename it")
        if case.case in seen:
            raise InputError(f"{where}: case {case.case} is named more than once; name each case once")
        seen.add(case.case)
    return cases


def image_entries(values: dict, where: Path, root: Path) -> tuple[list[tuple[Path, Path]], list[Path]]:
    """MSD's lists: (image, label) of "training", and the images of "test"; as they are listed, not yet looked for."""
    training = []
    for pair in entry(values, "training", list, where):
        if not isinstance(pair, dict) or not {"image", "label"} <= pair.keys():
            raise InputError(f"{where}: under 'training' an object with 'image' and 'label' is needed, got {pair!r}")
        training.append((below(root, pair["image"], where), below(root, pair["label"], where)))
    test = []
    for item in entry({"test": [], **values}, "test", list, where):
        test.append(below(root, item.get("image") if isinstance(item, dict) else item, where))
    return training, test


def msd_labels(values: dict, where: Path) -> dict[str, int]:
    """{"1": name, …} -> name -> value."""
    named = entry(values, "labels", dict, where)
    labels: dict[str, int] = {}
    for value, name in named.items():
        if str(name) in labels:
            raise InputError(f"{where}: two label values are called {name}; give each its own name")
        labels[str(name)] = whole(value, "a label value (the key under 'labels')", where)
    return with_background(labels, where)
