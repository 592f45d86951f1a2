"""The made-up data set: its layout, its geometry, its reproducibility, and that it is neither trivial nor hopeless."""

import subprocess
import sys

import numpy as np
import pytest
from scipy import ndimage

from mindvoxel.datasets.phantom import make_case, write_phantom
from mindvoxel.datasets.promise12 import list_cases
from mindvoxel.errors import InputError
from mindvoxel.metrics.overlap import dice
from mindvoxel.volume import check_same_grid, read_volume

NUM_CASES = 6


@pytest.fixture(scope="module")
def cases():
    return [make_case(0, case, size_scale=0.5) for case in range(NUM_CASES)]


@pytest.fixture(scope="module")
def full_case():
    return make_case(0, 0)


def same(one, other) -> bool:
    return all(
        np.array_equal(a.voxels, b.voxels) and a.direction == b.direction for a, b in zip(one, other, strict=True)
    )


def test_the_layout_is_promise12s(tmp_path):
    write_phantom(tmp_path / "set", num_cases=2, size_scale=0.2)
    files = sorted(path.relative_to(tmp_path / "set").as_posix() for path in (tmp_path / "set").glob("*/*"))
    labels = [f"gt/Case0{n}_segmentation.{suffix}" for n in range(2) for suffix in ("mhd", "raw")]
    assert files == labels + [f"img/Case0{n}.{suffix}" for n in range(2) for suffix in ("mhd", "raw")]
    assert [path.name for path in tmp_path.iterdir()] == ["set"]
    assert [found.case for found in list_cases(tmp_path / "set")] == ["Case00", "Case01"]


def test_what_is_written_reads_back_with_its_geometry(tmp_path):
    write_phantom(tmp_path, num_cases=1, seed=3, size_scale=0.2)  # an empty folder is a fine place
    image, label = make_case(3, 0, size_scale=0.2)
    (paths,) = list_cases(tmp_path)
    read_image, read_label = read_volume(paths.image), read_volume(paths.label)
    assert np.array_equal(read_image.voxels, image.voxels)
    assert read_image.voxels.dtype == np.int16
    assert np.array_equal(read_label.voxels, label.voxels)
    check_same_grid(read_image, image, ("written", "made"), tolerance_mm=1e-6)
    check_same_grid(read_image, read_label, ("image", "label"), tolerance_mm=1e-9)


def test_a_case_depends_on_the_seed_and_its_number_alone(tmp_path):
    write_phantom(tmp_path / "three", num_cases=3, size_scale=0.2)
    written = list_cases(tmp_path / "three")[2]
    assert np.array_equal(read_volume(written.image).voxels, make_case(0, 2, size_scale=0.2)[0].voxels)
    assert same(make_case(1, 2, 0.2), make_case(1, 2, 0.2))
    assert not same(make_case(1, 2, 0.2), make_case(2, 2, 0.2))
    assert not same(make_case(1, 2, 0.2), make_case(1, 3, 0.2))


def test_grids_are_oblique_anisotropic_and_all_different(cases):
    for image, _ in cases:
        direction = np.array(image.direction).reshape(3, 3)
        np.testing.assert_allclose(direction @ direction.T, np.eye(3), atol=1e-12)
        assert np.linalg.det(direction) == pytest.approx(1)
        assert np.abs(direction - np.eye(3)).max() > 0.01
        assert 2.5 / 0.5 <= image.spacing_mm[0] <= 4.0 / 0.5
        assert 0.55 / 0.5 <= image.spacing_mm[1] == image.spacing_mm[2] <= 1.0 / 0.5
        assert all(image.origin_mm)
    assert len({image.spacing_mm for image, _ in cases}) == NUM_CASES
    assert len({image.voxels.shape for image, _ in cases}) == NUM_CASES


def test_full_size_is_that_of_a_small_scan(full_case):
    shape, spacing = full_case[0].voxels.shape, full_case[0].spacing_mm
    extent = np.multiply(shape, spacing)
    assert 64 <= extent[0] <= 92
    assert (extent[1:] >= 119).all()
    assert (extent[1:] <= 161).all()
    assert full_case[0].voxels.size < 4e6


