"""From a checkpoint to a deployment bundle: its files, a reference case, and how well they agree on it."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import mindspore as ms
import numpy as np
from easydict import EasyDict
from mindspore import nn

import mindvoxel
from mindvoxel import bundle, config
from mindvoxel.data.dataset import Case, read_image
from mindvoxel.data.made_scan import scan_for_plan, scan_for_vnet
from mindvoxel.data.plan import Plan, plan_from_json
from mindvoxel.data.stored_dataset import read_dataset
from mindvoxel.errors import InputError
from mindvoxel.files import replacing_folder
from mindvoxel.inference.labels import sliding_of
from mindvoxel.log import LOGGER
from mindvoxel.nn.exporting import exportable
from mindvoxel.prediction.networks import network_of, window_of
from mindvoxel.prediction.predictor import Predictor
from mindvoxel.prediction.trained import Trained
from mindvoxel.train.agreement import LEAST_DICE, Agreement, Pairs, agreement, mindir_runner, onnx_runner
from mindvoxel.train.exporter import Check, HalfPrecision, write_model
from mindvoxel.train.openvino_cpu import has_bf16
from mindvoxel.volume import Vector, Volume, write_volume

MOST_PAIRS = 4  # windows that a file is compared on: MindSpore's own kernels take long on the CPU


@dataclass(frozen=True)
class Source:
    """A trained network that is to be exported.

    network: in the form for export, in evaluation mode.  plan, configuration: None of a model that knows no plan.
    groups: of label values, of each of which only the largest component stays; of a plan's network.
    spacing_mm: (z, y, x) of images that know none, as the training data had them.
    """

    ckpt_path: Path
    prune: int
    network: nn.Cell
    recipe: EasyDict
    meta: dict
    plan: Plan | None
    configuration: str | None
    groups: tuple[tuple[int, ...], ...]
    spacing_mm: Vector | None
    device: dict

    @property
    def window(self) -> tuple[int, ...]:
        """(C, [D,] H, W)"""
        return window_of(self.recipe, self.meta, self.ckpt_path)

    @property
    def is_second_stage(self) -> bool:
        """Whether its input holds the prediction of another network."""
        return self.plan is not None and self.plan.configurations[self.configuration].previous_stage is not None

    def trained(self) -> Trained:
        """As a Predictor takes it."""
        name = self.configuration or self.recipe.model
        paths = {name: (self.ckpt_path,)}
        return Trained(self.recipe.model, self.plan, paths, self.groups, self.spacing_mm)


def load_source(ckpt_path: str | Path, model: str, prune: int, device_target: str, device_id: int) -> Source:
    """The network of a checkpoint without postprocessing; InputError where there is none."""
    path = Path(ckpt_path)
    with exportable():
        network, recipe, meta = network_of(path, model, prune)
    planned = config.kind_of(model) == "planned"
    plan = plan_from_json(meta["plan"], str(path)) if planned else None
    beside = path.with_name("dataset.json")
    spacing_mm = read_dataset(beside).spacing_mm if planned and beside.is_file() else None
    device = {"device_target": device_target, "device_id": device_id}
    return Source(path, prune, network, recipe, meta, plan, meta.get("configuration"), (), spacing_mm, device)


def reference_scan(source: Source, images: Sequence[str | Path]) -> Volume:
    """The scan of these channel files (C, D, H, W) float32, or without any a made one."""
    if images:
        volume = read_image(Case("reference", tuple(map(Path, images)), None), source.spacing_mm)
        wanted = source.trained().num_channels
        if volume.num_channels != wanted:
            raise InputError(f"{images[0]}: {volume.num_channels} channels, the network takes {wanted}; name that many")
        return volume
    if source.plan is not None:
        return scan_for_plan(source.plan, source.configuration, sliding_of(source.plan, source.configuration).overlap)
    data = source.recipe.data
    overlap = source.recipe.eval.overlap
    return scan_for_vnet(tuple(data.spacing_mm), tuple(data.patch_size), overlap, cover=not data.centre_crop)


def answers(source: Source, scan: Volume) -> tuple[Volume, Pairs]:
    """What the trained network finds in a scan, in float32 and without mirrors: its labels, and of at most MOST_PAIRS
    windows the input and the logits."""
    predictor = Predictor(source.trained(), tta="none", prune=source.prune, **source.device)
    prepared = predictor.prepare(scan, "reference")
    total = predictor.num_windows(prepared)
    wanted = set(np.linspace(0, total - 1, min(total, MOST_PAIRS)).round().astype(int).tolist())
    pairs, calls = [], iter(range(total))
    predictor.tell_calls(lambda *pair: pairs.append(pair) if next(calls) in wanted else None)
    labels = predictor.segment(prepared)
    if not labels.voxels.any():
        LOGGER.warning(
            "the labels of the reference case hold the background alone, so that little is compared; name a scan with "
            "--reference_case"
        )
    return labels, pairs


def reference_check(source: Source, images: Sequence[str | Path], batch_size: int) -> Check:
    """Of a file in half precision that takes `batch_size` windows a call: the reference case's, each so many times."""
    _, pairs = answers(source, reference_scan(source, images))
    return Check([tuple(np.repeat(half, batch_size, 0) for half in pair) for pair in pairs], half=True)


