"""python resnet50/export.py …: mindvoxel.cli.export with the model already chosen."""

from mindvoxel.cli.export import main

if __name__ == "__main__":
    raise SystemExit(main(model="resnet50"))
