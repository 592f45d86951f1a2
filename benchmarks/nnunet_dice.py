"""Train the 3-D or 2-D U-Net beside nnU-Net v2's own trainer: equal folds, iterations, batch and settings.

    python benchmarks/nnunet_dice.py --data Task04_Hippocampus --peer_python PYTHON [--folds 0,1] [--seeds 1]
        [--dim 3] [--batch_size 2] [--epochs 10] [--steps_per_epoch 50] [--json FILE]

Both sides preprocess the same files by nnU-Net v2's plan, train each fold from each seed with nnU-Net's defaults (SGD
with Nesterov's momentum 0.99, learning rate 0.01, poly over the epochs, deep supervision, its augmentation) and segment
the fold's validation scans with the last weights, mirrored in all axes. The lists of validation cases are compared; the
Dice of each class is the mean over them, on the scans' own grids. nnU-Net runs its own nnUNetTrainer, of which only the
numbers of epochs and iterations are set, with plans of the batch size; it validates 5 batches after each epoch, where
its default is 50.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from preprocess import Peer, environment, run_ours, timed

ROOT = Path(__file__).resolve().parents[1]
NUMBER = 4  # of nnU-Net's data set
# Run by the peer's Python: nnU-Net's trainer with fewer epochs and iterations.
TRAIN = """
import json, os, random, sys
from pathlib import Path
import numpy as np, torch
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
preprocessed, configuration, fold, seed, batch, epochs, steps = sys.argv[1:]
torch.set_num_threads(len(os.sched_getaffinity(0)))
for set_seed in (random.seed, np.random.seed, torch.manual_seed):
    set_seed(int(seed))
folder = Path(preprocessed)
plans, dataset = (json.loads((folder / n).read_text()) for n in ("nnUNetPlans.json", "dataset.json"))
plans["continue_training"] = False
plans["configurations"][configuration]["batch_size"] = int(batch)
trainer = nnUNetTrainer(plans, configuration, int(fold), dataset, device=torch.device("cpu"))
trainer.num_epochs, trainer.num_iterations_per_epoch, trainer.num_val_iterations_per_epoch = int(epochs), int(steps), 5
trainer.run_training()
trainer.perform_actual_validation(False)
print("OUTPUT " + trainer.output_folder)
"""


def train_ours(preprocessed: Path, out: Path, fold: int, seed: int, args: argparse.Namespace) -> dict:
    command = [sys.executable, ROOT / "train.py", "--model", "unet3d", "--device_target", "CPU", "--output_path", out]
    command += ["--data_path", preprocessed, "--dim", args.dim, "--fold", fold, "--seed", seed, "--val_steps", 0]
    command += ["--batch_size", args.batch_size, "--epochs", args.epochs, "--steps_per_epoch", args.steps_per_epoch]
    seconds = timed(command, environment(PYTHONPATH=f"{ROOT / 'src'}"))
    summary = json.loads((out / "validation" / "summary.json").read_text(encoding="utf-8"))
    dice = {name: label["metrics"]["dice"]["mean"] for name, label in summary["labels"].items()}
    cases = json.loads((out / "recipe.json").read_text(encoding="utf-8"))["val_cases"]
    return {"side": "ours", "fold": fold, "seed": seed, "dice": dice, "seconds": seconds, "cases": sorted(cases)}


def train_peer(peer: Peer, preprocessed: Path, fold: int, seed: int, args: argparse.Namespace) -> dict:
    configuration = "3d_fullres" if args.dim == 3 else "2d"
    command = [peer.python, "-c", TRAIN, preprocessed, configuration, fold, seed]
    command = [str(w) for w in (*command, args.batch_size, args.epochs, args.steps_per_epoch)]
    start = time.perf_counter()
    variables = peer.variables | {"nnUNet_n_proc_DA": "2", "nnUNet_compile": "f"}
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"nnU-Net failed:\n{done.stdout[-2000:]}{done.stderr[-4000:]}")
    seconds = time.perf_counter() - start
    folder = Path(next(line for line in done.stdout.splitlines() if line.startswith("OUTPUT ")).removeprefix("OUTPUT "))
    summary = json.loads((folder / "validation" / "summary.json").read_text(encoding="utf-8"))
    labels = json.loads((preprocessed / "dataset.json").read_text(encoding="utf-8"))["labels"]
    names = {str(value): name for name, value in labels.items()}
    dice = {names[value]: metrics["Dice"] for value, metrics in summary["mean"].items()}
    cases = sorted(Path(entry["prediction_file"]).name.split(".")[0] for entry in summary["metric_per_case"])
    return {"side": "nnU-Net v2", "fold": fold, "seed": seed, "dice": dice, "seconds": seconds, "cases": cases}


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def numbers(text: str) -> list[int]:
    return [int(word) for word in text.split(",")]


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="an MSD folder")
    parser.add_argument("--peer_python", type=Path, required=True, help="a Python with nnunetv2")
    parser.add_argument("--folds", type=numbers, default=[0, 1])
    parser.add_argument("--seeds", type=numbers, default=[1])
    parser.add_argument("--dim", type=int, choices=(2, 3), default=3)
    parser.add_argument("--batch_size", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--steps_per_epoch", type=int, default=50)
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


def main() -> None:
    args = parse()
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        peer = Peer(args.peer_python.absolute(), work)
        ours = work / "ours"
        run_ours(args.data.resolve(), ours)
        (work / "msd").mkdir()
        copy = work / "msd" / args.data.name
        subprocess.run(["cp", "-rL", str(args.data), str(copy)], check=True)
        peer.convert(copy, NUMBER)
        peer.preprocess(NUMBER)
        theirs = next((work / "preprocessed").glob(f"Dataset{NUMBER:03d}_*"))
        for fold in args.folds:
            for seed in args.seeds:
                pair = [
                    train_peer(peer, theirs, fold, seed, args),
                    train_ours(ours, work / f"run_{fold}_{seed}", fold, seed, args),
                ]
                if pair[0].pop("cases") != pair[1].pop("cases"):
                    raise SystemExit(f"fold {fold}: the two sides judge different cases")
                rows += pair
                for row in pair:
                    dice = ", ".join(f"{name} {value:.4f}" for name, value in row["dice"].items())
                    say(f"{row['side']:10}  fold {fold}  seed {seed}  {dice}  {row['seconds']:.0f} s")
                if args.json:
                    args.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    for side in ("ours", "nnU-Net v2"):
        chosen = [row["dice"] for row in rows if row["side"] == side]
        means = {name: sum(d[name] for d in chosen) / len(chosen) for name in chosen[0]}
        text = ", ".join(f"{name} {value:.4f}" for name, value in means.items())
        say(f"{side:10}  mean of {len(chosen)}  {text}")


if __name__ == "__main__":
    main()
