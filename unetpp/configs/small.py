"""A UNet++ of few channels and few steps: to try things in seconds or minutes on a CPU.

run:    python train.py --model unetpp --recipe small --data_path PREPROCESSED --dim 3 --fold 0
expect: see unetpp/README.md
"""

from easydict import EasyDict

from unetpp.config import get_config as default


def get_config() -> EasyDict:
    cfg = default()
    cfg.network.first_filters = 8
    cfg.optim.update(momentum=0.9, poly_by="step", learning_rate=0.05)
    cfg.train.update(epochs=10, steps_per_epoch=50, batch_size=2, val_steps=5, keep_interval=0)
    cfg.eval.tta = "none"
    return cfg
