"""A checkpoint and a bundle with weights as they were drawn, for deploy.py; started by it.

    python seeded_bundle.py vnet|liver FOLDER

FOLDER gets last.ckpt, plan.json (of the Liver) and bundle/.
"""

import sys
from pathlib import Path

from mindvoxel.cli import export
from mindvoxel.config import load_recipe, override
from mindvoxel.data.plan import Configuration, Intensity, Plan, Preprocessing, plan_to_json, write_plan
from mindvoxel.train import device

VNET_WINDOW = (128, 128, 64)
# Task03_Liver by nnU-Net v2's rules; the CT's intensities do not change the time.
INTENSITY = Intensity(
    mean=100.0, sd=40.0, median=100.0, min=-1000.0, max=1000.0, percentile_00_5=-15.0, percentile_99_5=200.0
)
LIVER = Configuration(
    patch_size=(128, 128, 128),
    batch_size=2,
    spacing_mm=(1.0, 0.7676, 0.7676),
    median_shape=(482, 512, 512),
    strides=((1, 1, 1), *((2, 2, 2),) * 5),
    kernels=((3, 3, 3),) * 6,
    filters=(32, 64, 128, 256, 320, 320),
    preprocessing=Preprocessing(("ct",)),
)


def liver_plan() -> Plan:
    return Plan(
        planner="nnunet_v2",
        dataset="Liver",
        memory_gb=8,
        channels=("CT",),
        labels={"background": 0, "liver": 1, "tumour": 2},
        axes=(0, 1, 2),
        intensities=(INTENSITY,),
        configurations={"3d_fullres": LIVER},
    )


def main() -> None:
    name, folder = sys.argv[1], Path(sys.argv[2])
    device.prepare("CPU")
    import mindspore

    from mindvoxel.train import checkpoint
    from mindvoxel.train.planned import network_of_plan
    from mindvoxel.zoo import build_network

    mindspore.set_seed(0)
    if name == "vnet":
        recipe = override(load_recipe("vnet", "default"), {"data.patch_size": list(VNET_WINDOW)})
        network, meta = build_network("vnet", **recipe.network), {"model": "vnet", "recipe": recipe}
    else:
        recipe, plan = load_recipe("unet3d", "default"), liver_plan()
        network = network_of_plan(recipe, plan, LIVER)
        meta = {"model": "unet3d", "recipe": recipe, "plan": plan_to_json(plan), "configuration": "3d_fullres"}
        write_plan(folder / "plan.json", plan)
    checkpoint.save(folder / "last.ckpt", network, meta)
    words = ["--model", meta["model"], "--ckpt_file", str(folder / "last.ckpt"), "--file_format", "BUNDLE"]
    words += ["--file_name", str(folder / "bundle"), "--device_target", "CPU", "--no_verify"]
    raise SystemExit(export.main(words))


if __name__ == "__main__":
    main()