def test_labels_are_binary_and_of_several_types(cases):
    assert all(set(np.unique(label.voxels)) == {0, 1} for _, label in cases)
    assert {label.voxels.dtype for _, label in cases} == {np.dtype(t) for t in (np.int8, np.uint8, np.int16)}


def test_glands_have_20_to_80_ml_and_lie_whole_inside_off_the_centre(cases):
    offsets = []
    for _, label in cases:
        assert 19.5 < label.voxels.sum() * np.prod(label.spacing_mm) / 1000 < 80.5
        index = np.argwhere(label.voxels)
        assert (index.min(axis=0) > 0).all()
        assert (index.max(axis=0) < np.array(label.voxels.shape) - 1).all()
        offsets.append((index.mean(axis=0) - (np.array(label.voxels.shape) - 1) / 2) * label.spacing_mm)
    assert np.abs(offsets).max() < 18
    assert np.linalg.norm(offsets, axis=1).max() > 8
    assert np.std(offsets, axis=0).min() > 2


def test_intensity_scales_differ(cases):
    medians = [np.median(image.voxels) for image, _ in cases]
    assert min(medians) > 0
    assert max(medians) > 2 * min(medians)


def test_no_threshold_and_no_band_of_intensity_finds_the_gland(cases, full_case):
    for image, label in [*cases, full_case]:
        levels = np.percentile(image.voxels, range(0, 101, 10))
        bands = [(low, high) for i, low in enumerate(levels) for high in levels[i + 1 :]]
        truth = label.voxels > 0
        assert max(dice((image.voxels >= low) & (image.voxels <= high), truth) for low, high in bands) < 0.5


def test_the_gland_stands_out_from_what_lies_around_it(cases):
    """Just inside the border the zones are brighter than the fascia just outside, so there is something to learn."""
    brighter = []
    for image, label in cases:
        truth = label.voxels > 0
        depth = ndimage.distance_transform_edt(truth, image.spacing_mm) - ndimage.distance_transform_edt(
            ~truth, image.spacing_mm
        )
        inside, outside = image.voxels[(depth > 1.5) & (depth < 5)], image.voxels[(depth < -1.5) & (depth > -5)]
        brighter.append(inside.mean() / outside.mean())
    assert np.mean(brighter) > 1.1


def test_a_folder_with_something_in_it_is_refused(tmp_path):
    (tmp_path / "mine.txt").write_text("keep me")
    with pytest.raises(InputError, match="exists and is not an empty folder"):
        write_phantom(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
    with pytest.raises(InputError, match="exists and is not an empty folder"):
        write_phantom(tmp_path / "mine.txt")


@pytest.mark.parametrize("options", [{"num_cases": 0}, {"size_scale": 0.0}, {"size_scale": 3.0}])
def test_options_out_of_range_are_refused_and_leave_nothing(tmp_path, options):
    with pytest.raises(InputError, match=next(iter(options))):
        write_phantom(tmp_path / "set", **options)
    assert not list(tmp_path.iterdir())


def test_an_interrupted_write_leaves_nothing(tmp_path, monkeypatch):
    def fail(seed, case, size_scale):
        if case == 1:
            raise KeyboardInterrupt
        return make_case(seed, case, size_scale)

    monkeypatch.setattr("mindvoxel.datasets.phantom.make_case", fail)
    with pytest.raises(KeyboardInterrupt):
        write_phantom(tmp_path / "set", num_cases=2, size_scale=0.2)
    assert not list(tmp_path.iterdir())


FULL_DISK = """
import resource, sys
from mindvoxel.datasets.phantom import write_phantom

resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000))
try:
    write_phantom(sys.argv[1] + "/set", num_cases=1, size_scale=0.2)
except OSError as error:
    print(error.strerror, error.filename)
"""


def test_a_full_disk_is_an_oserror_and_leaves_nothing(tmp_path):
    command = [sys.executable, "-c", FULL_DISK, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert "is the disk full?" in done.stdout
    assert "Case00.mhd" in done.stdout
    assert not list(tmp_path.iterdir())
