"""From a recipe and a folder of photographs to a trainer, and to a network's answers on all of them."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
from easydict import EasyDict
from mindspore import nn

from mindvoxel.data.ahead import in_order
from mindvoxel.data.photos import PhotoForm, RandomCropFlip, normalize_photo, prepare_photo, read_photo
from mindvoxel.errors import InputError, WorkError
from mindvoxel.log import progress
from mindvoxel.losses import SmoothedCrossEntropy
from mindvoxel.metrics.photos import score_photos
from mindvoxel.train import optim, schedule
from mindvoxel.train.builder import Parts, seed_everything
from mindvoxel.train.device import Device
from mindvoxel.train.lars import lars
from mindvoxel.train.loop import State, Trainer
from mindvoxel.train.pipeline import Batch, drawn
from mindvoxel.train.ranks import Ranks
from mindvoxel.train.step import LossScale, TrainStep, mixed_precision, synchronise_batch_norm
from mindvoxel.zoo import build_network


def form_of(recipe: EasyDict) -> PhotoForm:
    """What the network of a recipe is evaluated on."""
    data = recipe.data
    return PhotoForm(data.size, data.short_side, tuple(data.mean), tuple(data.sd))


def crop_of(recipe: EasyDict) -> RandomCropFlip | None:
    """How training photos are cut; None: as in evaluation."""
    data = recipe.data
    return RandomCropFlip(data.size, tuple(data.crop_area), tuple(data.crop_aspect)) if data.augment else None


@dataclass(frozen=True)
class PhotoLoader:
    """Epochs of photos (path, label) in random order, with the promises of pipeline.PatchLoader: batches of images
    (N, 3, size, size) and labels (N,) that are the same for the same (seed, epoch, photo).

    crop: None: the middle of each photo.
    """

    photos: Sequence
    classes: Sequence[str]
    form: PhotoForm
    crop: RandomCropFlip | None
    batch_size: int
    seed: int
    place: Device
    num_workers: int = 2
    unit = "classes"

    def __post_init__(self):
        if self.num_batches < 1:
            raise InputError(
                f"{len(self.photos)} training photos do not fill one batch of {self.batch_size} on {self.num_ranks} "
                "devices; lower --batch_size"
            )

    @property
    def num_batches(self) -> int:
        """Batches of an epoch, on every rank."""
        return len(self.photos) // (self.batch_size * self.num_ranks)

    @property
    def num_ranks(self) -> int:
        return self.place.num_ranks

    @cached_property
    def names(self) -> list[str]:
        """Of each class its name, the number of its photos and the SHA-256 of their names: a checkpoint would grow by
        the names of a million photos."""
        digests, counts = [hashlib.sha256() for _ in self.classes], [0] * len(self.classes)
        for photo in self.photos:
            digests[photo.label].update(f"{photo.name}\n".encode())
            counts[photo.label] += 1
        found = zip(self.classes, counts, digests, strict=True)
        return [f"{name} {count} {digest.hexdigest()[:16]}" for name, count, digest in found]

    def epoch(self, epoch: int, first: int = 0) -> Iterator[Batch]:
        """The batches of `epoch` from number `first` on, prepared ahead by the threads."""
        order = np.random.default_rng([self.seed, epoch]).permutation(len(self.photos))
        place = {"rank": self.place.rank, "num_ranks": self.num_ranks, "num_workers": self.num_workers}
        sample = partial(self.sample, epoch)
        with closing(drawn(sample, order, self.batch_size, first, **place)) as steps:
            for step, images in steps:
                labels = [self.photos[number].label for number in step[self.place.rank :: self.num_ranks]]
                names = tuple(self.photos[number].relative for number in step)
                yield Batch(np.stack(images), np.array(labels, np.int32), None, names)

    def sample(self, epoch: int, number: int) -> np.ndarray:
        """Photo `number` as `epoch` sees it, (3, size, size) float32."""
        photo = read_photo(self.photos[number].path)
        if self.crop is None:
            return prepare_photo(photo, self.form)
        rng = np.random.default_rng([self.seed, epoch, number])
        return normalize_photo(self.crop.apply(photo, **self.crop.draw(rng, *photo.shape[:2])), self.form)


@dataclass(frozen=True)
class LabelledPhotos:
    """Photos (path, label) on their way through a network in evaluation; batch_size: photos at once."""

    photos: Sequence
    classes: Sequence[str]
    form: PhotoForm
    batch_size: int
    num_workers: int

    def score(self, predict: Callable[[np.ndarray], np.ndarray], what: str, ranks: Ranks) -> list[dict]:
        """Rows of metrics.photos of this rank's share; every photo is in one rank's. Raises WorkError where an answer
        is not finite."""
        mine, size = ranks.share(self.photos), self.batch_size
        groups = [mine[i : i + size] for i in range(0, len(mine), size)]
        rows, shown = [], progress(total=len(mine), what=what, unit="photo")
        with shown, closing(in_order(self._prepared, map(list, groups), self.num_workers)) as batches:
            for group, images in zip(groups, batches, strict=True):
                # the last batch is filled up: another size would be compiled for itself
                images += [np.zeros_like(images[0])] * (size - len(images))
                logits, names = predict(np.stack(images))[: len(group)], [photo.relative for photo in group]
                if not np.isfinite(logits).all():
                    first = names[int(np.argmin(np.isfinite(logits).all(1)))]
                    raise WorkError(
                        f"{first}: the network's answer to it is not finite; look at the photo, or use another "
                        "checkpoint or --amp_level O0"
                    )
                rows += score_photos(logits, np.array([photo.label for photo in group]), names, self.classes)
                shown.update(len(group))
        return rows

    def _prepared(self, photo) -> np.ndarray:
        return prepare_photo(read_photo(photo.path), self.form)


def learning_rates(recipe: EasyDict, steps_per_epoch: int, num_ranks: int = 1) -> list[float]:
    """One a step, by the recipe's `optim` section."""
    words, total = recipe.optim, recipe.train.epochs * steps_per_epoch
    highest = schedule.scaled_rate(words.learning_rate, words.rank_scaling, num_ranks)
    warmup = words.warmup_epochs * steps_per_epoch
    if words.scheduler == "poly":
        return schedule.warmup_poly(highest, total, warmup_steps=warmup, end=words.end_learning_rate)
    boundaries = [epoch * steps_per_epoch for epoch in words.step_epochs]
    return schedule.warmed_up(schedule.steps(highest, total, boundaries=boundaries), warmup)


