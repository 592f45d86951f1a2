"""python predict.py --model_dir RUN …: see mindvoxel.cli.predict, or --help."""

from mindvoxel.cli.predict import main

if __name__ == "__main__":
    raise SystemExit(main())
