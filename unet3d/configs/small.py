"""A U-Net of few channels and few steps: to try things in seconds or minutes on a CPU.

run:    python train.py --model unet3d --recipe small --data_path PREPROCESSED --dim 3 --fold 0
expect: see unet3d/README.md
"""

from easydict import EasyDict

from mindvoxel.config.planned import make_small
from unet3d.config import get_config as default


def get_config() -> EasyDict:
    return make_small(default())
