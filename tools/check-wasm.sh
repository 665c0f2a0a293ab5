#!/bin/bash
# Builds the library for wasm32-unknown-unknown. Two toolchains will do: rustup's, where that target is installed, or
# Debian's rustc-web with cargo-web, rust-web-src and lld-19, which builds the standard library from source.
#
#   check-wasm.sh [CARGO OPTION...]   build; exit code 3 when neither toolchain is there
#   check-wasm.sh --find              print which toolchain would be used
set -euo pipefail
cd "$(dirname "$0")/.."

target=wasm32-unknown-unknown
# A folder of its own: no waiting for the lock of another build, no mixing of two compilers' artefacts.
out=${CARGO_TARGET_DIR:-$PWD/target}/wasm

find_toolchain() {
  local libdir
  # An explicit override of the compiler must not answer for rustup's.
  if libdir=$(env -u RUSTC rustc --print target-libdir --target $target 2>/dev/null) && compgen -G "$libdir/libstd-*.rlib" >/dev/null; then
    echo rustc
  elif [[ -x /usr/bin/cargo && -x /usr/bin/rustc && -x /usr/bin/wasm-ld-19 && -d $(/usr/bin/rustc --print sysroot)/lib/rustlib/src/rust/library ]]; then
    echo debian
  else
    return 1
  fi
}

toolchain=$(find_toolchain) || {
  echo "check-wasm: no compiler for $target: run tools/install-test-deps.sh, or add the target to rustup's toolchain" >&2
  exit 3
}
if [[ ${1:-} == --find ]]; then echo "$toolchain"; exit; fi

# This asks whether the library compiles, not how fast it runs: optimise nothing.
export CARGO_TARGET_DIR=$out CARGO_PROFILE_DEV_OPT_LEVEL=0 CARGO_PROFILE_DEV_DEBUG=0
options=(build --lib --target "$target" --config 'profile.dev.package."*".opt-level=0' "$@")
if [[ $toolchain == rustc ]]; then
  echo "check-wasm: $(rustc --version), installed target" >&2
  cargo "${options[@]}"
else
  # RUSTC by its full path: another rustc may come first in PATH, and only this one matches the sources of std.
  export RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER=/usr/bin/wasm-ld-19
  unset RUSTUP_TOOLCHAIN
  echo "check-wasm: $(/usr/bin/rustc --version), standard library from source" >&2
  /usr/bin/cargo "${options[@]}" -Zbuild-std=std,panic_abort
fi
echo "check-wasm: the library builds for $target" >&2
