"""All cases of a data set, preprocessed by a plan: in several processes, continued where an earlier run ended."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from math import ceil, prod
from pathlib import Path

from mindvoxel.data import preprocess, store
from mindvoxel.data.dataset import Case, Dataset
from mindvoxel.data.fingerprint import CaseFingerprint, Fingerprint
from mindvoxel.data.plan import Configuration, Plan, preprocessing_key
from mindvoxel.data.workers import Tell, run_cases
from mindvoxel.errors import InputError
from mindvoxel.log import LOGGER, progress
from mindvoxel.volume import Vector


@dataclass(frozen=True)
class Job:
    """What a worker has to know. Cases go to output/CONFIGURATION."""

    plan: Plan
    configurations: tuple[str, ...]
    output: Path
    spacing_mm: Vector | None
    compress: bool


@dataclass(frozen=True)
class Done:
    """What became of a case. made, shared: configurations that were written, and linked to one that is equal."""

    case: str
    made: tuple[str, ...]
    shared: tuple[str, ...]


def preprocess_dataset(
    dataset: Dataset, job: Job, *, num_workers: int, shard: tuple[int, int] = (0, 1), overwrite: bool = False
) -> list[Done]:
    """Preprocess shard i of n of the labelled cases; those that are there, whole and of the same files, are kept.

    Raises InputError where a folder holds cases of another plan, unless `overwrite`.
    """
    cases, known = dataset.cases[shard[0] :: shard[1]], {case.case for case in dataset.cases}
    for name in job.configurations:
        folder = job.output / name
        store.begin_folder(folder, preprocessing_key(job.plan, name), overwrite=overwrite)
        store.remove_unfinished(folder, [case.case for case in cases])
        for gone in sorted(set(store.list_cases(folder)) - known):
            LOGGER.warning("%s: case %s is no longer part of the data set, and removed", folder, gone)
            store.remove_case(folder, gone)
    results = run_cases(partial(preprocess_one, job=job), cases, num_workers=num_workers, what="preprocessing")
    return list(progress(results, total=len(cases), what="preprocessing", unit="case"))


def preprocess_one(case: Case, tell: Tell, *, job: Job) -> Done:
    """One case in all configurations, read once; two that come out equal are made once and linked."""
    origin = {"files": source_files(case)}
    todo = [name for name in job.configurations if not is_done(job.output / name, case.case, origin, job.compress)]
    made: dict[str, tuple] = {}
    shared: list[str] = []
    scans: dict[tuple, preprocess.Scan] = {}
    for name in todo:
        config = job.plan.configurations[name]
        way = config.preprocessing
        read_as = (way.crop, way.normalization)
        if read_as not in scans:
            tell("reading")
            scans = {read_as: preprocess.read_scan(case, job.plan, way, job.spacing_mm)}
        decides = (way, *preprocess.target_of(scans[read_as], config))
        twin = next((other for other, decided in made.items() if decided == decides), None)
        if twin and store.link_case(job.output / name, job.output / twin, case.case):
            shared.append(name)
            continue
        tell(f"resampling and normalising for {name}")
        done = preprocess.finish(scans[read_as], job.plan, name)
        locations = {}
        if done.label is not None:
            locations = preprocess.class_locations(done.label, len(job.plan.label_values))
        tell("writing")
        stored = store.StoredCase(done.case, done.image, done.label, locations, done.grid)
        store.write_case(job.output / name, stored, compress=job.compress, origin=origin)
        made[name] = decides
    return Done(case.case, tuple(made), tuple(shared))


def source_files(case: Case) -> list[list]:
    """Name, size in bytes and time of change of every file of a case: another file under its name makes it stale."""
    files = [*case.images, *([case.label] if case.label else [])]
    stats = [(path.name, path.stat() if path.is_file() else None) for path in files]
    return [[name, stat and stat.st_size, stat and stat.st_mtime_ns] for name, stat in stats]


def is_done(folder: Path, case: str, origin: dict, compress: bool) -> bool:
    """Whether a case is there, whole, of these files and in this form."""
    try:
        record = store.read_record(folder, case)
    except InputError:
        return False
    return record.get("origin") == origin and record.get("form") == ("compressed" if compress else "raw")


def disk_bytes(output: Path, configurations: Sequence[str]) -> int:
    """What the preprocessed cases take on disk; what is linked counts once."""
    stats = [path.stat() for name in configurations for path in (output / name).iterdir() if path.is_file()]
    return sum({(stat.st_dev, stat.st_ino): stat.st_size for stat in stats}.values())


def configurations_of(plan: Plan, text: str | None) -> tuple[str, ...]:
    """The configurations that a comma-separated list names, or all; raises InputError for an unknown one."""
    names = tuple(plan.configurations) if text is None else tuple(filter(None, text.replace(" ", "").split(",")))
    unknown = [name for name in names if name not in plan.configurations]
    if unknown or not names:
        raise InputError(
            f"--configurations {text}: the plan has no {', '.join(unknown) or 'configuration without a name'}; choose "
            f"from {', '.join(plan.configurations)}"
        )
    return tuple(dict.fromkeys(names))


@dataclass(frozen=True)
class Need:
    """memory_bytes: of one worker at the largest case.  disk_bytes: of all cases, uncompressed."""

    memory_bytes: int
    disk_bytes: int


def predict(fingerprint: Fingerprint, plan: Plan, configurations: Sequence[str]) -> Need:
    """What preprocessing will take, from shapes and spacings alone."""
    memory, disk = 0, 0
    voxels_of_class = [fingerprint.label_voxels.get(v, 0) / len(fingerprint.cases) for v in plan.label_values[1:]]
    for case in fingerprint.cases:
        shapes = {name: final_shape(case, plan, plan.configurations[name]) for name in configurations}
        memory = max(memory, *(case_bytes(case, plan, shape) for shape, _ in shapes.values()))
        for shape, _ in set(shapes.values()):  # equal ones are linked
            grown = prod(shape) / prod(case.shape)
            kept = sum(min(n * grown, max(1e4, 0.01 * n * grown)) for n in voxels_of_class)
            disk += ceil(prod(shape) * (4 * len(plan.channels) + 1) + 12 * kept)
    return Need(memory, disk)


def final_shape(case: CaseFingerprint, plan: Plan, config: Configuration) -> tuple[tuple[int, ...], Vector]:
    """Shape and spacing of a preprocessed training case, permuted axes, by its fingerprint."""
    way = config.preprocessing
    shape = tuple(case.shape[axis] for axis in plan.axes)
    old_mm = tuple(case.spacing_mm[axis] for axis in plan.axes)
    new_mm = preprocess.target_spacing(old_mm, config)
    shape = preprocess.new_shape(shape, old_mm, new_mm, way.rounding)
    if way.pad:
        padding = preprocess.training_pad(shape, config.patch_size)
        shape = tuple(n + a + b for n, (a, b) in zip(shape, padding, strict=True))
    return shape, new_mm


def case_bytes(case: CaseFingerprint, plan: Plan, shape: tuple[int, ...]) -> int:
    """Peak memory of one process at one case; measured were 0.6 to 0.95 of it."""
    channels, scan, final = len(plan.channels), prod(case.source_shape), prod(shape)
    reading = scan * (8 * channels + 4)
    finishing = scan * (4 * channels + 8) + final * (4 * channels + 8)
    if any("zscore_mask" in config.preprocessing.normalization for config in plan.configurations.values()):
        finishing += 4 * max(scan, final)
    return int(160e6 + max(reading, finishing))
