"""Figures that NVIDIA nnU-Net fixes for the ten Decathlon tasks (`data_preprocessing/configs.py`, TF2 form)."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Task:
    """One task; 3-D tuples are (D, H, W), 2-D ones (H, W); spacing in mm.

    ct: lower and upper limit, mean and deviation in HU; None: the channels are MR.
    """

    name: str
    num_channels: int
    patch_3d: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    patch_2d: tuple[int, int]
    ct: tuple[float, float, float, float] | None = None


TASKS = {
    "01": Task("BrainTumour", 4, (128, 128, 128), (1.0, 1.0, 1.0), (192, 160)),
    "02": Task("Heart", 1, (80, 192, 160), (1.37, 1.25, 1.25), (320, 256)),
    "03": Task("Liver", 1, (128, 128, 128), (1.0, 0.7676, 0.7676), (512, 512), (-17, 201, 99.4, 39.36)),
    "04": Task("Hippocampus", 1, (40, 56, 40), (1.0, 1.0, 1.0), (56, 40)),
    "05": Task("Prostate", 2, (20, 320, 256), (3.6, 0.62, 0.62), (320, 320)),
    "06": Task("Lung", 1, (80, 192, 160), (1.24, 0.79, 0.79), (512, 512), (-1024, 325, -158.58, 324.7)),
    "07": Task("Pancreas", 1, (40, 224, 224), (2.5, 0.8, 0.8), (512, 512), (-96, 215, 77.9, 75.4)),
    "08": Task("HepaticVessel", 1, (64, 192, 192), (1.5, 0.8, 0.8), (512, 512), (-3, 243, 104.37, 52.62)),
    "09": Task("Spleen", 1, (64, 192, 160), (1.6, 0.79, 0.79), (512, 512), (-41, 176, 99.29, 39.47)),
    "10": Task("Colon", 1, (56, 192, 160), (3.0, 0.78, 0.78), (512, 512), (-30, 165.82, 62.18, 32.65)),
}
