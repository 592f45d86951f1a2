#!/usr/bin/env bash
# Time training on one device (DEVICE_ID, 0; Ascend, or DEVICE_TARGET): 100 steps after 10, of 3d_fullres unless the
# flags, which go to train.py, say otherwise; nothing but logs is written to OUTPUT=DIR.
# shellcheck source=scripts/common.sh
. "$(dirname "$0")/common.sh"
usage train_performance_1p.sh "DATA_PATH [FLAGS…]" "$#" 1
published_output performance_1p
exec bash "$ROOT/scripts/train_standalone.sh" "${DEVICE_ID:-0}" "$1" 3 0 \
  --other_use fps --bench_warmup_steps 10 --bench_steps 100 "${@:2}"
