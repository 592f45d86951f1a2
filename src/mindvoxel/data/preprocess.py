"""From the files of a case to what the network sees, by a plan; the case's grid remembers every step."""

from dataclasses import dataclass, replace

import numpy as np

from mindvoxel.data.crop import Crop, Shape, nonzero_box, nonzero_mask
from mindvoxel.data.dataset import Case, read_image, read_label
from mindvoxel.data.grid import CaseGrid
from mindvoxel.data.normalize import normalize
from mindvoxel.data.plan import Configuration, Plan, Preprocessing
from mindvoxel.data.resample import resize, resize_label
from mindvoxel.errors import InputError
from mindvoxel.volume import Vector, Volume, check_same_grid

ANISOTROPIC = 3  # times the spacing of another axis
LOCATIONS = (10_000, 0.01)  # voxels kept of a class: at least so many, and at least this share
SEED = 1234


@dataclass(frozen=True)
class Preprocessed:
    """A case as a network takes it; axes are the plan's.

    image: (C, D, H, W) float32.  label: (D, H, W) int8 or int16 classes, −1 outside the non-zero mask where a channel
    is normalised inside it alone (nnU-Net's zscore_mask); None where it has none.  grid: the way back.
    """

    case: str
    image: np.ndarray
    label: np.ndarray | None
    grid: CaseGrid


@dataclass(frozen=True)
class Scan:
    """A case that is read, in permuted axes, and cropped; nothing is normalised or resampled yet.

    classes: (D, H, W) the label's, with −1 outside the non-zero mask where a channel is normalised inside it alone; of
    a case without a label 0 and −1 where that is so, else None.
    """

    case: Case
    image: np.ndarray
    classes: np.ndarray | None
    labelled: bool
    grid: CaseGrid


def preprocess_case(
    case: Case, plan: Plan, configuration: str, spacing_mm: Vector | None = None, *, training: bool = True
) -> Preprocessed:
    """Read a case and bring it to the grid of a configuration of the plan.

    training: its label is read where it has one, and then it is padded where the plan pads training cases; otherwise
    only its image is read. spacing_mm: (z, y, x), for files that know none.
    Raises InputError for files that cannot be used, or that hold a label value which the plan does not know.
    """
    way = plan.configurations[configuration].preprocessing
    return finish(read_scan(case, plan, way, spacing_mm, training=training), plan, configuration)


def preprocess_volume(source: Volume, plan: Plan, configuration: str, name: str) -> Preprocessed:
    """As preprocess_case, for a scan that is read already, (C, D, H, W) float32, and has no label."""
    way = plan.configurations[configuration].preprocessing
    return finish(crop_scan(Case(name, (), None), source, None, plan, way), plan, configuration)


def read_scan(
    case: Case, plan: Plan, way: Preprocessing, spacing_mm: Vector | None = None, *, training: bool = True
) -> Scan:
    """Read, permute and crop a case, and turn its label values into classes."""
    source = read_image(case, spacing_mm)
    label = None
    if training and case.label is not None:
        label = read_label(case, spacing_mm)
        check_same_grid(source, label, (str(case.image), str(case.label)))
    return crop_scan(case, source, label, plan, way)


