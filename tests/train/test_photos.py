"""Batches of photos: the same numbers whoever prepares them; all photos scored once; learning rates of the recipes."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from mindvoxel.config import load_recipe, override
from mindvoxel.data.photos import PhotoForm, RandomCropFlip, prepare_photo, read_photo
from mindvoxel.datasets.imagenet import list_photos
from mindvoxel.errors import InputError, WorkError
from mindvoxel.train.device import Device

from ..photos import make_photos

FORM = PhotoForm(12, 15, (120.0, 110.0, 100.0), (50.0, 60.0, 70.0))
ALONE = Device("CPU", 0)


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> tuple[list, tuple[str, ...]]:
    return list_photos(make_photos(tmp_path_factory.mktemp("photos"), count=3, size=20), "train")


@pytest.fixture(scope="module")
def loader(cpu, photos):
    from mindvoxel.train.photos import PhotoLoader

    crop = RandomCropFlip(12, (0.3, 1.0), (0.75, 4 / 3))
    return PhotoLoader(*photos, FORM, crop, batch_size=2, seed=5, place=ALONE)


def assert_equal(ours, theirs) -> None:
    assert len(ours) == len(theirs)
    for one, other in zip(ours, theirs, strict=True):
        assert np.array_equal(one.image, other.image) and np.array_equal(one.label, other.label)
        assert one.cases == other.cases


def test_shapes_types_and_labels(loader, photos):
    batches = list(loader.epoch(0))
    assert len(batches) == loader.num_batches == 4  # of nine photos
    for batch in batches:
        assert (batch.image.shape, batch.image.dtype) == ((2, 3, 12, 12), np.float32)
        assert batch.label.dtype == np.int32 and batch.noise is None
        assert [photos[1][label] for label in batch.label] == [name.split("/")[0] for name in batch.cases]
    assert len({name for batch in batches for name in batch.cases}) == 8


def test_threads_change_nothing_and_epochs_differ(loader):
    assert_equal(list(loader.epoch(3)), list(replace(loader, num_workers=0).epoch(3)))
    first, second = ([name for batch in loader.epoch(number) for name in batch.cases] for number in (0, 1))
    assert first != second


def test_an_epoch_goes_on_where_it_stopped(loader):
    assert_equal(list(loader.epoch(2))[3:], list(loader.epoch(2, first=3)))


def test_ranks_together_see_what_one_rank_of_their_whole_batch_sees(loader):
    ranks = [list(replace(loader, batch_size=1, place=Device("CPU", 0, r, 2)).epoch(1)) for r in range(2)]
    for whole, first, second in zip(loader.epoch(1), *ranks, strict=True):
        assert np.array_equal(whole.image, np.concatenate([first.image, second.image]))
        assert np.array_equal(whole.label, np.concatenate([first.label, second.label]))
        assert whole.cases == first.cases == second.cases


def test_the_crop_is_drawn_by_seed_epoch_and_photo(loader, photos):
    def crop(**changes):
        return replace(loader, **changes).sample(1, 4)

    assert np.array_equal(crop(), loader.sample(1, 4))
    assert not np.array_equal(crop(seed=6), crop())
    assert not np.array_equal(loader.sample(2, 4), crop())
    middle = prepare_photo(read_photo(photos[0][4].path), FORM)
    assert np.array_equal(crop(crop=None), middle)


def test_names_are_short_and_tell_other_photos_apart(loader, photos):
    assert [name.rsplit(" ", 1)[0] for name in loader.names] == ["ant 3", "bee 3", "cow 3"]
    renamed = [replace(photo, name="other.png") for photo in photos[0][:1]] + photos[0][1:]
    assert replace(loader, photos=renamed).names[0] != loader.names[0]
    assert replace(loader, photos=renamed).names[1:] == loader.names[1:]


def test_too_few_photos_for_a_batch(loader):
    with pytest.raises(InputError, match="9 training photos do not fill one batch of 5 on 2 devices"):
        replace(loader, batch_size=5, place=Device("CPU", 0, 0, 2))


@dataclass(frozen=True)
class One:
    """A rank of several, which hears nobody."""

    rank: int
    num_ranks: int

    def share(self, items):
        return items[self.rank :: self.num_ranks]


@pytest.mark.parametrize("num_ranks", [1, 2, 10])
def test_every_photo_is_scored_once_whatever_the_shares(cpu, photos, num_ranks):
    from mindvoxel.train.photos import LabelledPhotos

    sizes = []

    def predict(batch):
        sizes.append(len(batch))
        brightness = batch.mean((2, 3))  # of red, green and blue, which tell the classes apart
        return np.concatenate([brightness, brightness[:, :1] * 0 - 9], 1)

    labelled = LabelledPhotos(*photos, FORM, batch_size=4, num_workers=1)
    parts = [labelled.score(predict, "validation", One(rank, num_ranks)) for rank in range(num_ranks)]
    names = [row["photo"] for part in parts for row in part]
    assert sorted(names) == [f"{p.path.parent.name}/{p.path.name}" for p in photos[0]]
    assert set(sizes) == {4}  # one size, one compilation
    alone = {row["photo"]: row for row in labelled.score(predict, "validation", One(0, 1))}
    assert all(alone[row["photo"]] == row for part in parts for row in part)


def test_an_answer_that_is_not_finite_names_the_photo(cpu, photos):
    from mindvoxel.train.photos import LabelledPhotos

    answers = np.zeros((9, 3), np.float32)
    answers[4, 1] = np.inf
    labelled = LabelledPhotos(*photos, FORM, batch_size=9, num_workers=0)
    with pytest.raises(WorkError, match="^bee/bee_train_1.JPEG: the network's answer to it is not finite"):
        labelled.score(lambda batch: answers, "evaluating", One(0, 1))


def test_a_damaged_photo_is_named(loader, tmp_path):
    bad = tmp_path / "ant" / "bad.jpg"
    bad.parent.mkdir()
    bad.write_bytes(b"nothing")
    broken = replace(loader, photos=[replace(photo, folder=bad.parent, name=bad.name) for photo in loader.photos])
    with pytest.raises(InputError, match="ant/bad.jpg: neither JPEG nor PNG"):
        next(broken.epoch(0))


def test_the_published_learning_rates(cpu):
    from mindvoxel.train.photos import learning_rates

    rates = learning_rates(load_recipe("resnet50"), 10, num_ranks=8)  # of 10 steps an epoch
    assert len(rates) == 900
    picked = [rates[i] for i in (0, 25, 50, 299, 300, 599, 600, 799, 800, 899)]
    assert picked == pytest.approx([0, 0.4, 0.8, 0.8, 0.08, 0.08, 0.008, 0.008, 0.0008, 0.0008])
    rates = learning_rates(load_recipe("resnet50", "mlperf"), 312, num_ranks=8)
    assert (len(rates), rates[5 * 312], rates[-1]) == (42 * 312, 10, pytest.approx(1e-4, abs=1e-6))
    rates = learning_rates(override(load_recipe("resnet50"), {"optim.warmup_epochs": 0}), 2)
    assert rates[0] == 0.1


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"data.size": 257}, "--size 257 exceeds --short_side 256"),
        ({"data.crop_area": (1.0, 0.5)}, "--crop_area 1.0,0.5: the smallest comes first; give 0.5,1.0"),
        ({"data.crop_aspect": (0.75, -1.0)}, "data.crop_aspect must be 2 values, each a number above 0"),
        ({"data.sd": (1.0, 0.0, 1.0)}, "data.sd must be 3 values"),
        ({"train.epochs": 3}, "--warmup_epochs 5 exceeds --epochs 3"),
        ({"optim.optimizer": "adam"}, "optim.optimizer must be one of sgd, lars"),
        ({"network.num_classes": 1}, "network.num_classes must be a whole number, 2 or more"),
    ],
)
def test_values_that_do_not_fit_are_refused(changes, fault):
    with pytest.raises(InputError, match=f"^{fault}"):
        override(load_recipe("resnet50"), changes)
