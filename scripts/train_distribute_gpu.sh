#!/usr/bin/env bash
# Train on DEVICE_NUM GPUs, VISIBLE_DEVICES such as 0,1,2,3, by mpirun; DEVICE_TARGET=CPU does the same on the CPU. Ends
# when any process fails. Several servers: --num_servers and --hostfile (docs/en/distributed.md). Further flags go to
# train.py.
# shellcheck source=scripts/common.sh
. "$(dirname "$0")/common.sh"
usage train_distribute_gpu.sh "DEVICE_NUM VISIBLE_DEVICES DATA_PATH TRAIN_SPLIT_FILE_PATH [FLAGS…]" "$#" 3
choose_model
[[ $1 =~ ^[1-9][0-9]*$ ]] || die "DEVICE_NUM must be a whole number above 0, got $1"
[[ $2 =~ ^[0-9]+(,[0-9]+)*$ ]] || die "VISIBLE_DEVICES must be like 0,1,2,3, got $2"
command -v mpirun >/dev/null || die "mpirun is not there; install Open MPI 4: apt-get install openmpi-bin"
data_flags "${@:3}"
launch --visible_devices "$2" --device_num "$1" --device_target "${DEVICE_TARGET:-GPU}" "${FLAGS[@]}"
