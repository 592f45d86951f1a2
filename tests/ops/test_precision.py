"""bf16 within its bound, and the choice of precision."""

import mindspore as ms
import numpy as np
import pytest
from mindspore import ops

from mindvoxel.ops import library, set_cpu_precision
from mindvoxel.ops.conv import Geometry, convolution

lib = library.load()
needs_operator = pytest.mark.skipif(lib is None, reason=f"the operator is not built: {library.BUILD_COMMAND}")
needs_bf16 = pytest.mark.skipif(lib is None or not lib.mindvoxel_has_bf16(), reason="this processor has no bf16")

# Each factor is rounded to 8 significant bits, a relative error of at most 2^-9; a product of two then has at most
# 2^-8 (and their product's share), so that no sum can be further off than that share of the sum of absolute values.
BF16_BOUND = 2.0**-8 * 1.01


@pytest.fixture(autouse=True)
def _f32_and_graph_mode_after(cpu):
    yield
    set_cpu_precision("f32")
    ms.set_context(mode=ms.GRAPH_MODE)


def results(shape, channels, kernel, stride, transposed, absolute):
    """y, dx, dw, dbias for drawn inputs, or for their absolute values."""
    rng = np.random.default_rng(0)
    pad = tuple(k // 2 for k in kernel) if stride == (1, 1, 1) else (0, 0, 0)
    geometry = Geometry(stride, pad, pad, transposed)
    w_shape = (shape[1], channels, *kernel) if transposed else (channels, shape[1], *kernel)
    y_shape = geometry.output_shape(shape, w_shape)
    drawn = [rng.normal(size=s).astype(np.float32) for s in (shape, w_shape, (channels,), y_shape)]
    x, w, bias, m = (ms.Tensor(np.abs(a) if absolute else a) for a in drawn)
    op, numbers = convolution(geometry, shape[1], True)
    grad = ops.GradOperation(get_all=True, sens_param=True)(lambda x, w, bias: op(x, w, bias, numbers))
    return [op(x, w, bias, numbers).asnumpy(), *[g.asnumpy() for g in grad(x, w, bias, m)]]


@needs_bf16
@pytest.mark.skipif(lib is not None and lib.mindvoxel_isa() == b"amx", reason="AMX computes these in bf16")
def test_winograd_with_six_outputs_is_far_more_exact_than_bf16():
    ms.set_context(mode=ms.PYNATIVE_MODE)
    case = ((1, 32, 24, 32, 24), 32, (5, 5, 5), (1, 1, 1), False)
    set_cpu_precision("f32")
    exact = results(*case, absolute=False)
    set_cpu_precision("bf16")
    for got, want in zip(results(*case, absolute=False)[:2], exact[:2], strict=True):
        assert 1e-6 < np.abs(got - want).max() / np.abs(want).max() < 2e-4


@needs_bf16
@pytest.mark.parametrize(
    ("shape", "channels", "kernel", "stride", "transposed"),
    [
        ((1, 16, 9, 10, 11), 16, (5, 5, 5), (1, 1, 1), False),
        ((2, 32, 6, 7, 5), 32, (3, 3, 3), (1, 1, 1), False),
        ((1, 32, 24, 32, 24), 32, (5, 5, 5), (1, 1, 1), False),
        ((3, 1, 9, 8, 7), 16, (5, 5, 5), (1, 1, 1), False),
        ((1, 32, 6, 7, 5), 2, (5, 5, 5), (1, 1, 1), False),
        ((2, 16, 6, 8, 4), 32, (2, 2, 2), (2, 2, 2), False),
        ((2, 32, 6, 8, 4), 16, (2, 2, 2), (2, 2, 2), True),
        ((1, 8, 5, 7, 9), 5, (1, 3, 3), (1, 1, 1), False),
    ],
)
def test_bf16_within_bound(shape, channels, kernel, stride, transposed):
    ms.set_context(mode=ms.PYNATIVE_MODE)
    case = (shape, channels, kernel, stride, transposed)
    set_cpu_precision("f32")
    exact, sums = results(*case, absolute=False), results(*case, absolute=True)
    set_cpu_precision("bf16")
    for got, want, total in zip(results(*case, absolute=False), exact, sums, strict=True):
        assert (np.abs(got - want) <= BF16_BOUND * total + 1e-6).all()


@needs_operator
def test_auto_names_what_it_picked_and_why():
    choice = set_cpu_precision("auto")
    assert choice.name in ("f32", "bf16")
    assert str(choice).startswith(f"{choice.name} (auto: ")


class FakeLibrary:
    """A processor that the tests do not run on."""

    def __init__(self, isa: str, speedup: float = 1.0):
        self.isa, self.speedup, self.bf16_on = isa, speedup, None

    def mindvoxel_isa(self):
        return self.isa.encode()

    def mindvoxel_has_bf16(self):
        return int(self.isa in ("avx512_bf16", "amx"))

    def mindvoxel_bf16_speedup(self):
        return self.speedup

    def mindvoxel_set_bf16(self, on):
        self.bf16_on = bool(on)


@pytest.mark.parametrize(
    ("fake", "wanted", "name"),
    [
        (FakeLibrary("avx2"), "auto", "f32"),
        (FakeLibrary("avx512_bf16", speedup=1.1), "auto", "f32"),
        (FakeLibrary("amx", speedup=3.0), "auto", "bf16"),
        (FakeLibrary("amx"), "f32", "f32"),
        (FakeLibrary("amx"), "bf16", "bf16"),
        (None, "auto", "f32"),
        (None, "f32", "f32"),
    ],
)
def test_choice(fake, wanted, name, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(library, "load", lambda: fake)
        assert set_cpu_precision(wanted).name == name
    if fake is not None:
        assert fake.bf16_on == (name == "bf16")


@pytest.mark.parametrize("fake", [FakeLibrary("avx512"), None])
def test_bf16_where_there_is_none_is_an_error(fake, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(library, "load", lambda: fake)
        with pytest.raises(ValueError, match="bf16 needs"):
            set_cpu_precision("bf16")


def test_unknown_name():
    with pytest.raises(ValueError, match="must be one of f32, bf16, auto, got 'fp16'"):
        set_cpu_precision("fp16")
