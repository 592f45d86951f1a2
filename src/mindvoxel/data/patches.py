"""Batches of patches of preprocessed cases, the same for the same (seed, epoch, batch, place), whoever makes them."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from mindvoxel.data.ahead import in_order
from mindvoxel.data.augment.sets import nnunet_set, nnunet_turn, nvidia_set, plain_set
from mindvoxel.data.augment.spatial import RandomTurn, cut_box, turn_image, turn_label
from mindvoxel.data.augment.transform import Transform, augment_case
from mindvoxel.data.plan import Configuration
from mindvoxel.data.sampling import BlobOversampling, ForegroundOversampling, Shape
from mindvoxel.data.store import StoredCase
from mindvoxel.errors import InputError, WorkError

# Mapped cases kept open: each costs a few file descriptors, of which a process often has 1024.
MOST_OPEN = 200


@dataclass(frozen=True)
class PatchRecipe:
    """How a patch is made.

    patch_size: (D, H, W); 2-D: the slices that are neighbours in a batch, H, W.
    sampler: where it is cut.  turn: rotation and scaling, drawn before it is cut; None: none.
    transforms: what happens then.  flat: each slice is an image of its own.
    open_previous: name -> classes (D, H, W) of the previous stage's prediction on the case's grid, in a cascade.
    """

    patch_size: Shape
    sampler: ForegroundOversampling | BlobOversampling
    turn: RandomTurn | None
    transforms: tuple[Transform, ...]
    flat: bool = False
    open_previous: Callable[[str], np.ndarray] | None = None


def nnunet_recipe(
    configuration: Configuration,
    *,
    augment: bool = True,
    previous_classes: int = 0,
    open_previous: Callable[[str], np.ndarray] | None = None,
) -> PatchRecipe:
    """Patches as nnU-Net v2 makes them; without `augment` its validation patches.

    previous_classes, open_previous: of a configuration with a previous stage.
    """
    if bool(previous_classes) != bool(configuration.previous_stage) or bool(previous_classes) != bool(open_previous):
        raise ValueError(f"previous_classes and open_previous go with a cascade, got {configuration.previous_stage!r}")
    schemes = configuration.preprocessing.normalization
    masked = tuple(k for k, scheme in enumerate(schemes) if scheme == "zscore_mask")
    flat, size = configuration.dim == 2, configuration.patch_size
    transforms = plain_set(masked, previous_classes)
    if augment:
        transforms = nnunet_set(configuration.dim, configuration.dummy_2d, masked, previous_classes)
    turn = nnunet_turn(size, configuration.dummy_2d) if augment else None
    sampler = ForegroundOversampling(share=0.33)
    return PatchRecipe((1, *size) if flat else size, sampler, turn, transforms, flat, open_previous)


def nvidia_recipe(configuration: Configuration, *, num_volumes: int = 2, oversampling: float = 0.33) -> PatchRecipe:
    """Patches as NVIDIA nnU-Net makes them (TF2): in 2-D neighbouring slices of `num_volumes` cases fill a batch."""
    flat, size = configuration.dim == 2, configuration.patch_size
    if flat:
        if configuration.batch_size % num_volumes:
            raise InputError(
                f"a batch of {configuration.batch_size} slices does not divide among {num_volumes} volumes; change "
                "the batch size or the number of volumes"
            )
        size = (configuration.batch_size // num_volumes, *size)
    return PatchRecipe(size, BlobOversampling(oversampling), None, nvidia_set(configuration.dim), flat)


def make_patch(
    case: StoredCase, rng: np.random.Generator, recipe: PatchRecipe, place: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """A patch: image (C, D, H, W) float32, label (D, H, W) int16; place: its number and how many are in its batch."""
    if case.label is None:
        raise InputError(f"case {case.case} has no label; leave it out of the cases to train on, or label it")
    size = recipe.patch_size
    start = recipe.sampler.draw(rng, case, size, place)
    matrix = recipe.turn.draw(rng) if recipe.turn else None
    labels = [case.label] if recipe.open_previous is None else [case.label, recipe.open_previous(case.case)]
    for name, label in zip(("label", "previous stage"), labels, strict=False):
        if label.shape != case.image.shape[1:]:
            raise ValueError(f"the {name} {label.shape} is not of the image's shape {case.image.shape[1:]}")
    if matrix is None:
        image, labels = cut_box(case.image, start, size, 0), [cut_box(label, start, size, -1) for label in labels]
    else:
        centre = tuple(first + (n - 1) / 2 for first, n in zip(start, size, strict=True))
        image = turn_image(case.image, centre, matrix, size, 0)
        labels = [turn_label(label, centre, matrix, size, -1) for label in labels]
    image, label = augment_case(image, np.stack(labels).astype(np.int16), rng, transforms=recipe.transforms)
    return image, label[0]


@dataclass(frozen=True)
class PatchBatch:
    """image (B, C, D, H, W) float32, label (B, D, H, W) int16 classes; 2-D without D.

    cases: the names in this batch of all ranks, whose gradients are averaged.
    """

    image: np.ndarray
    label: np.ndarray
    cases: tuple[str, ...]


@dataclass(frozen=True)
class PatchSource:
    """Epochs of `iterations` batches of this rank, each of `batch_size` patches (2-D: slices).

    cases: names, of which `open_case` gives the StoredCase.  each_once: all cases pass in random order before one comes
    again (NVIDIA, MLPerf); else every patch is of any case (nnU-Net).
    num_workers: threads that prepare batches ahead, 0: none. Threads, not processes: what takes time runs outside the
    interpreter's lock, an error keeps its traceback, and nothing dies unseen.
    """

    cases: Sequence[str]
    open_case: Callable[[str], StoredCase]
    recipe: PatchRecipe
    batch_size: int
    iterations: int
    seed: int
    each_once: bool = False
    rank: int = 0
    num_ranks: int = 1
    num_workers: int = 2

    def __post_init__(self):
        if not self.cases:
            raise ValueError("no cases; at least one is needed")
        if self.batch_size % self._slices:
            raise ValueError(f"batch_size {self.batch_size} is no multiple of the recipe's {self._slices} slices")
        # cases that are read whole are not kept: they would fill the memory
        mapped = isinstance(self.open_case(self.cases[0]).image, np.memmap)
        object.__setattr__(self, "open_case", lru_cache(MOST_OPEN if mapped else 0)(self.open_case))

    @property
    def _slices(self) -> int:
        return self.recipe.patch_size[0] if self.recipe.flat else 1

    @property
    def _patches(self) -> int:
        """Patches in a batch of all ranks."""
        return self.batch_size // self._slices * self.num_ranks

    def epoch(self, epoch: int, first: int = 0) -> Iterator[PatchBatch]:
        """The batches of `epoch` from number `first` on."""
        mine = range(self.rank, self._patches, self.num_ranks)
        steps = ([(epoch, iteration, number) for number in mine] for iteration in range(first, self.iterations))
        with closing(in_order(self._patch, steps, self.num_workers)) as batches:
            for iteration, patches in enumerate(batches, first):
                names = tuple(self.case_of(epoch, iteration, number) for number in range(self._patches))
                yield self._stack(patches, names)

    def case_of(self, epoch: int, iteration: int, number: int) -> str:
        """The name of the case that patch `number` of a batch is cut from."""
        if not self.each_once:
            return self.cases[_rng(self.seed, epoch, iteration, number, 0).integers(len(self.cases))]
        passed, place = divmod(iteration * self._patches + number, len(self.cases))
        return self.cases[_rng(self.seed, epoch, passed).permutation(len(self.cases))[place]]

    def _patch(self, at: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
        epoch, iteration, number = at
        name = self.case_of(*at)
        try:
            rng = _rng(self.seed, *at, 1)
            return make_patch(self.open_case(name), rng, self.recipe, (number, self._patches))
        except InputError:
            raise
        except Exception as error:
            raise WorkError(
                f"case {name}: patch {number} of batch {iteration} in epoch {epoch} failed "
                f"({type(error).__name__}: {error}); look at the case, then go on with --resume"
            ) from error

    def _stack(self, patches: list, names: tuple[str, ...]) -> PatchBatch:
        images, labels = zip(*patches, strict=True)
        if self.recipe.flat:  # (C, D, H, W) -> D images (C, H, W)
            images = [part for image in images for part in np.moveaxis(image, 1, 0)]
            labels = [part for label in labels for part in label]
        return PatchBatch(np.stack(images), np.stack(labels), names)


def _rng(*numbers: int) -> np.random.Generator:
    return np.random.default_rng(numbers)
