"""ResNet-50's recommended recipe: the well-known training for ImageNet, SGD over 90 epochs in steps.

run:    python train.py --model resnet50 --data_path DIR --amp_level O2
expect: 0.75 to 0.77 top-1 is published for such trainings (resnet50/README.md); not measured here
"""

from easydict import EasyDict

from mindvoxel.config import photos
from mindvoxel.config.photos import base_config
from mindvoxel.config.rules import each, whole

KIND = "photos"
HELP = {
    "network.num_classes": "classes, of which the data must have as many",
    "network.width": "filters of the first stage; each stage doubles them, and ends in 4 times as many channels",
    "network.depths": "bottlenecks of each stage",
}
CHOICES = {}
RULES = {"network.num_classes": whole(2), "network.width": whole(1), "network.depths": each(whole(1))}


def check(recipe: EasyDict) -> None:
    """Raise InputError where the values do not fit each other."""
    photos.check(recipe)


def get_config() -> EasyDict:
    cfg = base_config("resnet50")
    cfg.network.update(num_classes=1000, width=64, depths=(3, 4, 6, 3))
    return cfg
