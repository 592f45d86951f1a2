"""What one rank does on its part of a batch, as test_ranks.py compares it: python ranks_program.py FOLDER."""

import json
import sys

import numpy as np

from mindvoxel.train import device
from mindvoxel.train.device import Device

BATCH = 4  # of all ranks


def share(values: np.ndarray, place: Device) -> np.ndarray:
    return values[place.rank :: place.num_ranks]


def unet(place: Device) -> list[np.ndarray]:
    """Losses and weights of a U-Net with instance norm and batch Dice, its gradients clipped."""
    import mindspore as ms

    from mindvoxel.losses import DeepSupervision, DiceCELoss, nnunet_weights
    from mindvoxel.train.optim import sgd
    from mindvoxel.train.step import TrainStep
    from unet3d.network import build

    np.random.seed(1)  # noqa: NPY002 - MindSpore's initialisers draw from NumPy's global generator
    network = build(1, 3, ((1, 1), (2, 2), (2, 2)), ((3, 3),) * 3, (4, 8, 8), deep_supervision=True)
    loss = DeepSupervision(DiceCELoss(batch_dice=True, num_ranks=place.num_ranks), nnunet_weights(2))
    optimizer = sgd(network.trainable_params(), [1.0] * 2, momentum=1e-9, nesterov=False)
    step = TrainStep(network, loss, optimizer, place.num_ranks, max_norm=0.05)
    label = np.random.default_rng(0).integers(0, 3, (BATCH, 8, 16)).astype(np.int16)
    label[0][label[0] == 2] = 0  # a Dice of each sample would differ from that of the batch
    own = share(label, place)
    losses = [step(ms.Tensor(own[:, None].astype(np.float32)), ms.Tensor(own), None, None)[0] for _ in range(2)]
    return [np.array([float(loss.asnumpy()) for loss in losses]), flat(network)]


def vnet(place: Device) -> list[np.ndarray]:
    """Losses and weights, running statistics included, of a V-Net with batch norm and dropout."""
    import mindspore as ms

    from mindvoxel.losses import ForegroundDiceLoss
    from mindvoxel.train.optim import sgd
    from mindvoxel.train.step import TrainStep, synchronise_batch_norm
    from vnet.network import build

    np.random.seed(2)  # noqa: NPY002
    network = build(
        num_classes=2, width=4, down_convs=(1, 1), up_convs=(1, 1), dropout=0.5, act="elu", init="he_normal"
    )
    synchronise_batch_norm(network, place.num_ranks)
    optimizer = sgd(network.trainable_params(), [0.5] * 2, momentum=1e-9, nesterov=False)
    step = TrainStep(network, ForegroundDiceLoss(num_ranks=place.num_ranks), optimizer, place.num_ranks)
    rng = np.random.default_rng(3)
    label = (rng.random((BATCH, 4, 8, 12)) > 0.7).astype(np.uint8)
    label[1] = 0  # a Dice of each sample would differ from that of the batch
    image = (label + np.arange(BATCH)[:, None, None, None] + rng.normal(size=label.shape)).astype(np.float32)
    noise = rng.uniform(size=(BATCH, network.noise_channels)).astype(np.float32)
    image, label, noise = (ms.Tensor(share(values, place)) for values in (image[:, None], label, noise))
    losses = [step(image, label, noise, None)[0] for _ in range(2)]
    return [np.array([float(loss.asnumpy()) for loss in losses]), flat(network)]


def overflow_on_one_rank(place: Device) -> dict:
    """Only the last rank's loss scale makes gradients overflow: whether this rank saw it, and kept its weights."""
    import mindspore as ms

    from mindvoxel.losses import DiceCELoss
    from mindvoxel.train.optim import sgd
    from mindvoxel.train.step import TrainStep
    from unet3d.network import build

    np.random.seed(1)  # noqa: NPY002
    network = build(1, 2, ((1, 1), (2, 2)), ((3, 3),) * 2, (4, 8), deep_supervision=False)
    step = TrainStep(network, DiceCELoss(), sgd(network.trainable_params(), [1.0]), place.num_ranks)
    before, label = flat(network), np.zeros((1, 8, 8), np.int16)
    image = np.random.default_rng(place.rank).normal(size=(1, 1, 8, 8)).astype(np.float32) * 1e3
    scale = ms.Tensor(2.0**127 if place.rank == place.num_ranks - 1 else 1.0, ms.float32)
    _, finite = step(ms.Tensor(image), ms.Tensor(label), None, scale)
    return {"finite": bool(finite.asnumpy()), "kept": bool(np.array_equal(before, flat(network)))}


def talk(place: Device) -> dict:
    """What the ranks say to each other: five things shared out, the last rank's flag, something long of each."""
    from mindvoxel.train.ranks import Ranks

    ranks = Ranks(place)
    return {
        "joined": ranks.join([number * number for number in ranks.share(range(5))]),
        "none": ranks.join([]),
        "any": [ranks.any(False), ranks.any(place.rank == place.num_ranks - 1)],
        "lengths": [len(text) for text in ranks.gather("é" * 100 * place.rank)],
        "numbers": ranks.gather([0.1 + place.rank, float("inf"), None]),
    }


def flat(network) -> np.ndarray:
    return np.concatenate([parameter.asnumpy().ravel() for parameter in network.get_parameters()])


if __name__ == "__main__":
    here, folder = device.prepare("CPU", distributed=True), sys.argv[1]
    np.savez(f"{folder}/rank{here.rank}.npz", *unet(here), *vnet(here))
    with open(f"{folder}/rank{here.rank}.json", "w") as file:  # noqa: PTH123
        json.dump({"talk": talk(here), "overflow": overflow_on_one_rank(here)}, file)
