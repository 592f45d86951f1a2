#!/usr/bin/env bash
# The whole way in minutes on a CPU: data, split, training with validation, evaluation, export.
# DATA=DIR takes a PROMISE12 folder of yours instead of the phantom; OUTPUT=DIR says where everything goes.
# Flags go to train.py (--recipe default --epochs 500 …).
# shellcheck source=scripts/common.sh
bash "$(dirname "$0")/setup.sh" || exit
. "$(dirname "$0")/common.sh"
MODEL=vnet
export DEVICE_TARGET=${DEVICE_TARGET:-CPU}
OUTPUT=${OUTPUT:-results/quickstart-$(date +%Y%m%d-%H%M%S)}
mkdir -p "$OUTPUT" || exit 2
begin=$SECONDS

step() { echo "== $*"; }

if [ -z "${DATA:-}" ]; then
  DATA=$OUTPUT/data
  step "phantom scans in the PROMISE12 layout: $DATA"
  "$PYTHON" -m mindvoxel.cli.phantom --output_path "$DATA" --num_cases 16
fi
step "split: $OUTPUT/train.csv, $OUTPUT/val.csv"
"$PYTHON" -m mindvoxel.cli.create_csv --output_path "$OUTPUT" --random 1 --seed 0 --eval_fraction 0.25 --data_path "$DATA"
step "training"
"$PYTHON" "$ROOT/train.py" --model "$MODEL" --recipe small --data_path "$DATA" \
  --train_split_file_path "$OUTPUT/train.csv" --eval_split_file_path "$OUTPUT/val.csv" --output_path "$OUTPUT/run" "$@"
step "evaluation"
"$PYTHON" "$ROOT/eval.py" --model "$MODEL" --ckpt_path "$OUTPUT/run/best.ckpt" --data_path "$DATA" \
  --eval_split_file_path "$OUTPUT/val.csv" --output_path "$OUTPUT/eval"
step "export"
for format in MINDIR ONNX; do
  "$PYTHON" "$ROOT/export.py" --model "$MODEL" --ckpt_file "$OUTPUT/run/best.ckpt" --file_format "$format" \
    --file_name "$OUTPUT/vnet"
done
dice=$("$PYTHON" -c 'import json, sys; print("%.3f" % (json.load(open(sys.argv[1]))["mean"]["dice"] or float("nan")))' "$OUTPUT/eval/summary.json")
echo "quickstart: mean Dice $dice in $((SECONDS - begin)) s, results in $OUTPUT"
