"""Segment the validation scans of a run, side by side with nnU-Net v2's own predictor on the same network and settings.

    python benchmarks/predict.py --data Task04_Hippocampus --model_dir RUN [--peer_python PYTHON] [--cases 40]
        [--tta none,full] [--repeat 3] [--json FILE]

RUN is a 3-D run of the U-Net on that data; weights do not change the time. nnU-Net v2 plans the same data itself, and
its network, which must have the run's patch, strides and channels, gets random weights; it predicts with its default
three processes each for reading and writing, and once more without any. Every row is a process of its own, from the
command to the last mask written; the sides take turns, medians count. `s a case` is without loading: what each side
itself takes for all cases; `whole s` is the process from start to end; `CPU s` is user and system time with all
children; `MB` is the highest sum of the process tree's memory (PSS, so that shared pages count once), looked at every
50 ms.
"""

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from preprocess import Peer, environment, table, timed

ROOT = Path(__file__).resolve().parents[1]
NUMBER = 4  # of nnU-Net's data set
CONFIGURATION = "3d_fullres"
OURS = {
    "ours f32": [],
    "ours bf16": ["--precision", "bf16"],
    "ours OpenVINO f32": ["--engine", "openvino"],
    "ours OpenVINO bf16": ["--engine", "openvino", "--precision", "bf16"],
}
PEERS = {"nnU-Net v2": "processes", "nnU-Net v2, one process": "sequential"}
# Run by the peer's Python: nnU-Net's predictor with the network of its plans, as it was drawn.
PREDICT = """
import json, os, sys, time
from pathlib import Path
import torch
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from nnunetv2.utilities.get_network_from_plans import get_network_from_plans
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager
folder, images, output, configuration, tta, how = sys.argv[1:]
torch.set_num_threads(len(os.sched_getaffinity(0)))
plans = PlansManager(json.loads((Path(folder) / "nnUNetPlans.json").read_text()))
dataset = json.loads((Path(folder) / "dataset.json").read_text())
chosen = plans.get_configuration(configuration)
network = get_network_from_plans(
    chosen.network_arch_class_name, chosen.network_arch_init_kwargs, chosen.network_arch_init_kwargs_req_import,
    len(dataset["channel_names"]), len(dataset["labels"]), allow_init=True, deep_supervision=False)
predictor = nnUNetPredictor(
    tile_step_size=0.5, use_gaussian=True, use_mirroring=tta == "full", perform_everything_on_device=False,
    device=torch.device("cpu"), verbose=False, allow_tqdm=False)
predictor.manual_initialization(
    network, plans, chosen, [network.state_dict()], dataset, "nnUNetTrainer", (0, 1, 2))
start = time.perf_counter()
if how == "sequential":
    predictor.predict_from_files_sequential(images, output)
else:
    predictor.predict_from_files(images, output)
print(f"PREDICTED {time.perf_counter() - start}")
"""


@dataclass
class Measured:
    """A process that has ended: seconds from start to end, of computing, and MB at the highest."""

    output: str
    whole_s: float
    cpu_s: float
    peak_mb: float


def measure(command: list, variables: dict) -> Measured:
    start, peak = time.perf_counter(), 0.0
    with tempfile.TemporaryFile("w+") as text:
        process = subprocess.Popen([str(w) for w in command], env=variables, stdout=text, stderr=subprocess.STDOUT)
        while True:
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
            if pid:
                break
            peak = max(peak, tree_mb(process.pid))
            time.sleep(0.05)
        whole_s = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        text.seek(0)
        output = text.read()
    if process.returncode:
        raise SystemExit(f"{command[:3]} failed:\n{output[-4000:]}")
    return Measured(output, whole_s, usage.ru_utime + usage.ru_stime, peak)


