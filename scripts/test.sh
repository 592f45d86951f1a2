#!/usr/bin/env bash
# The whole test-suite on the CPU: lint, shellcheck, pytest. Arguments go to pytest.
set -euo pipefail
cd -P "$(dirname "${BASH_SOURCE[0]}")/.."
bash scripts/setup.sh
if ! command -v shellcheck >/dev/null; then
  echo "error: shellcheck is needed to test the launchers: apt-get install shellcheck" >&2
  exit 2
fi
.venv/bin/ruff check .
.venv/bin/ruff format --check .
shellcheck -x scripts/*.sh ascend310_infer/*.sh .ci/run
exec .venv/bin/python -m pytest "$@"
