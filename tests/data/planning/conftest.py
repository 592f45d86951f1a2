"""Fingerprints made up from shapes and spacings."""

from types import SimpleNamespace

import pytest

from mindvoxel.data.dataset import Dataset
from mindvoxel.data.fingerprint import CaseFingerprint, Fingerprint
from mindvoxel.data.plan import Intensity

GREY = Intensity(mean=100.0, sd=20.0, median=99.0, min=-1000.0, max=900.0, percentile_00_5=10.0, percentile_99_5=200.0)


def fingerprint(shapes, spacings, *, channels: int = 1, size_after_crop: float = 1.0) -> Fingerprint:
    cases = tuple(
        CaseFingerprint(f"case_{i}", tuple(shape), tuple(spacing), tuple(shape))
        for i, (shape, spacing) in enumerate(zip(shapes, spacings, strict=True))
    )
    return Fingerprint(cases, (GREY,) * channels, size_after_crop, {0: 1, 1: 1})


def dataset(*channels: str, labels: int = 2, name: str = "Made up") -> Dataset:
    return Dataset(name, channels or ("MRI",), {f"label {k}": k for k in range(labels)}, ())


@pytest.fixture(scope="session")
def made_up():
    """made_up.fingerprint(shapes, spacings), made_up.equal(shape, spacing, cases) and made_up.dataset("CT", ...)."""

    def equal(shape, spacing, cases: int, **more) -> Fingerprint:
        return fingerprint([shape] * cases, [spacing] * cases, **more)

    return SimpleNamespace(fingerprint=fingerprint, equal=equal, dataset=dataset)