def tree_mb(root: int) -> float:
    """Proportional set size of a process and all below it."""
    parents, total = {}, 0
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            parents[int(folder.name)] = int(fields[1])
        except OSError:
            continue  # it has just ended
    for pid in parents:
        above = pid
        while above in parents and above != root:
            above = parents[above]
        if above == root:
            try:
                found = re.search(r"^Pss: +(\d+)", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
                total += int(found[1]) if found else 0
            except OSError:
                continue
    return total / 1024


def run_ours(name: str, model_dir: Path, images: Path, output: Path, tta: str) -> tuple[float, Measured]:
    command = [sys.executable, ROOT / "predict.py", "--model_dir", model_dir, "--input", images, "--output", output]
    command += ["--tta", tta, "--device_target", "CPU", *OURS[name]]
    done = measure(command, environment(PYTHONPATH=f"{ROOT / 'src'}:{ROOT}"))
    return float(re.search(r"cases in ([\d.]+) s", done.output)[1]), done


def run_peer(name: str, peer: Peer, planned: Path, images: Path, output: Path, tta: str) -> tuple[float, Measured]:
    command = [peer.python, "-c", PREDICT, planned, images, output, CONFIGURATION, tta, PEERS[name]]
    done = measure(command, peer.variables | {"nnUNet_compile": "f"})
    return float(re.search(r"PREDICTED ([\d.]+)", done.output)[1]), done


def plan_peer(peer: Peer, data: Path, work: Path, model_dir: Path) -> Path:
    """The folder of nnU-Net's plan, which must be that of the run."""
    copy = work / "msd" / data.name
    shutil.copytree(data, copy)
    peer.convert(copy, NUMBER)
    command = [peer.bin / "nnUNetv2_plan_and_preprocess", "-d", NUMBER, "-c", CONFIGURATION, "--no_pp", "-npfp", 2]
    timed(command, peer.variables)
    folder = next((work / "preprocessed").glob(f"Dataset{NUMBER:03d}_*"))
    shutil.copy(next((work / "raw").glob(f"Dataset{NUMBER:03d}_*")) / "dataset.json", folder)
    theirs = json.loads((folder / "nnUNetPlans.json").read_text())["configurations"][CONFIGURATION]
    ours = json.loads((model_dir / "plan.json").read_text())["configurations"][CONFIGURATION]
    stages = theirs["architecture"]["arch_kwargs"]
    pairs = [(theirs["patch_size"], ours["patch_size"]), (stages["features_per_stage"], ours["filters"])]
    pairs += [(stages["strides"], ours["strides"]), (stages["kernel_sizes"], ours["kernels"])]
    for other, own in pairs:
        if other != own:
            raise SystemExit(f"{model_dir}: its plan has {own} where nnU-Net's has {other}; name a run of this data")
    return folder


def images_of(data: Path, model_dir: Path, number: int, folder: Path) -> Path:
    """The run's first validation scans by nnU-Net's names."""
    folder.mkdir()
    for case in json.loads((model_dir / "recipe.json").read_text())["val_cases"][:number]:
        shutil.copy(data / "imagesTr" / f"{case}.nii.gz", folder / f"{case}_0000.nii.gz")
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="an MSD folder of one channel")
    parser.add_argument("--model_dir", type=Path, required=True, help="a 3d_fullres run of the U-Net on it")
    parser.add_argument("--peer_python", type=Path, help="a Python that has nnunetv2")
    parser.add_argument("--cases", type=int, default=40, help="validation scans of the run")
    parser.add_argument("--tta", default="none,full", help="none, full or both")
    parser.add_argument("--only", default="", help="rows whose name holds this")
    parser.add_argument("--repeat", type=int, default=3, help="runs of each row")
    parser.add_argument("--json", type=Path, help="also write the rows to this file")
    args = parser.parse_args()
    found: dict[tuple, list] = {}
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        images = images_of(args.data, args.model_dir, args.cases, work / "images")
        count = len(list(images.iterdir()))
        peer = Peer(args.peer_python.absolute(), work) if args.peer_python else None
        planned = plan_peer(peer, args.data, work, args.model_dir) if peer else None
        for turn in range(args.repeat):
            for tta in args.tta.split(","):
                for name in (n for n in (*OURS, *(PEERS if peer else ())) if args.only in n):
                    output = work / f"masks_{turn}_{tta}_{name}"
                    output.mkdir()
                    if name in OURS:
                        seconds, done = run_ours(name, args.model_dir, images, output, tta)
                    else:
                        seconds, done = run_peer(name, peer, planned, images, output, tta)
                    if len(list(output.glob("*.nii.gz"))) != count:
                        raise SystemExit(f"{name}: {count} masks are needed, see {done.output[-2000:]}")
                    found.setdefault((tta, name), []).append((seconds / count, done))
                    sys.stderr.write(f"{name}, tta {tta}: {seconds / count:.3f} s a case, {done.cpu_s:.1f} CPU s\n")
    rows = []
    for (tta, name), turns in found.items():
        row = {"side": name, "tta": tta, "s a case": statistics.median(seconds for seconds, _ in turns)}
        row |= {"whole s": statistics.median(done.whole_s for _, done in turns)}
        row |= {"CPU s": statistics.median(done.cpu_s for _, done in turns)}
        row |= {"MB": statistics.median(done.peak_mb for _, done in turns)}
        rows.append({k: round(v, 3) if isinstance(v, float) else v for k, v in row.items()})
    sys.stdout.write(table(rows) + "\n")
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