def write_bundle(source: Source, folder: Path, precision: str, images: Sequence[str | Path], *, verify: bool) -> None:
    """A bundle in the new folder `folder`, whole or not at all.

    precision: of the convolutions, f32 or f16.  images: the reference case, a made one if there are none.
    Raises WorkError where a file agrees too little with the network in float32.
    """
    with replacing_folder(folder) as partial:
        (partial / "reference").mkdir()
        write_volume(partial / bundle.IMAGE, _compact(reference_scan(source, images)))
        scan = read_image(Case("reference", (partial / bundle.IMAGE,), None), source.spacing_mm)  # as others read it
        labels, pairs = answers(source, scan)
        write_volume(partial / bundle.LABELS, labels)
        network = HalfPrecision(source.network) if precision == "f16" else source.network
        for name, file_format in ((bundle.MINDIR, "MINDIR"), (bundle.ONNX, "ONNX")):
            write_model(network, (1, *source.window), partial / name, file_format)
        verified = _verify(partial, folder, Check(pairs, half=precision == "f16")) if verify else {}
        bundle.write_deploy(partial, _deploy(source, precision, pairs[0][1].shape[1], not images, verified))


def _compact(scan: Volume) -> Volume:
    """As int16 where that holds every voxel."""
    voxels = scan.voxels
    if voxels.min() >= -32768 and voxels.max() <= 32767 and (np.rint(voxels) == voxels).all():
        return scan.with_voxels(voxels.astype(np.int16))
    return scan


def _verify(partial: Path, folder: Path, check: Check) -> dict[str, dict]:
    """How well each file agrees, by its name; WorkError where it is too little. bf16 is only told."""
    found: dict[str, Agreement] = {}
    for name, runner in ((bundle.MINDIR, mindir_runner), (bundle.ONNX, onnx_runner)):
        found[name] = check.require(runner(partial / name), folder / name)
    if has_bf16():
        name = f"{bundle.ONNX} in bf16"
        found[name] = agreement(onnx_runner(partial / bundle.ONNX, "bf16"), check.pairs, str(folder / name))
    for name, value in found.items():
        LOGGER.info("%s: %s; windows of the reference case: %d", name, value, len(check.pairs))
        if value.dice < LEAST_DICE:
            LOGGER.warning(
                "%s: Dice of a class is %.4f, below %g; try it on scans of your own, or keep to f32",
                name,
                value.dice,
                LEAST_DICE,
            )
    return {name: asdict(value) for name, value in found.items()}


def _deploy(source: Source, precision: str, num_classes: int, made: bool, verified: dict[str, dict]) -> dict:
    """What deploy.json says beside its version and the files."""
    words = source.recipe.eval
    if source.plan is None:
        part = bundle.scan_part(source.recipe.data, words)
    else:
        tta = words.tta == "full"
        part = bundle.planned_part(source.plan, source.configuration, source.groups, validated_with_tta=tta)
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
        "network": bundle.network_part(source.window, num_classes, precision),
        "default_spacing_mm": source.spacing_mm and list(source.spacing_mm),
        **part,
        "nsd_tolerance_mm": words.nsd_tolerance_mm,
        "reference": {"made": made, "tta": False},
        "verified": verified,
    }
