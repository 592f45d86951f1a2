"""Initialisers by name, so that no network hangs on a default of MindSpore's."""

from mindspore.common.initializer import HeNormal, Initializer, Normal

NAMES = ("normal", "he_normal")


def weight_init(name: str, negative_slope: float = 0.0) -> Initializer:
    """`normal`: N(0, 0.01), MindSpore's own default up to 2.0; `he_normal`: He et al. 2015, for a (leaky) ReLU."""
    if name == "normal":
        return Normal(sigma=0.01, mean=0.0)
    if name == "he_normal":
        return HeNormal(negative_slope=negative_slope, mode="fan_in", nonlinearity="leaky_relu")
    raise ValueError(f"initialiser must be one of {', '.join(NAMES)}, got {name!r}")
