"""UNet++'s default recipe: nnU-Net's training, 1000 epochs of 250 steps, all heads but the first in the loss.

run:    python train.py --model unetpp --data_path PREPROCESSED --dim 3 --fold 0
expect: see unetpp/README.md
"""

from easydict import EasyDict

from mindvoxel.config.planned import base_config

KIND = "planned"
HELP, CHOICES, RULES = {}, {}, {}  # those of every planned model


def check(recipe: EasyDict) -> None:
    """Nothing of this recipe depends on something else of it."""


def get_config() -> EasyDict:
    return base_config("unetpp")
