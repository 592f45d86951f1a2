#!/usr/bin/env bash
# Train on one device (Ascend, or DEVICE_TARGET). Further flags go to train.py; OUTPUT=DIR names the run's folder.
# shellcheck source=scripts/common.sh
. "$(dirname "$0")/common.sh"
usage "$(basename "$0")" "DEVICE_ID DATA_PATH TRAIN_SPLIT_FILE_PATH [FLAGS…]" "$#" 3
choose_model
new_output train
device_id=$1 data=$2 split=$3
shift 3
logged "$OUTPUT/screen.log" "$PYTHON" "$ROOT/train.py" --model "$MODEL" \
  --device_target "${DEVICE_TARGET:-Ascend}" --device_id "$device_id" \
  --data_path "$data" --train_split_file_path "$split" --output_path "$OUTPUT" "$@"
