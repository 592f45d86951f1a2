"""The reference case of a network that classifies: a photo, and the classes that it likely shows."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mindvoxel import bundle
from mindvoxel.data.made_photo import SEED, made_photo
from mindvoxel.data.photos import PhotoForm, RandomCropFlip, normalize_photo, prepare_photo, read_photo, write_png
from mindvoxel.errors import InputError
from mindvoxel.files import write_text
from mindvoxel.log import LOGGER
from mindvoxel.prediction.classifier import Classifier, likeliest, predictions_csv, probabilities_of
from mindvoxel.prediction.predictor import Options
from mindvoxel.prediction.source import Source
from mindvoxel.train.agreement import MOST_APART, Pairs

NUM_PHOTOS = 16  # that a file is compared on: the reference, and random parts and mirrors of it
_AREA = (0.25, 1.0)  # of these parts


def write_reference(source: Source, folder: Path, images: Sequence[str | Path]) -> Pairs:
    """The photo, or without any a made one, and its likeliest classes, as files of the bundle `folder`; that photo and
    parts of it as the network takes them, and its answers in float32."""
    photo, classifier = _reference_photo(source, images), _classifier(source)
    write_png(folder / bundle.PHOTO, photo)
    pairs = _answers(classifier, read_photo(folder / bundle.PHOTO))
    logits = pairs[0][1]
    rows = likeliest(Path(bundle.PHOTO).name, logits[0], classifier.classes)
    write_text(folder / bundle.PREDICTIONS, predictions_csv(rows))
    second, first = np.sort(probabilities_of(logits)[0])[-2:]
    if first - second < 2 * MOST_APART:
        LOGGER.warning(
            "the two likeliest classes of the reference photo have probabilities of %.3f and %.3f, so near that "
            "another precision may take either; name another photo with --reference_case",
            first,
            second,
        )
    return pairs


def reference_pairs(source: Source, images: Sequence[str | Path]) -> Pairs:
    """The same inputs and answers."""
    return _answers(_classifier(source), _reference_photo(source, images))


def deploy_part(source: Source) -> dict:
    """What deploy.json says of all that is before and after the network."""
    return bundle.photo_part(source.recipe.data, source.meta["classes"])


def _classifier(source: Source) -> Classifier:
    return Classifier(source.trained(), Options(**source.device))


def _reference_photo(source: Source, images: Sequence[str | Path]) -> np.ndarray:
    """(H, W, 3) uint8"""
    if len(images) > 1:
        raise InputError(f"--reference_case names {len(images)} files, and {source.recipe.model} takes one photo")
    return read_photo(images[0]) if images else made_photo(source.recipe.data.short_side)


def _answers(classifier: Classifier, photo: np.ndarray) -> Pairs:
    return [(image[None], classifier.logits([image])) for image in _variants(photo, classifier.form)]


def _variants(photo: np.ndarray, form: PhotoForm) -> list[np.ndarray]:
    """(3, size, size) each: the photo as it is evaluated, then random parts of it, half of them mirrored."""
    crop, rng = RandomCropFlip(form.size, _AREA), np.random.default_rng(SEED)
    parts = [crop.apply(photo, **crop.draw(rng, *photo.shape[:2])) for _ in range(NUM_PHOTOS - 1)]
    return [prepare_photo(photo, form), *(normalize_photo(part, form) for part in parts)]
