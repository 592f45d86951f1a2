"""The C++ harness is built, plain and with sanitizers, and passes its unit tests; `infer` does what it says, and tells
in one line what it cannot do."""

import json
import os
import resource
import shutil
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from mindvoxel.volume import Volume

from .harness import ROOT, built
from .prediction.test_bundling import bundled, checkpoint_of

GRID = {"spacing_mm": (3.0, 2.5, 2.0), "origin_mm": (5.0, -3.0, 1.5), "direction": (0, 1, 0, 1, 0, 0, 0, 0, -1)}


def ctest(build: Path) -> None:
    done = subprocess.run(["ctest", "--output-on-failure"], cwd=build, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-8000:]


def test_unit_tests(harness):
    ctest(harness)


@pytest.fixture(scope="session")
def vnet_bundle(cpu, tmp_path_factory) -> Path:
    """A small V-Net's, window 8 × 16 × 16, weights as they were drawn."""
    folder = tmp_path_factory.mktemp("vnet_bundle")
    ckpt = checkpoint_of(folder, "vnet")
    return bundled(ckpt, folder / "bundle", "vnet").folder


@pytest.fixture
def bundle(vnet_bundle, tmp_path) -> Path:
    """A copy, to damage."""
    return Path(shutil.copytree(vnet_bundle, tmp_path / "bundle"))


def change(bundle: Path, pointer: str, value) -> None:
    """Set one value of deploy.json, as sliding/overlap."""
    path = bundle / "deploy.json"
    deploy = json.loads(path.read_text())
    *above, key = pointer.split("/")
    place = deploy
    for name in above:
        place = place[name]
    place[key] = value
    path.write_text(json.dumps(deploy))


def write_scan(path: Path, seed: int = 0, shape=(7, 19, 23)) -> Path:
    """Smooth noise."""
    path.parent.mkdir(exist_ok=True, parents=True)
    noise = sitk.GetImageFromArray(np.random.default_rng(seed).normal(100, 40, shape).astype(np.float32))
    voxels = sitk.GetArrayFromImage(sitk.DiscreteGaussian(noise, 2.0))
    sitk.WriteImage(Volume(voxels, **GRID).to_image(), path)
    return path


def write_flat(path: Path) -> None:
    """A scan without contrast, which no header tells."""
    sitk.WriteImage(Volume(np.full((7, 19, 23), 5, np.float32), **GRID).to_image(), path)


class Infer:
    """Calls the program; its flags are this class's defaults, `words` and those given."""

    def __init__(self, program: Path, bundle: Path, folder: Path):
        self.program, self.bundle, self.input, self.output = program, bundle, folder / "in", folder / "out"
        self.words: list = []

    def command(self, *words) -> list[str]:
        given = [str(word) for word in (*self.words, *words)]
        defaults = {"--bundle": self.bundle, "--device": "cpu", "--threads": 2}
        if "--self_test" not in given:
            defaults |= {"--input": self.input, "--output": self.output}
        for flag, value in defaults.items():
            if flag not in given:
                given += [flag, str(value)]
        return [str(self.program), *given]

    def __call__(self, *words, **how) -> subprocess.CompletedProcess:
        return subprocess.run(
            self.command(*words), capture_output=True, text=True, timeout=120, check=False, **({"cwd": "/"} | how)
        )

    def refused(self, *words, status: int = 2, **how) -> str:
        """The one line on standard error."""
        done = self(*words, **how)
        assert done.returncode == status, (done.returncode, done.stderr)
        assert done.stderr.startswith("error: ")
        assert done.stderr.count("\n") == 1, done.stderr
        return done.stderr


@pytest.fixture
def infer(harness, bundle, tmp_path) -> Infer:
    return Infer(harness / "infer", bundle, tmp_path)


