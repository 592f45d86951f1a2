"""One pass over many tensors: whether all is finite."""

import mindspore as ms
import numpy as np
import pytest

from mindvoxel.ops import library
from mindvoxel.ops.finite import all_finite_operator


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
