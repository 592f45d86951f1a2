"""Recipes: complete, checked, overridable from the command line; without MindSpore."""

import json
import math

import pytest

from mindvoxel import config
from mindvoxel.cli import common
from mindvoxel.config import scans
from mindvoxel.errors import InputError
from mindvoxel.zoo import model_names

RECIPES = [(model, name) for model in model_names() for name in config.recipe_names(model)]


@pytest.fixture
def recipe():
    return config.load_recipe("vnet")


def test_there_are_recipes():
    assert {("vnet", "default"), ("vnet", "published"), ("vnet", "small")} <= set(RECIPES)


@pytest.mark.parametrize(("model", "name"), RECIPES)
def test_every_recipe_is_complete_and_says_its_model(model, name):
    recipe = config.load_recipe(model, name)
    assert recipe.model == model
    assert config.check_recipe(recipe) is recipe


@pytest.mark.parametrize(("model", "name"), RECIPES)
def test_every_recipe_survives_json(model, name):
    recipe = config.load_recipe(model, name)
    back = config.from_json(config.to_json(recipe))
    assert config.flatten(back) == config.flatten(recipe)
    assert config.to_json(back) == config.to_json(recipe)
    assert config.flatten(config.override(back, {})) == config.flatten(recipe)


@pytest.mark.parametrize("model", model_names())
def test_every_key_has_a_help_text_and_a_flag_of_its_own(model):
    texts = config.describe(model)
    keys = config.flatten(config.load_recipe(model))
    assert texts.keys() == keys.keys()
    assert all(len(text) > 5 for text in texts.values())
    leaves = [key.split(".")[1] for key in keys]
    assert len(set(leaves)) == len(leaves)
    taken = {"model", "recipe", "data_path", "train_split_file_path", "eval_split_file_path", "output_path"}
    taken |= {"ckpt_path", "resume", "run_distribute", "device_num", "device_target", "device_id", "help"}
    taken |= {"dim", "configuration", "fold", "continue_training", "extend_epochs", "validation_only", "init_from"}
    taken |= {"dbs", "prune", "deterministic", "benchmark", "bench_steps", "bench_warmup_steps", "other_use"}
    assert not taken & set(leaves)


@pytest.mark.parametrize(("model", "name"), RECIPES)
def test_each_recipe_file_says_how_it_is_run_and_what_to_expect(model, name):
    import importlib

    text = importlib.import_module(f"{model}.config" if name == "default" else f"{model}.configs.{name}").__doc__
    assert f"--model {model}" in text
    assert "expect:" in text
    assert name == "default" or f"--recipe {name}" in text


def test_the_published_recipe_is_the_published_one():
    values = config.flatten(config.load_recipe("vnet", "published"))
    wanted = {
        "network.width": 16,
        "network.down_convs": (1, 2, 3, 2),
        "network.up_convs": (2, 2, 1, 1),
        "network.dropout": 0.5,
        "network.act": "elu",
        "network.init": "normal",
        "data.spacing_mm": (1.5, 1.0, 1.0),
        "data.patch_size": (64, 128, 128),
        "data.centre_crop": True,
        "data.augment": False,
        "optim.learning_rate": 1e-3,
        "optim.warmup_steps": 120,
        "optim.warmup_start": 0.3,
        "train.epochs": 500,
        "train.batch_size": 4,
        "train.seed": 1,
        "train.loss_scale": 256.0,
        "eval.largest_component": True,
    }
    assert {key: values[key] for key in wanted} == wanted


def test_two_recipes_do_not_share_their_values():
    one, other = config.load_recipe("vnet"), config.load_recipe("vnet")
    one.train.epochs = 3
    assert other.train.epochs == 500


def test_an_unknown_key_is_refused_with_the_nearest(recipe):
    recipe.optim.learning_rat = 1e-3
    with pytest.raises(InputError, match="recipe key optim.learning_rat is unknown; did you mean optim.learning_rate"):
        config.check_recipe(recipe)
    recipe = config.load_recipe("vnet")
    recipe.network.qqqq = 1
    with pytest.raises(InputError, match="recipe key network.qqqq is unknown$"):
        config.check_recipe(recipe)


def test_a_value_outside_the_known_sections_is_refused(recipe):
    recipe.learning_rate = 1e-3
    with pytest.raises(InputError, match=r"recipe key learning_rate is unknown; did you mean optim.learning_rate"):
        config.check_recipe(recipe)
    del recipe["learning_rate"]
    recipe.optimiser = {"learning_rate": 1e-3}
    with pytest.raises(InputError, match=r"optimiser.learning_rate is unknown; did you mean optim.learning_rate"):
        config.check_recipe(recipe)


def test_an_override_of_an_unknown_key_is_refused(recipe):
    for key in ("train.epoch", "trian.epochs"):
        with pytest.raises(InputError, match=f"recipe key {key} is unknown; did you mean train.epochs"):
            config.override(recipe, {key: 3})


def test_a_missing_key_is_refused_with_its_meaning(recipe):
    del recipe.train["seed"]
    with pytest.raises(InputError, match=r"recipe of vnet lacks train\.seed \(seed of initialisation"):
        config.check_recipe(recipe)


