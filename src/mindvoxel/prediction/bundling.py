"""From a checkpoint to a deployment bundle: its files, a reference case, and how well they agree on it."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from types import ModuleType

import mindspore as ms
import numpy as np

import mindvoxel
from mindvoxel import bundle
from mindvoxel.files import replacing_folder
from mindvoxel.log import LOGGER
from mindvoxel.prediction import reference_photo, reference_scan
from mindvoxel.prediction.source import Source
from mindvoxel.train.agreement import Agreement, agreement, mindir_runner, onnx_runner
from mindvoxel.train.exporter import Check, HalfPrecision, write_model
from mindvoxel.train.openvino_cpu import has_bf16


def _reference_of(source: Source) -> ModuleType:
    """What a reference case is for this kind of network: write_reference, reference_pairs and deploy_part."""
    return reference_photo if source.classifies else reference_scan


def reference_check(source: Source, images: Sequence[str | Path], batch_size: int) -> Check:
    """Of a file in half precision that takes `batch_size` windows a call: the reference case's, each so many times."""
    pairs = _reference_of(source).reference_pairs(source, images)
    return Check([tuple(np.repeat(half, batch_size, 0) for half in pair) for pair in pairs], half=True)


def write_bundle(source: Source, folder: Path, precision: str, images: Sequence[str | Path], *, verify: bool) -> None:
    """A bundle in the new folder `folder`, whole or not at all.

    precision: of the convolutions, f32 or f16.  images: the reference case, a made one if there are none.
    Raises WorkError where a file agrees too little with the network in float32.
    """
    with replacing_folder(folder) as partial:
        (partial / "reference").mkdir()
        pairs = _reference_of(source).write_reference(source, partial, images)
        network = HalfPrecision(source.network) if precision == "f16" else source.network
        for name, file_format in ((bundle.MINDIR, "MINDIR"), (bundle.ONNX, "ONNX")):
            write_model(network, (1, *source.window), partial / name, file_format)
        verified = _verify(partial, folder, Check(pairs, half=precision == "f16")) if verify else {}
        bundle.write_deploy(partial, _deploy(source, precision, pairs[0][1].shape[1:], not images, verified))


def _verify(partial: Path, folder: Path, check: Check) -> dict[str, dict]:
    """How well each file agrees, by its name; WorkError where it is too little. bf16 is only told."""
    found: dict[str, Agreement] = {}
    for name, runner in ((bundle.MINDIR, mindir_runner), (bundle.ONNX, onnx_runner)):
        found[name] = check.require(runner(partial / name), folder / name)
    if has_bf16():
        name = f"{bundle.ONNX} in bf16"
        found[name] = agreement(onnx_runner(partial / bundle.ONNX, "bf16"), check.pairs, str(folder / name))
    for name, value in found.items():
        LOGGER.info("%s: %s; inputs compared: %d", name, value, len(check.pairs))
        if value.shortfall():
            LOGGER.warning("%s: %s; try it on images of your own, or keep to f32", name, value.shortfall())
    return {name: asdict(value) for name, value in found.items()}


def _deploy(source: Source, precision: str, answer: tuple[int, ...], made: bool, verified: dict[str, dict]) -> dict:
    """What deploy.json says beside its version and the files; answer: the shape of the network's."""
    checkpoint = {
        "sha256": bundle.sha256_of(source.ckpt_path),
        "epoch": source.meta.get("state", {}).get("epoch"),
        "configuration": source.configuration,
        "prune": source.prune,
    }
    return {
        "model": source.recipe.model,
        "made_with": {"mindvoxel": mindvoxel.__version__, "mindspore": ms.__version__},
        "checkpoint": checkpoint,
        "network": bundle.network_part(source.window, answer, precision),
        **_reference_of(source).deploy_part(source),
        "reference": {"made": made, "tta": False},
        "verified": verified,
    }
