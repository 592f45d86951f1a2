"""Small plans and cases for the tests of preprocessing."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from mindvoxel.data.dataset import Case, Dataset
from mindvoxel.data.plan import Configuration, Intensity, Plan, Preprocessing
from mindvoxel.volume import Volume, write_volume

INTENSITY = Intensity(mean=40.0, sd=10.0, median=40.0, min=-50.0, max=150.0, percentile_00_5=0.0, percentile_99_5=80.0)


def a_configuration(spacing_mm=(3.0, 1.0, 1.0), patch_size=(4, 8, 8), **preprocessing) -> Configuration:
    way = Preprocessing(**{"normalization": ("ct",)} | preprocessing)
    dim = len(patch_size)
    return Configuration(
        patch_size=patch_size,
        batch_size=2,
        spacing_mm=spacing_mm,
        median_shape=(5, 20, 20),
        strides=((1,) * dim,),
        kernels=((3,) * dim,),
        filters=(32,),
        preprocessing=way,
    )


def a_plan(axes=(0, 1, 2), labels=None, channels=1, **configurations) -> Plan:
    """Configurations by name, their names with a leading c where they begin with a digit."""
    return Plan(
        planner="nnunet_v2",
        dataset="made up",
        memory_gb=8,
        channels=tuple(f"channel {i}" for i in range(channels)),
        labels={"background": 0, "organ": 1, "lesion": 2} if labels is None else labels,
        axes=axes,
        intensities=(INTENSITY,) * channels,
        configurations={name.removeprefix("c"): config for name, config in configurations.items()},
    )


def write_case_files(folder: Path, name: str, image: np.ndarray, label: np.ndarray | None, spacing_mm) -> Case:
    """Files of a case: image (C, D, H, W) or (D, H, W)."""
    grid = Volume(np.zeros(image.shape[-3:], np.uint8), spacing_mm, (5.0, -3.0, 1.5), (0, 1, 0, 1, 0, 0, 0, 0, -1))
    channels = image if image.ndim == 4 else image[None]
    paths = tuple(folder / f"{name}_{i:04d}.nii.gz" for i in range(len(channels)))
    for path, channel in zip(paths, channels, strict=True):
        write_volume(path, replace(grid, voxels=channel))
    if label is None:
        return Case(name, paths, None)
    write_volume(folder / f"{name}_label.nii.gz", replace(grid, voxels=label))
    return Case(name, paths, folder / f"{name}_label.nii.gz")


def a_dataset(folder: Path, num_cases: int = 4, spacing_mm=(2.0, 1.0, 1.0)) -> Dataset:
    """CT-like cases of odd, differing sizes with two classes, on disk."""
    rng = np.random.default_rng(7)
    cases = []
    for number in range(num_cases):
        shape = (7 + number, 12, 15 - number)
        image = rng.integers(1, 100, shape).astype(np.int16)
        label = np.zeros(shape, np.uint8)
        label[2:5, 3:7, 4:9], label[3:5, 4:6, 5:8] = 1, 2
        cases.append(write_case_files(folder, f"case_{number}", image, label, spacing_mm))
    return Dataset("made up", ("channel 0",), {"background": 0, "organ": 1, "lesion": 2}, tuple(cases))
