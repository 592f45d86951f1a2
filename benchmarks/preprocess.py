"""Time verification, fingerprint, plan and preprocessing, side by side with nnU-Net v2, and compare the arrays.

    python benchmarks/preprocess.py --data FOLDER [--peer_python PYTHON] [--only NAME] [--repeat 3] [--json FILE]

FOLDER holds Task04_Hippocampus (MSD), ct_spleen and prostate_t2. The CT and the prostate are made into data sets of
several cases whose spacings differ, so that resampling is what is timed: CT slices of 5 mm (resampled slice by slice)
and of 1.5 mm (in three dimensions). Both sides read the same files, do 2d and 3d_fullres with 2 workers each, and take
turns; medians count. nnU-Net's conversion of the MSD layout is not timed. Without a Python that has nnunetv2 ours is
timed alone. The arrays of all configurations of up to 8 cases are compared.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from mindvoxel.data.store import list_cases, open_case

ROOT = Path(__file__).resolve().parents[1]
CONFIGURATIONS = ("2d", "3d_fullres")
WORKERS = 2
SHIFTS = (0.85, 0.9, 0.95, 1.0, 1.0, 1.05, 1.1, 1.15)  # of the in-plane spacing, a case each
# Run by the peer's Python: one case of nnU-Net's store as .npy files.
DUMP = """
import sys
import numpy as np
from nnunetv2.training.dataloading.nnunet_dataset import nnUNetDatasetBlosc2
folder, out, *cases = sys.argv[1:]
stored = nnUNetDatasetBlosc2(folder)
for case in cases:
    data, label, _, properties = stored.load_case(case)
    np.save(f"{out}/{case}.image.npy", np.asarray(data[:]))
    np.save(f"{out}/{case}.label.npy", np.asarray(label[:])[0])
    for k, v in properties["class_locations"].items():
        np.save(f"{out}/{case}.{k}.npy", np.asarray(v)[:, 1:] if len(v) else np.zeros((0, 3), int))
