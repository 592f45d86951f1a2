#!/usr/bin/env bash
# Segment and score the cases of a split, or the validation cases of a model of a plan, which its checkpoint knows, or
# classify the photos of its data's val/ (Ascend, or DEVICE_TARGET). Further flags go to eval.py; OUTPUT=DIR names the
# folder of masks and tables.
# shellcheck source=scripts/common.sh
. "$(dirname "$0")/common.sh"
words="DEVICE_ID CKPT_PATH DATA_PATH EVAL_SPLIT_FILE_PATH [FLAGS…]"
usage "$(basename "$0")" "$words" "$#" 2
choose_model
device_id=$1 ckpt=$2
if [ "$(kind)" != scans ]; then
  shift 2
else
  usage "$(basename "$0")" "$words" "$#" 4
  set -- --data_path "$3" --eval_split_file_path "$4" "${@:5}"
fi
new_output eval
logged "$OUTPUT/screen.log" "$PYTHON" "$ROOT/eval.py" --model "$MODEL" \
  --device_target "${DEVICE_TARGET:-Ascend}" --device_id "$device_id" --ckpt_path "$ckpt" --output_path "$OUTPUT" "$@"
