#!/usr/bin/env bash
# Sourced by the launchers. Sets ROOT (the checkout), PYTHON, PYTHONPATH; nothing here changes the working folder, so
# relative paths mean what the user means.
set -euo pipefail
unset CDPATH

ROOT=$(cd -P "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
if [ -z "${PYTHON:-}" ]; then
  PYTHON=python3
  if [ -x "$ROOT/.venv/bin/python" ]; then PYTHON="$ROOT/.venv/bin/python"; fi
fi
export PYTHON
export PYTHONPATH="$ROOT/src:$ROOT${PYTHONPATH:+:$PYTHONPATH}"

die() {
  echo "error: $*" >&2
  exit 2
}

# usage NAME ARGUMENTS GIVEN NEEDED: end with the usage unless at least NEEDED arguments were given
usage() {
  if [ "$3" -lt "$4" ]; then
    echo "usage: bash scripts/$1 $2" >&2
    exit 2
  fi
}

# The model: MODEL, or the model folder whose scripts/ the launcher was called through (cd vnet; bash scripts/…).
choose_model() {
  local folder
  folder=$(dirname "$(cd -L "$(dirname "$0")" && pwd -L)")
  if [ -z "${MODEL:-}" ] && [ -f "$folder/network.py" ]; then MODEL=$(basename "$folder"); fi
  [ -n "${MODEL:-}" ] || die "MODEL is needed: MODEL=vnet bash scripts/$(basename "$0") …, or call it from vnet/"
  [ -f "$ROOT/$MODEL/network.py" ] || die "MODEL=$MODEL: $ROOT/$MODEL holds no network.py"
}

# new_output KIND [FLAGS…]: OUTPUT, the folder of this run: of the one that --resume names, else below the working folder
# unless the user set it
new_output() {
  local word last=
  for word in "${@:2}"; do
    if [ "$last" = --resume ]; then OUTPUT=$word; fi
    if [[ $word = --resume=* ]]; then OUTPUT=${word#*=}; fi
    last=$word
  done
  OUTPUT=${OUTPUT:-results/$MODEL-$1-$(date +%Y%m%d-%H%M%S)}
  mkdir -p "$OUTPUT" || exit 2
}

# logged LOG COMMAND…: in the foreground, on screen and in LOG, with the command's own exit status; a launcher that is
# told to end (a stopped job, Ctrl-C, a closed terminal) ends the command too, whose last words are still written
logged() {
  local log=$1 job tee status=0
  shift
  exec 3> >(trap '' TERM INT HUP && exec tee -a "$log")
  tee=$!
  "$@" >&3 2>&1 3>&- &
  job=$!
  trap 'kill -TERM "$job" 2>/dev/null' TERM INT HUP
  wait "$job" || status=$?
  while kill -0 "$job" 2>/dev/null; do # the trap ends a wait
    status=0
    wait "$job" || status=$?
  done
  trap - TERM INT HUP
  exec 3>&-
  wait "$tee" || true
  return "$status"
}

# launch FLAGS…: the processes of a distributed run; wrong flags are told before its folder is made
launch() {
  "$PYTHON" -m mindvoxel.cli.launch --check "$@" || exit
  new_output train "$@"
  logged "$OUTPUT/screen.log" "$PYTHON" -m mindvoxel.cli.launch --output_path "$OUTPUT" "$@" --model "$MODEL"
}

# What the model trains on: scans that a CSV lists, planned cases, of which DIM and FOLD say which, or photos.
kind() { sed -n 's/^KIND = "\(.*\)"$/\1/p' "$ROOT/$MODEL/config.py"; }

# published_output NAME: OUTPUT, the same for each call of a launcher by its published name, so that --continue_training
# and --validation_only find the run; of a model of a plan, with which these launchers work
published_output() {
  choose_model
  [ "$(kind)" = planned ] ||
    die "MODEL=$MODEL trains on $(kind); call scripts/train_standalone.sh or scripts/train_distribute.sh"
  export MODEL OUTPUT="${OUTPUT:-results/$MODEL-$1}"
}

# data_flags DATA_PATH SPLIT [FLAGS…], or DATA_PATH DIM FOLD [FLAGS…], or of photos DATA_PATH [FLAGS…]: sets FLAGS to what
# the entry point is given
# shellcheck disable=SC2034 # the launchers use FLAGS
data_flags() {
  case $(kind) in
    planned)
      [ "$#" -ge 3 ] || die "MODEL=$MODEL trains on preprocessed cases: after DATA_PATH, DIM (2 or 3) and FOLD are needed"
      FLAGS=(--data_path "$1" --dim "$2" --fold "$3" "${@:4}")
      ;;
    photos) FLAGS=(--data_path "$@") ;;
    *)
      [ "$#" -ge 2 ] || die "MODEL=$MODEL trains on scans: after DATA_PATH, TRAIN_SPLIT_FILE_PATH is needed"
      FLAGS=(--data_path "$1" --train_split_file_path "$2" "${@:3}")
      ;;
  esac
}
