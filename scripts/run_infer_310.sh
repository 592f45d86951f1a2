#!/usr/bin/env bash
# Build the C++ program, segment the cases of a split with a bundle on an Ascend (DEVICE_TARGET=CPU: on this machine's
# CPU), and score them as eval.sh does. MINDIR_PATH: a bundle's folder, or the model.mindir in it. DATA_PATH: the data
# set, for V-Net with img/ and gt/, for models of a plan also the folder that preprocess wrote, for ResNet-50 the folder
# of val/, whose photos are all classified: SPLIT_FILE_PATH is none then. Further flags go to the program: --precision
# bf16, --fallback cpu. OUTPUT=DIR names the folder of masks and tables; BUILD_DIR: where it builds.
# shellcheck source=scripts/common.sh
. "$(dirname "$0")/common.sh"
words="MINDIR_PATH DATA_PATH SPLIT_FILE_PATH DEVICE_ID [FLAGS…]"
usage run_infer_310.sh "$words" "$#" 4
mindir=$1 data=$2 split=$3 device_id=$4
shift 4
case ${DEVICE_TARGET:-Ascend} in
  Ascend) device=(--device ascend --device_id "$device_id") ;;
  CPU) device=(--device cpu) ;;
  *) die "DEVICE_TARGET=$DEVICE_TARGET: the program runs on Ascend or CPU" ;;
esac
OUTPUT=${OUTPUT:-results/infer_310-$(date +%Y%m%d-%H%M%S)}
mkdir -p "$OUTPUT" || exit 2
build=${BUILD_DIR:-$ROOT/ascend310_infer/build}
if ! bash "$ROOT/ascend310_infer/build.sh" --build_dir "$build" >"$OUTPUT/build.log" 2>&1; then
  die "the program could not be built, see $OUTPUT/build.log: $(tail -n 1 "$OUTPUT/build.log")"
fi
logged "$OUTPUT/screen.log" "$PYTHON" -m mindvoxel.cli.infer_310 --infer "$build/infer" --mindir_path "$mindir" \
  --data_path "$data" --split_file_path "$split" --output_path "$OUTPUT" "${device[@]}" "$@"