def files_of(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


def test_a_folder_of_cases(infer):
    for number, suffix in enumerate((".mha", ".nii.gz", ".nrrd", ".mhd")):
        write_scan(infer.input / f"case_{number}{suffix}", number)
    done = infer()
    assert (done.returncode, done.stderr) == (0, "")
    masks = ["case_0.mha", "case_1.nii.gz", "case_2.nrrd", "case_3.mha"]
    scans = [*masks[:3], "case_3.mhd"]
    assert files_of(infer.output) == [*masks, "report.json"]
    for name, scan in zip(masks, scans, strict=True):
        found, source = sitk.ReadImage(infer.output / name), sitk.ReadImage(infer.input / scan)
        assert (found.GetSize(), found.GetSpacing(), found.GetOrigin()) == (
            source.GetSize(),
            source.GetSpacing(),
            source.GetOrigin(),
        )
        assert found.GetDirection() == source.GetDirection()
        assert found.GetPixelID() == sitk.sitkUInt8
        assert set(np.unique(sitk.GetArrayViewFromImage(found))) <= {0, 1}
    report = json.loads((infer.output / "report.json").read_text())
    assert [case["case"] for case in report["cases"]] == [f"case_{number}" for number in range(4)]
    assert all(case["done"] and case["network_s"] > 0 for case in report["cases"])
    assert len(report["windows"]["call_s"]) == report["windows"]["calls"] >= 4
    assert report["peak_memory_mb"] > 10
    heading, *rows = done.stdout.splitlines()[1:]
    assert "preprocess s" in heading
    assert [row.split()[0] for row in rows[:5]] == ["case_0", "case_1", "case_2", "case_3", "all"]


def test_mirrored_windows_are_more_calls(infer, tmp_path):
    write_scan(infer.input / "a.mha")
    assert infer("--report", tmp_path / "once.json").returncode == 0
    assert infer("--tta", "--overwrite", "--report", tmp_path / "reports" / "tta.json").returncode == 0
    once, tta = (json.loads((tmp_path / name).read_text()) for name in ("once.json", "reports/tta.json"))
    assert tta["windows"]["calls"] == 8 * once["windows"]["calls"]


def test_what_was_validated_with_mirrors_is_told(infer):
    change(infer.bundle, "sliding/validated_with_tta", True)
    write_scan(infer.input / "a.mha")
    done = infer()
    assert done.returncode == 0
    assert done.stdout.startswith("the bundle was validated with mirrored windows; --tta ")
    assert "mirrored windows" not in infer("--tta", "--overwrite").stdout


def test_self_test(infer):
    done = infer("--self_test")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("self-test passed: 100.000 %")


@pytest.mark.slow
def test_with_sanitizers(infer):
    """The unit tests, then the whole program; TBB would load a library in a way that AddressSanitizer refuses."""
    build = built("--sanitize", folder="build-tests-sanitize")
    ctest(build)
    infer.program = build / "infer"
    done = infer("--self_test", env=os.environ | {"TBB_ENABLE_SANITIZERS": "1"})
    assert (done.returncode, done.stderr) == (0, "")


def test_self_test_tells_a_wrong_way_of_windows(infer):
    change(infer.bundle, "preprocessing/restore_order", "nearest")
    assert "self-test failed" in infer.refused("--self_test", status=1)


def test_the_network_stage_is_the_network(infer, tmp_path):
    import openvino

    windows = np.random.default_rng(0).standard_normal((2, 1, 1, 8, 16, 16)).astype("<f4")
    infer.input.mkdir()
    for name, window in zip("ab", windows, strict=True):
        window.tofile(infer.input / f"{name}.bin")
    done = infer("--stage", "network")
    assert (done.returncode, done.stderr) == (0, "")
    assert files_of(infer.output) == ["a_0.bin", "b_0.bin", "report.json"]
    compiled = openvino.Core().compile_model(infer.bundle / "model.onnx", "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    for name, window in zip("ab", windows, strict=True):
        found = np.fromfile(infer.output / f"{name}_0.bin", "<f4").reshape(1, 2, 8, 16, 16)
        np.testing.assert_allclose(found, compiled(window)[0], atol=1e-4)


def test_a_failing_case_does_not_stop_the_others(infer):
    write_scan(infer.input / "a.mha", 1)
    write_scan(infer.input / "c.mha", 2)
    write_flat(infer.input / "b.mha")
    done = infer()
    assert done.returncode == 1
    first, last = done.stderr.splitlines()
    assert first.startswith("b failed: ")
    assert last.startswith("error: 1 of 3 cases failed (b)")
    assert files_of(infer.output) == ["a.mha", "c.mha", "report.json"]
    report = json.loads((infer.output / "report.json").read_text())
    assert [case["done"] for case in report["cases"]] == [True, False, True]


def test_the_cpu_in_the_place_of_a_missing_ascend(infer):
    write_scan(infer.input / "a.mha")
    line = infer.refused("--device", "ascend")
    assert "MS_LITE_HOME" in line
    assert not infer.output.exists() or not files_of(infer.output)
    done = infer("--device", "ascend", "--fallback", "cpu")
    assert done.returncode == 0
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("warning: the CPU is used instead of the Ascend: ")
    assert "OpenVINO" in done.stdout


def test_without_the_library_openvino_computes(harness, infer, tmp_path):
    write_scan(infer.input / "a.mha")
    alone = Path(shutil.copy(harness / "infer", tmp_path))
    done = Infer(alone, infer.bundle, tmp_path)()
    assert (done.returncode, done.stderr) == (0, "")
    engine = json.loads((infer.output / "report.json").read_text())["engine"]
    assert engine.endswith("; convolutions by OpenVINO: libmindvoxel_conv.so is not beside this program")
    assert engine in done.stdout


def test_a_network_that_gains_nothing_is_left_to_openvino(infer, harness):
    if not (harness / "libmindvoxel_conv.so").exists():
        pytest.skip("the operators are not built")
    done = infer("--self_test")
    assert done.returncode == 0
    assert "; convolutions by OpenVINO: " in done.stdout


def test_a_limit_for_mindspore_does_not_slow_it_down(infer):
    """OpenVINO names the kernels that it took only when asked; that both answers are equal bit by bit is enough."""
    infer.input.mkdir()
    np.random.default_rng(0).standard_normal((1, 1, 8, 16, 16)).astype("<f4").tofile(infer.input / "a.bin")
    found = []
    for environment in ({}, {"ONEDNN_MAX_CPU_ISA": "SSE41"}):
        assert infer("--stage", "network", "--overwrite", env=os.environ | environment).returncode == 0
        found.append((infer.output / "a_0.bin").read_bytes())
    assert found[0] == found[1]


def test_build_sh_says_what_it_does_not_know(tmp_path):
    script = ROOT / "ascend310_infer" / "build.sh"
    for words, environment, said in (
        (["--fast"], {}, "--fast is not a flag"),
        (["--build_dir"], {}, "--build_dir needs a folder"),
        (["--build_dir", tmp_path / "b"], {"OPENVINO_DIR": str(tmp_path)}, "holds no OpenVINOConfig.cmake"),
    ):
        done = subprocess.run(
            ["bash", script, *words], capture_output=True, text=True, check=False, cwd="/", env=os.environ | environment
        )
        assert done.returncode == 2
        assert done.stderr.startswith("build.sh: ")
        assert said in done.stderr
        assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--thread", "3"], "--thread"),
        (["--threads", "0"], "--threads"),
        (["--device", "tpu"], "--device"),
        (["--precision", "f16"], "--precision"),
        (["--fallback", "cpu"], "--fallback cpu goes with --device ascend"),
        (["--stage", "network", "--tta"], "leave --tta out"),
        (["--bundle", "/nowhere"], "deploy.json: no such file"),
        (["--input", "/nowhere"], "/nowhere"),
    ],
)
def test_flags_that_are_wrong(infer, words, said):
    write_scan(infer.input / "a.mha")
    assert said in infer.refused(*words)
    assert not infer.output.exists()


