"""The precision in which the CPU operator multiplies. Inputs, sums, results and parameters are f32 either way."""

from dataclasses import dataclass
from functools import lru_cache

from mindvoxel.ops import library

NAMES = ("f32", "bf16", "auto")


@dataclass(frozen=True)
class Choice:
    """What was chosen, and why in a few words; `str()` is fit for a log."""

    name: str  # f32 or bf16
    reason: str

    def __str__(self) -> str:
        return f"{self.name} ({self.reason})"


def _decide(wanted: str, lib) -> Choice:
    if lib is None:
        if wanted == "bf16":
            raise ValueError(
                f"cpu precision bf16 needs mindvoxel's CPU operator, which is not usable here: "
                f"{library.BUILD_COMMAND}, or choose f32 or auto"
            )
        return Choice("f32", "MindSpore's own kernels")
    has_bf16 = bool(lib.mindvoxel_has_bf16())
    isa = lib.mindvoxel_isa().decode()
    if wanted == "bf16" and not has_bf16:
        raise ValueError(f"cpu precision bf16 needs AVX512-BF16 or AMX, this processor has {isa}; choose f32 or auto")
    if wanted != "auto":
        return Choice(wanted, "as asked")
    if not has_bf16:
        return Choice("f32", f"auto: the processor has {isa}, no bf16")
    speedup = lib.mindvoxel_bf16_speedup()
    if speedup <= 0:
        raise RuntimeError("the trial convolution failed; see the message on stderr")
    name = "bf16" if speedup > LEAST_SPEEDUP else "f32"
    return Choice(name, f"auto: {isa}, a trial convolution ran {speedup:.1f} times as fast in bf16 as in f32")


LEAST_SPEEDUP = 1.2  # below it the lost digits are not worth it


def set_cpu_precision(wanted: str) -> Choice:
    """Set the precision of all convolutions of this process on the CPU, from the next call on.

    `f32`; `bf16`: factors rounded to bf16 (8 bits), summed in f32; `auto`: bf16 where the processor has it and a
    short trial (some ms) shows it to be faster. Returns what was picked. ValueError where bf16 is asked for and
    cannot be had.
    """
    if wanted not in NAMES:
        raise ValueError(f"cpu precision must be one of {', '.join(NAMES)}, got {wanted!r}")
    lib = library.load()
    choice = _decide(wanted, lib)
    if lib is not None:
        lib.mindvoxel_set_bf16(choice.name == "bf16")
        _tell(choice)
    return choice


@lru_cache(maxsize=1)  # the same again is not worth a line
def _tell(choice: Choice) -> None:
    library.logger.info("CPU convolutions: %s", choice)
