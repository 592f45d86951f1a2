#!/usr/bin/env bash
# Segment and score on one GPU: DEVICE_ID CKPT_PATH DATA_PATH EVAL_SPLIT_FILE_PATH [FLAGS…]
DEVICE_TARGET=${DEVICE_TARGET:-GPU} exec bash "$(dirname "$0")/eval.sh" "$@"
