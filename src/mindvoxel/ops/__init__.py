"""Operators for MindSpore's CPU backend. Importing this does not import MindSpore; `ops.conv` and the others do."""

from mindvoxel.ops.precision import Choice, set_cpu_precision

__all__ = ["Choice", "set_cpu_precision"]
