#!/usr/bin/env bash
# Train on one device (DEVICE_ID, 0; Ascend, or DEVICE_TARGET) and score the validation scans: 3d_fullres, fold 0, unless
# the flags say otherwise. Flags go to train.py, --continue_training and --validation_only among them; OUTPUT=DIR.
# shellcheck source=scripts/common.sh
. "$(dirname "$0")/common.sh"
usage train_full_1p.sh "DATA_PATH [FLAGS…]" "$#" 1
published_output full_1p
exec bash "$ROOT/scripts/train_standalone.sh" "${DEVICE_ID:-0}" "$1" 3 0 "${@:2}"
