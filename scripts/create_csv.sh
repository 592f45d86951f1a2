#!/usr/bin/env bash
# OUT_PATH/train.csv and OUT_PATH/val.csv. RANDOM 0: the published PROMISE12 split; 1: a random one, drawn with SEED
# where given. Further flags: mindvoxel create_csv --help (--data_path splits another data set's cases).
# shellcheck source=scripts/common.sh
. "$(dirname "$0")/common.sh"
usage create_csv.sh "OUT_PATH RANDOM(0|1) [SEED] [FLAGS…]" "$#" 2
out=$1 random=$2
shift 2
seed=()
if [ "$#" -gt 0 ] && [[ $1 =~ ^[0-9]+$ ]]; then
  seed=(--seed "$1")
  shift
fi
exec "$PYTHON" -m mindvoxel.cli.create_csv --output_path "$out" --random "$random" "${seed[@]}" "$@"