def bundle_with_a_changed_byte(infer):
    path = infer.bundle / "model.onnx"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    return "SHA-256 differs"


def bundle_without_a_file(infer):
    (infer.bundle / "model.mindir").unlink()
    return "model.mindir: no such file"


def bundle_of_a_later_version(infer):
    change(infer.bundle, "version", 2)
    return "version is 2"


def bundle_of_another_tensor(infer):
    change(infer.bundle, "network/output", "scores")
    return "no single output tensor named scores"


def bundle_whose_network_is_none(infer):
    import hashlib

    (infer.bundle / "model.onnx").write_bytes(b"none")
    change(infer.bundle, "files/model.onnx", {"bytes": 4, "sha256": hashlib.sha256(b"none").hexdigest()})
    return "OpenVINO cannot load it"


def bundle_of_another_shape(infer):
    change(infer.bundle, "sliding/window", [8, 16, 24])
    change(infer.bundle, "network/input_shape", [1, 1, 8, 16, 24])
    change(infer.bundle, "network/output_shape", [1, 2, 8, 16, 24])
    return "the tensor image is f32"


def folder_without_an_image(infer):
    (infer.input / "a.mha").rename(infer.input / "a.txt")
    return str(infer.input)


def image_without_a_dot(infer):
    (infer.input / "a.mha").rename(infer.input / "a")
    infer.input = infer.input / "a"
    return str(infer.input)


