"""UNet++'s default recipe: nnU-Net's training, 1000 epochs of 250 steps, all heads but the first in the loss.

run:    python train.py --model unetpp --data_path PREPROCESSED --dim 3 --fold 0
expect: see unetpp/README.md
"""

from easydict import EasyDict

from mindvoxel.config.planned import base_config
from mindvoxel.config.rules import FLAG, whole

KIND = "planned"
HELP = {
    "network.deep_supervision": "the heads of all depths take part in the loss",
    "network.first_filters": "channels of the first stage; each stage doubles them, up to the plan's; 0: the plan's",
}
CHOICES = {}
RULES = {"network.deep_supervision": FLAG, "network.first_filters": whole(0)}


def check(recipe: EasyDict) -> None:
    """Nothing of this recipe depends on something else of it."""


def get_config() -> EasyDict:
    cfg = base_config("unetpp")
    cfg.network.update(deep_supervision=True, first_filters=0)
    return cfg
