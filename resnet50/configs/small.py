"""A narrow ResNet on small photos that trains on a CPU in minutes: to try things.

run:    python train.py --model resnet50 --recipe small --data_path DIR --num_classes N
expect: far above chance on classes that differ by colour and texture (resnet50/README.md)
"""

from easydict import EasyDict

from resnet50.config import get_config as recommended


def get_config() -> EasyDict:
    cfg = recommended()
    cfg.network.update(width=16, depths=(1, 1, 1, 1))
    cfg.data.update(size=64, short_side=72, crop_area=(0.25, 1.0), num_workers=2)
    cfg.optim.update(learning_rate=0.02, warmup_epochs=1, step_epochs=(12, 16))
    cfg.train.update(epochs=18, batch_size=32)
    cfg.eval.update(eval_batch_size=64)
    return cfg
