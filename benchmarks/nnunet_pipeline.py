"""nnU-Net's side of pipeline.py: its loader, transforms and worker processes; started by it, in a Python with nnunetv2.

Brings the cases of a folder to nnU-Net's own files; for each line of standard input, a number of seconds, it answers
with its batches a second.
"""

import sys
import time
from pathlib import Path

import numpy as np
import torch
from batchgenerators.dataloading.nondet_multi_threaded_augmenter import NonDetMultiThreadedAugmenter
from nnunetv2.training.data_augmentation.compute_initial_patch_size import get_patch_size
from nnunetv2.training.dataloading.data_loader import nnUNetDataLoader
from nnunetv2.training.dataloading.nnunet_dataset import comp_blosc2_params, nnUNetDatasetBlosc2
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

# Of nnUNetTrainer.configure_rotation_dummyDA_mirroring_and_inital_patch_size, for these patches.
ROTATION = (-np.pi / 6, np.pi / 6)


class Labels:
    """What the loader asks of nnU-Net's label manager."""

    all_labels = foreground_labels = [1, 2]
    has_ignore_label = False


def convert(folder: Path, target: Path, patch: tuple) -> None:
    """The cases of `folder` as nnU-Net stores them, chunked for the patch."""
    target.mkdir()
    for path in sorted(folder.glob("*.image.npy")):
        case = path.name.removesuffix(".image.npy")
        image, label = np.load(path), np.load(folder / f"{case}.label.npy")[None]
        locations = np.load(folder / f"{case}.locations.npy")
        classes = label[0][tuple(locations.T)]
        with_channel = np.concatenate([np.zeros_like(locations[:, :1]), locations], axis=1)
        blocks, chunks = comp_blosc2_params(image.shape, patch, 4)
        blocks_seg, chunks_seg = comp_blosc2_params(label.shape, patch, 1)
        nnUNetDatasetBlosc2.save_case(
            image,
            label,
            {"class_locations": {k: with_channel[classes == k] for k in (1, 2)}},
            str(target / case),
            chunks=chunks,
            blocks=blocks,
            chunks_seg=chunks_seg,
            blocks_seg=blocks_seg,
        )


def main() -> None:
    folder = Path(sys.argv[1])
    *patch, batch_size, workers, thrown_away = map(int, sys.argv[2:])
    torch.set_num_threads(1)
    convert(folder, folder / "nnunet", tuple(patch))
    transforms = nnUNetTrainer.get_training_transforms(
        tuple(patch), ROTATION, None, (0, 1, 2), False, use_mask_for_norm=[False]
    )
    loader = nnUNetDataLoader(
        nnUNetDatasetBlosc2(str(folder / "nnunet")),
        batch_size,
        get_patch_size(tuple(patch), ROTATION, ROTATION, ROTATION, (0.85, 1.25)),
        patch,
        Labels,
        oversample_foreground_percent=0.33,
        transforms=transforms,
    )
    batches = NonDetMultiThreadedAugmenter(
        loader, None, workers, num_cached=max(6, workers // 2), seeds=None, pin_memory=False, wait_time=0.002
    )
    for line in sys.stdin:
        for _ in range(thrown_away):
            next(batches)
        start, count = time.perf_counter(), 0
        while time.perf_counter() - start < float(line):
            next(batches)
            count += 1
        sys.stdout.write(f"{count / (time.perf_counter() - start)}\n")
        sys.stdout.flush()
    batches._finish()


if __name__ == "__main__":
    main()