def two_inputs_of_one_stem(infer):
    write_scan(infer.input / "a.nii.gz")
    return "two images are called a"


def image_that_is_truncated(infer):
    path = infer.input / "a.mha"
    path.write_bytes(path.read_bytes()[:-100])
    return "a.mha"


def image_of_two_channels(infer):
    scan = sitk.ReadImage(infer.input / "a.mha")
    sitk.WriteImage(sitk.Compose(scan, scan), infer.input / "a.mha")
    return "2 channels"


def image_without_contrast(infer):
    write_flat(infer.input / "a.mha")
    return "a.mha: constant image"


def report_that_is_a_folder(infer):
    infer.words = ["--report", infer.input]
    return "is a folder; name a file"


def output_that_is_a_file(infer):
    infer.output.write_text("")
    return "cannot be made"


def output_that_takes_no_file(infer):
    infer.output = Path("/proc/self/fd")
    return "/proc/self/fd"


def output_that_holds_the_scans(infer):
    infer.output = infer.input
    return "another folder"


def output_that_is_there(infer):
    infer.output.mkdir()
    (infer.output / "a.mha").write_text("a mask")
    return "is there already"


@pytest.mark.parametrize(
    "damage",
    [
        bundle_with_a_changed_byte,
        bundle_without_a_file,
        bundle_of_a_later_version,
        bundle_of_another_tensor,
        bundle_whose_network_is_none,
        bundle_of_another_shape,
        folder_without_an_image,
        image_without_a_dot,
        two_inputs_of_one_stem,
        image_that_is_truncated,
        image_of_two_channels,
        image_without_contrast,
        report_that_is_a_folder,
        output_that_is_a_file,
        output_that_takes_no_file,
        output_that_holds_the_scans,
        output_that_is_there,
    ],
)
def test_bad_input_is_one_line_and_status_2(infer, damage):
    write_scan(infer.input / "a.mha")
    said = damage(infer)
    before = files_of(infer.output) if infer.output.is_relative_to(infer.input.parent) else []
    assert said in infer.refused()
    if infer.output.is_relative_to(infer.input.parent):
        assert [name for name in files_of(infer.output) if name != "report.json"] == before


@pytest.mark.parametrize("size", [4 * 8 * 16 * 16 - 1, 4 * 8 * 16 * 16 + 4, 0])
def test_a_window_of_the_wrong_size(infer, size):
    infer.input.mkdir()
    (infer.input / "a.bin").write_bytes(bytes(size))
    assert f"a.bin has {size} bytes" in infer.refused("--stage", "network")
    assert not infer.output.exists()


def test_a_disk_that_is_full(infer):
    write_scan(infer.input / "a.nrrd")
    line = infer.refused(status=1, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (64, 64)))
    assert "cannot be written" in line
    assert files_of(infer.output) == []


def test_a_reader_of_the_table_that_has_gone(infer):
    write_scan(infer.input / "a.mha")
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(infer.command(), stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writing)
    assert done.returncode == 1
    assert done.stderr.startswith("error: the table cannot be written to standard output; ")
    assert done.stderr.count("\n") == 1
    assert files_of(infer.output) == ["a.mha", "report.json"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_leaves_nothing_half_written(infer, number):
    change(infer.bundle, "sliding/overlap", 0.99)  # thousands of windows
    write_scan(infer.input / "a.mha", shape=(9, 70, 70))
    with subprocess.Popen(infer.command(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        deadline = time.monotonic() + 30
        while not infer.output.is_dir() and time.monotonic() < deadline:
            time.sleep(0.02)
        time.sleep(0.5)
        assert running.poll() is None, "it ended before it was told to"
        running.send_signal(number)
        _, told = running.communicate(timeout=30)
    assert running.returncode == 128 + number
    assert told.startswith("error: told to end")
    assert told.count("\n") == 1
    assert files_of(infer.output) == []
