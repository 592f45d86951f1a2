"""python resnet50/train.py …: mindvoxel.cli.train with the model already chosen."""

from mindvoxel.cli.train import main

if __name__ == "__main__":
    raise SystemExit(main(model="resnet50"))
