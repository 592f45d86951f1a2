"""MindVoxel: medical image segmentation for MindSpore, on Ascend, GPU and CPU."""

__version__ = "0.1.0"
