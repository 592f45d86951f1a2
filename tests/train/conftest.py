"""A trainer small enough for a test."""

import numpy as np
import pytest


@pytest.fixture(scope="session")
def make_trainer(cpu):
    """make_trainer(amp_level, loss_scale, poison): the parts of a run on two made-up cases."""

    def build(amp_level, loss_scale=0.0, poison=None):
        """A trainer of a tiny V-Net on two made-up cases; `poison` changes an image (D, H, W) before training."""
        from easydict import EasyDict

        from mindvoxel.config import load_recipe, override
        from mindvoxel.train import builder
        from mindvoxel.train.device import Device

        recipe = override(
            load_recipe("vnet", "small"),
            {
                "network.width": 2,
                "network.down_convs": (1, 1, 1),
                "network.up_convs": (1, 1, 1),
                "data.patch_size": (8, 16, 16),
                "data.augment": False,
                "data.num_workers": 0,
                "train.epochs": 4,
                "train.repeats": 1,
                "train.amp_level": amp_level,
                "train.loss_scale": loss_scale,
            },
        )
        cases = []
        for name in ("CaseA", "CaseB"):
            label = np.zeros((8, 16, 16), np.uint8)
            label[2:6, 4:12, 4:12] = 1
            image = label.astype(np.float32) * 2 - 1
            cases.append(EasyDict(case=name, image=image if poison is None else poison(image), label=label))
        return builder.build(recipe, cases, Device("CPU", 0))

    return build
