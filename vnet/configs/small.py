"""A small V-Net on a coarse grid that trains on a laptop's CPU in minutes: to try things, and for quickstart.sh.

run:    python train.py --model vnet --recipe small --data_path DIR --train_split_file_path train.csv
expect: about 0.88 mean validation Dice on the phantom of scripts/quickstart.sh
"""

from easydict import EasyDict

from vnet.config import get_config as recommended


def get_config() -> EasyDict:
    cfg = recommended()
    cfg.network.update(width=8, down_convs=(1, 2, 2), up_convs=(2, 1, 1), dropout=0.2, init="he_normal")
    cfg.data.update(spacing_mm=(3.0, 2.0, 2.0), patch_size=(24, 48, 48))
    cfg.optim.update(learning_rate=3e-3, warmup_steps=10)
    cfg.train.update(epochs=20, batch_size=2, repeats=2, eval_interval=10, save_interval=5)
    return cfg
