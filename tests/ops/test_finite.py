"""One pass over many tensors: whether all is finite."""

import mindspore as ms
import numpy as np
import pytest

from mindvoxel.ops import library
from mindvoxel.ops.finite import all_finite_operator, global_norm_operator


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("place", [(0, 0), (0, 199_999), (1, 2), (2, 0)])
def test_one_number_that_is_not_finite_is_found(cpu, bad, place):
    if library.load() is None:
        pytest.skip(f"the operator is not built: {library.BUILD_COMMAND}")
    arrays = [np.full((200, 1000), 3e38, np.float32), np.ones(3, np.float32), np.zeros((1, 1, 1), np.float32)]
    op = all_finite_operator([ms.Tensor(a) for a in arrays])
    assert op(*(ms.Tensor(a) for a in arrays)).asnumpy().tolist() == [1.0]
    arrays[place[0]].flat[place[1]] = bad
    assert op(*(ms.Tensor(a) for a in arrays)).asnumpy().tolist() == [0.0]


def test_other_types_are_left_to_mindspore(cpu):
    assert all_finite_operator([ms.Tensor([1.0], ms.float16)]) is None


def test_norm_of_many_tensors(cpu):
    if library.load() is None:
        pytest.skip(f"the operator is not built: {library.BUILD_COMMAND}")
    rng = np.random.default_rng(0)
    arrays = [rng.standard_normal(shape).astype(np.float32) for shape in ((200, 1001), (3,), (1, 1, 1))]
    op = global_norm_operator([ms.Tensor(a) for a in arrays])
    want = np.sqrt(sum((a.astype(np.float64) ** 2).sum() for a in arrays))
    assert op(*(ms.Tensor(a) for a in arrays)).asnumpy()[0] == pytest.approx(want, rel=1e-7)
    arrays[1][2] = 1e30  # its square is past float32's largest number
    assert op(*(ms.Tensor(a) for a in arrays)).asnumpy()[0] == pytest.approx(1e30, rel=1e-6)
    for bad in (np.nan, -np.inf):
        arrays[1][2] = bad
        assert not np.isfinite(op(*(ms.Tensor(a) for a in arrays)).asnumpy()[0])
