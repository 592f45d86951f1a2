"""PROMISE12's layout (Litjens et al. 2014): img/CaseNN.mhd and gt/CaseNN_segmentation.mhd, paired by name."""

from pathlib import Path

from mindvoxel.data.dataset import Case, Dataset
from mindvoxel.data.images import suffix_of
from mindvoxel.errors import InputError
from mindvoxel.volume import SUFFIXES, Vector, stem_of

LABEL_SUFFIX = "_segmentation"
LABELS = {"background": 0, "prostate": 1}


def open_promise12(root: str | Path, spacing_mm: Vector | None = None, check_files: bool = True) -> Dataset:
    """The MRI scans below root/img with their labels below root/gt; test cases, where any, below root/test/img."""
    root = Path(root)
    test = list_cases(root / "test", labels=False) if (root / "test").is_dir() else []
    cases = tuple(list_cases(root, check_files=check_files))
    return Dataset(root.resolve().name, ("MRI",), LABELS, cases, tuple(test), spacing_mm)


def list_cases(
    root: str | Path, names: list[str] | None = None, labels: bool = True, check_files: bool = True
) -> list[Case]:
    """The cases below `root`, all in the order of their names, or `names` (file names, with suffix or without).

    MetaImage, NIfTI and NRRD may be mixed. Raises InputError for a missing folder, a name that is not there, an image
    without its label (where `labels`; named all the same without `check_files`), and a case that two files claim.
    """
    root = Path(root)
    images = _files_by_stem(root / "img")
    truths = _files_by_stem(root / "gt") if labels else {}
    wanted = sorted(images) if names is None else [stem_of(name) for name in names]
    if not wanted:
        raise InputError(f"{root / 'img'}: no image in it; files of type {', '.join(SUFFIXES)} are needed")
    for stem in wanted:
        if wanted.count(stem) > 1:
            raise InputError(f"{root / 'img'}: case {stem} is named more than once; name each case once")
    cases = []
    for stem in wanted:
        if stem not in images:
            raise InputError(f"{root / 'img'}: no image of case {stem}; add it, or take the name out of the split file")
        label = truths.get(stem + LABEL_SUFFIX)
        if labels and label is None:
            label = root / "gt" / f"{stem}{LABEL_SUFFIX}{suffix_of(images[stem])}"
            if check_files:
                raise InputError(f"{images[stem]}: has no label; {label} is needed")
        cases.append(Case(stem, (images[stem],), label))
    return cases


def _files_by_stem(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; the PROMISE12 layout needs img/ and gt/ below the data path")
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.name.lower().endswith(SUFFIXES) and not path.name.startswith("."):
            stem = stem_of(path)
            if stem in found:
                raise InputError(f"{path}: {found[stem].name} is of the same case; keep one of the two")
            found[stem] = path
    return found
