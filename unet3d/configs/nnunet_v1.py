"""nnU-Net v1's network (transposed convolutions and heads without bias, the decoder's kernels from below); its training
is the default's.

run:    python train.py --model unet3d --recipe nnunet_v1 --data_path PREPROCESSED --dim 3 --fold 0
expect: see unet3d/README.md
"""

from easydict import EasyDict

from unet3d.config import get_config as default


def get_config() -> EasyDict:
    cfg = default()
    cfg.network.form = "nnunet_v1"
    return cfg
