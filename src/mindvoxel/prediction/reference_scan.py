"""The reference case of a network that segments: a scan, and the labels that it finds in it."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mindvoxel import bundle
from mindvoxel.data.dataset import Case, read_image
from mindvoxel.data.made_scan import scan_for_plan, scan_for_vnet
from mindvoxel.errors import InputError
from mindvoxel.inference.labels import sliding_of
from mindvoxel.log import LOGGER
from mindvoxel.prediction.predictor import Predictor
from mindvoxel.prediction.source import Source
from mindvoxel.train.agreement import Pairs
from mindvoxel.volume import Volume, write_volume

MOST_PAIRS = 4  # windows that a file is compared on: MindSpore's own kernels take long on the CPU


def write_reference(source: Source, folder: Path, images: Sequence[str | Path]) -> Pairs:
    """The scan of these channel files, or without any a made one, and its labels, as files of the bundle `folder`;
    windows of it, and the network's answers in float32."""
    write_volume(folder / bundle.IMAGE, _compact(_reference_scan(source, images)))
    scan = read_image(Case("reference", (folder / bundle.IMAGE,), None), source.spacing_mm)  # as others read it
    labels, pairs = _answers(source, scan)
    write_volume(folder / bundle.LABELS, labels)
    return pairs


def reference_pairs(source: Source, images: Sequence[str | Path]) -> Pairs:
    """The same windows and answers, of the scan as it is."""
    return _answers(source, _reference_scan(source, images))[1]


def deploy_part(source: Source) -> dict:
    """What deploy.json says of all that is before and after the network."""
    words = source.recipe.eval
    if source.plan is None:
        part = bundle.scan_part(source.recipe.data, words)
    else:
        tta = words.tta == "full"
        part = bundle.planned_part(source.plan, source.configuration, source.groups, validated_with_tta=tta)
    spacing_mm = source.spacing_mm and list(source.spacing_mm)
    return {"default_spacing_mm": spacing_mm, **part, "nsd_tolerance_mm": words.nsd_tolerance_mm}


def _reference_scan(source: Source, images: Sequence[str | Path]) -> Volume:
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


def _answers(source: Source, scan: Volume) -> tuple[Volume, Pairs]:
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


def _compact(scan: Volume) -> Volume:
    """As int16 where that holds every voxel."""
    voxels = scan.voxels
    if voxels.min() >= -32768 and voxels.max() <= 32767 and (np.rint(voxels) == voxels).all():
        return scan.with_voxels(voxels.astype(np.int16))
    return scan
