"""python export.py --model NAME …: see mindvoxel.cli.export, or --help."""

from mindvoxel.cli.export import main

if __name__ == "__main__":
    raise SystemExit(main())
