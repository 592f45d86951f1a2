"""Which cases train and which evaluate: published folds and lists, splits.json, and CSV files of one name a line."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from mindvoxel.errors import InputError
from mindvoxel.files import write_text
from mindvoxel.log import LOGGER
from mindvoxel.volume import stem_of

PROMISE12_NUM_CASES = 50
# The evaluation cases of the published MindSpore V-Net (research/cv/vnet, split.py).
PROMISE12_EVAL_IDS = (11, 15, 19, 30, 42, 43, 44, 46, 48, 49)
KITS19_NUM_CASES = 210
# The evaluation cases of MLPerf's 3D U-Net (mlcommons/training, unet3d, evaluation_cases.txt).
KITS19_EVAL_IDS = (
    *(0, 3, 5, 6, 12, 24, 34, 41, 44, 49, 52, 56, 61, 65, 66, 70, 76, 78, 80, 84, 86, 87, 92),
    *(111, 112, 125, 128, 138, 157, 160, 161, 162, 169, 171, 176, 185, 187, 189, 198, 203, 206, 207),
)
NUM_FOLDS = 5
FOLD_RULES = ("nnunet", "nvidia")
_FOLD_SEED = 12345  # nnU-Net's and NVIDIA's
_MOST_NAMED = 5  # cases that one sentence lists


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


@dataclass(frozen=True)
class Fold:
    """Cases that train a network and cases that judge it, by name."""

    train: tuple[str, ...]
    val: tuple[str, ...]


def five_folds(cases: Sequence[str], rule: str = "nnunet") -> list[Fold]:
    """Five folds, each case judged once: what scikit-learn's KFold(5, shuffle=True, random_state=12345) gives.

    rule: nnunet sorts the names (nnU-Net v1 and v2), nvidia the names of their files NAME_x.npy (NVIDIA nnU-Net), which
    is another order, and so other folds, where numbers are not padded: liver_10 and liver_100. Raises InputError for
    fewer than 5 cases.
    """
    if rule not in FOLD_RULES:
        raise ValueError(f"rule must be one of {', '.join(FOLD_RULES)}, got {rule!r}")
    if len(cases) < NUM_FOLDS:
        raise InputError(
            f"{NUM_FOLDS} folds need at least {NUM_FOLDS} cases, got {len(cases)}; add cases, or write a splits.json"
        )
    ordered = sorted(cases, key=(lambda name: f"{name}_x.npy") if rule == "nvidia" else None)
    # of all NumPy generators only this old one gives the published folds
    shuffled = np.random.RandomState(_FOLD_SEED).permutation(len(ordered))  # noqa: NPY002
    return [_fold(ordered, held_out.tolist()) for held_out in np.array_split(shuffled, NUM_FOLDS)]


def choose_fold(folds: Sequence[Fold], fold: int, cases: Sequence[str]) -> Fold:
    """Fold number `fold`; beyond the last a random 80 % of `cases` train and the others judge, as in nnU-Net."""
    if fold < 0:
        raise InputError(f"fold must be 0 or more, got {fold}")
    if fold < len(folds):
        return folds[fold]
    if len(cases) < 2:
        raise InputError(f"a split needs at least 2 cases, got {len(cases)}")
    LOGGER.info("fold %d is beyond the %d of the splits: a random 80 %% of the cases train", fold, len(folds))
    ordered = sorted(cases)
    rng = np.random.RandomState(_FOLD_SEED + fold)  # noqa: NPY002
    train = set(rng.choice(len(ordered), int(len(ordered) * 0.8), replace=False).tolist())
    return _fold(ordered, [i for i in range(len(ordered)) if i not in train])


def fold_of(cases: Sequence[str], held_out: Sequence[str]) -> Fold:
    """The fold that judges `held_out` and trains on all other cases."""
    judged = set(held_out)
    return Fold(tuple(name for name in cases if name not in judged), tuple(name for name in cases if name in judged))


def _fold(ordered: Sequence[str], held_out: Sequence[int]) -> Fold:
    return fold_of(ordered, [ordered[i] for i in held_out])


def published_kits19() -> Fold:
    """MLPerf's split of KiTS19's 210 training scans: 168 to train, 42 to evaluate (evaluation_cases.txt)."""
    names = [f"case_{i:05d}" for i in range(KITS19_NUM_CASES)]
    return fold_of(names, [names[i] for i in KITS19_EVAL_IDS])


def csv_fold(train_path: str | Path, val_path: str | Path, cases: Sequence[str]) -> Fold:
    """The fold of two split files whose lines are names of cases, or of files named after them."""

    def named(path) -> tuple[str, ...]:
        return tuple(name if name in known else stem_of(name) for name in read_split(path))

    known = set(cases)
    fold = Fold(named(train_path), named(val_path))
    check_fold(fold, cases, f"{train_path} and {val_path}")
    return fold


def check_fold(fold: Fold, cases: Sequence[str], where: str) -> None:
    """Raise InputError unless every one of `cases` stands once, in train or in val, and neither is empty."""
    listed = [*fold.train, *fold.val]
    faults = {
        "in train and in val": set(fold.train) & set(fold.val),
        "listed more than once": {n for part in (fold.train, fold.val) for n, k in Counter(part).items() if k > 1},
        "not in the data set": set(listed) - set(cases),
        "absent from train and from val": set(cases) - set(listed),
    }
    for fault, names in faults.items():
        if names:
            raise InputError(
                f"{where}: {_few(sorted(names))} {fault}; each case of the data set has to stand in it once"
            )
    for part in ("train", "val"):
        if not getattr(fold, part):
            raise InputError(f"{where}: no case in {part}; at least one is needed")


def _few(names: Sequence[str]) -> str:
    """The first names and how many more."""
    text = ", ".join(names[:_MOST_NAMED])
    return text if len(names) <= _MOST_NAMED else f"{text} and {len(names) - _MOST_NAMED} more"


def write_splits(path: str | Path, folds: Sequence[Fold]) -> None:
    """splits.json: a list of {"train": [...], "val": [...]}, as in nnU-Net's splits_final.json."""
    write_text(path, json.dumps([asdict(fold) for fold in folds], indent=1, ensure_ascii=False) + "\n")


def read_splits(path: str | Path, cases: Sequence[str]) -> list[Fold]:
    """The folds of splits.json, checked against the cases of the data set; raises InputError that names the fault."""
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such file of splits; preprocess.py writes one")
    try:
        values = json.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:  # not UTF-8, or not JSON
        raise InputError(f'{path}: not JSON ({error}); a list of {{"train": [...], "val": [...]}} is needed') from error
    if not isinstance(values, list) or not values or not all(map(_is_fold, values)):
        raise InputError(f'{path}: a list of {{"train": [names], "val": [names]}} is needed, one a fold')
    folds = [Fold(tuple(value["train"]), tuple(value["val"])) for value in values]
    for number, fold in enumerate(folds):
        check_fold(fold, cases, f"{path}, fold {number}")
    return folds


def _is_fold(value) -> bool:
    return (
        isinstance(value, dict)
        and set(value) == {"train", "val"}
        and all(isinstance(names, list) and all(isinstance(n, str) for n in names) for names in value.values())
    )
