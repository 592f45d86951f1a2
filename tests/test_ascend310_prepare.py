"""What the C++ harness makes of a scan is what Python makes of it: its array, its grid, and the way back."""

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from mindvoxel.bundle import FILES, network_part, planned_part, scan_part, write_deploy
from mindvoxel.data.dataset import Case, read_image
from mindvoxel.data.images import read_channels
from mindvoxel.data.plan import Plan
from mindvoxel.data.prepare import Prepared, prepare_volume
from mindvoxel.data.preprocess import preprocess_case
from mindvoxel.errors import InputError
from mindvoxel.volume import Volume, write_volume

from .conftest import SHARED
from .data.plans import a_configuration, a_plan
from .harness import dumped

OBLIQUE = (0.8, -0.6, 0.0, 0.6, 0.8, 0.0, 0.0, 0.0, -1.0)
# of the image's range: products are summed in another order, and ITK is of another version
CLOSE = 2e-6
VNET_EVAL = {
    "overlap": 0.5,
    "blend": "gaussian",
    "mirror_axes": (),
    "restore_order": "linear",
    "largest_component": True,
}


@pytest.fixture(scope="session")
def prepare_dump(harness) -> Path:
    return harness / "prepare_dump"


def deploy(folder: Path, part: dict) -> Path:
    """A bundle of `part` whose network is no network."""
    folder.mkdir()
    (folder / "reference").mkdir()
    for name in FILES:
        (folder / name).write_bytes(b"made up")
    window = (len(part["channels"]), *part["sliding"]["window"])
    network = network_part(window, (len(part["classes"]), *window[1:]), "f32")
    write_deploy(folder, {"model": "made up", "default_spacing_mm": None, "network": network} | part)
    return folder


def assert_planned(program: Path, tmp_path: Path, plan: Plan, files) -> np.ndarray:
    """Both make the same of `files` by the only configuration of `plan`; returns Python's image."""
    (name,) = plan.configurations
    wanted = preprocess_case(Case("a", tuple(map(Path, files)), None), plan, name, training=False)
    bundle = deploy(tmp_path / "bundle", planned_part(plan, name, (), validated_with_tta=False))
    found, grid = dumped(program, "prepare", tmp_path, *files, bundle)
    assert tuple(grid["shape"]) == wanted.grid.shape
    assert tuple(grid["spacing_mm"]) == wanted.grid.spacing_mm
    assert (tuple(grid["crop_start"]), tuple(grid["crop_shape"])) == (wanted.grid.crop.start, wanted.grid.crop.shape)
    apart = np.abs(found.reshape(wanted.image.shape) - wanted.image).max()
    assert apart <= CLOSE * max(np.ptp(wanted.image), 1)
    return wanted.image


def made_scan(folder: Path, shape=(11, 26, 19), channels=1, spacing_mm=(2.5, 0.8, 0.7), name="a.nrrd", seed=0) -> Path:
    """Smooth blobs and noise from -100 to 180 within a border of zeros, with a hole; on an oblique grid."""
    rng = np.random.default_rng(seed)
    voxels = np.zeros((channels, *shape), np.float32)
    z, y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")
    for channel in voxels:
        wave = 40 * np.sin(3 * z + rng.uniform(0, 3)) * np.cos(4 * y) + 60 * x + rng.normal(20, 15, shape)
        channel[1:, 2:-3, 1:-2] = wave[1:, 2:-3, 1:-2]
        channel[4:6, 9:13, 7:10] = 0
    path = folder / name
    write_volume(path, Volume(voxels if channels > 1 else voxels[0], spacing_mm, (12.0, -30.5, 7.25), OBLIQUE))
    return path


WAYS = {
    "ct": {},
    "zscore": {"normalization": ("zscore",)},
    "zscore_mask": {"normalization": ("zscore_mask",)},
    "rescale": {"normalization": ("rescale",)},
    "none": {"normalization": ("none",)},
    "nothing_resampled": {"spacing_mm": None},
    "finer": {"spacing_mm": (1.3, 0.5, 0.6)},
    "coarser": {"spacing_mm": (4.0, 1.9, 1.1)},
    "slices_apart": {"spacing_mm": (2.0, 0.8, 0.5)},
    "one_slice": {"spacing_mm": (50.0, 0.9, 0.9)},
    "two_dimensions": {"spacing_mm": (1.1, 0.5), "patch_size": (8, 8)},
    "normalized_last": {"normalization": ("zscore_mask",), "order": "resample_normalize"},
    "normalized_last_apart": {
        "normalization": ("zscore_mask",),
        "order": "resample_normalize",
        "spacing_mm": (2.0, 0.5, 1.0),
    },
    "nvidia": {
        "normalization": ("zscore_mask",),
        "order": "resample_normalize",
        "crop": "positive",
        "rounding": "floor",
        "anisotropy": "from_3",
        "spacing_mm": (3.0, 1.0, 1.0),
    },
    "nvidia_ct": {"order": "resample_normalize", "crop": "positive", "rounding": "floor", "anisotropy": "from_3"},
}


