"""MLPerf's training of ResNet-50 with LARS, a batch of 4096 over 8 devices.

run:    on 8 devices, by scripts/train_distribute.sh:
        python train.py --model resnet50 --recipe mlperf --data_path DIR --amp_level O2
expect: 0.759 top-1, MLPerf's target, is published after 40 epochs (resnet50/README.md); not measured here
"""

from easydict import EasyDict

from resnet50.config import get_config as recommended


def get_config() -> EasyDict:
    cfg = recommended()
    cfg.optim.update(optimizer="lars", learning_rate=10.0, weight_decay=2e-4, scheduler="poly", rank_scaling="none")
    cfg.train.update(epochs=42, batch_size=512, eval_interval=4, loss_scale=128.0)
    return cfg
