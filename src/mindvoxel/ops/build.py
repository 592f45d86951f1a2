"""Compile the CPU convolution operator: `python -m mindvoxel.ops.build`. Needs cmake, a C++17 compiler and oneDNN."""

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

from mindvoxel.ops import library

SOURCE = Path(__file__).resolve().parent / "csrc"
NEEDS = "needs cmake, g++ and oneDNN with its header (Debian and Ubuntu: apt-get install cmake g++ libdnnl-dev)"


class BuildError(RuntimeError):
    """The build failed; the message is one line."""


def _run(command: list[str], log: Path) -> None:
    with log.open("a") as out:
        status = subprocess.run(command, stdout=out, stderr=subprocess.STDOUT, check=False).returncode
    if status:
        lines = [line.strip() for line in log.read_text(errors="replace").splitlines()]
        cause = next((line for line in lines if "error" in line.lower() or "not found" in line), "see the log")
        raise BuildError(f"{cause} ({log}); it {NEEDS}")


def build(build_dir: Path, output_dir: Path, onednn_root: str = "") -> Path:
    """Compile into `output_dir` and return the library's path. Raises BuildError."""
    if shutil.which("cmake") is None:
        raise BuildError(f"cmake was not found; it {NEEDS}")
    build_dir.mkdir(parents=True, exist_ok=True)
    log = build_dir / "build.log"
    log.unlink(missing_ok=True)
    root = [f"-DDNNL_ROOT={onednn_root}"] if onednn_root else []
    _run(["cmake", "-S", str(SOURCE), "-B", str(build_dir), f"-DOUTPUT_DIR={output_dir}", *root], log)
    _run(["cmake", "--build", str(build_dir)], log)
    return output_dir / library.LIBRARY.name


def main() -> int:
    """Build, load and report in one line; the exit status is 0 when the operator can be used."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build_dir", type=Path, default=SOURCE.parent / "build", help="where objects and the log go")
    parser.add_argument("--output_dir", type=Path, default=SOURCE.parent, help="where the library goes")
    parser.add_argument("--onednn_root", default="", help="a oneDNN with include/ and lib/ below it")
    args = parser.parse_args()
    try:
        path = build(args.build_dir.resolve(), args.output_dir.resolve(), args.onednn_root)
        lib = library.open_library(path)
    except (BuildError, library.Unusable) as error:
        sys.stderr.write(f"CPU convolution operator not built: {error}\n")
        return 1
    version, isa = lib.mindvoxel_onednn_version().decode(), lib.mindvoxel_isa().decode()
    sys.stdout.write(f"built {path} on oneDNN {version} ({isa})\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
