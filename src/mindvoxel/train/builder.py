"""From a recipe to a trainer: the network, its optimiser, the step, the loader, and their state."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import mindspore as ms
import numpy as np
from easydict import EasyDict
from mindspore import nn

from mindvoxel.data.augment.transform import augment_case
from mindvoxel.data.augment.vnet import augmentations
from mindvoxel.data.prepare import Prepared
from mindvoxel.errors import InputError
from mindvoxel.log import LOGGER
from mindvoxel.losses import ForegroundDiceLoss
from mindvoxel.train import checkpoint, optim
from mindvoxel.train.device import Device, first_from_cache
from mindvoxel.train.loop import State, Trainer
from mindvoxel.train.pipeline import PatchLoader
from mindvoxel.train.ranks import Ranks
from mindvoxel.train.schedule import scaled_rate, warmup_cosine
from mindvoxel.train.step import LossScale, TrainStep, mixed_precision, synchronise_batch_norm
from mindvoxel.zoo import build_network


@dataclass
class Parts:
    """What a run consists of."""

    recipe: EasyDict
    network: nn.Cell
    optimizer: nn.Optimizer
    trainer: Trainer
    batch_size: int

    def writer(self, record: dict) -> Callable[[Path], None]:
        """write(path): the checkpoint of this moment, with `record` and the state in its meta data."""

        def write(path: Path) -> None:
            meta = record | {"cases": self.trainer.loader.names, "state": asdict(self.trainer.state)}
            checkpoint.save(path, self.network, meta, self.optimizer)

        return write

    def describe(self) -> str:
        """One line for the log."""
        size = sum(p.size for p in self.network.trainable_params())
        loader, train, epoch = self.trainer.loader, self.recipe.train, self.trainer.state.epoch
        return (
            f"{self.recipe.model}, {size:,} parameters, {len(loader.names)} {loader.unit}, {loader.num_batches} steps "
            f"an epoch of batch {self.batch_size} on {loader.num_ranks} device(s), epochs {epoch} to {train.epochs}, "
            f"{train.amp_level}"
        )


def seed_everything(seed: int) -> None:
    """The same initial weights on every rank."""
    ms.set_seed(seed)
    np.random.seed(seed)  # noqa: NPY002 - MindSpore's initialisers draw from NumPy's global generator


def build(recipe: EasyDict, cases: Sequence[Prepared], device: Device) -> Parts:
    """Everything from the recipe and the training cases, at step 0."""
    train = recipe.train
    seed_everything(train.seed)
    network = build_network(recipe.model, **recipe.network)
    data = recipe.data
    transforms = augmentations(tuple(data.patch_size), tuple(data.spacing_mm), data.augment, data.foreground_fraction)
    loader = PatchLoader(
        cases,
        partial(augment_case, transforms=transforms),
        train.batch_size,
        getattr(network, "noise_channels", 0),
        train.seed,
        repeats=train.repeats,
        rank=device.rank,
        num_ranks=device.num_ranks,
        num_workers=data.num_workers,
    )
    rates = warmup_cosine(
        scaled_rate(recipe.optim.learning_rate, recipe.optim.rank_scaling, device.num_ranks),
        train.epochs * loader.num_batches,
        warmup_steps=recipe.optim.warmup_steps,
        warmup_start=recipe.optim.warmup_start,
    )
    optimizer = optim.adam(network.trainable_params(), rates)
    mixed_precision(network, train.amp_level)
    if train.sync_batch_norm:
        synchronise_batch_norm(network, device.num_ranks)
    if train.amp_level == "auto" and device.target == "CPU":
        LOGGER.info("auto: its lists of operators do not hold mindvoxel's CPU operator, which stays in float32")
    step = TrainStep(network, ForegroundDiceLoss(num_ranks=device.num_ranks), optimizer, device.num_ranks)
    state = State(scale=LossScale.of(train.amp_level, train.loss_scale))
    trainer = Trainer(step, loader, rates, state, Ranks(device), may_skip=train.amp_level != "O0")
    return Parts(recipe, network, optimizer, trainer, train.batch_size)


def restore(parts: Parts, meta: dict, values: dict, path: str, *, finished: bool = False) -> None:
    """Weights, optimiser and state of a checkpoint, so that the run goes on as if it had not stopped.

    finished: a run whose epochs are done is welcome, too, for what comes after them.
    """
    checkpoint.load_network(parts.network, values, path)
    checkpoint.load_optimizer(parts.optimizer, parts.network, values, path)
    state, loader, fresh = dict(meta["state"]), parts.trainer.loader, parts.trainer.state.scale
    scale = LossScale(**state.pop("scale"))
    if not (fresh.dynamic and scale.dynamic):  # another precision or loss scale than before
        scale = fresh
    if meta["cases"] != loader.names or _steps_of_whole_epochs(state) != state["epoch"] * loader.num_batches:
        raise InputError(
            f"{path}: {state['step']} steps in {state['epoch']} epochs of {len(meta['cases'])} {loader.unit}, but this "
            f"run has {loader.num_batches} an epoch of {len(loader.names)} {loader.unit}; resume with the same cases, "
            "batch size, repeats and devices"
        )
    if state["epoch"] >= parts.recipe.train.epochs and not finished:
        raise InputError(
            f"{path}: its {state['epoch']} epochs are done; give a larger --epochs to go on, or use its checkpoints"
        )
    parts.trainer.state.__dict__.update(state | {"scale": scale})


def _steps_of_whole_epochs(state: dict) -> int:
    return state["step"] - len(state.get("losses", ()))


def start_from(network: nn.Cell, path: str) -> None:
    """The weights of another run's checkpoint; everything else starts anew."""
    _, values = checkpoint.load(path)
    checkpoint.load_network(network, values, path)


def keep_step(parts: Parts, record: dict, device: Device, cache: str) -> None:
    """Take the compiled step from a folder of `cache`, or leave it there: under all that its graph depends on beside
    the sources, of which MindSpore takes care itself. record: what is known of the run."""
    known = {name: value for name, value in record.items() if name not in ("paths", "val_cases", "fold")}
    known |= {"rates": parts.trainer.rates, "device": [device.target, device.num_ranks], "version": ms.__version__}
    key = hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()[:16]
    parts.trainer.train = first_from_cache(parts.trainer.train, Path(cache) / key)
