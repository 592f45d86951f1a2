"""python resnet50/eval.py …: mindvoxel.cli.eval with the model already chosen."""

from mindvoxel.cli.eval import main

if __name__ == "__main__":
    raise SystemExit(main(model="resnet50"))
