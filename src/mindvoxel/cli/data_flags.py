"""The flags by which a command is given a data set and workers."""

import argparse

from mindvoxel.cli import common
from mindvoxel.data.dataset import Dataset
from mindvoxel.datasets.layouts import LAYOUTS, open_dataset


def add_data_flags(parser: common.Parser) -> None:
    parser.add_argument("--data", required=True, help="folder of the data set, or a CSV of image and label paths")
    parser.add_argument("--layout", default="auto", help=f"how it is laid out: auto, {', '.join(LAYOUTS)}")
    parser.add_argument("--spacing_mm", type=common.spacing, help="z,y,x for images that know none (default: refused)")


def add_worker_flags(parser: common.Parser) -> None:
    """How the cases are gone through, and what verification lets pass."""
    parser.add_argument(
        "--workers", type=int, help="processes; 0: this one alone (default: one a core, as far as memory allows)"
    )
    parser.add_argument(
        "--allow_empty", action="store_true", help="a label without foreground is no fault, as of healthy patients"
    )


def open_data(args: argparse.Namespace, check_files: bool = True) -> Dataset:
    """The data set that the flags of add_data_flags name."""
    return open_dataset(args.data, args.layout, args.spacing_mm, check_files=check_files)
