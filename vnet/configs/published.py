"""V-Net as the MindSpore model zoo published it: one crop in the middle of each scan, no augmentation.

run:    python train.py --model vnet --recipe published --data_path DIR --train_split_file_path train.csv
expect: 0.856 to 0.857 mean Dice is published for the zoo (vnet/README.md); not measured here
"""

from easydict import EasyDict

from vnet.config import get_config as recommended


def get_config() -> EasyDict:
    cfg = recommended()
    cfg.data.update(centre_crop=True, augment=False)
    cfg.train.update(loss_scale=256.0)
    cfg.eval.update(blend="constant", restore_order="nearest")
    return cfg
