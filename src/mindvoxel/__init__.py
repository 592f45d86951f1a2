"""MindVoxel: medical image segmentation for MindSpore, on Ascend, GPU and CPU."""

__version__ = "0.1.0"
__all__ = ["Predictor", "predict"]


def __getattr__(name: str):
    """Predictor and predict, found when they are first asked for: `import mindvoxel` itself imports nothing."""
    if name not in __all__:
        raise AttributeError(f"module 'mindvoxel' has no attribute {name!r}")
    from mindvoxel.prediction import predictor

    return getattr(predictor, name)
