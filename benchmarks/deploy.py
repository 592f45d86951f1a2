"""Deployment on the CPU, time and memory: the C++ program beside PyTorch, MindSpore and nnU-Net v2.

    python benchmarks/deploy.py --peer_python PYTHON [--only network|ct] [--repeat 5] [--precisions bf16,f32]
        [--shape 300,512,512] [--windows 5] [--json FILE]

PYTHON has torch and nnunetv2; without it ours is measured alone. ascend310_infer/build.sh has been run.

network: one window of V-Net's published form, 1x1x128x128x64, by the C++ program, by Python with this project's
operator and with MindSpore's own kernels (with the settings of mindvoxel.train.device), and by PyTorch in f32 and in
bf16 autocast, the faster of channels_last_3d and not. All take turns, medians after one round that warms up. `s a
window` is the call alone, `difference` the largest of a logit from Python's f32, as a share of the largest logit.

ct: a made CT of --shape at 1.6x0.8x0.8 mm through nnU-Net's network for the Liver (128x128x128, 1x0.7676x0.7676 mm,
windows overlap by a half, no mirroring), with weights as they were drawn. The C++ program does all of it. nnU-Net v2's
own predictor, in one process, does all but the network: this computes --windows windows after a first one, and each
further window is answered by the last answer. Its `network` and `whole` are therefore computed, from the median of a
window times the number of windows; everything else is measured. Seconds; `way back` holds blending, the way to the
scan's grid and argmax; `whole` is the process from start to end, `MB` its highest resident memory.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import deploy_network
from inference_memory import make_ct
from train_step import has_torch

from preprocess import environment, table

ROOT = Path(__file__).resolve().parents[1]
SPACING_MM = (1.6, 0.8, 0.8)
STAGES = ("load", "read", "preprocess", "network", "way back", "postprocess", "write")


def run(command: list, variables: dict) -> tuple[str, float, float]:
    """Standard output, seconds from start to end, and the highest resident memory in MB of a command."""
    start = time.perf_counter()
    with tempfile.TemporaryFile("w+") as text:
        process = subprocess.Popen([str(word) for word in command], env=variables, stdout=text)
        _, status, usage = os.wait4(process.pid, 0)
        whole_s = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        text.seek(0)
        output = text.read()
    if process.returncode:
        raise SystemExit(f"{command[:2]} ended with status {process.returncode}")
    return output, whole_s, usage.ru_maxrss / 1024


def make_bundle(model: str, folder: Path) -> Path:
    """seeded_bundle.py in a process of its own."""
    folder.mkdir()
    words = [sys.executable, ROOT / "benchmarks" / "seeded_bundle.py", model, folder]
    run(words, environment(PYTHONPATH=f"{ROOT / 'src'}:{ROOT}"))
    return folder


def ct_by_ours(infer: Path, bundle: Path, image: Path, precision: str, output: Path) -> dict:
    words = [infer, "--bundle", bundle, "--input", image, "--output", output, "--device", "cpu"]
    _, whole_s, peak_mb = run([*words, "--precision", precision], environment())
    report = json.loads((output / "report.json").read_text(encoding="utf-8"))
    row = {"side": f"C++ {precision}", "windows": report["windows"]["calls"], "load": report["load_s"]}
    row |= {name.removesuffix("_s").replace("_", " "): seconds for name, seconds in report["stages"].items()}
    return row | {"whole": whole_s, "MB": peak_mb}


def ct_by_peer(python: Path, plan: Path, image: Path, output: Path, windows: int) -> dict:
    output.mkdir()
    words = [python, ROOT / "benchmarks" / "nnunet_ct.py", plan, image.parent, output, windows]
    text, whole_s, peak_mb = run(words, environment(nnUNet_compile="f"))
    found = json.loads(text.splitlines()[-1])
    measured, asked = found["seconds"], found["num_windows"]
    computed_s = sum(found["window_seconds"])
    network_s = asked * statistics.median(found["window_seconds"][1:])
    row = {"side": "nnU-Net v2 f32", "windows": asked, "read": measured["read"], "preprocess": measured["preprocess"]}
    row |= {"network": network_s, "way back": measured["windows"] - computed_s + measured["way back"]}
    return row | {"write": measured["write"], "whole": whole_s - computed_s + network_s, "MB": peak_mb}


def measure_ct(args: argparse.Namespace, work: Path) -> list[dict]:
    folder = make_bundle("liver", work / "liver")
    image = work / "images" / "ct_0000.nii.gz"
    image.parent.mkdir()
    make_ct(image, args.shape, SPACING_MM)
    rows = []
    for precision in args.precisions.split(","):
        rows.append(ct_by_ours(args.infer, folder / "bundle", image, precision, work / f"labels {precision}"))
        sys.stderr.write(f"{rows[-1]}\n")
    if args.peer_python:
        peer = ct_by_peer(args.peer_python, folder / "plan.json", image, work / "theirs", args.windows)
        for row in rows:
            row |= {"times faster": peer["whole"] / row["whole"], "share of MB": row["MB"] / peer["MB"]}
        rows.append(peer)
    names = ("side", "windows", *STAGES, "whole", "MB", "times faster", "share of MB")
    shown = [{name: row.get(name, "-") for name in names} for row in rows]
    return [{k: round(v, 2) if isinstance(v, float) else v for k, v in row.items()} for row in shown]


def measure_network(args: argparse.Namespace, work: Path) -> list[dict]:
    python = str(args.peer_python) if args.peer_python and has_torch(str(args.peer_python)) else None
    rows = deploy_network.measure(args.infer, make_bundle("vnet", work / "vnet"), python, args.repeat)
    seconds = {row["side"]: row["s a window"] for row in rows}
    slow = {"own": next(iter(deploy_network.PYTHON))}
    if python:
        slow["PyTorch"] = min(deploy_network.TORCH, key=seconds.get)
    names = {"own": "times MindSpore's own", "PyTorch": "times PyTorch's better"}
    for row in rows:
        row.setdefault("difference", "-")
        row |= {names[what]: round(seconds[side] / row["s a window"], 2) for what, side in slow.items()}
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--infer", type=Path, default=ROOT / "ascend310_infer" / "build" / "infer", help="the program")
    parser.add_argument("--peer_python", type=Path, help="a Python that has torch and nnunetv2")
    parser.add_argument("--only", choices=("network", "ct"), help="one of the two parts")
    parser.add_argument("--repeat", type=int, default=5, help="windows a side of network that count")
    parser.add_argument("--precisions", default="bf16,f32", help="in which the C++ program does the CT")
    parser.add_argument("--shape", type=lambda text: tuple(map(int, text.split(","))), default=(300, 512, 512))
    parser.add_argument("--windows", type=int, default=5, help="windows that nnU-Net's network computes on the CT")
    parser.add_argument("--json", type=Path, help="also write the rows to this file")
    args = parser.parse_args()
    if not args.infer.is_file():
        raise SystemExit(f"{args.infer}: no such program; run bash ascend310_infer/build.sh, or name one by --infer")
    found = {}
    with tempfile.TemporaryDirectory() as temporary:
        for name, part in (("network", measure_network), ("ct", measure_ct)):
            if args.only in (None, name):
                found[name] = part(args, Path(temporary))
                sys.stdout.write(table(found[name]) + "\n\n")
    if args.json:
        args.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
