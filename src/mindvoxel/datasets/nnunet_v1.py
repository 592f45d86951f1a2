"""nnU-Net v1's raw layout: TaskNNN_NAME with imagesTr/CASE_0000.nii.gz, a file a channel, and labelsTr/CASE.nii.gz.

dataset.json is MSD's and lists images without the number of the channel.
"""

from pathlib import Path

from mindvoxel.data.dataset import Case, Dataset
from mindvoxel.data.images import name_of, suffix_of
from mindvoxel.datasets import listing
from mindvoxel.volume import Vector


def open_nnunet_v1(root: str | Path, spacing_mm: Vector | None = None, check_files: bool = True) -> Dataset:
    """The data set that root/dataset.json lists; raises InputError with expected and found names where a file lacks."""
    root = Path(root)
    where = root / "dataset.json"
    values = listing.read_json(where)
    channels = listing.channel_names(values, "modality", where)
    training, test = listing.image_entries(values, where, root)
    cases = listing.check_cases(
        (Case(name_of(image), channel_files(image, len(channels)), label) for image, label in training), where
    )
    test_cases = listing.check_cases(
        (Case(name_of(image), channel_files(image, len(channels)), None) for image in test), where
    )
    if check_files:
        listing.require_files(
            [path for case in (*cases, *test_cases) for path in (*case.images, case.label) if path],
            "channel k of an image is CASE_000k with its suffix, the label has no such number",
        )
    labels = listing.msd_labels(values, where)
    return Dataset(str(values.get("name") or root.resolve().name), channels, labels, cases, test_cases, spacing_mm)


def channel_files(image: Path, num_channels: int) -> tuple[Path, ...]:
    """CASE.nii.gz -> CASE_0000.nii.gz, CASE_0001.nii.gz, …"""
    suffix = suffix_of(image)
    return tuple(image.with_name(f"{name_of(image)}_{k:04d}{suffix}") for k in range(num_channels))
