"""The models: folders with a network.py beside the package are the registry."""

import importlib
from pathlib import Path

from mindvoxel.errors import InputError

_ROOT = Path(__file__).resolve().parents[2]


def model_names() -> list[str]:
    """Folders of the checkout that hold a network.py and a config.py."""
    names = sorted(p.parent.name for p in _ROOT.glob("*/network.py") if (p.parent / "config.py").is_file())
    if not names:
        raise InputError(f"{_ROOT}: holds no model folder; install mindvoxel from its checkout: pip install -e .")
    return names


def build_network(model: str, **network):
    """The network of `model`; `network` is a recipe's section of that name, without it the published form.

    A network may name `noise_channels`: it then takes that much uniform noise a sample as a second argument, which
    training draws from (seed, epoch, sample), so that nothing random lives inside the graph and a resumed run is exact.
    Imports MindSpore; on the CPU call mindvoxel.train.device.prepare first, or import nothing of MindSpore before.
    """
    if model not in model_names():
        raise InputError(f"model {model!r} is unknown; choose one of {', '.join(model_names())}")
    from mindvoxel.train.device import prepare_cpu

    prepare_cpu()
    return importlib.import_module(f"{model}.network").build(**network)
