#!/usr/bin/env bash
# Segment and score the cases of a split (Ascend, or DEVICE_TARGET). Further flags go to eval.py; OUTPUT=DIR names
# the folder of masks and tables.
# shellcheck source=scripts/common.sh
. "$(dirname "$0")/common.sh"
usage "$(basename "$0")" "DEVICE_ID CKPT_PATH DATA_PATH EVAL_SPLIT_FILE_PATH [FLAGS…]" "$#" 4
choose_model
new_output eval
device_id=$1 ckpt=$2 data=$3 split=$4
shift 4
logged "$OUTPUT/screen.log" "$PYTHON" "$ROOT/eval.py" --model "$MODEL" \
  --device_target "${DEVICE_TARGET:-Ascend}" --device_id "$device_id" --ckpt_path "$ckpt" \
  --data_path "$data" --eval_split_file_path "$split" --output_path "$OUTPUT" "$@"
