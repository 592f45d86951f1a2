"""python eval.py --model NAME …: see mindvoxel.cli.eval, or --help."""

from mindvoxel.cli.eval import main

if __name__ == "__main__":
    raise SystemExit(main())
