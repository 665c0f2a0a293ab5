#!/bin/bash
# cargo for wasm32-unknown-unknown. Either of two toolchains is used: rustup's, if that target is
# installed, or Debian's rustc-web with cargo-web, rust-web-src and lld-19, which builds the
# standard library from source. Nothing is downloaded.
#
#   wasm-cargo.sh CARGO-COMMAND OPTION...   for example: wasm-cargo.sh build -p halfwave-web --profile web
#   wasm-cargo.sh --find                    print which toolchain would be used: rustc or debian
#   wasm-cargo.sh --folder                  print the folder of the artefacts
#
#   WASM_TARGET_DIR   that folder (default: wasm in cargo's own target folder)
#
# The exit code is 3 if neither toolchain is installed.
set -euo pipefail

target=wasm32-unknown-unknown
# A separate folder: no waiting for the lock of another build, no mixing of two compilers'
# artefacts.
out=${WASM_TARGET_DIR:-${CARGO_TARGET_DIR:-$(cd "$(dirname "$0")/.." && pwd)/target}/wasm}

find_toolchain() {
  local libdir
  # An explicit override of the compiler must not be taken for rustup's.
  if libdir=$(env -u RUSTC rustc --print target-libdir --target $target 2>/dev/null) && compgen -G "$libdir/libstd-*.rlib" >/dev/null; then
    echo rustc
  elif [[ -x /usr/bin/cargo && -x /usr/bin/rustc && -x /usr/bin/wasm-ld-19 && -d $(/usr/bin/rustc --print sysroot)/lib/rustlib/src/rust/library ]]; then
    echo debian
  else
    return 1
  fi
}

[[ ${1:-} != --folder ]] || { echo "$out"; exit; }
[[ $# != 0 ]] || { sed -n '2,/^set/s/^# \{0,1\}//p' "$0" | sed '$d' >&2; exit 2; }
toolchain=$(find_toolchain) || {
  echo "wasm-cargo: no compiler for $target: rustup target add $target (or, on Debian and Ubuntu, tools/install-test-deps.sh)" >&2
  exit 3
}
[[ $1 != --find ]] || { echo "$toolchain"; exit; }

export CARGO_TARGET_DIR=$out
# 128-bit vectors, which every browser with WebGPU supports: without a GPU a step takes less than
# half as long.
export CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS="${CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS:-} -Ctarget-feature=+simd128"
if [[ $toolchain == rustc ]]; then
  unset RUSTC
  echo "wasm-cargo: $(rustc --version), installed target" >&2
  exec cargo "$@" --target $target
fi
# RUSTC by its full path: another rustc may come first in PATH, and only this one matches the sources of std.
export RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER=/usr/bin/wasm-ld-19
unset RUSTUP_TOOLCHAIN
echo "wasm-cargo: $(/usr/bin/rustc --version), standard library from source" >&2
exec /usr/bin/cargo "$@" --target $target -Zbuild-std=std,panic_abort