"""


def make_hippocampus(data: Path, folder: Path) -> None:
    shutil.copytree(data / "Task04_Hippocampus", folder, symlinks=False)


def make_spleen(data: Path, folder: Path, slice_mm: float) -> None:
    """The one CT at eight spacings."""
    image, label = (next((data / "ct_spleen").glob(f"*{kind}*.nii.gz")) for kind in ("image", "label"))
    volumes = [sitk.ReadImage(str(path)) for path in (image, label)]
    write_cases(folder, [volumes] * len(SHIFTS), slice_mm, {"0": "CT"})


def make_prostate(data: Path, folder: Path) -> None:
    pairs = [
        [sitk.ReadImage(str(path)), sitk.ReadImage(str(data / "prostate_t2" / "gt" / f"{path.stem}_segmentation.mhd"))]
        for path in sorted((data / "prostate_t2" / "img").glob("*.mhd"))
    ]
    write_cases(folder, pairs * (len(SHIFTS) // len(pairs)), 3.0, {"0": "MRI"})


def write_cases(folder: Path, pairs: list, slice_mm: float, modality: dict) -> None:
    """An MSD folder of a case for each of SHIFTS."""
    training = []
    for sub in ("imagesTr", "labelsTr", "imagesTs"):
        (folder / sub).mkdir(parents=True)
    for number, ((image, label), shift) in enumerate(zip(pairs, SHIFTS, strict=True)):
        name = f"case_{number:03d}.nii.gz"
        spacing = (image.GetSpacing()[0] * shift, image.GetSpacing()[1] * shift, slice_mm)
        for volume, sub in ((image, "imagesTr"), (label, "labelsTr")):
            copy = sitk.Image(volume)
            copy.SetSpacing(spacing)
            sitk.WriteImage(copy, str(folder / sub / name), useCompression=True)
        training.append({"image": f"./imagesTr/{name}", "label": f"./labelsTr/{name}"})
    meta = {"name": folder.name, "modality": modality, "labels": {"0": "background", "1": "organ"}}
    meta |= {"numTraining": len(training), "numTest": 0, "training": training, "test": []}
    (folder / "dataset.json").write_text(json.dumps(meta), encoding="utf-8")


# name -> number of nnU-Net's dataset, and what makes it
WORKS = {
    "hippocampus": (4, make_hippocampus),
    "ct 5 mm": (21, lambda data, folder: make_spleen(data, folder, 5.0)),
    "ct 1.5 mm": (22, lambda data, folder: make_spleen(data, folder, 1.5)),
    "prostate": (23, make_prostate),
}


def environment(**more: str) -> dict:
    """Without settings for OpenBLAS, which would slow NumPy on either side."""
    return {name: value for name, value in os.environ.items() if not name.startswith("OPENBLAS")} | more


def timed(command: list, variables: dict) -> float:
    start = time.perf_counter()
    done = subprocess.run([str(w) for w in command], env=variables, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - start
    if done.returncode:
        raise SystemExit(f"{command[:3]} failed:\n{done.stdout[-2000:]}{done.stderr[-4000:]}")
    return seconds


def run_ours(folder: Path, output: Path) -> float:
    shutil.rmtree(output, ignore_errors=True)
    command = [sys.executable, ROOT / "preprocess.py", "--data", folder, "--output", output, "--workers", WORKERS]
    command += ["--configurations", ",".join(CONFIGURATIONS)]
    return timed(command, environment(PYTHONPATH=f"{ROOT / 'src'}"))


class Peer:
    """nnU-Net v2 in a Python of its own, with its folders in `work`."""

    def __init__(self, python: Path, work: Path):
        self.bin, self.work = python.parent, work
        self.python = python
        names = {"nnUNet_raw": "raw", "nnUNet_preprocessed": "preprocessed", "nnUNet_results": "results"}
        for sub in names.values():
            (work / sub).mkdir(parents=True, exist_ok=True)
        self.variables = environment(**{name: str(work / sub) for name, sub in names.items()})
        self.variables["PATH"] = f"{self.bin}{os.pathsep}{self.variables['PATH']}"

    def convert(self, folder: Path, number: int) -> None:
        (folder / "imagesTs").mkdir(exist_ok=True)
        command = [self.bin / "nnUNetv2_convert_MSD_dataset", "-i", folder, "-overwrite_id", number, "-np", WORKERS]
        timed(command, self.variables)

    def preprocess(self, number: int) -> float:
        for folder in (self.work / "preprocessed").glob(f"Dataset{number:03d}_*"):
            shutil.rmtree(folder)
        command = [self.bin / "nnUNetv2_plan_and_preprocess", "-d", number, "-c", *CONFIGURATIONS]
        command += ["-np", *[WORKERS] * len(CONFIGURATIONS), "-npfp", WORKERS, "--verify_dataset_integrity"]
        return timed(command, self.variables)

    def dump(self, number: int, configuration: str, cases: list[str]) -> Path:
        folder = next((self.work / "preprocessed").glob(f"Dataset{number:03d}_*")) / f"nnUNetPlans_{configuration}"
        out = self.work / "dump" / f"{number}_{configuration}"
        out.mkdir(parents=True, exist_ok=True)
        timed([self.python, "-c", DUMP, folder, out, *cases], self.variables)
        return out


def compare(output: Path, dumped: Path, configuration: str, cases: list[str]) -> dict:
    """How far apart the arrays of both sides are."""
    far, off, total, places = 0.0, 0, 0, True
    for case in cases:
        ours = open_case(output / configuration, case)
        image, label = np.load(dumped / f"{case}.image.npy"), np.load(dumped / f"{case}.label.npy")
        if ours.image.shape != image.shape or ours.label.shape != label.shape:
            raise SystemExit(f"{case}: {ours.image.shape} is not {image.shape}")
        far = max(far, float(np.abs(ours.image - image).max()) / float(np.ptp(image)))
        differ = ours.label != np.maximum(label, 0)
        off, total = off + int(differ.sum()), total + int((label > 0).sum())
        if not differ.any():
            places &= all(np.array_equal(v, np.load(dumped / f"{case}.{k}.npy")) for k, v in ours.locations.items())
    return {
        "cases": len(cases),
        "image_diff_of_range": far,
        "label_voxels_off": off,
        "label_voxels": total,
        "locations_equal": places,
    }


def measure(name: str, data: Path, python: Path | None, repeat: int, work: Path) -> list[dict]:
    number, make = WORKS[name]
    folder, output = (
        work / f"Task{number:02d}_{name.title().replace(' ', '').replace('.', '')}",
        work / f"ours_{number}",
    )
    make(data, folder)
    peer = Peer(python, work) if python else None
    if peer:
        peer.convert(folder, number)
    times = {"ours": [], "nnunet": []}
    for _ in range(repeat):
        times["ours"].append(run_ours(folder, output))
        if peer:
            times["nnunet"].append(peer.preprocess(number))
    seconds = {f"{side}_s": round(statistics.median(values), 2) for side, values in times.items() if values}
    if peer:
        seconds["ratio"] = round(seconds["nnunet_s"] / seconds["ours_s"], 2)
    rows = []
    for configuration in CONFIGURATIONS:
        row = {"work": name, "configuration": configuration} | seconds
        if peer:
            every = list_cases(output / configuration)
            cases = every[:: max(len(every) // 8, 1)][:8]
            row |= compare(output, peer.dump(number, configuration, cases), configuration, cases)
        rows.append(row)
    return rows


def table(rows: list[dict]) -> str:
    names = list(dict.fromkeys(name for row in rows for name in row))
    texts = [[f"{v:.2g}" if isinstance(v, float) and v < 1e-2 else str(v) for v in map(row.get, names)] for row in rows]
    lines = [names, *texts]
    widths = [max(len(line[i]) for line in lines) for i in range(len(names))]
    return "\n".join("  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)) for line in lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the three data sets")
    parser.add_argument("--peer_python", type=Path, help="a Python that has nnunetv2")
    parser.add_argument("--only", default="", help="works whose name holds this")
    parser.add_argument("--repeat", type=int, default=3, help="runs of each side")
    parser.add_argument("--json", help="also write the rows to this file")
    args = parser.parse_args()
    rows = []
    for name in WORKS:
        if args.only in name:
            with tempfile.TemporaryDirectory() as work:
                rows += measure(name, args.data, args.peer_python, args.repeat, Path(work))
    sys.stdout.write(table(rows) + "\n")
    if args.json:
        Path(args.json).write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
