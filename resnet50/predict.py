"""python resnet50/predict.py …: mindvoxel.cli.predict, for runs of this model alone."""

from mindvoxel.cli.predict import main

if __name__ == "__main__":
    raise SystemExit(main(model="resnet50"))
