"""A made-up data set that is awkward in every way it may be, preprocessed by the real command."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mindvoxel.cli import preprocess
from mindvoxel.data.plan import read_plan, write_plan
from mindvoxel.data.planning.changes import change_plan
from mindvoxel.volume import Volume, write_volume

CHANNELS = ("T1", "T2", "FLAIR", "CT")


def write_folder(
    root: Path,
    num_cases: int = 6,
    *,
    num_tests: int = 0,
    channels: tuple[str, ...] = CHANNELS,
    spacing_mm: tuple[float, float, float] = (2.0, 1.0, 1.0),
    without_lesion: tuple[int, ...] = (),
) -> Path:
    """An MSD folder: four channels, classes 0, 1 and 4, odd and differing sizes, an oblique direction.

    The last num_tests of the cases have no label; those of the numbers without_lesion hold no class 4.
    """
    rng, training, tests = np.random.default_rng(3), [], []
    for sub in ("imagesTr", "labelsTr", "imagesTs"):
        (root / sub).mkdir(parents=True)
    for number in range(num_cases + num_tests):
        shape, name = (9 + number % 3, 17 + number % 2, 15), f"case_{number}.nii.gz"
        label = np.zeros(shape, np.uint8)
        label[2:7, 3:11, 4:12] = 1
        if number not in without_lesion:
            label[4:8, 8:14, 6:11] = 4
        image = np.stack([rng.normal(50, 4, shape) + 15 * (label > 0) + 20 * (label == 4) for _ in channels])
        grid = {"spacing_mm": spacing_mm, "origin_mm": (5.0, -3.0, 1.5), "direction": (0, 1, 0, 1, 0, 0, 0, 0, -1)}
        if number < num_cases:
            write_volume(root / "labelsTr" / name, Volume(label, **grid))
            training.append({"image": f"./imagesTr/{name}", "label": f"./labelsTr/{name}"})
        else:
            tests.append(f"./imagesTs/{name}")
        write_channels(root / ("imagesTr" if number < num_cases else "imagesTs") / name, image.astype(np.float32), grid)
    meta = {"name": "Made", "modality": {str(i): name for i, name in enumerate(channels)}}
    meta |= {"labels": {"0": "background", "1": "organ", "4": "lesion"}, "training": training, "test": tests}
    (root / "dataset.json").write_text(json.dumps(meta))
    return root


def write_channels(path: Path, image: np.ndarray, grid: dict) -> None:
    """(C, D, H, W) as a 4-D NIfTI file, as the MSD has them."""
    import SimpleITK as sitk

    volumes = []
    for channel in image:
        volume = sitk.GetImageFromArray(channel)
        volume.SetSpacing(tuple(reversed(grid["spacing_mm"])))
        volume.SetOrigin(grid["origin_mm"])
        volume.SetDirection(grid["direction"])
        volumes.append(volume)
    sitk.WriteImage(sitk.JoinSeries(volumes), str(path))


@pytest.fixture(scope="session")
def source(tmp_path_factory) -> Path:
    return write_folder(tmp_path_factory.mktemp("made") / "Task99_Made")


@pytest.fixture(scope="session")
def data(source, tmp_path_factory) -> Path:
    """The folder that mindvoxel preprocess wrote of it."""
    folder = tmp_path_factory.mktemp("preprocessed")
    assert preprocess.main(["--data", str(source), "--output", str(folder), "--workers", "0"]) == 0
    return folder


@pytest.fixture(scope="session")
def staged(source, data, tmp_path_factory) -> Path:
    """The same with 3d_lowres, at twice the spacing, and 3d_cascade_fullres in its plan, preprocessed."""
    folder = shutil.copytree(data, tmp_path_factory.mktemp("staged") / "data")
    plan = read_plan(folder / "plan.json")
    full = plan.configurations["3d_fullres"]
    more = {"3d_lowres": full, "3d_cascade_fullres": replace(full, previous_stage="3d_lowres")}
    plan = replace(plan, configurations=plan.configurations | more)
    plan = change_plan(plan, "3d_lowres", patch_size=(5, 8, 8), spacing_mm=(4.0, 2.0, 2.0))
    write_plan(folder / "plan.json", plan)
    assert preprocess.main(["--data", str(source), "--output", str(folder), "--workers", "0"]) == 0
    return folder
