"""Find and load the compiled operator, once per process."""

import ctypes
import functools
import logging
import os
from pathlib import Path

LIBRARY = Path(__file__).resolve().parent / "libmindvoxel_conv.so"
INTERFACE = 5  # of the C++ side (entry.cc): counted up when what its functions take or give changes
BUILD_COMMAND = "python -m mindvoxel.ops.build"

logger = logging.getLogger("mindvoxel")


class Unusable(RuntimeError):
    """The operator cannot be used here; the message says why in one sentence."""


def open_library(path: Path = LIBRARY) -> ctypes.CDLL:
    """Load the operator from `path` and check that it works. Raises Unusable."""
    if not path.is_file():
        raise Unusable(f"it is not built ({BUILD_COMMAND})")
    # Threads that wait for each other sleep instead of spinning: MindSpore's own threads want the cores too. A V-Net
    # step on 2 cores took 0.8 s instead of 0.8 to 2.5 s. Read when OpenMP is first loaded; too late after that.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        # MindSpore opens the same file later and gets this very copy, so that settings made here hold there.
        lib = ctypes.CDLL(str(path), mode=os.RTLD_LOCAL | os.RTLD_NOW)
    except OSError as error:
        raise Unusable(f"it does not load ({error}); build it anew: {BUILD_COMMAND}") from error
    if not hasattr(lib, "mindvoxel_interface") or lib.mindvoxel_interface() != INTERFACE:
        raise Unusable(f"it was built from older sources; build it anew: {BUILD_COMMAND}")
    for name in ("mindvoxel_isa", "mindvoxel_onednn_version"):
        getattr(lib, name).restype = ctypes.c_char_p
    lib.mindvoxel_bf16_speedup.restype = ctypes.c_double
    if not lib.mindvoxel_usable():
        raise Unusable("another copy of oneDNN answers in its place; build it against a static oneDNN")
    return lib


@functools.cache
def load() -> ctypes.CDLL | None:
    """The loaded operator, or None where it is not usable. The first call logs which convolutions the CPU will use."""
    try:
        lib = open_library()
    except Unusable as reason:
        logger.info("CPU convolutions: MindSpore's own kernels; the operator of mindvoxel is not used: %s", reason)
        return None
    logger.info(
        "CPU convolutions: mindvoxel's operator on oneDNN %s, %s, %d threads",
        lib.mindvoxel_onednn_version().decode(),
        lib.mindvoxel_isa().decode(),
        lib.mindvoxel_num_threads(),
    )
    return lib


def release_memory() -> None:
    """Give the operator's working memory and compiled kernels back; the next call makes them anew."""
    if (lib := load()) is not None:
        lib.mindvoxel_release()
