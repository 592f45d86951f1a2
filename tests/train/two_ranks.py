"""One rank's step on its half of a batch, as test_ranks.py compares it: python two_ranks.py FOLDER."""

import sys

import numpy as np

from mindvoxel.train import device

MAX_NORMS = (1e9, 0.05)  # no clipping, and much


def weights_after_a_step(rank: int, num_ranks: int, max_norm: float) -> np.ndarray:
    """The loss and the weights of a U-Net trained with batch Dice on two samples, which the ranks share."""
    import mindspore as ms

    from mindvoxel.losses import DeepSupervision, DiceCELoss, nnunet_weights
    from mindvoxel.train.optim import sgd
    from mindvoxel.train.step import TrainStep
    from unet3d.network import build

    np.random.seed(1)  # noqa: NPY002 - MindSpore's initialisers draw from NumPy's global generator
    network = build(1, 3, ((1, 1), (2, 2), (2, 2)), ((3, 3),) * 3, (4, 8, 8), deep_supervision=True)
    loss = DeepSupervision(DiceCELoss(batch_dice=True, num_ranks=num_ranks), nnunet_weights(2))
    optimizer = sgd(network.trainable_params(), [1.0], momentum=1e-9, nesterov=False)
    step = TrainStep(network, loss, optimizer, num_ranks, max_norm)
    label = np.random.default_rng(0).integers(0, 3, (2, 8, 16)).astype(np.int16)
    label[0][label[0] == 2] = 0  # a Dice of each sample would differ from that of the batch
    own = label[rank::num_ranks]
    value, _ = step(ms.Tensor(own[:, None].astype(np.float32)), ms.Tensor(own), None, None)
    return np.concatenate([[float(value.asnumpy())], *(p.asnumpy().ravel() for p in step.weights)])


if __name__ == "__main__":
    place = device.prepare("CPU", distributed=True)
    results = [weights_after_a_step(place.rank, place.num_ranks, max_norm) for max_norm in MAX_NORMS]
    np.save(f"{sys.argv[1]}/rank{place.rank}.npy", results)
