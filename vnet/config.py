"""V-Net's recommended recipe: the published training, with augmentation and sliding-window inference.

run:    python train.py --model vnet --data_path DIR --train_split_file_path train.csv
expect: 0.856 to 0.857 mean Dice is published for the zoo (vnet/README.md); not measured here
"""

from easydict import EasyDict

from mindvoxel.config.rules import SHARE_BELOW_1, each, whole
from mindvoxel.config.scans import base_config
from mindvoxel.errors import InputError

KIND = "scans"
HELP = {
    "network.width": "channels of the first stage; each stage doubles them",
    "network.down_convs": "convolutions of each stage on the way down; their number is the depth",
    "network.up_convs": "convolutions of each stage on the way up",
    "network.dropout": "share of channels that dropout takes from the third stage on, 0 to 1",
    "network.act": "activation: elu or prelu",
    "network.init": "initialiser: normal, N(0, 0.01) as published, or he_normal",
}
CHOICES = {"network.act": ("elu", "prelu"), "network.init": ("normal", "he_normal")}
RULES = {
    "network.width": whole(1),
    "network.down_convs": each(whole(1)),
    "network.up_convs": each(whole(1)),
    "network.dropout": SHARE_BELOW_1,
}


def check(recipe: EasyDict) -> None:
    """Raise InputError where the stages do not pair, or the patch does not go through them."""
    down, up = len(recipe.network.down_convs), len(recipe.network.up_convs)
    if down != up:
        raise InputError(f"--up_convs names {up} stages and --down_convs {down}; give both the same number")
    if any(n % 2**down for n in recipe.data.patch_size):
        raise InputError(
            f"--patch_size {tuple(recipe.data.patch_size)}: each axis must be a multiple of {2**down}, which "
            f"{down} stages halve"
        )


def get_config() -> EasyDict:
    cfg = base_config("vnet")
    cfg.network.update(width=16, down_convs=(1, 2, 3, 2), up_convs=(2, 2, 1, 1))
    cfg.network.update(dropout=0.5, act="elu", init="normal")
    return cfg
