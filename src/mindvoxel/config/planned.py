"""Keys of recipes that train on preprocessed cases: the plan decides the data, the recipe the training."""

from easydict import EasyDict

from mindvoxel.config import rules
from mindvoxel.config.rules import ABOVE_0, FLAG, NOT_BELOW_0, SHARE, SHARE_BELOW_1, whole

HELP = rules.HELP | {
    "network.deep_supervision": "heads other than the last one take part in the loss, too",
    "network.first_filters": "channels of the first stage; each stage doubles them, up to the plan's; 0: the plan's",
    "loss.batch_dice": "one Dice over the batch (batch), one a patch (patch), or as the plan says (plan)",
    "loss.include_background": "the background counts in the Dice term",
    "loss.smooth": "added to the Dice term's numerator and denominator",
    "loss.head_weights": "of supervised heads: nnunet (halved each, the last 0, sum 1) or nvidia (halved each)",
    "data.augment": "set of augmentations: nnunet, nvidia or none",
    "data.oversampling": "share of patches that hold foreground for certain, 0 to 1",
    "data.nvol": "volumes whose slices fill a 2-D batch, with the nvidia set",
    "data.num_workers": "threads that prepare patches; 0: none beside the main one",
    "optim.optimizer": "sgd, adam or radam",
    "optim.learning_rate": "highest learning rate",
    "optim.momentum": "of sgd",
    "optim.nesterov": "sgd looks ahead along its momentum",
    "optim.weight_decay": "times the weights, added to the gradient",
    "optim.decay_norms": "weight decay reaches normalisation parameters, too (nnU-Net); else not (NVIDIA)",
    "optim.lookahead": "pull the weights half way back to slow ones each 6 steps",
    "optim.scheduler": "of the learning rate: none, poly, cosine or cosine_annealing",
    "optim.poly_by": "poly falls each epoch or each step",
    "optim.end_learning_rate": "of poly, at the end",
    "optim.cosine_annealing_first_cycle_steps": "steps to the first restart; each later cycle is twice as long",
    "optim.cosine_annealing_peak_decay": "learning rate of a restart, as a share of the one before",
    "optim.warmup_steps": "steps of linear warm-up from 0",
    "optim.rank_scaling": rules.RANK_SCALING,
    "optim.clip_norm": "largest norm of the gradient, which is scaled down to it; 0: no limit",
    "train.epochs": "epochs; the schedule is laid over all of them",
    "train.steps_per_epoch": "steps of an epoch; 0: as many as show each case once",
    "train.batch_size": "patches a step and device; 0: the plan's",
    "train.val_steps": "batches of validation patches an epoch, for val_patch_dice and best.ckpt; 0: neither",
    "train.val_interval": "epochs between segmentations of the whole validation scans; 0: at the end only",
    "train.validate": "segment and score the validation scans at the end",
    "train.keep_interval": "epochs between checkpoints that are kept, epoch_50.ckpt …; 0: none",
    "train.ckpt_strategy": "checkpoints to write: last_and_best, last_only or none",
    "eval.tta": "predict each window mirrored along every axis, too: full, or none",
    "eval.nsd_tolerance_mm": "tolerance of the normalised surface distance, mm",
}
CHOICES = rules.CHOICES | {
    "loss.batch_dice": ("plan", "batch", "patch"),
    "loss.head_weights": ("nnunet", "nvidia"),
    "data.augment": ("nnunet", "nvidia", "none"),
    "optim.optimizer": ("sgd", "adam", "radam"),
    "optim.scheduler": ("none", "poly", "cosine", "cosine_annealing"),
    "optim.poly_by": ("epoch", "step"),
    "train.ckpt_strategy": ("last_and_best", "last_only", "none"),
    "eval.tta": ("none", "full"),
}
RULES = rules.RULES | {
    "network.deep_supervision": FLAG,
    "network.first_filters": whole(0),
    "loss.include_background": FLAG,
    "loss.smooth": ABOVE_0,
    "data.oversampling": SHARE,
    "data.nvol": whole(1),
    "data.num_workers": whole(0),
    "optim.learning_rate": ABOVE_0,
    "optim.momentum": SHARE_BELOW_1,
    "optim.nesterov": FLAG,
    "optim.weight_decay": NOT_BELOW_0,
    "optim.decay_norms": FLAG,
    "optim.lookahead": FLAG,
    "optim.end_learning_rate": NOT_BELOW_0,
    "optim.cosine_annealing_first_cycle_steps": whole(1),
    "optim.cosine_annealing_peak_decay": SHARE,
    "optim.warmup_steps": whole(0),
    "optim.clip_norm": NOT_BELOW_0,
    "train.steps_per_epoch": whole(0),
    "train.batch_size": whole(0),
    "train.val_steps": whole(0),
    "train.val_interval": whole(0),
    "train.validate": FLAG,
    "train.keep_interval": whole(0),
    "eval.nsd_tolerance_mm": NOT_BELOW_0,
}


def base_config(model: str) -> EasyDict:
    """nnU-Net v2's training; the model's config.py adds to the `network` section and changes the rest."""
    return EasyDict(
        model=model,
        network={"deep_supervision": True, "first_filters": 0},
        loss={"batch_dice": "plan", "include_background": False, "smooth": 1e-5, "head_weights": "nnunet"},
        data={"augment": "nnunet", "oversampling": 0.33, "nvol": 2, "num_workers": 2},
        optim={"optimizer": "sgd", "learning_rate": 0.01, "momentum": 0.99, "nesterov": True, "weight_decay": 3e-5}
        | {"decay_norms": True, "lookahead": False, "scheduler": "poly", "poly_by": "epoch", "end_learning_rate": 0.0}
        | {"cosine_annealing_first_cycle_steps": 4096, "cosine_annealing_peak_decay": 1.0}
        | {"warmup_steps": 0, "rank_scaling": "none", "clip_norm": 12.0},
        train={"epochs": 1000, "steps_per_epoch": 250, "batch_size": 0, "val_steps": 50, "val_interval": 0}
        | {"validate": True, "save_interval": 1, "keep_interval": 50, "ckpt_strategy": "last_and_best", "seed": 1}
        | {"amp_level": "O0", "loss_scale": 0.0, "sync_batch_norm": False},
        device={"cpu_precision": "f32"},
        eval={"tta": "full", "nsd_tolerance_mm": 2.0},
    )


def make_small(cfg: EasyDict) -> EasyDict:
    """The recipe with few channels and few steps, changed in place: to try things in seconds or minutes on a CPU."""
    cfg.network.first_filters = 8
    cfg.optim.update(momentum=0.9, poly_by="step", learning_rate=0.05)
    cfg.train.update(epochs=10, steps_per_epoch=50, batch_size=2, val_steps=5, keep_interval=0)
    cfg.eval.tta = "none"
    return cfg
