"""V-Net's recommended recipe: the published training, with augmentation and sliding-window inference.

run:    python train.py --model vnet --data_path DIR --train_split_file_path train.csv
expect: see vnet/README.md
"""

from easydict import EasyDict

from mindvoxel.config import base_config

HELP = {
    "network.num_classes": "channels of the output, background included",
    "network.width": "channels of the first stage; each stage doubles them",
    "network.down_convs": "convolutions of each stage on the way down; their number is the depth",
    "network.up_convs": "convolutions of each stage on the way up",
    "network.dropout": "share of channels that dropout takes from the third stage on, 0 to 1",
    "network.act": "activation: elu or prelu",
    "network.init": "initialiser: normal, N(0, 0.01) as published, or he_normal",
}


def get_config() -> EasyDict:
    cfg = base_config("vnet")
    cfg.network.update(num_classes=2, width=16, down_convs=(1, 2, 3, 2), up_convs=(2, 2, 1, 1))
    cfg.network.update(dropout=0.5, act="elu", init="normal")
    return cfg
