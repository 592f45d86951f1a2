"""PyTorch's V-Net in evaluation, for deploy.py; started by it, in any Python with torch.

    python torch_forward.py WINDOW.bin D H W f32|bf16 0|1

The last says whether tensors lie channels_last_3d. Reads "step" lines, answers each with the seconds of one window;
at the end of input prints the peak resident memory in MB.
"""

import resource
import sys
import time

import numpy as np
import torch
from torch_step import VNet


def main() -> None:
    path, depth, height, width, precision, last = sys.argv[1:]
    layout = torch.channels_last_3d if last == "1" else torch.contiguous_format
    torch.manual_seed(0)
    network = VNet().to(memory_format=layout).eval()
    shape = (1, 1, int(depth), int(height), int(width))
    image = torch.from_numpy(np.fromfile(path, np.float32).reshape(shape)).to(memory_format=layout)
    for line in sys.stdin:
        if line.strip() != "step":
            break
        start = time.perf_counter()
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            network(image).float().numpy()
        sys.stdout.write(f"{time.perf_counter() - start}\n")
        sys.stdout.flush()
    sys.stdout.write(f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}\n")


if __name__ == "__main__":
    main()
