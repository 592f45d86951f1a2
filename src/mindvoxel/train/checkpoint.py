"""Checkpoints: MindSpore's own format, written whole or not at all, with all that a run needs to go on."""

import errno
import json
import os
from pathlib import Path

import mindspore as ms
from mindspore import nn

from mindvoxel.errors import InputError
from mindvoxel.files import replacing

_META = "mindvoxel"
_OPTIMIZER = "optimizer:"


def save(path: str | Path, network: nn.Cell, meta: dict, optimizer: nn.Optimizer | None = None) -> None:
    """Write the network, the optimiser's state and `meta` (JSON-able: model, recipe, epoch, step, …).

    Written beside its place, flushed to the disk, then renamed; a reader never sees half a file. Raises OSError.
    """
    path = Path(path)
    records = [{"name": p.name, "data": p} for p in network.get_parameters()]
    weights = {p.name for p in network.get_parameters()}
    if optimizer is not None:
        states = [p for p in optimizer.get_parameters() if p.name not in weights]
        records += [{"name": _OPTIMIZER + p.name, "data": p} for p in states]
    try:
        with replacing(path) as partial:
            partial.touch()  # a folder that cannot be written is told by the system's own error
            try:
                ms.save_checkpoint(records, str(partial), append_dict={_META: json.dumps(meta)}, crc_check=True)
            finally:
                partial.with_suffix(".tmp").unlink(missing_ok=True)  # MindSpore's own, left on a full disk
            with partial.open("rb") as file:
                os.fsync(file.fileno())
            partial.chmod(0o644)  # MindSpore leaves it readable by its owner alone
    except RuntimeError as error:  # MindSpore does not tell a full disk from another fault
        raise OSError(errno.ENOSPC, "MindSpore could not write the file; is the disk full?", str(path)) from error


def load(path: str | Path) -> tuple[dict, dict[str, ms.Parameter]]:
    """`meta` and the parameters of a checkpoint; InputError where there is none, or it is damaged or foreign."""
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: no such checkpoint")
    if path.suffix != ".ckpt":
        raise InputError(f"{path}: not a checkpoint, its name does not end with .ckpt")
    try:
        values = ms.load_checkpoint(str(path), crc_check=True)
    except (ValueError, RuntimeError, TypeError) as error:
        raise InputError(f"{path}: not a readable checkpoint, or damaged; use another one") from error
    if _META not in values:
        raise InputError(f"{path}: holds no recipe, so it was not written by this project's train.py; use one that was")
    return json.loads(str(values.pop(_META))), values


def load_network(network: nn.Cell, values: dict[str, ms.Parameter], path: str | Path) -> None:
    """Fill `network`; each of its parameters must be there with its shape, and nothing more but the optimiser's.

    Raises InputError that counts what is missing, left over, and of another shape, and names the first.
    """
    wanted = {p.name: p for p in network.get_parameters()}
    given = {name: value for name, value in values.items() if not name.startswith(_OPTIMIZER)}
    _load(wanted, given, f"{path}: a checkpoint of another network")


def load_matching(network: nn.Cell, values: dict[str, ms.Parameter], path: str | Path) -> list[str]:
    """Fill what has its name and shape in `values`, and tell it as a table, a line each of what was not loaded.

    Raises InputError where nothing fits.
    """
    given = {name: value for name, value in values.items() if not name.startswith(_OPTIMIZER)}
    wanted = {p.name: p for p in network.get_parameters()}
    fitting = {name for name in wanted.keys() & given.keys() if wanted[name].shape == given[name].shape}
    if not fitting:
        raise InputError(f"{path}: none of its {len(given)} parameters fits this network; use one that does")
    for name in fitting:
        wanted[name].set_data(ms.Tensor(given[name].asnumpy(), wanted[name].dtype))
    rows = [("mismatched", n, given[n].shape, wanted[n].shape) for n in wanted if n in given and n not in fitting]
    rows += [("absent", name, "-", wanted[name].shape) for name in wanted if name not in given]
    rows += [("skipped", name, given[name].shape, "-") for name in given if name not in wanted]
    counts = ", ".join(f"{sum(row[0] == what for row in rows)} {what}" for what in ("mismatched", "absent", "skipped"))
    lines = [f"{path}: {len(fitting)} parameters loaded, {counts}"]
    if rows:
        lines.append(f"{'':10}  {'parameter':50}  {'checkpoint':>20}  {'network':>20}")
    return lines + [f"{what:10}  {name:50}  {theirs!s:>20}  {ours!s:>20}" for what, name, theirs, ours in rows]


def load_optimizer(optimizer: nn.Optimizer, network: nn.Cell, values: dict[str, ms.Parameter], path) -> None:
    """Fill the optimiser's state; the learning rates are the recipe's and stay as they are."""
    weights = {p.name for p in network.get_parameters()} | {"learning_rate"}
    wanted = {p.name: p for p in optimizer.get_parameters() if p.name not in weights}
    given = {name.removeprefix(_OPTIMIZER): v for name, v in values.items() if name.startswith(_OPTIMIZER)}
    given.pop("learning_rate", None)
    # earlier versions trained with nn.SGD, which keeps its momentum's factor and a tensor that a step does not need
    given = {name: v for name, v in given.items() if name != "momentum" and not name.startswith("stat.")}
    _load(wanted, given, f"{path}: its optimiser state does not fit")


def _load(wanted: dict[str, ms.Parameter], given: dict[str, ms.Parameter], fault: str) -> None:
    missing = sorted(wanted.keys() - given.keys())
    left_over = sorted(given.keys() - wanted.keys())
    other = sorted(n for n in wanted.keys() & given.keys() if wanted[n].shape != given[n].shape)
    if missing or left_over or other:
        counts = f"{len(missing)} missing, {len(left_over)} left over, {len(other)} of another shape"
        first = (missing + left_over + other)[0]
        shapes = f" {given[first].shape}, needed {wanted[first].shape}" if first in other else ""
        raise InputError(f"{fault} ({counts}; first: {first}{shapes}); use one that fits the recipe")
    for name, parameter in wanted.items():
        parameter.set_data(ms.Tensor(given[name].asnumpy(), parameter.dtype))
