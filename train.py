"""python train.py --model NAME …: see mindvoxel.cli.train, or --help."""

from mindvoxel.cli.train import main

if __name__ == "__main__":
    raise SystemExit(main())
