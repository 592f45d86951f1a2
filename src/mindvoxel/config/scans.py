"""Keys of recipes that train on scans and decide their preprocessing (V-Net)."""

from easydict import EasyDict

from mindvoxel.config import rules
from mindvoxel.config.rules import ABOVE_0, AXES, FLAG, NOT_BELOW_0, SHARE, SHARE_BELOW_1, each, whole

# Every value that a recipe may hold beside its `network` section: the help text of its flag, with the unit. A key that
# does not stand here is refused. Each model's config.py has HELP, CHOICES and RULES of its own for that section, and
# check(recipe) for what must fit together.
HELP = rules.HELP | {
    "data.spacing_mm": "grid to resample to, (z, y, x), mm",
    "data.patch_size": "training patch and inference window (D, H, W), voxels",
    "data.centre_crop": "use the patch in the middle of each scan only, in training and inference (as published)",
    "data.augment": "rotate, scale, mirror and change intensities of training patches",
    "data.foreground_fraction": "share of patches centred on a foreground voxel, 0 to 1",
    "data.num_workers": "threads that prepare cases and patches; 0: none beside the main one",
    "optim.learning_rate": "Adam's learning rate after warm-up",
    "optim.warmup_steps": "steps of linear warm-up",
    "optim.warmup_start": "learning rate of the first step, as a share of learning_rate",
    "optim.rank_scaling": rules.RANK_SCALING,
    "train.epochs": "epochs; the schedule is laid over all of them",
    "train.batch_size": "patches a step and device",
    "train.repeats": "patches of each case an epoch",
    "train.eval_interval": "epochs between validations; the last epoch always validates",
    "eval.overlap": "share of a window that the next one covers again, 0 to 1",
    "eval.blend": "weight of a window's voxels: gaussian or constant",
    "eval.mirror_axes": "axes also predicted mirrored (0 z, 1 y, 2 x)",
    "eval.restore_order": "interpolation of the probability on its way back to the scan: linear or nearest",
    "eval.largest_component": "keep the largest connected component only",
    "eval.nsd_tolerance_mm": "tolerance of the normalised surface distance, mm",
}
CHOICES = rules.CHOICES | {
    "eval.blend": ("gaussian", "constant"),
    "eval.restore_order": ("linear", "nearest"),
}
RULES = rules.RULES | {
    "data.spacing_mm": each(ABOVE_0, 3),
    "data.patch_size": each(whole(1), 3),
    "data.centre_crop": FLAG,
    "data.augment": FLAG,
    "data.foreground_fraction": SHARE,
    "data.num_workers": whole(0),
    "optim.learning_rate": ABOVE_0,
    "optim.warmup_steps": whole(0),
    "optim.warmup_start": SHARE,
    "train.batch_size": whole(1),
    "train.repeats": whole(1),
    "train.eval_interval": whole(1),
    "eval.overlap": SHARE_BELOW_1,
    "eval.mirror_axes": AXES,
    "eval.largest_component": FLAG,
    "eval.nsd_tolerance_mm": NOT_BELOW_0,
}


def base_config(model: str) -> EasyDict:
    """What every such recipe starts from; the model's config.py adds the `network` section and changes the rest."""
    return EasyDict(
        model=model,
        network={},
        data={"spacing_mm": (1.5, 1.0, 1.0), "patch_size": (64, 128, 128), "centre_crop": False, "augment": True}
        | {"foreground_fraction": 0.5, "num_workers": 2},
        optim={"learning_rate": 1e-3, "warmup_steps": 120, "warmup_start": 0.3, "rank_scaling": "none"},
        train={"epochs": 500, "batch_size": 4, "repeats": 1, "eval_interval": 25, "save_interval": 10, "seed": 1}
        | {"amp_level": "O0", "loss_scale": 0.0, "sync_batch_norm": False},
        device={"cpu_precision": "f32"},
        eval={"overlap": 0.5, "blend": "gaussian", "mirror_axes": (), "restore_order": "linear"}
        | {"largest_component": True, "nsd_tolerance_mm": 2.0},
    )
