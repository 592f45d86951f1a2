#!/usr/bin/env bash
# Train on DEVICE_NUM GPUs of this server, VISIBLE_DEVICES such as 0,1,2,3, by mpirun; with DEVICE_TARGET=CPU by msrun.
# shellcheck source=scripts/common.sh
. "$(dirname "$0")/common.sh"
usage train_distribute_gpu.sh "DEVICE_NUM VISIBLE_DEVICES DATA_PATH TRAIN_SPLIT_FILE_PATH [FLAGS…]" "$#" 4
choose_model
num=$1 visible=$2
[[ $num =~ ^[1-9][0-9]*$ ]] || die "DEVICE_NUM must be a whole number above 0, got $num"
[[ $visible =~ ^[0-9]+(,[0-9]+)*$ ]] || die "VISIBLE_DEVICES must be like 0,1,2,3, got $visible"
IFS=, read -ra cards <<<"$visible"
[ "${#cards[@]}" -eq "$num" ] || die "DEVICE_NUM is $num, but VISIBLE_DEVICES names ${#cards[@]} cards"
target=${DEVICE_TARGET:-GPU}
data_flags "${@:3}"
FLAGS=(--device_target "$target" "${FLAGS[@]}")
new_output train
if [ "$target" = CPU ]; then
  logged "$OUTPUT/screen.log" msrun_train "$OUTPUT/ranks" "$num" "${FLAGS[@]}"
else
  command -v mpirun >/dev/null || die "mpirun is not there; install Open MPI 4"
  export CUDA_VISIBLE_DEVICES=$visible
  logged "$OUTPUT/screen.log" mpirun --allow-run-as-root -n "$num" --output-filename "$OUTPUT/ranks" \
    --merge-stderr-to-stdout "$PYTHON" "$ROOT/train.py" --model "$MODEL" --run_distribute --device_num "$num" \
    --output_path "$OUTPUT" "${FLAGS[@]}"
fi
