"""What the words of a recipe for preprocessed cases stand for: patches, loss, learning rates, optimiser."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from easydict import EasyDict
from mindspore import nn

from mindvoxel.data.patches import PatchRecipe, PatchSource, nnunet_recipe, nvidia_recipe
from mindvoxel.data.plan import Configuration
from mindvoxel.data.previous import PreviousStage
from mindvoxel.data.sampling import ForegroundOversampling
from mindvoxel.data.store import StoredCase
from mindvoxel.errors import InputError
from mindvoxel.losses import DeepSupervision, DiceCELoss, nnunet_weights, nvidia_weights
from mindvoxel.train import optim, schedule
from mindvoxel.train.device import Device

OpenCase = Callable[[str], StoredCase]


def batch_size_of(recipe: EasyDict, configuration: Configuration) -> int:
    """Patches a step and device; 2-D: slices."""
    return recipe.train.batch_size or configuration.batch_size


def patch_recipe(recipe: EasyDict, configuration: Configuration, previous: PreviousStage | None) -> PatchRecipe:
    """How training patches are made: the recipe's set of augmentations and its share of foreground.

    Raises InputError for NVIDIA's set in a cascade, which NVIDIA does not have.
    """
    data = recipe.data
    if data.augment == "nvidia":
        if previous is not None:
            raise InputError("--augment nvidia knows no cascade; give --augment nnunet, or none")
        sized = replace(configuration, batch_size=batch_size_of(recipe, configuration))
        return nvidia_recipe(sized, num_volumes=data.nvol, oversampling=data.oversampling)
    made = nnunet_recipe(configuration, augment=data.augment == "nnunet", **_channels_of(previous))
    return replace(made, sampler=ForegroundOversampling(data.oversampling))


def _channels_of(previous: PreviousStage | None) -> dict:
    return {} if previous is None else {"previous_classes": previous.num_classes, "open_previous": previous.open}


def training_patches(
    recipe: EasyDict,
    configuration: Configuration,
    cases: Sequence[str],
    open_case: OpenCase,
    device: Device,
    previous: PreviousStage | None = None,
) -> PatchSource:
    """Batches of augmented patches of the training cases, for this device."""
    patches, batch_size = patch_recipe(recipe, configuration, previous), batch_size_of(recipe, configuration)
    slices = patches.patch_size[0] if patches.flat else 1
    each_step = batch_size // slices * device.num_ranks
    return PatchSource(
        cases,
        open_case,
        patches,
        batch_size,
        recipe.train.steps_per_epoch or -(-len(cases) // each_step),
        recipe.train.seed,
        each_once=recipe.train.steps_per_epoch == 0,
        rank=device.rank,
        num_ranks=device.num_ranks,
        num_workers=recipe.data.num_workers,
    )


def validation_patches(
    recipe: EasyDict,
    configuration: Configuration,
    cases: Sequence[str],
    open_case: OpenCase,
    device: Device,
    previous: PreviousStage | None = None,
) -> PatchSource:
    """Batches of patches of the validation cases, nothing augmented, for this device."""
    made = nnunet_recipe(configuration, augment=False, **_channels_of(previous))
    return PatchSource(
        cases,
        open_case,
        replace(made, sampler=ForegroundOversampling(recipe.data.oversampling)),
        batch_size_of(recipe, configuration),
        recipe.train.val_steps,
        recipe.train.seed + 1,
        rank=device.rank,
        num_ranks=device.num_ranks,
        num_workers=recipe.data.num_workers,
    )


def plain_loss(recipe: EasyDict, configuration: Configuration, num_ranks: int = 1) -> nn.Cell:
    """Dice + cross-entropy of the full resolution."""
    words = {"plan": configuration.batch_dice, "batch": True, "patch": False}
    loss = recipe.loss
    return DiceCELoss(
        batch_dice=words[loss.batch_dice],
        background=loss.include_background,
        smooth=loss.smooth,
        num_ranks=num_ranks,
    )


def supervised_loss(recipe: EasyDict, configuration: Configuration, network: nn.Cell, num_ranks: int) -> nn.Cell:
    """The loss of the network's training output: of all its heads where they are supervised."""
    loss = plain_loss(recipe, configuration, num_ranks)
    if not network.deep_supervision:
        return loss
    weights = {"nnunet": nnunet_weights, "nvidia": nvidia_weights}[recipe.loss.head_weights]
    return DeepSupervision(loss, weights(network.num_heads))


def learning_rates(words: EasyDict, epochs: int, steps_per_epoch: int, num_ranks: int = 1) -> list[float]:
    """One a step, by the recipe's `optim` section."""
    form = {}
    if words.scheduler == "poly":
        form = {"end": words.end_learning_rate, "hold": steps_per_epoch if words.poly_by == "epoch" else 1}
    elif words.scheduler == "cosine_annealing":
        form = {"first_cycle": words.cosine_annealing_first_cycle_steps}
        form["peak_decay"] = words.cosine_annealing_peak_decay
    highest = schedule.scaled_rate(words.learning_rate, words.rank_scaling, num_ranks)
    rates = schedule.rates_of(words.scheduler, highest, epochs * steps_per_epoch, **form)
    return schedule.warmed_up(rates, words.warmup_steps)


def optimizer_of(words: EasyDict, network: nn.Cell, rates: list[float]) -> nn.Cell:
    """By the recipe's `optim` section, its learning rates laid over all steps."""
    decay = {"weight_decay": words.weight_decay, "decay_norms": words.decay_norms}
    form = {"momentum": words.momentum, "nesterov": words.nesterov} if words.optimizer == "sgd" else {}
    make = {"sgd": optim.sgd, "adam": optim.adam, "radam": optim.radam}[words.optimizer]
    optimizer = make(network.trainable_params(), rates, **form, **decay)
    return optim.Lookahead(optimizer) if words.lookahead else optimizer
