"""Keys of recipes that train on colour photographs with one class each (ResNet-50)."""

from easydict import EasyDict

from mindvoxel.config import rules
from mindvoxel.config.rules import ABOVE_0, FLAG, NOT_BELOW_0, SHARE_BELOW_1, each, is_number, whole
from mindvoxel.errors import InputError

_NUMBER = "a number", is_number
_SHARE_ABOVE_0 = "a number above 0, to 1", lambda v: is_number(v) and 0 < v <= 1

# See mindvoxel.config.scans.
HELP = rules.HELP | {
    "loss.smoothing": "share of the label that is spread over all classes alike, 0 to below 1",
    "data.size": "height and width of what the network sees, pixels",
    "data.short_side": "shorter side of a photo from whose middle that is cut in evaluation, pixels",
    "data.mean": "subtracted from red, green and blue of 0 to 255",
    "data.sd": "red, green and blue are divided by these then",
    "data.augment": "train on random crops, mirrored half of the time, instead of the middle",
    "data.crop_area": "smallest and largest area of a random crop, as a share of the photo's",
    "data.crop_aspect": "smallest and largest width of a random crop, as a multiple of its height",
    "data.num_workers": "threads that read and prepare photos; 0: none beside the main one",
    "optim.optimizer": "sgd, with momentum, or lars (You et al. 2017)",
    "optim.learning_rate": "after warm-up, of the batch of one device",
    "optim.momentum": "share of the last step in the next",
    "optim.weight_decay": "times the weight, added to the gradient; not of normalisations, of lars not of biases",
    "optim.warmup_epochs": "epochs in which the learning rate rises linearly from 0",
    "optim.scheduler": "steps, a tenth after each of step_epochs, or poly, with power 2 from warm-up on",
    "optim.step_epochs": "of steps: epochs, counted from the first, after which the learning rate falls to a tenth",
    "optim.end_learning_rate": "of poly: learning rate at the end",
    "optim.rank_scaling": rules.RANK_SCALING,
    "train.epochs": "epochs; the schedule is laid over all of them",
    "train.batch_size": "photos a step and device",
    "train.eval_interval": "epochs between validations; the last epoch always validates",
    "eval.eval_batch_size": "photos at once in validation and evaluation, on each device",
}
CHOICES = rules.CHOICES | {
    "optim.optimizer": ("sgd", "lars"),
    "optim.scheduler": ("steps", "poly"),
}
RULES = rules.RULES | {
    "loss.smoothing": SHARE_BELOW_1,
    "data.size": whole(1),
    "data.short_side": whole(1),
    "data.mean": each(_NUMBER, 3),
    "data.sd": each(ABOVE_0, 3),
    "data.augment": FLAG,
    "data.crop_area": each(_SHARE_ABOVE_0, 2),
    "data.crop_aspect": each(ABOVE_0, 2),
    "data.num_workers": whole(0),
    "optim.learning_rate": ABOVE_0,
    "optim.momentum": SHARE_BELOW_1,
    "optim.weight_decay": NOT_BELOW_0,
    "optim.warmup_epochs": whole(0),
    "optim.step_epochs": each(whole(1)),
    "optim.end_learning_rate": NOT_BELOW_0,
    "train.batch_size": whole(1),
    "train.eval_interval": whole(1),
    "eval.eval_batch_size": whole(1),
}


def check(recipe: EasyDict) -> None:
    """Raise InputError where the values of such a recipe do not fit each other."""
    data, optim = recipe.data, recipe.optim
    if data.size > data.short_side:
        raise InputError(
            f"--size {data.size} exceeds --short_side {data.short_side}, so that no crop of it fits into a photo; "
            "give a smaller size or a larger short side"
        )
    for name in ("crop_area", "crop_aspect"):
        low, high = data[name]
        if low > high:
            raise InputError(f"--{name} {low},{high}: the smallest comes first; give {high},{low}")
    if optim.warmup_epochs > recipe.train.epochs:
        raise InputError(
            f"--warmup_epochs {optim.warmup_epochs} exceeds --epochs {recipe.train.epochs}; give fewer of the former"
        )


def base_config(model: str) -> EasyDict:
    """What every such recipe starts from; the model's config.py adds the `network` section and changes the rest."""
    return EasyDict(
        model=model,
        network={},
        loss={"smoothing": 0.1},
        data={"size": 224, "short_side": 256, "mean": (123.68, 116.78, 103.94), "sd": (1.0, 1.0, 1.0)}
        | {"augment": True, "crop_area": (0.05, 1.0), "crop_aspect": (0.75, 1.3333), "num_workers": 8},
        optim={"optimizer": "sgd", "learning_rate": 0.1, "momentum": 0.9, "weight_decay": 1e-4, "warmup_epochs": 5}
        | {"scheduler": "steps", "step_epochs": (30, 60, 80), "end_learning_rate": 1e-4, "rank_scaling": "linear"},
        train={"epochs": 90, "batch_size": 256, "eval_interval": 1, "save_interval": 1, "seed": 1}
        | {"amp_level": "O0", "loss_scale": 0.0, "sync_batch_norm": False},
        device={"cpu_precision": "f32"},
        eval={"eval_batch_size": 250},
    )