def optimizer_of(words: EasyDict, network: nn.Cell, rates: list[float]) -> nn.Optimizer:
    """By the recipe's `optim` section."""
    form = {"momentum": words.momentum, "weight_decay": words.weight_decay}
    if words.optimizer == "lars":
        return lars(network.trainable_params(), rates, **form)
    return optim.sgd(network.trainable_params(), rates, nesterov=False, decay_norms=False, **form)


def build(recipe: EasyDict, photos: Sequence, classes: Sequence[str], device: Device) -> Parts:
    """A run over `photos`, at step 0."""
    train = recipe.train
    seed_everything(train.seed)
    network = build_network(recipe.model, **recipe.network)
    data = (form_of(recipe), crop_of(recipe), train.batch_size, train.seed, device, recipe.data.num_workers)
    loader = PhotoLoader(photos, classes, *data)
    rates = learning_rates(recipe, loader.num_batches, device.num_ranks)
    optimizer = optimizer_of(recipe.optim, network, rates)
    mixed_precision(network, train.amp_level)
    if train.sync_batch_norm:
        synchronise_batch_norm(network, device.num_ranks)
    step = TrainStep(network, SmoothedCrossEntropy(recipe.loss.smoothing), optimizer, device.num_ranks)
    state = State(scale=LossScale.of(train.amp_level, train.loss_scale))
    trainer = Trainer(step, loader, rates, state, Ranks(device), may_skip=train.amp_level != "O0")
    return Parts(recipe, network, optimizer, trainer, train.batch_size)
