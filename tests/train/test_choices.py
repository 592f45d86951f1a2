"""What the words of a recipe stand for."""

from dataclasses import replace

import numpy as np
import pytest
from easydict import EasyDict

from mindvoxel.config import load_recipe, override
from mindvoxel.data.plan import Configuration, Preprocessing
from mindvoxel.data.sampling import BlobOversampling, ForegroundOversampling
from mindvoxel.train.device import Device

CONFIG = Configuration(
    patch_size=(8, 12, 10),
    batch_size=3,
    spacing_mm=(1.0, 1.0, 1.0),
    median_shape=(8, 12, 10),
    strides=((1, 1, 1), (2, 2, 2)),
    kernels=((3, 3, 3), (3, 3, 3)),
    filters=(32, 64),
    preprocessing=Preprocessing(("zscore",)),
    batch_dice=True,
)
FLAT = replace(CONFIG, patch_size=(12, 10), batch_size=6)


def recipe(name="default", **changes) -> EasyDict:
    return override(load_recipe("unet3d", name), {key.replace("__", "."): value for key, value in changes.items()})


def source(recipe, config=CONFIG, num_ranks=1):
    from mindvoxel.train.choices import training_patches

    case = EasyDict(image=np.zeros((1, 8, 12, 10)))
    return training_patches(recipe, config, list("abcdefg"), lambda name: case, Device("CPU", 0, 0, num_ranks))


def test_the_plan_s_batch_and_nnunet_s_epoch(cpu):
    patches = source(recipe())
    assert (patches.batch_size, patches.iterations, patches.each_once) == (3, 250, False)
    assert patches.recipe.sampler == ForegroundOversampling(0.33)
    assert len(patches.recipe.transforms) > 5
    assert source(recipe(train__batch_size=5, data__oversampling=0.5)).batch_size == 5


def test_nvidia_s_epoch_shows_each_case_once(cpu):
    patches = source(recipe("nvidia"))
    assert patches.recipe.sampler == BlobOversampling(0.33)
    assert (patches.iterations, patches.each_once) == (3, True)  # 7 cases in batches of 3
    assert source(recipe("nvidia"), num_ranks=2).iterations == 2
    flat = source(recipe("nvidia"), FLAT)
    assert (flat.batch_size, flat.recipe.patch_size, flat.iterations) == (6, (3, 12, 10), 4)  # 2 volumes of 3 slices


def test_without_augmentation_nothing_is_turned(cpu):
    patches = source(recipe(data__augment="none"))
    assert patches.recipe.turn is None
    assert len(patches.recipe.transforms) == 1


@pytest.mark.parametrize(("word", "batch"), [("plan", True), ("batch", True), ("patch", False)])
def test_dice_over_the_batch_as_the_plan_or_the_flag_says(cpu, word, batch):
    from mindvoxel.train.choices import plain_loss

    assert plain_loss(recipe(loss__batch_dice=word), CONFIG).batch_dice is batch
    assert plain_loss(recipe(), replace(CONFIG, batch_dice=False)).batch_dice is False


def test_learning_rates_by_their_words(cpu):
    from mindvoxel.train.choices import learning_rates

    rates = learning_rates(recipe().optim, 4, 3)
    assert rates[0] == rates[2] == 0.01
    assert np.isclose(rates[3], 0.01 * 0.75**0.9)
    by_step = learning_rates(recipe(optim__poly_by="step", optim__warmup_steps=2).optim, 4, 3)
    assert by_step[0] == 0
    assert np.isclose(by_step[1], 0.01 * (11 / 12) ** 0.9 / 2)
    words = recipe("nvidia", optim__cosine_annealing_first_cycle_steps=4).optim
    rates = learning_rates(words, 2, 4)
    assert rates[0] == 3e-4
    assert np.isclose(rates[4], 3e-4 * (0.1 + 0.9 * 0.95))  # the peak decay works


@pytest.mark.parametrize("name", ["sgd", "adam", "radam"])
def test_every_optimiser_and_lookahead_around_it(cpu, name):
    from mindspore import nn

    from mindvoxel.train import optim
    from mindvoxel.train.choices import optimizer_of

    words = recipe(optim__optimizer=name, optim__lookahead=True).optim
    found = optimizer_of(words, nn.Dense(2, 2, weight_init="ones", bias_init="zeros"), [0.1] * 4)
    assert isinstance(found, optim.Lookahead)
    assert type(found.fast).__name__.lower() == name
