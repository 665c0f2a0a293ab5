#!/bin/bash
# Creates the Python environments with which exported networks are tested, below
# target/python-export: one with onnx and onnxruntime, one with qonnx, which may ask for other
# versions of them. 53 and 63 MB are downloaded once, and 213 and 323 MB stored; nothing is installed
# elsewhere. Prints the Python program of one environment:
#
#   tools/python-export.sh onnx     for HALFWAVE_TEST_ONNX
#   tools/python-export.sh qonnx    for HALFWAVE_TEST_QONNX
#
#   PYTHON   the Python that creates them, 3.11 or later (default: python3)
set -euo pipefail
work=$(cd "$(dirname "$0")/.." && pwd)/target/python-export

die() { echo "python-export: error: $*" >&2; exit 1; }

case ${1:-} in
  onnx) packages=(onnx==1.23.2 onnxruntime==1.32.0) ;;
  qonnx) packages=(qonnx==1.0.0) ;;
  *) sed -n '2,/^set/s/^# \{0,1\}//p' "$0" | sed '$d' >&2; exit 2 ;;
esac
venv=$work/$1
# The marker names the packages: other versions are installed anew.
if [[ $(cat "$venv/installed" 2>/dev/null) != "${packages[*]}" ]]; then
  rm -rf "$venv"
  mkdir -p "$work"
  "${PYTHON:-python3}" -m venv "$venv" >&2 || die "there is no Python with venv: on Debian and Ubuntu, apt-get install python3-venv"
  "$venv/bin/pip" install --quiet --disable-pip-version-check "${packages[@]}" >&2 || die "pip cannot install ${packages[*]}"
  echo "${packages[*]}" >"$venv/installed"
fi
echo "$venv/bin/python"
