#!/usr/bin/env bash
# Build the inference program: ascend310_infer/build/infer.
#
#   bash ascend310_infer/build.sh [--tests] [--sanitize] [--build_dir DIR]
#
# --tests: the unit tests, too (run them with: ctest --test-dir DIR).  --sanitize: with AddressSanitizer and
# UndefinedBehaviorSanitizer, into build-sanitize.  OPENVINO_DIR: the folder of OpenVINOConfig.cmake, or an openvino
# package; else that of the checkout's .venv, or of python3.  MS_LITE_HOME (MindSpore Lite) or MINDSPORE_HOME (the
# mindspore folder of a wheel with a C++ API): the engine for Ascend is built, too.  On x86-64 the library of this
# project's CPU operators comes beside infer, where src/mindvoxel/ops and oneDNN (libdnnl-dev) are there.  JOBS: compilers
# at once.  CXX, CXXFLAGS: the compiler, and more flags for it; the tests add -Werror.
set -euo pipefail
here=$(cd -P "$(dirname "${BASH_SOURCE[0]}")" && pwd)

fail() {
  echo "build.sh: $1" >&2
  exit 2
}

usage="usage: bash ascend310_infer/build.sh [--tests] [--sanitize] [--build_dir DIR]"
tests=OFF sanitize=OFF type=Release build=
while [ $# -gt 0 ]; do
  case $1 in
    --tests) tests=ON ;;
    --sanitize) sanitize=ON type=Sanitize ;;
    --build_dir)
      [ $# -gt 1 ] || fail "--build_dir needs a folder; $usage"
      build=$2
      shift
      ;;
    -h | --help)
      echo "$usage"
      exit 0
      ;;
    *) fail "$1 is not a flag; $usage" ;;
  esac
  shift
done
if [ -z "$build" ]; then
  build=$here/build
  [ "$sanitize" = OFF ] || build=$here/build-sanitize
fi

missing=()
command -v cmake >/dev/null || missing+=(cmake)
command -v "${CXX:-c++}" >/dev/null || missing+=(g++)
command -v make >/dev/null || missing+=(make)
[ ${#missing[@]} -eq 0 ] || fail "needed and not there: ${missing[*]}; as root: apt-get install ${missing[*]}"

find_openvino() {
  local folder python='import pathlib, openvino; print(pathlib.Path(openvino.__file__).parent)'
  if [ -n "${OPENVINO_DIR:-}" ]; then
    folder=$OPENVINO_DIR
  else
    folder=$(find "$here/../.venv/lib" -maxdepth 3 -type d -path '*/site-packages/openvino' 2>/dev/null | head -n 1)
    [ -n "$folder" ] || folder=$(python3 -c "$python" 2>/dev/null || true)
  fi
  [ -n "$folder" ] || return 0
  [ ! -d "$folder/cmake" ] || folder=$folder/cmake
  (cd -P "$folder" 2>/dev/null && pwd) || true
}

openvino=$(find_openvino)
if [ -n "${OPENVINO_DIR:-}" ] && ! [ -f "$openvino/OpenVINOConfig.cmake" ]; then
  fail "OPENVINO_DIR=$OPENVINO_DIR holds no OpenVINOConfig.cmake; name the folder of the openvino package"
fi
mkdir -p "$build" || fail "$build cannot be made; name another folder with --build_dir"
log=$build/configure.log
if ! cmake -S "$here" -B "$build" -DCMAKE_BUILD_TYPE=$type -DMINDVOXEL_TESTS=$tests -DMINDVOXEL_SANITIZE=$sanitize \
  -DCMAKE_CXX_FLAGS="${CXXFLAGS:-}" -DOpenVINO_DIR="${openvino:-OpenVINO_DIR-NOTFOUND}" >"$log" 2>&1; then
  if [ -f "$build/missing.txt" ]; then
    fail "$(cat "$build/missing.txt")"
  fi
  cat "$log" >&2
  fail "CMake failed, see above"
fi
has_openvino() { ! grep -q '^OpenVINO_DIR:.*-NOTFOUND$' "$build/CMakeCache.txt"; } # it may be the system's
has_openvino || echo "build.sh: without OpenVINO, so without --device cpu; pip install openvino gives it"
cmake --build "$build" -j "${JOBS:-$(nproc)}" || fail "the compiler failed, see above"

# The library of this project's CPU operators, into $build: that of the checkout where it is newer than its sources, else
# a new one. Where there is none, it prints what lacks.
add_operators() {
  local ops=$here/../src/mindvoxel/ops name=libmindvoxel_conv.so log=$build/operators.log file lacking=
  if ! [ -d "$ops/csrc" ]; then
    lacking="src/mindvoxel/ops/csrc is not beside ascend310_infer"
  elif [ -f "$ops/$name" ] && [ -z "$(find "$ops/csrc" -type f -newer "$ops/$name")" ]; then
    for file in "$ops"/lib*.so; do # with its own copy of oneDNN where it has one; a running program keeps what it opened
      { cp "$file" "$build/new.so" && mv "$build/new.so" "$build/${file##*/}"; } || lacking="$file cannot be copied"
    done
  elif ! { cmake -S "$ops/csrc" -B "$build/operators" -DOUTPUT_DIR="$build" &&
    cmake --build "$build/operators" -j "${JOBS:-$(nproc)}"; } >"$log" 2>&1; then
    lacking=$(grep -v '^--' "$log" | grep -m 1 -i -e 'error: ' -e 'not f[oi][un]*nd' || true)
    lacking="${lacking#"${lacking%%[![:space:]]*}"} (see $log)"
  fi
  [ -z "$lacking" ] || rm -f "$build/$name"
  echo "$lacking"
}
if [ "$(uname -m)" = x86_64 ] && has_openvino; then
  lacking=$(add_operators)
  [ -z "$lacking" ] || echo "build.sh: --device cpu takes up to 6 times as long without this project's operators: $lacking"
fi
echo "build.sh: $build/infer"
