#!/bin/bash
# Unpacks a Vulkan driver that supports cooperative matrices without a GPU, Mesa's lavapipe of
# Debian's unstable suite, below target/coop-lavapipe, and prints its ICD file for
# HALFWAVE_TEST_COOP. Nothing is installed; about 100 MB are downloaded once.
#
#   tools/coop-lavapipe.sh                  print the ICD file
#   tools/coop-lavapipe.sh PROGRAM ARGS...  run a program on the driver
#
# Its matrices are 8 × 8, for subgroups of 8. Mesa 25 and older have none. Programs on it run with
# its C library; tests/common does the same.
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
work=$here/target/coop-lavapipe
root=$work/root
icd=$root/usr/share/vulkan/icd.d/lvp_icd.json

# shellcheck source=tools/debian-packages.sh
source "$here/tools/debian-packages.sh"
die() { echo "coop-lavapipe: error: $*" >&2; exit 1; }

if [[ ! -e $work/unpacked ]]; then
  unpack_debian sid "$work" mesa-vulkan-drivers libvulkan1 libstdc++6 || die "Debian's unstable packages cannot be read"
  rm -rf "$work/apt"
  [[ -e $icd ]] || icd=$(ls "$root"/usr/share/vulkan/icd.d/lvp_icd*.json)
  [[ -e $icd ]] || die "the packages hold no lavapipe"
  touch "$work/unpacked"
fi
[[ -e $icd ]] || icd=$(ls "$root"/usr/share/vulkan/icd.d/lvp_icd*.json)
if [[ $# == 0 ]]; then echo "$icd"; exit; fi
export VK_DRIVER_FILES=$icd VK_ICD_FILENAMES=$icd XDG_RUNTIME_DIR=${XDG_RUNTIME_DIR:-/tmp}
loader=$(find "$root" -name 'ld-linux-*.so.*' -print -quit)
[[ -n $loader ]] || die "the packages hold no dynamic loader"
libraries=$(find "$root" -maxdepth 3 -type d -path '*/lib/*-linux-gnu' | paste -sd:)
exec "$loader" --library-path "$libraries" "$@"
