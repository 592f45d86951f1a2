"""nnU-Net's side of deploy.py's CT: its own predictor in one process, each stage timed; run by a Python with nnunetv2.

    python nnunet_ct.py PLAN_JSON IMAGE_FOLDER OUTPUT_FOLDER WINDOWS

PLAN_JSON is ours, from which nnU-Net's is made. The network, with weights as they were drawn, computes WINDOWS windows
after a first one that warms up; each further window is answered by the last answer. Standard output ends with a line of
JSON: seconds of each stage, seconds of each window that was computed, and the number of all windows.
"""

import functools
import json
import os
import sys
import time
from pathlib import Path

import torch
from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO
from nnunetv2.inference import export_prediction
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from nnunetv2.preprocessing.preprocessors.default_preprocessor import DefaultPreprocessor
from nnunetv2.utilities.get_network_from_plans import get_network_from_plans
from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

RESAMPLING = "resample_data_or_seg_to_shape"


class Counted(torch.nn.Module):
    """A network that computes its first windows, and answers all others by the last of these."""

    def __init__(self, network: torch.nn.Module, windows: int):
        super().__init__()
        self.network, self.windows, self.asked, self.seconds = network, windows, 0, []

    def forward(self, x):
        if self.asked < self.windows:
            start = time.perf_counter()
            self.answer = self.network(x)
            self.seconds.append(time.perf_counter() - start)
        self.asked += 1
        return self.answer.clone()  # the caller weighs it in place


def plans_of(ours: dict) -> dict:
    """nnU-Net's plan of our 3d_fullres, with the defaults of its planner."""
    config, (intensity,) = ours["configurations"]["3d_fullres"], ours["intensities"]
    stages = len(config["filters"])
    kwargs = {"n_stages": stages, "features_per_stage": config["filters"], "conv_op": "torch.nn.modules.conv.Conv3d"}
    kwargs |= {"kernel_sizes": config["kernels"], "strides": config["strides"], "n_conv_per_stage": [2] * stages}
    kwargs |= {"n_conv_per_stage_decoder": [2] * (stages - 1), "conv_bias": True}
    kwargs |= {
        "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
        "norm_op_kwargs": {"eps": 1e-5, "affine": True},
    }
    kwargs |= {"dropout_op": None, "dropout_op_kwargs": None}
    kwargs |= {"nonlin": "torch.nn.LeakyReLU", "nonlin_kwargs": {"inplace": True}}
    architecture = {"network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet"}
    architecture |= {"arch_kwargs": kwargs, "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"]}
    theirs = {"preprocessor_name": "DefaultPreprocessor", "batch_size": 2, "patch_size": config["patch_size"]}
    theirs |= {"spacing": config["spacing_mm"], "normalization_schemes": ["CTNormalization"]}
    theirs |= {"use_mask_for_norm": [False], "architecture": architecture, "batch_dice": False}
    for what, order in (("data", 3), ("seg", 1), ("probabilities", 1)):
        theirs[f"resampling_fn_{what}"] = RESAMPLING
        theirs[f"resampling_fn_{what}_kwargs"] = {
            "is_seg": what == "seg",
            "order": order,
            "order_z": 0,
            "force_separate_z": None,
        }
    intensities = {"0": {key: intensity[key] for key in ("mean", "median", "min", "max", "percentile_00_5")}}
    intensities["0"] |= {"percentile_99_5": intensity["percentile_99_5"], "std": intensity["sd"]}
    return {
        "dataset_name": "Dataset003_Liver",
        "plans_name": "nnUNetPlans",
        "image_reader_writer": "SimpleITKIO",
        "transpose_forward": [0, 1, 2],
        "transpose_backward": [0, 1, 2],
        "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": intensities,
        "configurations": {"3d_fullres": theirs},
    }


def time_stages() -> dict:
    """Seconds of nnU-Net's own functions, filled while they run."""
    seconds = {}

    def timed(holder, function: str, stage: str) -> None:
        call = getattr(holder, function)

        @functools.wraps(call)
        def use(*args, **kwargs):
            start = time.perf_counter()
            try:
                return call(*args, **kwargs)
            finally:
                seconds[stage] = seconds.get(stage, 0.0) + time.perf_counter() - start

        setattr(holder, function, use)

    timed(SimpleITKIO, "read_images", "read")
    timed(DefaultPreprocessor, "run_case_npy", "preprocess")
    timed(nnUNetPredictor, "predict_logits_from_preprocessed_data", "windows")
    timed(export_prediction, "convert_predicted_logits_to_segmentation_with_correct_shape", "way back")
    timed(SimpleITKIO, "write_seg", "write")
    return seconds


def main() -> None:
    plan, images, output, windows = sys.argv[1:]
    ours = json.loads(Path(plan).read_text(encoding="utf-8"))
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    torch.manual_seed(0)
    plans = PlansManager(plans_of(ours))
    chosen = plans.get_configuration("3d_fullres")
    dataset = {"channel_names": {"0": "CT"}, "labels": ours["labels"], "file_ending": ".nii.gz"}
    network = get_network_from_plans(
        chosen.network_arch_class_name,
        chosen.network_arch_init_kwargs,
        chosen.network_arch_init_kwargs_req_import,
        1,
        len(ours["labels"]),
        allow_init=True,
        deep_supervision=False,
    )
    counted = Counted(network, int(windows) + 1)
    predictor = nnUNetPredictor(
        tile_step_size=0.5,
        use_gaussian=True,
        use_mirroring=False,
        perform_everything_on_device=False,
        device=torch.device("cpu"),
        verbose=False,
        allow_tqdm=False,
    )
    predictor.manual_initialization(counted, plans, chosen, [counted.state_dict()], dataset, "nnUNetTrainer", (0, 1, 2))
    seconds = time_stages()
    predictor.predict_from_files_sequential(images, output)
    found = {"seconds": seconds, "window_seconds": counted.seconds, "num_windows": counted.asked}
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
