"""Time the border distances of a 300×512×512 pair of three classes, and their peak memory, beside MONAI.

    python benchmarks/metrics.py [--peer_python PYTHON] [--repeat 3] [--scale 1.0] [--check] [--json FILE]

Ours makes HD, HD95, ASSD and NSD of all classes from the two label maps; MONAI makes HD95 alone, by
compute_hausdorff_distance, from one-hot tensors that are ready before the clock starts, once as bool and once as
float. The pair is benchmarks/metric_pair.py's. Each side is a process of its own; they take turns; medians count, and
memory is the peak of the whole process. `--check` compares ours to distance transforms of the whole grid (5 GB, two
minutes). Without a Python that has MONAI (--peer_python) ours is timed alone.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

SPACING_MM = (1.0, 0.77, 0.77)
CLASSES = (1, 2, 3)
TOLERANCE_MM = 2.0


def serve(side: str, path: str) -> None:
    """A process that scores the pair once for each line it reads, and answers seconds and values as JSON."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # whatever a library prints goes to standard error
    with np.load(path) as pair:
        score = ours(pair["pred"], pair["truth"]) if side == "ours" else monai(pair["pred"], pair["truth"], side)
    for _ in sys.stdin:
        start = time.perf_counter()
        values = score()
        peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        answers.write(json.dumps({"s": time.perf_counter() - start, "values": values, "peak_mb": peak_mb}) + "\n")


def ours(pred: np.ndarray, truth: np.ndarray) -> Callable[[], dict]:
    from mindvoxel.data.machine import available_cores
    from mindvoxel.metrics.surface import assd, border_distances, hd95, nsd

    def score() -> dict:
        found = {"hd": [], "hd95": [], "assd": [], "nsd": []}
        for value in CLASSES:
            distances = border_distances(pred == value, truth == value, SPACING_MM, available_cores())
            found["hd"].append(distances.hausdorff_mm)
            found["hd95"].append(hd95(distances))
            found["assd"].append(assd(distances))
            found["nsd"].append(nsd(distances, TOLERANCE_MM))
        return found

    return score


def monai(pred: np.ndarray, truth: np.ndarray, side: str) -> Callable[[], dict]:
    import torch
    from monai.metrics import compute_hausdorff_distance

    kind = torch.float if side == "monai_float" else torch.bool
    masks = [
        torch.stack([torch.from_numpy(labels == value) for value in CLASSES])[None].to(kind) for labels in (pred, truth)
    ]
    settings = {"include_background": True, "percentile": 95, "spacing": SPACING_MM}  # the background is not among them

    return lambda: {"hd95": compute_hausdorff_distance(*masks, **settings)[0].tolist()}


def check(path: str) -> float:
    """Largest difference in mm of our distances to those of distance transforms of the whole grid."""
    from scipy import ndimage

    from mindvoxel.metrics.surface import border_distances

    with np.load(path) as pair:
        pred, truth = pair["pred"], pair["truth"]
    worst = 0.0
    for value in CLASSES:
        masks = [labels == value for labels in (pred, truth)]
        distances = border_distances(*masks, SPACING_MM)
        borders = [mask & ~ndimage.binary_erosion(mask) for mask in masks]
        for start, end, found in (
            (0, 1, distances.pred_to_truth_mm),
            (1, 0, distances.truth_to_pred_mm),
        ):
            whole = ndimage.distance_transform_edt(~borders[end], sampling=SPACING_MM)[borders[start]]
            worst = max(worst, float(np.abs(found - whole).max()))
    return worst


def start(python: str, side: str, path: str) -> subprocess.Popen:
    words = [python, __file__, "--side", side, "--pair", path]
    return subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def ask(process: subprocess.Popen) -> dict:
    process.stdin.write("score\n")
    process.stdin.flush()
    return json.loads(process.stdout.readline())


def compare(path: str, peer: str | None, repeat: int) -> list[dict]:
    """Median seconds and peak memory of every side; the sides must agree on HD95."""
    sides = {"ours": start(sys.executable, "ours", path)}
    for side in ("monai_bool", "monai_float") if peer else ():
        sides[side] = start(peer, side, path)
    answers = {side: [] for side in sides}
    for _ in range(repeat):
        for side, process in sides.items():
            answers[side].append(ask(process))
    for process in sides.values():
        process.communicate()
    rows = []
    for side, given in answers.items():
        seconds = [answer["s"] for answer in given]
        row = {"side": side, "median_s": statistics.median(seconds), "first_s": seconds[0]}
        rows.append(row | {"peak_mb": given[-1]["peak_mb"], **given[-1]["values"]})
    for row in rows[1:]:
        if not np.allclose(row["hd95"], rows[0]["hd95"], rtol=1e-5):
            raise SystemExit(f"HD95 differs: ours {rows[0]['hd95']}, {row['side']} {row['hd95']}")
    return rows


def table(rows: list[dict]) -> str:
    lines = [f"{'side':14}{'median s':>10}{'first s':>10}{'peak MB':>10}  HD95 mm of each class"]
    for row in rows:
        values = " ".join(f"{value:.4f}" for value in row["hd95"])
        lines.append(f"{row['side']:14}{row['median_s']:10.2f}{row['first_s']:10.2f}{row['peak_mb']:10.0f}  {values}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peer_python", help="a Python that has MONAI and torch")
    parser.add_argument("--repeat", type=int, default=3, help="times that count")
    parser.add_argument("--scale", type=float, default=1.0, help="of every axis, for a quick look")
    parser.add_argument("--check", action="store_true", help="compare to distance transforms of the whole grid")
    parser.add_argument("--json", help="also write the rows to this file")
    parser.add_argument("--side", help=argparse.SUPPRESS)
    parser.add_argument("--pair", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.side:
        serve(args.side, args.pair)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "pair.npz")
        make = [sys.executable, str(Path(__file__).with_name("metric_pair.py")), path, "--scale", str(args.scale)]
        subprocess.run(make, check=True)
        rows = compare(path, args.peer_python, args.repeat)
        sys.stdout.write(table(rows) + "\n")
        if args.check:
            rows.append({"side": "check", "worst_mm": check(path)})
            sys.stdout.write(f"worst difference to whole-grid distance transforms: {rows[-1]['worst_mm']:.2g} mm\n")
    if args.json:
        Path(args.json).write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
