#!/usr/bin/env bash
# Train on one GPU: DEVICE_ID DATA_PATH {TRAIN_SPLIT_FILE_PATH|DIM FOLD} [FLAGS…]
DEVICE_TARGET=${DEVICE_TARGET:-GPU} exec bash "$(dirname "$0")/train_standalone.sh" "$@"
