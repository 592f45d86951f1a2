"""From a network's windows to labels on the grid of the scan, for any callable; a slab of windows sets the memory."""

from mindvoxel.inference.cascade import next_classes, reading_classes, segment_for_next
from mindvoxel.inference.labels import Member, class_planes, segment, sliding_of
from mindvoxel.inference.mask import segment_case, sliding_window
from mindvoxel.inference.restore import largest_class
from mindvoxel.inference.stream import Sliding, stream_planes
from mindvoxel.inference.windows import blend_weight, window_starts, windows

__all__ = [
    "Member",
    "Sliding",
    "blend_weight",
    "class_planes",
    "largest_class",
    "next_classes",
    "reading_classes",
    "segment",
    "segment_case",
    "segment_for_next",
    "sliding_of",
    "sliding_window",
    "stream_planes",
    "window_starts",
    "windows",
]
