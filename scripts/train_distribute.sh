#!/usr/bin/env bash
# Train on DEVICE_NUM devices of this server: on Ascend by the rank table, one process a device; with
# DEVICE_TARGET=CPU by msrun, where the table is only checked to be there. Ends when any process fails.
# shellcheck source=scripts/common.sh
. "$(dirname "$0")/common.sh"
usage train_distribute.sh "RANK_TABLE_FILE DEVICE_NUM DATA_PATH TRAIN_SPLIT_FILE_PATH [FLAGS…]" "$#" 4
choose_model
table=$1 num=$2
[ -f "$table" ] || die "$table: no such rank table; scripts/hccl.json is an example"
[[ $num =~ ^[1-9][0-9]*$ ]] || die "DEVICE_NUM must be a whole number above 0, got $num"
target=${DEVICE_TARGET:-Ascend}
new_output train
flags=(--device_target "$target" --data_path "$3" --train_split_file_path "$4")
shift 4

by_rank_table() {
  local rank status=0 pids=()
  for ((rank = 0; rank < num; rank++)); do
    RANK_TABLE_FILE=$(realpath "$table") RANK_ID=$rank DEVICE_ID=$rank RANK_SIZE=$num \
      "$PYTHON" "$ROOT/train.py" --model "$MODEL" --run_distribute --device_num "$num" --device_id "$rank" \
      --output_path "$OUTPUT" "$@" &
    pids+=("$!")
  done
  trap 'kill "${pids[@]}" 2>/dev/null' INT TERM
  for ((rank = 0; rank < num; rank++)); do
    wait -n || { status=$?; break; }
  done
  # one process down leaves the others waiting in the all-reduce for ever
  [ "$status" -eq 0 ] || kill "${pids[@]}" 2>/dev/null || true
  wait || true
  return "$status"
}

if [ "$target" = CPU ]; then
  logged "$OUTPUT/screen.log" msrun_train "$OUTPUT/ranks" "$num" "${flags[@]}" "$@"
else
  export HCCL_CONNECT_TIMEOUT=${HCCL_CONNECT_TIMEOUT:-600} # the first compilation takes minutes
  logged "$OUTPUT/screen.log" by_rank_table "${flags[@]}" "$@"
fi
