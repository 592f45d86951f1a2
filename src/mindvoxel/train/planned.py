"""From a recipe and a plan to a trainer: the network by the plan's stages, patches of preprocessed cases."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from easydict import EasyDict
from mindspore import nn

from mindvoxel.data.patches import PatchSource
from mindvoxel.data.plan import Configuration, Plan
from mindvoxel.data.previous import PreviousStage
from mindvoxel.errors import InputError
from mindvoxel.train.builder import Parts, seed_everything
from mindvoxel.train.choices import OpenCase, learning_rates, optimizer_of, supervised_loss, training_patches
from mindvoxel.train.device import Device
from mindvoxel.train.loop import State, Trainer
from mindvoxel.train.pipeline import Batch
from mindvoxel.train.ranks import Ranks
from mindvoxel.train.step import LossScale, TrainStep, mixed_precision, synchronise_batch_norm
from mindvoxel.zoo import build_network


@dataclass(frozen=True)
class StoredLoader:
    """A PatchSource as the trainer takes it: batches without noise for dropout."""

    source: PatchSource
    unit = "cases"

    @property
    def num_batches(self) -> int:
        """Batches of an epoch, on every rank."""
        return self.source.iterations

    @property
    def num_ranks(self) -> int:
        return self.source.num_ranks

    @property
    def names(self) -> list[str]:
        """Of the cases."""
        return list(self.source.cases)

    def epoch(self, epoch: int, first: int = 0) -> Iterator[Batch]:
        """The batches of `epoch` from number `first` on."""
        for patches in self.source.epoch(epoch, first):
            yield Batch(patches.image, patches.label, None, patches.cases)


def network_of_plan(recipe: EasyDict, plan: Plan, configuration: Configuration) -> nn.Cell:
    """The recipe's network by the plan's stages, which first_filters thins; InputError where they do not fit."""
    own = dict(recipe.network)
    first, filters = own.pop("first_filters", 0), configuration.filters
    if first:
        filters = tuple(min(first * 2**stage, wide) for stage, wide in enumerate(filters))
    num_classes = len(plan.label_values)
    try:
        return build_network(
            recipe.model,
            in_channels=plan.in_channels(configuration),
            num_classes=num_classes,
            strides=configuration.strides,
            kernels=configuration.kernels,
            filters=filters,
            **own,
        )
    except ValueError as error:  # such as group norm, where a plan was edited
        raise InputError(f"the plan's stages of {filters} filters and the recipe make no network: {error}") from error


def build(
    recipe: EasyDict,
    plan: Plan,
    configuration: str,
    cases: Sequence[str],
    open_case: OpenCase,
    device: Device,
    previous: PreviousStage | None = None,
) -> Parts:
    """A run over `cases`, at step 0; `configuration` is the name of one of the plan's, `previous` of a cascade."""
    config, train = plan.configurations[configuration], recipe.train
    seed_everything(train.seed)
    network = network_of_plan(recipe, plan, config)
    loader = StoredLoader(training_patches(recipe, config, cases, open_case, device, previous))
    rates = learning_rates(recipe.optim, train.epochs, loader.num_batches, device.num_ranks)
    optimizer = optimizer_of(recipe.optim, network, rates)
    mixed_precision(network, train.amp_level)
    if train.sync_batch_norm:
        synchronise_batch_norm(network, device.num_ranks)
    loss = supervised_loss(recipe, config, network, device.num_ranks)
    step = TrainStep(network, loss, optimizer, device.num_ranks, recipe.optim.clip_norm or None)
    state = State(scale=LossScale.of(train.amp_level, train.loss_scale))
    trainer = Trainer(step, loader, rates, state, Ranks(device), may_skip=train.amp_level != "O0")
    return Parts(recipe, network, optimizer, trainer, loader.source.batch_size)
