"""One switch for what the exporters cannot take: networks built under it use only operators that they know."""

from collections.abc import Iterator
from contextlib import contextmanager

_exporting = False


@contextmanager
def exportable() -> Iterator[None]:
    """Cells that are built inside this block choose the form that MINDIR and ONNX can hold; parameters are the same."""
    global _exporting
    before, _exporting = _exporting, True
    try:
        yield
    finally:
        _exporting = before


def is_exporting() -> bool:
    """Whether cells are being built for export."""
    return _exporting