@pytest.mark.parametrize("key", sorted(scans.CHOICES))
def test_a_wrong_choice_is_refused_with_the_right_ones(recipe, key):
    with pytest.raises(InputError, match=rf"{key} must be one of {', '.join(scans.CHOICES[key])}, got 'nonsense'"):
        config.override(recipe, {key: "nonsense"})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("data.spacing_mm", (1.5, 1.0)),
        ("data.spacing_mm", (1.5, 0.0, 1.0)),
        ("data.spacing_mm", (1.5, math.nan, 1.0)),
        ("data.patch_size", (64, 128)),
        ("data.patch_size", (64, 128, 0)),
        ("data.patch_size", (64.5, 128, 128)),
        ("data.foreground_fraction", 1.5),
        ("data.num_workers", -1),
        ("data.centre_crop", "yes"),
        ("optim.learning_rate", 0.0),
        ("optim.learning_rate", math.nan),
        ("optim.learning_rate", math.inf),
        ("optim.learning_rate", "fast"),
        ("optim.warmup_steps", -1),
        ("optim.warmup_start", 1.5),
        ("train.epochs", 0),
        ("train.epochs", 1.5),
        ("train.batch_size", 0),
        ("train.repeats", 0),
        ("train.eval_interval", 0),
        ("train.save_interval", 0),
        ("train.seed", -1),
        ("train.loss_scale", -1.0),
        ("eval.overlap", 1.0),
        ("eval.mirror_axes", (3,)),
        ("eval.mirror_axes", (1, 1)),
        ("eval.nsd_tolerance_mm", -1.0),
    ],
)
def test_a_value_out_of_range_is_refused_by_its_key(recipe, key, value):
    with pytest.raises(InputError, match=rf"^{key} must be .*, got "):
        config.override(recipe, {key: value})


def test_an_override_leaves_the_recipe_as_it_was(recipe):
    changed = config.override(recipe, {"train.epochs": 7, "data.patch_size": (16, 32, 32)})
    assert (changed.train.epochs, tuple(changed.data.patch_size)) == (7, (16, 32, 32))
    assert (recipe.train.epochs, tuple(recipe.data.patch_size)) == (500, (64, 128, 128))


@pytest.mark.parametrize(
    ("text", "default", "value"),
    [
        ("true", False, True),
        ("False", True, False),
        ("1", False, True),
        ("0", True, False),
        ("7", 3, 7),
        ("-7", 3, -7),
        ("1e-3", 0.5, 1e-3),
        ("2", 0.5, 2.0),
        ("O2", "O0", "O2"),
        ("64,128,128", (1, 2, 3), (64, 128, 128)),
        ("(64, 128, 128)", [1, 2, 3], (64, 128, 128)),
        ("[1.5,1,1]", (1.0, 1.0, 1.0), (1.5, 1.0, 1.0)),
        ("2", (1, 2, 3), (2,)),
        ("0,2", (), (0, 2)),
        ("", (0, 1), ()),
        ("none", (0, 1), ()),
    ],
)
def test_text_is_read_as_the_type_of_the_recipe(text, default, value):
    parsed = config.parse_value("--key", text, default)
    assert parsed == value
    assert type(parsed) is type(value)


@pytest.mark.parametrize(
    ("text", "default"),
    [("yes", True), ("", True), ("1.5", 3), ("x", 3), ("", 3), ("x", 0.5), ("1,x", (1, 2)), ("1.5,2", (1, 2))],
)
def test_text_of_another_type_is_refused_by_its_flag(text, default):
    with pytest.raises(InputError, match=r"^--key: .* does not read as a value like"):
        config.parse_value("--key", text, default)


def test_flags_reach_the_recipe_with_hyphens_or_without(recipe):
    parser = common.Parser("test", "test")
    common.add_recipe_flags(parser, recipe, ("network", "data", "optim", "train", "eval"))
    words = "--learning-rate 2e-3 --patch_size=16,32,32 --augment false --amp-level O2 --dropout 0 --down_convs 1,1"
    args = parser.parse_args(common.normalise(words.split()))
    assert common.overrides(args, recipe) == {
        "optim.learning_rate": 2e-3,
        "data.patch_size": (16, 32, 32),
        "data.augment": False,
        "train.amp_level": "O2",
        "network.dropout": 0.0,
        "network.down_convs": (1, 1),
    }


def test_what_is_not_given_is_not_overridden(recipe):
    parser = common.Parser("test", "test")
    common.add_recipe_flags(parser, recipe, ("optim",))
    assert common.overrides(parser.parse_args([]), recipe) == {}


@pytest.mark.parametrize("model", model_names())
def test_the_help_names_every_value_with_its_recipe_default(model):
    parser = common.Parser("test", "test")
    recipe = config.load_recipe(model)
    common.add_recipe_flags(parser, recipe, tuple({key.split(".")[0] for key in config.flatten(recipe)}))
    text = " ".join(parser.format_help().split())
    texts = config.describe(model)
    for key, value in config.flatten(recipe).items():
        shown = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
        assert f"--{key.split('.')[1]} VALUE {texts[key]} (recipe: {shown or 'none'})" in text


def test_an_unknown_recipe_is_refused_with_the_known_ones():
    with pytest.raises(InputError, match="recipe 'tiny' of vnet is unknown; choose one of default, published, small"):
        config.load_recipe("vnet", "tiny")


def test_recipes_are_strict_json(recipe):
    json.loads(config.to_json(recipe), parse_constant=lambda name: pytest.fail(name))
