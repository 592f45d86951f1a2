"""NVIDIA's nnU-Net (DeepLearningExamples, TensorFlow 2): its network, loss, optimiser and augmentation.

run:    python train.py --model unet3d --recipe nvidia --data_path PREPROCESSED --dim 3 --fold 0
expect: see unet3d/README.md
"""

from easydict import EasyDict

from unet3d.config import get_config as default


def get_config() -> EasyDict:
    cfg = default()
    cfg.network.form = "nvidia"
    cfg.loss.update(batch_dice="batch", smooth=1e-6, head_weights="nvidia")
    cfg.data.update(augment="nvidia", oversampling=0.33, nvol=2)
    cfg.optim.update(optimizer="adam", learning_rate=3e-4, momentum=0.99, nesterov=False, weight_decay=1e-4)
    cfg.optim.update(
        decay_norms=False, scheduler="cosine_annealing", end_learning_rate=1e-5, poly_by="step", clip_norm=0.0
    )
    cfg.optim.update(cosine_annealing_first_cycle_steps=4096, cosine_annealing_peak_decay=0.95)
    cfg.train.update(epochs=300, steps_per_epoch=0)
    return cfg