@pytest.mark.parametrize("way", WAYS)
def test_every_way_of_a_plan(prepare_dump, tmp_path, way):
    plan = a_plan(c3d=a_configuration(**{"spacing_mm": (1.7, 1.0, 1.2)} | WAYS[way]))
    assert_planned(prepare_dump, tmp_path, plan, [made_scan(tmp_path)])


@pytest.mark.parametrize("axes", [(0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)])
def test_permuted_axes(prepare_dump, tmp_path, axes):
    plan = a_plan(axes=axes, c3d=a_configuration(spacing_mm=(1.7, 0.6, 1.0), normalization=("zscore",)))
    assert_planned(prepare_dump, tmp_path, plan, [made_scan(tmp_path, spacing_mm=(1.0, 0.8, 2.9))])


@pytest.mark.parametrize("scan_mm", [(0.7, 0.8, 2.9), (0.7, 2.9, 0.8), (2.9, 0.7, 0.8)])
def test_each_axis_apart(prepare_dump, tmp_path, scan_mm):
    """The coarsest axis of the scan, whichever it is, finer and coarser than it was."""
    plan = a_plan(c3d=a_configuration(spacing_mm=(1.1, 1.1, 1.1), normalization=("zscore",)))
    assert_planned(prepare_dump, tmp_path, plan, [made_scan(tmp_path, spacing_mm=scan_mm)])


def test_many_channels_in_one_file_or_one_each(prepare_dump, tmp_path):
    schemes = ("zscore_mask", "ct", "rescale")
    plan = a_plan(channels=3, c3d=a_configuration(spacing_mm=(2.0, 1.0, 1.0), normalization=schemes))
    together = made_scan(tmp_path, channels=3, name="together.nii.gz")
    image = assert_planned(prepare_dump, tmp_path, plan, [together])
    volume = read_channels(together)
    files = [tmp_path / f"a_{c:04d}.mha" for c in range(3)]
    for path, channel in zip(files, volume.voxels, strict=True):
        write_volume(path, volume.with_voxels(channel))
    found, _ = dumped(prepare_dump, "prepare", tmp_path, *files, tmp_path / "bundle")
    assert np.abs(found.reshape(image.shape) - image).max() <= CLOSE * np.ptp(image)


def test_colours(prepare_dump, tmp_path):
    """Three components a voxel of a 2-D image, of which the network sees slices."""
    colours = np.random.default_rng(3).integers(0, 256, (31, 23, 3)).astype(np.uint8)
    image = sitk.GetImageFromArray(colours, isVector=True)
    image.SetSpacing((0.4, 0.6))
    sitk.WriteImage(image, str(tmp_path / "a.mha"))
    way = a_configuration(spacing_mm=(0.9, 0.5), patch_size=(8, 8), normalization=("rgb",) * 3)
    assert_planned(prepare_dump, tmp_path, a_plan(channels=3, c2d=way), [tmp_path / "a.mha"])


def test_an_empty_scan_and_a_constant_one(prepare_dump, tmp_path):
    for name, value in (("empty", 0), ("constant", 7)):
        write_volume(tmp_path / f"{name}.mha", Volume(np.full((5, 6, 7), value, np.int16), (2.0, 1.0, 1.0)))
        (tmp_path / name).mkdir()
        plan = a_plan(c3d=a_configuration(normalization=("zscore_mask",)))
        assert_planned(prepare_dump, tmp_path / name, plan, [tmp_path / f"{name}.mha"])


def test_a_colour_out_of_range_is_one_sentence(prepare_dump, tmp_path):
    plan = a_plan(c3d=a_configuration(normalization=("rgb",)))
    with pytest.raises(InputError, match=r"channel 0: values from -1\S+ to 1\S+; a colour channel holds 0 to 255"):
        assert_fails(prepare_dump, tmp_path, plan, made_scan(tmp_path))


