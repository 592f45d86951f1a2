"""Which cases train and which evaluate; CSV files without a header, one file name a line."""

from pathlib import Path

import numpy as np

from mindvoxel.errors import InputError
from mindvoxel.files import write_text

PROMISE12_NUM_CASES = 50
# The evaluation cases of the published MindSpore V-Net (research/cv/vnet, split.py).
PROMISE12_EVAL_IDS = (11, 15, 19, 30, 42, 43, 44, 46, 48, 49)


def published_promise12() -> tuple[list[str], list[str]]:
    """The published split of PROMISE12's 50 training scans: 40 to train, 10 to evaluate."""
    names = [f"Case{i:02d}.mhd" for i in range(PROMISE12_NUM_CASES)]
    held_out = {names[i] for i in PROMISE12_EVAL_IDS}
    return [n for n in names if n not in held_out], [n for n in names if n in held_out]


def random_split(names: list[str], eval_fraction: float, seed: int) -> tuple[list[str], list[str]]:
    """`eval_fraction` of the names, at least one, drawn for evaluation; both lists keep the order of `names`."""
    if not 0 < eval_fraction < 1:
        raise InputError(f"eval_fraction must lie between 0 and 1, got {eval_fraction}")
    if len(names) < 2:
        raise InputError(f"a split needs at least 2 cases, got {len(names)}")
    if seed < 0:
        raise InputError(f"seed must be 0 or more, got {seed}")
    count = min(max(round(len(names) * eval_fraction), 1), len(names) - 1)
    held_out = set(np.random.default_rng(seed).choice(len(names), count, replace=False).tolist())
    return (
        [n for i, n in enumerate(names) if i not in held_out],
        [n for i, n in enumerate(names) if i in held_out],
    )


def read_split(path: str | Path) -> list[str]:
    """File names of a split file; blank lines, blanks and commas at the ends, CRLF and a byte-order mark do no harm."""
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such split file; write one with scripts/create_csv.sh")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not a text file in UTF-8; one file name a line is needed") from error
    names = [name for line in text.splitlines() if (name := line.strip(", \t"))]
    if not names:
        raise InputError(f"{path}: empty split file; one file name a line is needed")
    doubled = sorted({n for n in names if names.count(n) > 1})
    if doubled:
        raise InputError(f"{path}: {', '.join(doubled)} stands in it more than once; each case may stand once")
    return names


def write_split(path: str | Path, names: list[str]) -> None:
    """Write one name a line."""
    write_text(path, "".join(f"{name}\n" for name in names))
