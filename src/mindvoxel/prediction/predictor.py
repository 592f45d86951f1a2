"""A Predictor stays loaded: an array and its spacing, or a Volume, in; labels on the same grid out."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mindvoxel.data.postprocess import keep_largest
from mindvoxel.data.prepare import Prepared, prepare_volume
from mindvoxel.data.preprocess import Preprocessed, preprocess_volume
from mindvoxel.data.previous import append_classes
from mindvoxel.errors import InputError
from mindvoxel.inference import (
    Member,
    Sliding,
    next_classes,
    reading_classes,
    segment,
    segment_case,
    sliding_of,
)
from mindvoxel.log import LOGGER
from mindvoxel.prediction.trained import Trained, find_trained
from mindvoxel.volume import Vector, Volume

TTA = ("none", "full")
ENGINES = ("mindspore", "openvino")
PRECISIONS = ("f32", "bf16")


@dataclass(frozen=True)
class Options:
    """How it is predicted.

    folds: those of a cross-validation to average; None: all, or those of best.json.
    checkpoint: last or best.
    tta: each window also mirrored along every axis, full, or not, none; None: as the run validated.
    overlap: share of a window that its neighbour covers too; None: as the plan's system has it.
    engine: mindspore, or openvino, which computes on the CPU whatever the device.
    precision: in which the CPU multiplies, f32 or bf16; sums are in float32.
    prune: the head of UNet++ to read, 1 to the network's depth; 0: the deepest.
    device_target: Ascend, GPU or CPU; None: what DEVICE_TARGET says, else Ascend.  device_id: number of the card.
    """

    folds: tuple[int, ...] | None = None
    checkpoint: str = "last"
    tta: str | None = None
    overlap: float | None = None
    engine: str = "mindspore"
    precision: str = "f32"
    prune: int = 0
    device_target: str | None = None
    device_id: int = 0

    def __post_init__(self):
        numbers = () if self.folds is None else self.folds
        if not isinstance(numbers, tuple | list) or not all(isinstance(n, int) and n >= 0 for n in numbers):
            raise InputError(f"folds must be numbers of folds, as (0, 1, 2), got {self.folds!r}")
        if self.folds is not None and not 0 < len(set(numbers)) == len(numbers):
            raise InputError(f"folds must name each fold once, and at least one, got {self.folds!r}")
        for name, allowed in (("tta", (None, *TTA)), ("engine", ENGINES), ("precision", PRECISIONS)):
            if getattr(self, name) not in allowed:
                raise InputError(f"{name} must be one of {', '.join(filter(None, allowed))}, got {getattr(self, name)}")
        if self.overlap is not None and not 0 <= self.overlap < 1:
            raise InputError(f"overlap must be at least 0 and below 1, got {self.overlap}")
        if self.precision == "bf16" and self.target != "CPU":
            raise InputError(f"precision bf16 is of the CPU, and the device is {self.target}; leave it out")

    @property
    def target(self) -> str:
        """The device that MindSpore is started on."""
        if self.engine == "openvino":
            return "CPU"
        return self.device_target or os.environ.get("DEVICE_TARGET", "Ascend")


class Predictor:
    """Networks of a run, or of a cross-validation's folds and configurations, loaded once.

    model_dir: a run, OUT/CONFIGURATION, OUT with best.json, or what find_trained gave.  options: see Options.
    Raises InputError, in one sentence, for what cannot be loaded or segmented.
    """

    def __init__(self, model_dir: str | Path | Trained, **options):
        self.options = Options(**options)
        found = isinstance(model_dir, Trained)
        self.trained = model_dir if found else find_trained(model_dir, self.options.folds, self.options.checkpoint)
        from mindvoxel.train import device

        device.prepare(self.options.target, self.options.device_id)
        kind = _Scans if self.trained.plan is None else _Planned
        self._way = kind(self.trained, self.options)

    def predict(self, array: np.ndarray, spacing_mm: Vector) -> np.ndarray:
        """Labels (D, H, W), the data set's values, of a scan of whole or real numbers, (D, H, W) or (C, D, H, W).

        Axes are (z, y, x), and spacing_mm lies along these: SimpleITK's GetSpacing() and nibabel's arrays have them the
        other way round. The array stays as it is; origin and direction of the scan do not matter.
        """
        voxels = np.asarray(array)
        try:
            along = tuple(map(float, spacing_mm))
        except (TypeError, ValueError):
            along = ()
        if len(along) != 3 or not all(0 < mm < float("inf") for mm in along):
            raise InputError(f"three spacings above 0 in mm along z, y, x are needed, got {spacing_mm}")
        return self.predict_volume(Volume(voxels, along)).voxels

    def predict_volume(self, volume: Volume) -> Volume:
        """The labels of a scan, voxels (D, H, W) or (C, D, H, W), in its own geometry."""
        if volume.voxels.dtype.kind not in "biuf":
            raise InputError(f"voxels must be whole or real numbers, got {volume.voxels.dtype}")
        if volume.voxels.ndim not in (3, 4) or 0 in volume.voxels.shape:
            raise InputError(f"a scan (D, H, W) or (C, D, H, W) is needed, got the shape {volume.voxels.shape}")
        with np.errstate(over="ignore"):  # what float32 cannot hold is refused as infinite
            voxels = volume.voxels.astype(np.float32, copy=False)
        if not np.isfinite(voxels).all():
            raise InputError("the scan holds values that are not finite in float32; replace them")
        return self.segment(self.prepare(volume.with_voxels(voxels)))

    def prepare(self, volume: Volume, name: str = "scan") -> Sequence:
        """A scan of finite float32 as the networks see it, once a configuration; `segment` goes on with it.

        Any thread may do it.
        """
        voxels = volume.voxels
        return self._way.prepare(volume.with_voxels(voxels if voxels.ndim == 4 else voxels[None]), name)

    def segment(
        self, prepared: Sequence, probability_paths: Sequence[str | Path] | None = None, what: str | None = None
    ) -> Volume:
        """The labels of what `prepare` made; probability_paths, what: see inference.segment."""
        labels = self._way.segment(prepared, probability_paths, what)
        if not self.trained.postprocessing:
            return labels
        return labels.with_voxels(keep_largest(labels.voxels, self.trained.postprocessing))

    def num_windows(self, prepared: Sequence) -> int:
        """How often networks are asked for it: windows, times mirrors, times folds."""
        return self._way.num_windows(prepared)

    def tell_calls(self, tell: Callable[[np.ndarray, np.ndarray], None]) -> None:
        """From now on tell(batch, logits), both float32, is called after each call of a network."""
        self._way.tell_calls(tell)


def load(path: Path, trained: Trained, options: Options, batch_size: int = 1):
    """The Engine of a checkpoint for batches of batch_size; a warning where its training goes on, or was broken off."""
    from mindvoxel.prediction.engines import load_engine

    how = {"prune": options.prune, "batch_size": batch_size}
    engine = load_engine(path, trained.model, options.engine, options.precision, **how)
    epoch, epochs = engine.meta.get("state", {}).get("epoch"), engine.recipe.train.epochs
    if path.name == "last.ckpt" and epoch is not None and epoch < epochs:
        LOGGER.warning("%s: of %d epochs %d are trained", path, epochs, epoch)
    return engine


class _Planned:
    """Networks of a plan: their windows are averaged by fold and mirror, configurations on the scan's grid.

    Previous stages of a cascade are prepared like the configurations that come `last`, whose labels are wanted.
    """

    def __init__(self, trained: Trained, options: Options):
        self.plan, self.last, self.engines, self.slidings = trained.plan, tuple(trained.checkpoints), {}, {}
        for name, paths in (trained.checkpoints | trained.previous).items():
            loaded = [load(path, trained, options) for path in paths]
            self.engines[name] = loaded
            mirrored = (options.tta or loaded[0].recipe.eval.tta) == "full"
            axes = tuple(range(trained.plan.configurations[name].dim)) if mirrored else ()
            sliding = sliding_of(trained.plan, name, axes)
            self.slidings[name] = sliding if options.overlap is None else replace(sliding, overlap=options.overlap)

    def tell_calls(self, tell: Callable) -> None:
        self.engines = {name: [engine.telling(tell) for engine in each] for name, each in self.engines.items()}

    def prepare(self, volume: Volume, name: str) -> list[Preprocessed]:
        return [preprocess_volume(volume, self.plan, configuration, name) for configuration in self.engines]

    def _members(self, prepared: list[Preprocessed]) -> dict[str, Member]:
        return {
            name: Member(
                case.image,
                case.grid,
                [engine.logits for engine in engines],
                self.slidings[name],
                self.plan.configurations[name].preprocessing.anisotropy,
            )
            for case, (name, engines) in zip(prepared, self.engines.items(), strict=True)
        }

    def _complete(self, name: str, members: dict[str, Member]) -> Member:
        """The member of a configuration; in a cascade with the classes that the previous stage finds."""
        member, configuration = members[name], self.plan.configurations[name]
        if configuration.previous_stage is None:
            return member
        num_classes = len(self.plan.label_values)
        classes = next_classes(self._complete(configuration.previous_stage, members), num_classes, configuration)
        predictors = [reading_classes(predict, num_classes) for predict in member.predictors]
        return replace(member, image=append_classes(member.image, classes), predictors=predictors)

    def segment(self, prepared: list[Preprocessed], probability_paths: Sequence | None, what: str | None) -> Volume:
        everyone = self._members(prepared)
        members = [self._complete(name, everyone) for name in self.last]
        return segment(members, self.plan.label_values, probability_paths=probability_paths, what=what)

    def num_windows(self, prepared: list[Preprocessed]) -> int:
        everyone = self._members(prepared)
        members = [everyone[name] for last in self.last for name in self._stages(last)]
        return sum(m.num_windows() * 2 ** len(m.sliding.mirror_axes) * len(m.predictors) for m in members)

    def _stages(self, name: str) -> list[str]:
        """A configuration after those that it builds on."""
        previous = self.plan.configurations[name].previous_stage
        return [name] if previous is None else [*self._stages(previous), name]


class _Scans:
    """V-Net: preprocessing, windows and way back as its recipe says."""

    def __init__(self, trained: Trained, options: Options):
        path, *others = [path for paths in trained.checkpoints.values() for path in paths]
        if others:
            raise InputError(f"{path.parent.parent}: runs of {trained.model} predict alone; name one of them")
        self.engine = load(path, trained, options)
        self.recipe = self.engine.recipe
        words = self.recipe.eval
        self.mirror_axes = {"none": (), "full": (0, 1, 2), None: tuple(words.mirror_axes)}[options.tta]
        self.overlap = words.overlap if options.overlap is None else options.overlap

    def tell_calls(self, tell: Callable) -> None:
        self.engine = self.engine.telling(tell)

    def prepare(self, volume: Volume, name: str) -> list[Prepared]:
        if volume.num_channels != 1:
            raise InputError(f"case {name}: {volume.num_channels} channels, V-Net takes one; give that one alone")
        data = self.recipe.data
        try:
            case = prepare_volume(
                name,
                volume.with_voxels(volume.voxels[0]),
                spacing_mm=tuple(data.spacing_mm),
                patch_size=tuple(data.patch_size),
                centre_crop=data.centre_crop,
            )
        except ValueError as error:
            raise InputError(f"case {name}: {error}") from error
        return [case]

    def segment(self, prepared: list[Prepared], probability_paths: Sequence | None, what: str | None) -> Volume:
        if probability_paths is not None:
            raise InputError("V-Net's probabilities are not written; leave --save_probabilities out")
        words = self.recipe.eval
        labels = segment_case(
            prepared[0],
            self._foreground,
            window=tuple(self.recipe.data.patch_size),
            overlap=self.overlap,
            blend=words.blend,
            mirror_axes=self.mirror_axes,
            restore_order=words.restore_order,
            keep_largest=words.largest_component,
        )
        return labels.with_voxels(labels.voxels.astype(np.uint8))

    def _foreground(self, patch: np.ndarray) -> np.ndarray:
        """(D, H, W) -> probability of class 1, (D, H, W)."""
        logits = self.engine.logits(patch[None])
        with np.errstate(over="ignore"):  # exp of much is infinite, and the probability then 0
            return 1 / (1 + np.exp(logits[0] - logits[1]))

    def num_windows(self, prepared: list[Prepared]) -> int:
        sliding = Sliding(tuple(self.recipe.data.patch_size), self.overlap)
        return len(sliding.boxes(prepared[0].image.shape)) * 2 ** len(self.mirror_axes)


def predict(array: np.ndarray, spacing_mm: Vector, model_dir: str | Path, **options) -> np.ndarray:
    """Predictor(model_dir, **options).predict(array, spacing_mm): it loads the networks each time."""
    return Predictor(model_dir, **options).predict(array, spacing_mm)
