"""The published sets of augmentations, with their probabilities and ranges, in their order."""

from mindvoxel.data.augment.cascade import PreviousToChannels, RandomMorphology, RandomRemoval
from mindvoxel.data.augment.intensity import (
    ClearOutside,
    RandomBlur,
    RandomBrightness,
    RandomBrightnessContrast,
    RandomLowResolution,
    RandomNoise,
    RandomRangeContrast,
    RandomRetainingGamma,
)
from mindvoxel.data.augment.spatial import RandomFlip, RandomTurn, RandomZoom
from mindvoxel.data.augment.transform import Transform


def nnunet_turn(patch_size: tuple[int, ...], dummy_2d: bool) -> RandomTurn:
    """nnU-Net's rotation and scaling: ±30° about each axis in 3-D; ±180° in slices where they lie far apart and in
    2-D, ±15° in 2-D where one side of the patch is over 1.5 times the other."""
    if len(patch_size) == 3 and not dummy_2d:
        return RandomTurn(rotation_deg=(30.0, 30.0, 30.0))
    oblong = len(patch_size) == 2 and max(patch_size) / min(patch_size) > 1.5
    return RandomTurn(rotation_deg=(15.0 if oblong else 180.0, 0.0, 0.0), scaled=(False, True, True))


def nnunet_set(
    dim: int, dummy_2d: bool = False, mask_channels: tuple[int, ...] = (), previous_classes: int = 0
) -> tuple[Transform, ...]:
    """nnU-Net v2's augmentations after rotation and scaling (nnUNetTrainer.get_training_transforms).

    dim: 2 or 3.  mask_channels: normalised inside the non-zero mask, and so 0 outside.
    previous_classes: of the previous stage, in a cascade; 0: there is none.
    """
    flat = dim == 2
    transforms = [
        RandomNoise(highest=0.1, probability=0.1),
        RandomBlur(probability=0.2, sigma=(0.5, 1.0), per_channel=0.5, flat=flat),
        RandomBrightness(probability=0.15, factor=(0.75, 1.25)),
        RandomRangeContrast(probability=0.15, factor=(0.75, 1.25)),
        RandomLowResolution(probability=0.25, zoom=(0.5, 1.0), per_channel=0.5, flat=flat or dummy_2d),
        RandomRetainingGamma(probability=0.1, inverted=True, gamma=(0.7, 1.5)),
        RandomRetainingGamma(probability=0.3, inverted=False, gamma=(0.7, 1.5)),
        RandomFlip((0.0 if flat else 0.5, 0.5, 0.5)),
        ClearOutside(mask_channels),
    ]
    if previous_classes:
        channels = previous_classes - 1
        transforms += [PreviousToChannels(previous_classes), RandomMorphology(channels), RandomRemoval(channels)]
    return tuple(transforms)


def nvidia_set(dim: int) -> tuple[Transform, ...]:
    """NVIDIA nnU-Net's augmentations after the crop (TF2, dali_loader.py)."""
    flat = dim == 2
    return (
        RandomZoom(probability=0.15, share=(0.7, 1.0), flat=flat),
        RandomFlip((0.0 if flat else 0.5, 0.5, 0.5)),
        RandomNoise(highest=0.3, probability=0.15),
        RandomBlur(probability=0.15, sigma=(0.5, 1.5), per_channel=None, flat=flat),
        RandomBrightnessContrast(probability=0.15, brightness=(0.7, 1.3), contrast=(0.65, 1.5)),
        ClearOutside(),
    )


def plain_set(mask_channels: tuple[int, ...] = (), previous_classes: int = 0) -> tuple[Transform, ...]:
    """Nothing random: what a patch needs in any case."""
    previous = (PreviousToChannels(previous_classes),) if previous_classes else ()
    return (ClearOutside(mask_channels), *previous)
