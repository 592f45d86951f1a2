"""python preprocess.py …: see mindvoxel.cli.preprocess, or --help."""

from mindvoxel.cli.preprocess import main

if __name__ == "__main__":
    raise SystemExit(main())
