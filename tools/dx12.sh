#!/bin/bash
# Tests halfwave on DX12, without Windows and without a GPU: a Windows build with wgpu's DX12
# backend, in Wine 10 (whose vkd3d translates DX12 to Vulkan), on Mesa's lavapipe. FXC compiles the
# HLSL, for shader model 5.1. Ends with "N passed, N failed".
#
#   tools/dx12.sh [SUITE...]   default: conformance, training, reference
#
#   REQUIRE_DX12=1   missing requirements are an error; otherwise all tests are skipped then, with a message
#
# Needs root on Debian 12 or later (mount, chroot; outside target/dx12 only installed packages
# change) and installs missing requirements (tools/install-test-deps.sh --dx12). Wine and lavapipe
# are unpacked from Debian 13 into target/dx12, because Debian 12's Wine computes wrong results. FXC
# is Microsoft's d3dcompiler_47.dll: it comes from the PyPI package cefpython3, which redistributes
# it, and is never committed.
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=tools/debian-packages.sh
source tools/debian-packages.sh

work=$PWD/target/dx12
export WINDOWS_TARGET_DIR=$PWD/target/windows # below the repository, the only folder visible to Wine
root=$work/root
compiler=$work/d3dcompiler_47.dll
compiler_sha256=8bdcccc5dd81330d5b5eb22e3dd87f1260d6f9a1b87cd26c1fe469cdd070a5f7 # 10.0.17134, x86-64

say() { echo "dx12: $*"; }
missing() { # missing WHY: ends the script
  if [[ ${REQUIRE_DX12:-} == 1 ]]; then say "error: $*"; exit 1; fi
  say "SKIPPED: $*: NOTHING IS TESTED ON DX12"
  exit 0
}
began=$SECONDS
took() { say "$*: $((SECONDS - began)) s"; began=$SECONDS; }

# Debian 13's Wine, lavapipe and X server, unpacked but not installed. The packages' scripts are not
# run, except Wine's, which creates a DLL.
unpack_wine() {
  unpack_debian trixie "$work" bash dash coreutils wine wine64 mesa-vulkan-drivers xvfb || missing "Debian 13's packages cannot be read"
  dpkg -e "$work"/apt/cache/archives/libwine_*.deb "$work/apt/libwine"
  cp "$work/apt/libwine/postinst" "$root/tmp/"
  chroot "$root" /usr/bin/bash /tmp/postinst configure
  echo 'root:x:0:0:root:/root:/usr/bin/sh' >"$root/etc/passwd"
  mkdir -p "$root"/{dev,proc,sys,root,halfwave}
  rm -rf "$work/apt"
  touch "$work/unpacked"
}

