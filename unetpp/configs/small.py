"""A UNet++ of few channels and few steps: to try things in seconds or minutes on a CPU.

run:    python train.py --model unetpp --recipe small --data_path PREPROCESSED --dim 3 --fold 0
expect: see unetpp/README.md
"""

from easydict import EasyDict

from mindvoxel.config.planned import make_small
from unetpp.config import get_config as default


def get_config() -> EasyDict:
    return make_small(default())
