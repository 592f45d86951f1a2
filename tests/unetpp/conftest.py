"""The U-Net's awkward data set, preprocessed by the real command."""

from ..unet3d.conftest import data, source

__all__ = ["data", "source"]
