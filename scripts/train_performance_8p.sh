#!/usr/bin/env bash
# Time training on 8 devices (DEVICE_NUM; Ascend by msrun or the rank table, or DEVICE_TARGET), the batch divided over
# them: 100 steps after 10, of 3d_fullres unless the flags, which go to train.py, say otherwise. throughput_train is that
# of all devices together. Nothing but logs is written to OUTPUT=DIR.
# shellcheck source=scripts/common.sh
. "$(dirname "$0")/common.sh"
usage train_performance_8p.sh "RANK_TABLE_FILE|msrun DATA_PATH [FLAGS…]" "$#" 2
published_output performance_8p
exec bash "$ROOT/scripts/train_distribute.sh" "$1" "${DEVICE_NUM:-8}" "$2" 3 0 --dbs \
  --other_use fps --bench_warmup_steps 10 --bench_steps 100 "${@:3}"
