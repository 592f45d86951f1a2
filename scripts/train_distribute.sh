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
data_flags "${@:3}"
FLAGS=(--device_target "$target" "${FLAGS[@]}")
new_output train

# the device of each rank, from the table: "device_id" of rank 0, 1, …
devices_of() {
  "$PYTHON" - "$table" "$num" <<'PYTHON'
import json, sys
path, num = sys.argv[1], int(sys.argv[2])
try:
    entries = [entry for server in json.load(open(path))["server_list"] for entry in server["device"]]
    devices = {int(entry["rank_id"]): int(entry["device_id"]) for entry in entries}
except (ValueError, KeyError, TypeError) as error:
    sys.exit(f"error: {path}: not a rank table ({error!r}); scripts/hccl.json is an example")
if sorted(devices) != list(range(num)) or len(entries) != num:
    sys.exit(f"error: {path}: its rank ids are {sorted(devices)}, and DEVICE_NUM is {num}; 0 to {num - 1} are needed")
print(*(devices[rank] for rank in range(num)))
PYTHON
}

by_rank_table() {
  local rank status=0 pids=() card
  read -ra card <<<"$1"
  shift
  trap 'kill "${pids[@]}" 2>/dev/null' INT TERM
  for ((rank = 0; rank < num; rank++)); do
    RANK_TABLE_FILE=$(realpath "$table") RANK_ID=$rank DEVICE_ID=${card[rank]} RANK_SIZE=$num \
      "$PYTHON" "$ROOT/train.py" --model "$MODEL" --run_distribute --device_num "$num" \
      --device_id "${card[rank]}" --output_path "$OUTPUT" "$@" &
    pids+=("$!")
  done
  for ((rank = 0; rank < num; rank++)); do
    wait -n || { status=$?; break; }
  done
  # one process down leaves the others waiting in the all-reduce for ever
  [ "$status" -eq 0 ] || kill "${pids[@]}" 2>/dev/null || true
  wait || true
  return "$status"
}

if [ "$target" = CPU ]; then
  logged "$OUTPUT/screen.log" msrun_train "$OUTPUT/ranks" "$num" "${FLAGS[@]}"
else
  cards=$(devices_of) || exit 2
  export HCCL_CONNECT_TIMEOUT=${HCCL_CONNECT_TIMEOUT:-600} # the first compilation takes minutes
  export HCCL_EXEC_TIMEOUT=${HCCL_EXEC_TIMEOUT:-86400}     # the others wait while rank 0 validates
  logged "$OUTPUT/screen.log" by_rank_table "$cards" "${FLAGS[@]}"
fi
