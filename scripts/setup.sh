#!/usr/bin/env bash
# Everything that the project needs, once: system packages (as root; else a list), .venv with pinned packages, and the
# CPU convolution operator. Runs again only when the pins or the operator's source change.
set -euo pipefail
cd -P "$(dirname "${BASH_SOURCE[0]}")/.."

# what this machine offers to build and test with is part of the stamp: a compiler that comes later is used
state() {
  cat scripts/setup.sh scripts/requirements.txt pyproject.toml
  find src/mindvoxel/ops/csrc -maxdepth 1 -type f -exec cat {} +
  command -v c++ cmake make mpirun || true
  ls /usr/include/dnnl.hpp /usr/include/*/dnnl.hpp 2>/dev/null || true
}
if [ -f ".venv/.setup-$(state | cksum | cut -d' ' -f1)" ]; then exit 0; fi

find_python() {
  local candidate
  for candidate in "${PYTHON:-python3.11}" python3.11 python3.12 python3; do
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
libraries=$(PATH="$PATH:/sbin:/usr/sbin" ldconfig -p 2>/dev/null || true)
[[ $libraries == *libgomp.so.1* ]] || needed+=(libgomp1)
if ! command -v c++ >/dev/null; then useful+=(g++); fi
if ! command -v cmake >/dev/null; then useful+=(cmake); fi
if ! command -v make >/dev/null; then useful+=(make); fi
if ! [ -f /usr/include/dnnl.hpp ] && ! ls /usr/include/*/dnnl.hpp >/dev/null 2>&1; then useful+=(libdnnl-dev); fi
if ! command -v mpirun >/dev/null; then useful+=(openmpi-bin); fi
# the C++ harness, ascend310_infer, and its unit tests
while read -r header package; do
  compgen -G "/usr/include/$header" >/dev/null || useful+=("$package")
done <<'END'
ITK-5*/itkImage.h libinsighttoolkit5-dev
jpeglib.h libjpeg-dev
png.h libpng-dev
nlohmann/json.hpp nlohmann-json3-dev
CLI/CLI.hpp libcli11-dev
openssl/evp.h libssl-dev
gtest/gtest.h libgtest-dev
END
if ! command -v shellcheck >/dev/null; then useful+=(shellcheck); fi

if [ "$((${#needed[@]} + ${#useful[@]}))" -gt 0 ]; then
  if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null; then
    echo "setup: installing ${needed[*]} ${useful[*]}"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq || echo "setup: goes on with the package lists that are there"
    for package in "${needed[@]}"; do apt-get install -y -qq --no-install-recommends "$package" >/dev/null; done
    for package in "${useful[@]}"; do
      apt-get install -y -qq --no-install-recommends "$package" >/dev/null || echo "setup: goes on without $package"
    done
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
touch ".venv/.setup-$(state | cksum | cut -d' ' -f1)"
