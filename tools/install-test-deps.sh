#!/bin/bash
# Installs the requirements of halfwave's tests on Debian or Ubuntu: a C linker, the Vulkan loader,
# lavapipe (from the release's backports if they have a newer one: its shaders run several times
# faster), the browsers chromium (which includes SwiftShader) and firefox-esr, a compiler for
# wasm32, Node.js, clang (which type-checks the kernels' MSL), compilers and emulators for Cortex-M
# and RISC-V (for exported C), Open MPI and MPICH, Python with venv. Safe to run again: if everything is installed, it
# changes nothing and contacts no server.
#
#   --dx12                 only what tools/dx12.sh needs: a compiler for Windows, Python with pip
#   HALFWAVE_KEEP_MESA=1   leave an installed Mesa as it is, even when backports have a newer one
set -euo pipefail

say() { echo "install-test-deps: $*" >&2; }
die() { say "error: $*"; exit 1; }

command -v apt-get >/dev/null || die "this script knows Debian and Ubuntu (apt) only. Elsewhere install by hand a C compiler,
the Vulkan loader, Mesa's lavapipe, chromium (SwiftShader comes with it), firefox, Node.js, clang and a Rust with the target
wasm32-unknown-unknown, then name the drivers in HALFWAVE_TEST_ICDS (see docs/testing.md)"

root() {
  if [[ $(id -u) == 0 ]]; then "$@"
  elif command -v sudo >/dev/null; then sudo "$@"
  else die "needs root for: $* (run this script as root, or install sudo)"
  fi
}

# shellcheck source=/dev/null
codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
[[ -n $codename ]] || say "no VERSION_CODENAME in /etc/os-release: backports are left alone"
log=$(mktemp)
trap 'rm -f "$log"' EXIT

version_of() { dpkg-query -W -f '${db:Status-Status} ${Version}' "$1" 2>/dev/null | sed -n 's/^installed //p'; }
have() { [[ -n $(version_of "$1") ]]; }

updated=
update() {
  [[ -z $updated ]] || return 0
  say "apt-get update"
  # One unreachable source among several is no reason to stop: the installation that follows shows
  # whether it mattered.
  root apt-get update >"$log" 2>&1 || { say "apt-get update had errors:"; grep -E '^(E|W):' "$log" >&2 || tail -5 "$log" >&2; }
  updated=1
}

# Not `apt-cache ... | grep -q`: grep exits early, apt-cache fails on the closed pipe, and pipefail
# reports that as no match.
available() { [[ $(apt-cache policy "$1" 2>/dev/null) =~ Candidate:\ [0-9] ]]; }

install() { # install [-t SUITE] PACKAGE...
  say "installing $*"
  root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "$@" >"$log" 2>&1 ||
    { tail -20 "$log" >&2; die "apt-get install $* failed (see above)"; }
}

