"""One function of the compiled library as a MindSpore primitive."""

from collections.abc import Callable

from mindspore import ops

from mindvoxel.ops import library


def custom(function: str, shape: Callable, tag: str, outputs: int = 1, bprop: Callable | None = None) -> ops.Custom:
    """`function` of the library; `shape` gives the outputs' shapes from the inputs'.

    `tag` must tell operators apart whose output shapes or `bprop` differ: MindSpore remembers both by the primitive's
    attributes (and the input shapes), and takes the first for all that have the same. The outputs have the type of the
    first input.
    """

    def out_type(*types):
        return types[0] if outputs == 1 else (types[0],) * outputs

    op = ops.Custom(f"{library.LIBRARY}:{function}", shape, out_type, func_type="aot", bprop=bprop)
    op.add_prim_attr("tag", tag)
    return op
