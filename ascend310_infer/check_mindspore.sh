#!/usr/bin/env bash
# Compile, link and run the Ascend engine on a machine without an Ascend.
#
#   bash ascend310_infer/check_mindspore.sh BUNDLE
#
# It is built against MindSpore Lite 2.0.0, on whose CPU device the engine's own tests run, and against MindSpore 2.0.0,
# the last whose wheel has a C++ API. With each, `infer --device ascend` must end in one sentence and exit status 2, and
# `--fallback cpu` must segment the bundle's reference case.  The wheels (1.1 GB) come from PyPI once; headers and
# libraries stay in ${XDG_CACHE_HOME:-~/.cache}/mindvoxel (0.7 GB).  LIBPYTHON39: libpython3.9.so.1.0, which MindSpore
# 2.0.0 needs; else it is looked for.  BUILD_DIR: in the place of ascend310_infer/build-mindspore.
set -euo pipefail
unset GLOG_v # what the runtime tells is looked at
here=$(cd -P "$(dirname "${BASH_SOURCE[0]}")" && pwd)

fail() {
  echo "check_mindspore.sh: $1" >&2
  exit 2
}

[ $# -eq 1 ] || fail "usage: bash ascend310_infer/check_mindspore.sh BUNDLE"
[ -f "$1/deploy.json" ] || fail "$1 holds no deploy.json; export.py --file_format BUNDLE makes a bundle"
bundle=$(cd -P "$1" && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/mindvoxel
build=${BUILD_DIR:-$here/build-mindspore}
python=python3
[ ! -x "$here/../.venv/bin/python" ] || python=$here/../.venv/bin/python
mkdir -p "$build" || fail "$build cannot be made; set BUILD_DIR to a folder that can be written"
build=$(cd -P "$build" && pwd)
mkdir -p "$cache" || fail "$cache cannot be made; set XDG_CACHE_HOME to a folder that can be written"

# wheel PACKAGE PYTHON PATTERN: the members of its wheel that match, as $cache/PACKAGE-2.0.0; complete or not there
wheel() {
  local home=$cache/$1-2.0.0 partial
  [ ! -d "$home" ] || return 0
  partial=$(mktemp -d "$cache/partial-XXXXXX")
  # shellcheck disable=SC2064 # the folder of now
  trap "rm -rf '$partial'" EXIT
  echo "check_mindspore.sh: fetching $1 2.0.0"
  "$python" -m pip download -q --disable-pip-version-check --no-deps --only-binary=:all: --python-version "$2" \
    --platform manylinux1_x86_64 -d "$partial" "$1==2.0.0" >"$partial/pip.log" 2>&1 ||
    fail "pip could not fetch $1==2.0.0 ($(tail -n 1 "$partial/pip.log")); is there a network?"
  "$python" - "$partial" "$3" <<'PY' || fail "the wheel of $1 could not be unpacked; is the disk full?"
import pathlib, re, sys, zipfile

folder = pathlib.Path(sys.argv[1])
with zipfile.ZipFile(next(folder.glob("*.whl"))) as wheel:
    wheel.extractall(folder, [name for name in wheel.namelist() if re.fullmatch(sys.argv[2], name)])
PY
  rm -f "$partial"/*.whl "$partial/pip.log"
  mv "$partial" "$home"
  trap - EXIT
}

# of Python 3.9, else of the Python that runs here: all that is asked of it is in later ones, too, and none of it is
# called on this way
find_libpython() {
  local candidate name=libpython3.9.so.1.0 place='import sysconfig as s; print(s.get_config_var("LIBDIR"))'
  local own='import sysconfig as s; print(s.get_config_var("LIBDIR"), s.get_config_var("INSTSONAME"), sep="/")'
  for candidate in "${LIBPYTHON39:-}" "$(ldconfig -p 2>/dev/null | sed -n "s/.*$name.* => //p" | head -n 1)" \
    "$(python3.9 -c "$place" 2>/dev/null || true)/$name" "$("$python" -c "$own")"; do
    if [ -f "$candidate" ] && [[ $candidate == *.so* ]]; then
      echo "$candidate"
      return
    fi
  done
}

# expect STATUS WORDS…: infer on the bundle's reference case ends so, and with at most one line of error
expect() {
  local wanted=$1 status=0 lines
  shift
  "$build/infer" --bundle "$bundle" --self_test --device ascend "$@" >"$build/check.out" 2>"$build/check.err" || status=$?
  cat "$build/check.out" "$build/check.err"
  lines=$(wc -l <"$build/check.err")
  [ "$status" -eq "$wanted" ] || fail "infer --device ascend $* ended with $status, and $wanted is right"
  [ "$lines" -eq 1 ] || fail "infer --device ascend $* wrote $lines lines of error, and one is right"
  grep -q "Ascend" "$build/check.err" || fail "infer --device ascend $* did not name the Ascend"
}

# with VARIABLE HOME COMMAND…: a build's command with that runtime alone
with() {
  env -u MS_LITE_HOME -u MINDSPORE_HOME "$1=$2" "${@:3}" >"$build/check.log" 2>&1 ||
    fail "the build failed: $(tail -n 20 "$build/check.log")"
}

# check VARIABLE HOME: build with that runtime, and look how it ends without a device
check() {
  echo "check_mindspore.sh: $1=$2"
  with "$1" "$2" bash "$here/build.sh" --build_dir "$build"
  expect 2
  expect 0 --fallback cpu
}

wheel mindspore-lite 3.7 'mindspore_lite/include/.*|mindspore_lite/lib/(?!libtransformer|libtensorrt|_c_lite).*\.so.*'
# as in the package that a host unpacks: the libraries in three folders, the first of another name
lite=$build/lite
mkdir -p "$lite"/runtime/{lib,third_party/dnnl} "$lite/tools/converter/lib"
ln -sfn "$cache/mindspore-lite-2.0.0/mindspore_lite/include" "$lite/runtime/include"
for library in "$cache"/mindspore-lite-2.0.0/mindspore_lite/lib/*.so*; do
  case ${library##*/} in
    libdnnl*) folder=runtime/third_party/dnnl ;;
    libmindspore_converter* | libmslite_* | libopencv_*) folder=tools/converter/lib ;;
    *) folder=runtime/lib ;;
  esac
  ln -sf "$library" "$lite/$folder/"
done
ln -sf libmindspore-extendrt_python.so "$lite/runtime/lib/libmindspore-lite.so"
check MS_LITE_HOME "$lite"
with MS_LITE_HOME "$lite" cmake "$build" -DMINDVOXEL_TESTS=ON
with MS_LITE_HOME "$lite" cmake --build "$build" --target mindspore_tests
"$build/mindspore_tests" >"$build/tests.log" 2>&1 || fail "the engine's tests failed: $(cat "$build/tests.log")"
tail -n 1 "$build/tests.log"

wheel mindspore 3.9 'mindspore/include/.*|mindspore/lib/[^/]*\.so.*'
mindspore=$cache/mindspore-2.0.0/mindspore
if [ ! -f "$mindspore/lib/libpython3.9.so.1.0" ]; then
  libpython=$(find_libpython)
  [ -n "$libpython" ] || fail "libpython3.9.so.1.0 is needed, and neither it nor that of $python is there; install a \
Python with its shared library, or set LIBPYTHON39 to the file"
  cp "$libpython" "$mindspore/lib/libpython3.9.so.1.0"
fi
check MINDSPORE_HOME "$mindspore"
echo "check_mindspore.sh: the Ascend engine compiles, links and ends as it should with both"
