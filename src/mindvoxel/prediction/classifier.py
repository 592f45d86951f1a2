"""A Classifier stays loaded: photographs in, the classes that the network holds for likely out."""

import csv
import io
from collections.abc import Iterable, Sequence

import numpy as np

from mindvoxel.errors import InputError, WorkError
from mindvoxel.prediction.predictor import Options, load
from mindvoxel.prediction.trained import Trained

TOP = 5
COLUMNS = ("photo", "rank", "class", "probability")


class Classifier:
    """The network of one run, loaded once, for batches of up to batch_size photos.

    classes: the names of its K classes.  form: what prepare_photo makes of a photo for it.
    Raises InputError, in one sentence, for what cannot be loaded.
    """

    def __init__(self, trained: Trained, options: Options, batch_size: int = 1):
        path, *others = [path for paths in trained.checkpoints.values() for path in paths]
        if others:
            raise InputError(f"{path.parent.parent}: runs of {trained.model} predict alone; name one of them")
        from mindvoxel.train import device
        from mindvoxel.train.photos import form_of

        device.prepare(options.target, options.device_id)
        self._path, self._batch_size = path, batch_size
        self._engine = load(path, trained, options, batch_size)
        num = self._engine.recipe.network.num_classes
        self.form = form_of(self._engine.recipe)
        self.classes = tuple(self._engine.meta.get("classes", ()))
        if len(self.classes) != num:
            raise InputError(f"{path}: names {len(self.classes)} classes, and its network has {num}; train it anew")

    def logits(self, photos: Sequence[np.ndarray]) -> np.ndarray:
        """Up to batch_size photos (3, size, size) as prepare_photo makes them -> (N, K) float32.

        Raises WorkError where the network gives a value that is not finite.
        """
        batch = np.zeros((self._batch_size, *self._engine.window), np.float32)  # a compiled network has one size
        batch[: len(photos)] = photos
        logits = self._engine.run(batch)[: len(photos)]
        if not np.isfinite(logits).all():
            raise WorkError(f"{self._path}: its network gives values that are not finite; train it anew, or use f32")
        return logits


def probabilities_of(logits: np.ndarray) -> np.ndarray:
    """Softmax in double: (…, K) -> (…, K) float64."""
    raised = np.exp(logits.astype(np.float64) - logits.max(axis=-1, keepdims=True))
    return raised / raised.sum(axis=-1, keepdims=True)


def likeliest(photo: str, logits: np.ndarray, classes: Sequence[str]) -> list[tuple]:
    """Rows of predictions.csv: the five likeliest of K classes of a photo (all where K is below), the best first.

    logits: (K,). Of equal logits the class that comes first does so here.
    """
    order, shares = np.argsort(-logits, kind="stable")[:TOP], probabilities_of(logits)
    return [(photo, i, classes[k], f"{shares[k]:.6f}") for i, k in enumerate(order, 1)]


def predictions_csv(rows: Iterable[tuple]) -> str:
    """predictions.csv of the rows of all photos."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(rows)
    return file.getvalue()
