"""Probabilities of every class as images in the geometry of the scan, without ever holding more than one of them."""

import tempfile
from collections.abc import Sequence
from contextlib import AbstractContextManager
from math import prod
from pathlib import Path

import numpy as np

from mindvoxel.data.grid import CaseGrid
from mindvoxel.errors import naming
from mindvoxel.volume import require_writable, write_volume


class ProbabilityStore(AbstractContextManager):
    """Planes of all classes come in one after the other, an image a class goes out.

    In between they lie on disk, in a file without a name beside the first image: 4 bytes for each voxel and class of
    the crop, gone when the store is closed or the process dies.
    """

    def __init__(self, paths: Sequence[str | Path], grid: CaseGrid):
        self.paths, self.grid = [Path(path) for path in paths], grid
        for path in self.paths:  # before the network runs, not after
            require_writable(path)
        with naming(self.paths[0]):
            self.file = tempfile.TemporaryFile(dir=self.paths[0].parent)  # noqa: SIM115 - closed by __exit__

    def __exit__(self, *_) -> None:
        self.file.close()

    def put(self, z: int, plane: np.ndarray) -> None:
        """(K, H, W) float32, the crop's plane `z` along the first network axis."""
        with naming(self.paths[0]):
            for index, values in enumerate(plane):
                self.file.seek(4 * prod(self.grid.crop.shape[1:]) * (index * self.grid.crop.shape[0] + z))
                self.file.write(np.ascontiguousarray(values, np.float32).data)

    def write(self) -> None:
        """All images; outside the crop the background, which is the first class, has probability 1."""
        self.file.seek(0)
        for index, path in enumerate(self.paths):
            whole = np.full(self.grid.crop.full, np.float32(index == 0))
            inside = np.fromfile(self.file, np.float32, prod(self.grid.crop.shape))
            whole[self.grid.crop.slices] = inside.reshape(self.grid.crop.shape)
            write_volume(path, self.grid.volume(whole))