want() { # want PACKAGE...: installs those that are missing
  local missing=()
  for package in "$@"; do have "$package" || missing+=("$package"); done
  [[ ${#missing[@]} == 0 ]] && return 0
  update
  install "${missing[@]}"
}

# Adds the release's backports as a copy of the machine's source with another suite, so that mirrors
# and keys stay unchanged. Fails if there is no such source to copy.
add_backports() {
  local suite=$codename-backports file copy=
  for file in /etc/apt/sources.list.d/*.sources; do
    [[ -f $file ]] || continue
    copy=$(awk -v RS= -v suite="$codename" -v backports="$suite" '
      $0 ~ "(^|\n)Types:[^\n]*deb" && $0 ~ "(^|\n)Suites:([^\n]* )?" suite "( |\n|$)" {
        gsub(/(^|\n)#[^\n]*/, ""); sub(/(^|\n)Suites:[^\n]*/, "\nSuites: " backports); sub(/^\n/, ""); print; exit }' "$file")
    [[ -z $copy ]] || { target=/etc/apt/sources.list.d/halfwave-backports.sources; break; }
  done
  if [[ -z $copy ]]; then
    copy=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null | awk -v suite="$codename" -v backports="$suite" '
      $1 == "deb" { for (i = 2; i <= NF; i++) if ($i == suite) { $i = backports; print; exit } }')
    target=/etc/apt/sources.list.d/halfwave-backports.list
  fi
  [[ -n $copy ]] || return 1
  echo "$copy" | root tee "$target" >/dev/null
  say "added $suite in $target (delete that file to undo)"
  if ! root apt-get update >"$log" 2>&1; then
    grep -E '^(E|W):' "$log" >&2 || true
    # Only undo it if this source is the cause.
    if grep -qE "^(E|W):.*$suite" "$log"; then
      root rm -f "$target"
      say "$suite cannot be read: took it away again"
      root apt-get update >"$log" 2>&1 || true
      return 1
    fi
  fi
}

in_backports() { [[ $(apt-cache madison mesa-vulkan-drivers 2>/dev/null) == *" $codename-backports/"* ]]; }

lavapipe() {
  local installed; installed=$(version_of mesa-vulkan-drivers)
  # From 24 on it is fast enough; no newer one is needed.
  if [[ -n $installed && ${installed%%.*} -ge 24 ]]; then return 0; fi
  if [[ -n $installed && -n ${HALFWAVE_KEEP_MESA:-} ]]; then say "keeping mesa-vulkan-drivers $installed (HALFWAVE_KEEP_MESA)"; return 0; fi
  update
  local candidate; candidate=$(apt-cache policy mesa-vulkan-drivers | awk '/Candidate:/ { print $2 }')
  if [[ -n $codename && ( $candidate == "(none)" || ${candidate%%.*} -lt 24 ) ]]; then
    in_backports || add_backports || say "no $codename-backports here"
    if in_backports; then
      install -t "$codename-backports" mesa-vulkan-drivers libvulkan1
      return 0
    fi
  fi
  [[ -n $installed ]] || install mesa-vulkan-drivers libvulkan1
  installed=$(version_of mesa-vulkan-drivers)
  [[ ${installed%%.*} -ge 24 ]] || say "lavapipe is $installed: the tests pass on it, but several times slower than on Mesa 24 or later"
}

# browser PACKAGE LOSS: Ubuntu's browser packages are stubs for snaps, which this script does not install.
browser() {
  update
  # shellcheck source=/dev/null
  if (. /etc/os-release && [[ $ID == debian ]]) && available "$1"; then
    install "$1"
  else
    say "WARNING: no package $1 here: $2"
  fi
}

browsers() {
  [[ $("$(dirname "$0")/find-icds.sh" 2>/dev/null) == *swiftshader=* ]] ||
    browser chromium "no tests on SwiftShader, none in this browser"
  command -v firefox-esr >/dev/null || command -v firefox >/dev/null || browser firefox-esr "no tests in this browser"
}

nodejs() {
  if ! command -v node >/dev/null; then want nodejs npm
  elif ! command -v npm >/dev/null; then want npm
  fi
  local version; version=$(node --version)
  version=${version#v}
  [[ ${version%%.*} -ge 18 ]] || say "WARNING: Node.js $version is too old: web/build.sh and the browsers' tests need 18.19 or later"
}

wasm() {
  "$(dirname "$0")/wasm-cargo.sh" --find >/dev/null 2>&1 && return 0
  update
  if available rustc-web && available cargo-web && available rust-web-src && available lld-19; then
    want rustc-web cargo-web rust-web-src lld-19
  else
    say "WARNING: no compiler for wasm32 in this release (rustc-web): install rustup's target wasm32-unknown-unknown, or the browser part is not built"
  fi
}

metal() {
  local version
  for version in {22..15}; do ! command -v "clang++-$version" >/dev/null || return 0; done
  update
  for version in {22..15}; do
    if available "clang-$version"; then want "clang-$version"; return; fi
  done
  say "WARNING: no clang 15 or later here: the kernels' MSL is not type-checked"
}

# Compilers without C libraries: the tests bring what little they need.
cross() {
  want gcc-arm-none-eabi gcc-riscv64-linux-gnu
  local missing=() suite=()
  command -v qemu-system-arm >/dev/null || missing+=(qemu-system-arm)
  command -v qemu-riscv64 >/dev/null || missing+=(qemu-user)
  [[ ${#missing[@]} == 0 ]] && return 0
  update
  # QEMU's packages exclude those of another version, so an installed one from backports decides.
  if [[ -n $codename && $(version_of qemu-utils) == *~bpo* ]] && { in_backports || add_backports; }; then suite=(-t "$codename-backports"); fi
  install "${suite[@]}" "${missing[@]}"
}

# For the feature mpi: Open MPI, MPICH beside it, and the library that reads their headers. Of both, Debian's alternatives make
# Open MPI the default.
mpi() {
  command -v mpicc >/dev/null && command -v mpirun >/dev/null || want libopenmpi-dev openmpi-bin
  command -v mpicc.mpich >/dev/null && command -v mpirun.mpich >/dev/null || want libmpich-dev mpich
  compgen -G '/usr/lib/llvm-*/lib/libclang*.so*' >/dev/null || want libclang-dev
}

# For tools/python-export.sh.
python() {
  python3 -c 'import ensurepip, venv' 2>/dev/null || want python3 python3-venv
}

windows() {
  want libc6-dev gcc rustc-web cargo-web rust-web-src gcc-mingw-w64-x86-64
  python3 -m pip --version >/dev/null 2>&1 || /usr/bin/python3 -m pip --version >/dev/null 2>&1 || want python3-pip
}

if [[ ${1:-} == --dx12 ]]; then windows; exit; fi
command -v cc >/dev/null || want gcc libc6-dev # rustc links through cc
want libvulkan1
lavapipe
browsers
nodejs
wasm
metal
cross
mpi
python
command -v cargo >/dev/null || say "WARNING: no cargo in PATH: install Rust with rustup first"
say "ready: $("$(dirname "$0")/find-icds.sh")"
