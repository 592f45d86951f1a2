#!/usr/bin/env bash
# Train on one device (Ascend, or DEVICE_TARGET). Further flags go to train.py; OUTPUT=DIR names the run's folder.
# shellcheck source=scripts/common.sh
. "$(dirname "$0")/common.sh"
usage "$(basename "$0")" "DEVICE_ID DATA_PATH TRAIN_SPLIT_FILE_PATH [FLAGS…]" "$#" 2
choose_model
device_id=$1
data_flags "${@:2}"
new_output train "${FLAGS[@]}"
logged "$OUTPUT/screen.log" "$PYTHON" "$ROOT/train.py" --model "$MODEL" \
  --device_target "${DEVICE_TARGET:-Ascend}" --device_id "$device_id" \
  --output_path "$OUTPUT" "${FLAGS[@]}"