fetch_compiler() {
  local python= candidate
  for candidate in python3 /usr/bin/python3; do
    if "$candidate" -m pip --version >/dev/null 2>&1; then python=$candidate; break; fi
  done
  [[ -n $python ]] || missing "no Python with pip"
  "$python" -m pip download -q --no-deps --only-binary=:all: --platform win_amd64 --python-version 3.7 --dest "$work/wheel" cefpython3==66.1 ||
    missing "PyPI's cefpython3 cannot be read"
  "$python" -m zipfile -e "$work"/wheel/*.whl "$work/wheel"
  mv "$work/wheel/cefpython3/d3dcompiler_47.dll" "$compiler"
  rm -rf "$work/wheel"
}

# Runs a script in the unpacked Debian, with the repository in /halfwave. All processes that it
# starts end with it.
inside() { # inside SCRIPT ARGUMENT...
  unshare --mount --pid --fork --kill-child bash -ec '
    mount --rbind /dev "$1/dev"; mount --rbind /sys "$1/sys"; mount -t proc proc "$1/proc"; mount --bind "$PWD" "$1/halfwave"
    exec chroot "$@"' inside "$root" /usr/bin/env -i -C /halfwave PATH=/usr/bin HOME=/root XDG_RUNTIME_DIR=/tmp DISPLAY=:7 WINEPREFIX=/root/wine \
    WINELOADER=/usr/lib/wine/wine64 WINESERVER=/usr/lib/wine/wineserver64 WINEDEBUG=-all WINEDLLOVERRIDES=d3dcompiler_47=n \
    VK_DRIVER_FILES=/usr/share/vulkan/icd.d/lvp_icd.json WGPU_BACKEND=dx12 WGPU_DX12_COMPILER=fxc REQUIRE_GPU=1 HALFWAVE_TEST_BACKEND=Dx12 HALFWAVE_TEST_SAMPLES=2 HALFWAVE_TEST_SOME=1 \
    bash -c "$@"
}

# Wine needs a display, and its DXGI a renderer that does not use OpenGL.
desktop='
  wine() { timeout 1200 /usr/lib/wine/wine64 "$@" </dev/null; }
  rm -f /tmp/.X7-lock /tmp/.X11-unix/X7
  Xvfb :7 -screen 0 640x480x24 -nolisten tcp >/tmp/xvfb.log 2>&1 & disown # not one of the jobs to wait for
  for _ in {1..100}; do if [[ -e /tmp/.X11-unix/X7 ]]; then break; fi; sleep 0.1; done
  if [[ ! -e /root/wine/ready ]]; then
    wine wineboot -i && wine reg add "HKCU\Software\Wine\Direct3D" /v renderer /d vulkan /f >/dev/null &&
      cp target/dx12/d3dcompiler_47.dll /root/wine/drive_c/windows/system32/ && touch /root/wine/ready
  fi || { echo "dx12: Wine does not start" >&2; exit 1; }
'

[[ $(uname -m) == x86_64 ]] || missing "it needs an x86-64 machine"
[[ $(id -u) == 0 ]] || missing "it needs root, for mount and chroot"
command -v apt-get >/dev/null || missing "it needs Debian's apt"
unshare --mount --pid --fork true 2>/dev/null || missing "this machine allows no mount namespaces"
tools/install-test-deps.sh --dx12 || missing "packages cannot be installed"
tools/windows-cargo.sh --find || missing "there is no compiler for Windows"
took "packages"
[[ -e $work/unpacked ]] || unpack_wine
[[ -e $compiler ]] || fetch_compiler
echo "$compiler_sha256  $compiler" | sha256sum --check --quiet || { say "error: $compiler is another one than expected"; exit 1; }
took "Wine, lavapipe and FXC"

# The tests that run on a device: their names contain one of these words.
suites=("$@")
[[ $# != 0 ]] || suites=(conformance training reference)
words=(each_driver conform)
log=$work/log
CARGO_PROFILE_DEV_OPT_LEVEL=${CARGO_PROFILE_DEV_OPT_LEVEL:-1} CARGO_PROFILE_DEV_DEBUG=0 tools/windows-cargo.sh test --no-run "${suites[@]/#/--test=}" 2>&1 | tee "$work/build" || { say "error: the Windows build failed"; exit 1; }
mapfile -t programs < <(sed -n 's/^ *Executable .* (\(.*\.exe\))$/\1/p' "$work/build")
[[ ${#programs[@]} == "${#suites[@]}" ]] || { say "error: ${#programs[@]} test programs for ${#suites[@]} suites"; exit 1; }
halfwave=target/windows/x86_64-pc-windows-gnu/debug/halfwave.exe
took "Windows build"

# FXC does not optimise in debug builds, for the sake of debuggers; the digits are trained as in a
# release build.
status=0
rm -rf "$work/digits"
inside "$desktop"'
  words=$1 halfwave=$2
  shift 2
  # Two jobs at a time, because FXC compiles on one core. What they print is shown at the end.
  rm -rf /tmp/jobs && mkdir /tmp/jobs
  job() { # job HEADING COMMAND...
    local heading=$1 began=$SECONDS number=$((++count))
    shift
    if (($(jobs -pr | wc -l) >= 2)); then wait -n || true; fi
    {
      { echo "$heading" && "$@" || { echo "dx12: $2 failed ($?)"; touch /tmp/jobs/failed; }; } >"/tmp/jobs/$number.log" 2>&1
      echo "dx12: ${2##*[\\/]}: $((SECONDS - began)) s"
    } &
  }
  count=10 # so that the logs sort by number
  wine "$halfwave" devices || touch /tmp/jobs/failed
  for program; do job "     Running $program" wine "$program" --nocapture $words; done
  WGPU_DEBUG=0 job "halfwave train:" wine "$halfwave" train --plain --epochs 8 --out target/dx12/digits
  wait
  cat /tmp/jobs/*.log
  [[ ! -e /tmp/jobs/failed ]]
' run "${words[*]}" "$halfwave" "${programs[@]#"$PWD/"}" 2>&1 | tee "$log" || status=1
took "tests"

# A suite ends with "test result: ok. 2 passed; 0 failed; ...".
awk '
  function close_suite() { if (name != "") { print name, counts == "" || counts == "0 0" ? "0 1" : counts } counts = "" }
  /^ +Running / { close_suite(); name = $2; sub(/.*[\/\\]/, "", name); sub(/-[0-9a-f]+\.exe$/, "", name) }
  /^test result: / { counts = $4 " " $6 }
  END { close_suite() }' "$log" >"$work/suites"
check() { # check NAME COMMAND...
  local name=$1
  shift
  if "$@"; then echo "$name 1 0" >>"$work/suites"; else echo "$name 0 1" >>"$work/suites"; fi
}

# Hashes of codes, planes and sums of a step, as printed by the suite training.
integers() { sed -nE 's/^.*: (.* [0-9a-f]{16})$/\1/p' "$1" | sort; }
same_integers() {
  local drivers; drivers=$(tools/find-icds.sh)
  HALFWAVE_TEST_ICDS=${drivers%%,*} REQUIRE_GPU=1 cargo test --features "${HALFWAVE_TEST_FEATURES:-}" --test training integers_are_identical_on_each_driver -- --nocapture >"$work/vulkan" 2>&1 || { tail -20 "$work/vulkan"; return 1; }
  integers "$log" >"$work/integers-dx12"
  integers "$work/vulkan" >"$work/integers-vulkan"
  [[ -s $work/integers-dx12 ]] || { echo "no integers in the log"; return 1; }
  diff "$work/integers-vulkan" "$work/integers-dx12"
}
# Single epochs from the sixth on have 94 to 97%; the suite reference checks the accuracy of a step.
digits() {
  local accuracy; accuracy=$(sed -nE 's/^test accuracy ([0-9.]+)%.*/\1/p' "$log")
  echo "digits on DX12: test accuracy ${accuracy:-unknown}%"
  awk -v accuracy="${accuracy:-0}" 'BEGIN { exit accuracy < 93 }'
}
if [[ " ${suites[*]} " == *" training "* ]]; then check integers-as-on-vulkan same_integers; fi
check digits-93-percent digits

read -r passed failed < <(awk '{ passed += $2; failed += $3 } END { print passed + 0, failed + 0 }' "$work/suites")
echo
awk '{ printf "%-28s %4d passed, %d failed\n", $1, $2, $3 }' "$work/suites"
if [[ $failed != 0 ]]; then status=1; fi
if [[ $status != 0 ]]; then echo "FAILED"; fi
echo "$passed passed, $failed failed on DX12 in $SECONDS s"
exit $status