def crop_scan(case: Case, source: Volume, label: Volume | None, plan: Plan, way: Preprocessing) -> Scan:
    """Permute and crop a scan (C, D, H, W) and its label, and turn label values into classes."""
    if source.num_channels != len(plan.channels):
        raise InputError(
            f"case {case.case}: {source.num_channels} channels in its images, the plan has {len(plan.channels)} "
            f"({', '.join(plan.channels)}); add the missing ones, or plan again"
        )
    grid = CaseGrid(
        source_shape=source.shape,
        source_spacing_mm=tuple(source.spacing_mm),
        origin_mm=tuple(source.origin_mm),
        direction=tuple(source.direction),
        axes=plan.axes,
        crop=Crop((0, 0, 0), (1, 1, 1), (1, 1, 1)),
        shape=(1, 1, 1),
        spacing_mm=tuple(source.spacing_mm[axis] for axis in plan.axes),
    )
    image = grid.permute(source.voxels)
    crop = nonzero_box(image, positive=way.crop == "positive")
    grid = replace(grid, crop=crop, shape=crop.shape)
    classes = None
    if label is not None:
        classes = to_classes(crop.apply(grid.permute(label.voxels)), plan.label_values, str(case.label))
    image = np.ascontiguousarray(image[(slice(None), *crop.slices)])
    if way.crop == "nonzero" and "zscore_mask" in way.normalization:
        classes = np.zeros(crop.shape, np.int8) if classes is None else classes
        classes[~nonzero_mask(image) & (classes == 0)] = -1
    return Scan(case, image, classes, label is not None, grid)


def finish(scan: Scan, plan: Plan, configuration: str) -> Preprocessed:
    """Normalise and resample a scan in the order of the plan, then pad it where the plan pads training cases."""
    config = plan.configurations[configuration]
    way = config.preprocessing
    grid, apart = target_of(scan, config)
    classes = scan.classes
    inside = None if classes is None else classes >= 0
    if classes is not None:
        classes = resize_label(classes, grid.shape, anisotropic_axis=apart)
    if inside is not None and way.order == "resample_normalize":
        inside = classes >= 0
    image = np.empty((len(scan.image), *grid.shape), np.float32)
    for channel, voxels in enumerate(scan.image):  # a channel at a time, for the memory
        if way.order == "normalize_resample":
            voxels = normalized(scan, channel, voxels, inside, plan, way)
        voxels = resize(voxels, grid.shape, order=3, anisotropic_axis=apart)
        if way.order == "resample_normalize":
            voxels = normalized(scan, channel, voxels, inside, plan, way)
        image[channel] = voxels
    label = pad(classes, grid.pad) if scan.labelled else None
    return Preprocessed(scan.case.case, pad(image, grid.pad), label, grid)


def target_of(scan: Scan, config: Configuration) -> tuple[CaseGrid, int | None]:
    """The grid that `finish` brings a scan to, and the axis that it resamples apart."""
    way = config.preprocessing
    spacing_mm = target_spacing(scan.grid.spacing_mm, config)
    shape = new_shape(scan.grid.crop.shape, scan.grid.spacing_mm, spacing_mm, way.rounding)
    apart = anisotropic_axis(scan.grid.spacing_mm, spacing_mm, way.anisotropy)
    padding = training_pad(shape, config.patch_size) if way.pad and scan.labelled else ((0, 0),) * 3
    return replace(scan.grid, shape=shape, spacing_mm=spacing_mm, pad=padding), apart


def target_spacing(spacing_mm: Vector, config: Configuration) -> Vector:
    """What a scan of `spacing_mm` is resampled to, permuted axes; 2-D leaves the first axis as it is."""
    if config.spacing_mm is None:
        return spacing_mm
    return (spacing_mm[0], *config.spacing_mm) if len(config.spacing_mm) == 2 else config.spacing_mm


def new_shape(shape: Shape, old_mm: Vector, new_mm: Vector, rounding: str) -> Shape:
    """Voxels over the same extent: spacing / new spacing · size, to the nearest (even at a half) or floor; 1 or more.

    In the order of operations of nnU-Net and NVIDIA, which decides where the quotient is a whole number.
    """
    to_whole = round if rounding == "round" else int
    return tuple(max(to_whole(old / new * n), 1) for n, old, new in zip(shape, old_mm, new_mm, strict=True))


