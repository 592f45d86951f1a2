#!/usr/bin/env bash
# Train on 8 devices (DEVICE_NUM; Ascend by msrun or the rank table, or DEVICE_TARGET), the batch divided over them, and
# score the validation scans: 3d_fullres, fold 0, unless the flags say otherwise. Flags go to train.py,
# --continue_training and --validation_only among them; OUTPUT=DIR.
# shellcheck source=scripts/common.sh
. "$(dirname "$0")/common.sh"
usage train_full_8p.sh "RANK_TABLE_FILE|msrun DATA_PATH [FLAGS…]" "$#" 2
published_output full_8p
exec bash "$ROOT/scripts/train_distribute.sh" "$1" "${DEVICE_NUM:-8}" "$2" 3 0 --dbs "${@:3}"
