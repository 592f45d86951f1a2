#!/usr/bin/env bash
# Everything that the project needs, once: system packages (as root; else a list), .venv with pinned packages, and the
# CPU convolution operator. Runs again only when the pins or the operator's source change.
set -euo pipefail
cd -P "$(dirname "${BASH_SOURCE[0]}")/.."

stamp=.venv/.setup-$(cat scripts/setup.sh scripts/requirements.txt pyproject.toml src/mindvoxel/ops/csrc/* | cksum | cut -d' ' -f1)
if [ -f "$stamp" ]; then exit 0; fi

find_python() {
  local candidate
  for candidate in ${PYTHON:-} python3.11 python3.12 python3; do
    if "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' 2>/dev/null; then
      echo "$candidate"
      return
    fi
  done
}

# needed: without it nothing works; useful: without it one thing is slower or not tested
needed=() useful=()
python=$(find_python)
if [ -z "$python" ]; then
  needed+=(python3 python3-venv)
elif ! "$python" -c 'import ensurepip' 2>/dev/null; then
  needed+=("$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')")
fi
if ! ldconfig -p | grep -q libgomp.so.1; then needed+=(libgomp1); fi
if ! command -v c++ >/dev/null; then useful+=(g++); fi
if ! command -v cmake >/dev/null; then useful+=(cmake); fi
if ! command -v make >/dev/null; then useful+=(make); fi
if ! [ -f /usr/include/dnnl.hpp ] && ! ls /usr/include/*/dnnl.hpp >/dev/null 2>&1; then useful+=(libdnnl-dev); fi
if ! command -v shellcheck >/dev/null; then useful+=(shellcheck); fi

if [ "$((${#needed[@]} + ${#useful[@]}))" -gt 0 ]; then
  if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
    echo "setup: installing ${needed[*]} ${useful[*]}"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends "${needed[@]}" "${useful[@]}" >/dev/null
  elif [ "${#needed[@]}" -gt 0 ]; then
    echo "setup: needed and not there: ${needed[*]}" >&2
    echo "setup: install them as root, then run this again: apt-get install ${needed[*]} ${useful[*]}" >&2
    exit 2
  else
    echo "setup: goes on without ${useful[*]}; as root: apt-get install ${useful[*]}"
  fi
fi
python=$(find_python)
if [ -z "$python" ]; then
  echo "setup: Python 3.11 or 3.12 is needed; set PYTHON to one" >&2
  exit 2
fi

echo "setup: packages into .venv, a few minutes the first time"
[ -x .venv/bin/python ] || "$python" -m venv .venv
.venv/bin/python -m pip install -q --disable-pip-version-check -r scripts/requirements.txt
.venv/bin/python -m pip install -q --disable-pip-version-check --no-build-isolation --no-deps -e .
.venv/bin/python -m mindvoxel.ops.build ||
  echo "setup: goes on with MindSpore's own CPU convolutions, which are slower; other devices do not need the operator"
rm -f .venv/.setup-*
touch "$stamp"