def anisotropic_axis(old_mm: Vector, new_mm: Vector, rule: str) -> int | None:
    """The axis that is resampled apart, or None.

    above_3 (nnU-Net): the coarsest axis of the scan where its spacing is more than 3 times the finest, else that of the
    target likewise; none where two axes are equally coarse. from_3 (NVIDIA): the first axis where either has 3 times.
    """
    if rule == "from_3":
        return 0 if any(max(mm) / min(mm) >= ANISOTROPIC for mm in (old_mm, new_mm)) else None
    for mm in (old_mm, new_mm):
        if max(mm) / min(mm) > ANISOTROPIC:
            coarsest = [axis for axis in range(3) if mm[axis] == max(mm)]
            return coarsest[0] if len(coarsest) == 1 else None
    return None


def to_classes(label: np.ndarray, values: tuple[int, ...], where: str) -> np.ndarray:
    """Label values -> their indices in `values`, int8 or int16; raises InputError for a value that is not there."""
    table = np.full(2**16, -1, np.int8 if len(values) <= 127 else np.int16)
    table[np.array(values, np.int16).view(np.uint16)] = np.arange(len(values))
    classes = table[np.ascontiguousarray(label, np.int16).view(np.uint16)]
    if (classes < 0).any():
        unknown = np.unique(label[classes < 0])
        shown = ", ".join(map(str, unknown[:5])) + (", …" if len(unknown) > 5 else "")
        raise InputError(
            f"{where}: {int((classes < 0).sum())} voxels hold {shown}, the plan knows the label values "
            f"{', '.join(map(str, values))}; mend the label, or declare them and plan again"
        )
    return classes


def normalized(
    scan: Scan, channel: int, voxels: np.ndarray, inside: np.ndarray | None, plan: Plan, way: Preprocessing
) -> np.ndarray:
    """A channel by its scheme; what lies `inside` a mask: the non-zero mask of all channels, its holes filled, or where
    the plan crops to positive voxels (NVIDIA) the channel's own voxels that are not 0."""
    mask = inside if way.crop == "nonzero" else voxels != 0
    try:
        return normalize(voxels, way.normalization[channel], intensity=plan.intensities[channel], mask=mask)
    except ValueError as error:
        raise InputError(f"case {scan.case.case}, channel {plan.channels[channel]}: {error}") from error


def training_pad(shape: Shape, patch_size: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
    """Voxels in front of and behind each axis that make up a patch; a 2-D patch is also cut to (below 0). NVIDIA's."""
    padding = [(0, 0)] * (3 - len(patch_size))
    for size, patch in zip(shape[-len(patch_size) :], patch_size, strict=True):
        rest = patch - size if len(patch_size) == 2 else max(patch - size, 0)
        front = rest // 2 if rest >= 0 else -(-rest // 2)
        padding.append((front, rest - front))
    return tuple(padding)


def pad(voxels: np.ndarray, padding: tuple[tuple[int, int], ...]) -> np.ndarray:
    """(…, D, H, W) with 0 added, or voxels cut off where a number is below 0."""
    if not any(map(any, padding)):
        return voxels
    sizes = voxels.shape[-3:]
    kept = [slice(max(-a, 0), n - max(-b, 0)) for (a, b), n in zip(padding, sizes, strict=True)]
    lead = [(0, 0)] * (voxels.ndim - 3)
    return np.pad(voxels[(..., *kept)], lead + [(max(a, 0), max(b, 0)) for a, b in padding])


def class_locations(label: np.ndarray, num_classes: int) -> dict[int, np.ndarray]:
    """Voxels to centre patches on: class 1 and up -> (N, 3) int32 (z, y, x), none where it is absent.

    Of each class 10 000 voxels, or 1 % of them where that is more, or all; the choice of nnU-Net v1 and v2.
    """
    rng = np.random.RandomState(SEED)  # noqa: NPY002 - theirs
    locations = {}
    for value in range(1, num_classes):
        places = np.flatnonzero(label == value)
        least, share = LOCATIONS
        count = max(min(least, len(places)), int(np.ceil(share * len(places))))
        if count:
            places = places[rng.choice(len(places), count, replace=False)]
        locations[value] = np.stack(np.unravel_index(places, label.shape), -1).astype(np.int32)
    return locations