def test_another_number_of_channels_is_one_sentence(prepare_dump, tmp_path):
    plan = a_plan(channels=2, c3d=a_configuration(normalization=("ct", "ct")))
    with pytest.raises(InputError, match=r"1 channels in the scan, the network takes 2 \(channel 0, channel 1\)"):
        assert_fails(prepare_dump, tmp_path, plan, made_scan(tmp_path))


def assert_fails(program: Path, tmp_path: Path, plan: Plan, scan: Path) -> None:
    bundle = deploy(tmp_path / "bundle", planned_part(plan, "3d", (), validated_with_tta=False))
    dumped(program, "prepare", tmp_path, scan, bundle)


def real(*parts: str) -> Path:
    path = SHARED.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"{path} is absent: real scans are needed")
    return path


@pytest.mark.parametrize("number", ["001", "075", "163", "290", "378"])
def test_hippocampus(prepare_dump, tmp_path, number):
    plan = a_plan(c3d=a_configuration(spacing_mm=(0.9, 1.2, 1.0), normalization=("zscore",)))
    scan = real("Task04_Hippocampus", "imagesTr", f"hippocampus_{number}.nii.gz")
    assert_planned(prepare_dump, tmp_path, plan, [scan])


def test_ct_spleen(prepare_dump, tmp_path):
    plan = a_plan(c3d=a_configuration(spacing_mm=(3.0, 1.1, 0.7)))
    assert_planned(prepare_dump, tmp_path, plan, [real("ct_spleen", "image.nii.gz")])


@pytest.mark.parametrize("case", ["Case00", "Case01"])
def test_prostate_by_a_plan(prepare_dump, tmp_path, case):
    plan = a_plan(c3d=a_configuration(spacing_mm=(3.0, 0.6, 0.6), normalization=("zscore",)))
    assert_planned(prepare_dump, tmp_path, plan, [real("prostate_t2", "img", f"{case}.mhd")])


def assert_vnet(program: Path, tmp_path: Path, scan: Path, **data) -> None:
    """Both prepare a scan alike, and bring back what they prepared alike."""
    bundle = deploy(tmp_path / "bundle", scan_part(data, VNET_EVAL))
    source = read_image(Case("a", (scan,), None))
    wanted: Prepared = prepare_volume("a", source.with_voxels(source.voxels[0]), **data)
    found, grid = dumped(program, "prepare", tmp_path, scan, bundle)
    assert tuple(grid["shape"]) == wanted.crop.shape
    assert tuple(grid["crop_start"]) == wanted.crop.start
    assert np.abs(found.reshape(wanted.image.shape) - wanted.image).max() <= CLOSE * np.ptp(wanted.image)
    back = wanted.restore(wanted.image, "linear").voxels
    found, _ = dumped(program, "restore", tmp_path, scan, bundle)
    assert np.abs(found.reshape(back.shape) - back).max() <= 2 * CLOSE * np.ptp(back)


@pytest.mark.parametrize("centre_crop", [False, True])
@pytest.mark.parametrize("case", ["Case00", "Case01"])
def test_prostate_by_vnet(prepare_dump, tmp_path, case, centre_crop):
    """Its slices are 3 mm apart, so that voxels at 1.5 mm lie on the very border of the scan."""
    way = {"spacing_mm": (1.5, 1.0, 1.0), "patch_size": (64, 128, 128), "centre_crop": centre_crop}
    assert_vnet(prepare_dump, tmp_path, real("prostate_t2", "img", f"{case}.mhd"), **way)


@pytest.mark.parametrize("spacing_mm", [(1.25, 1.6, 1.4), (2.5, 0.8, 0.7), (5.0, 0.3, 1.0)])
def test_made_scans_by_vnet(prepare_dump, tmp_path, spacing_mm):
    scan = made_scan(tmp_path)
    way = {"spacing_mm": spacing_mm, "patch_size": (4, 9, 9), "centre_crop": False}
    assert_vnet(prepare_dump, tmp_path, scan, **way)


def test_a_constant_scan_by_vnet_is_one_sentence(prepare_dump, tmp_path):
    write_volume(tmp_path / "a.mha", Volume(np.full((5, 6, 7), 3, np.int16), (2.0, 1.0, 1.0)))
    data = {"spacing_mm": (1.0, 1.0, 1.0), "patch_size": (4, 9, 9), "centre_crop": False}
    bundle = deploy(tmp_path / "bundle", scan_part(data, VNET_EVAL))
    with pytest.raises(InputError, match="constant image, every voxel is 3; an image with some contrast is needed"):
        dumped(prepare_dump, "prepare", tmp_path, tmp_path / "a.mha", bundle)
