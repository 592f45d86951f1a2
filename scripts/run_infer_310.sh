#!/usr/bin/env bash
# Run an exported MINDIR on an Ascend 310 and score it. The C++ harness it calls is not part of this version yet.
# shellcheck source=scripts/common.sh
. "$(dirname "$0")/common.sh"
usage run_infer_310.sh "MINDIR_PATH DATA_PATH SPLIT_FILE_PATH DEVICE_ID" "$#" 4
echo "error: the 310 harness (ascend310_infer) is not built yet; scripts/eval.sh scores a checkpoint on the CPU" >&2
exit 1
