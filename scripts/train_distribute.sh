#!/usr/bin/env bash
# Train on DEVICE_NUM devices, a process each: on Ascend by msrun where RANK_TABLE_FILE is the word msrun, else by the
# rank table; with DEVICE_TARGET=CPU by msrun, and a table is only checked. Ends when any process fails. Several servers:
# --num_servers --node_rank, and for msrun --master_addr (docs/en/distributed.md). Further flags go to train.py.
# shellcheck source=scripts/common.sh
. "$(dirname "$0")/common.sh"
usage train_distribute.sh "RANK_TABLE_FILE|msrun DEVICE_NUM DATA_PATH TRAIN_SPLIT_FILE_PATH [FLAGS…]" "$#" 3
choose_model
[[ $2 =~ ^[1-9][0-9]*$ ]] || die "DEVICE_NUM must be a whole number above 0, got $2"
[ "$1" = msrun ] || [ -f "$1" ] || die "$1: no such rank table; scripts/hccl.json is an example, msrun needs none"
data_flags "${@:3}"
launch --table "$1" --device_num "$2" --device_target "${DEVICE_TARGET:-Ascend}" "${FLAGS[@]}"
