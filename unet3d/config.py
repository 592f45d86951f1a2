"""The U-Net's default recipe: nnU-Net v2's training (nnUNetTrainer), 1000 epochs of 250 steps.

run:    python train.py --model unet3d --data_path PREPROCESSED --dim 3 --fold 0
expect: see unet3d/README.md
"""

from easydict import EasyDict

from mindvoxel.config.planned import base_config
from mindvoxel.config.rules import SHARE_BELOW_1
from mindvoxel.errors import InputError

KIND = "planned"
HELP = {
    "network.form": "published form: nnunet_v1, nnunet_v2 or nvidia, which differ in biases, heads and kernels",
    "network.norm": "normalisation: instance, batch, group (32 groups) or none",
    "network.negative_slope": "of the leaky ReLU, and of the initialisation that goes with it",
}
CHOICES = {
    "network.form": ("nnunet_v1", "nnunet_v2", "nvidia"),
    "network.norm": ("instance", "batch", "group", "none"),
}
RULES = {
    "network.negative_slope": SHARE_BELOW_1,
}


def check(recipe: EasyDict) -> None:
    """Raise InputError where groups of 32 channels cannot be made."""
    if recipe.network.norm == "group" and recipe.network.first_filters % 32:
        raise InputError(
            f"--first_filters {recipe.network.first_filters} does not divide into the 32 groups of --norm group; "
            "give a multiple of 32"
        )


def get_config() -> EasyDict:
    cfg = base_config("unet3d")
    cfg.network.update(form="nnunet_v2", norm="instance", negative_slope=0.01)
    return cfg
