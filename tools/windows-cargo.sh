#!/bin/bash
# cargo for x86_64-pc-windows-gnu, with Debian's packages rustc-web, cargo-web, rust-web-src and gcc-mingw-w64-x86-64; the standard library is built
# from source. tools/install-test-deps.sh --dx12 installs them.
#
#   windows-cargo.sh CARGO-COMMAND OPTION...   for example: windows-cargo.sh build
#   windows-cargo.sh --find                    only say whether the compiler is there
#
#   WINDOWS_TARGET_DIR   where the artefacts go (default: windows in cargo's own target folder)
#
# The exit code is 3 when the compiler is missing.
set -euo pipefail

target=x86_64-pc-windows-gnu
# A separate folder: no waiting for the lock of another build, no mixing of two compilers'
# artefacts.
out=${WINDOWS_TARGET_DIR:-${CARGO_TARGET_DIR:-$(cd "$(dirname "$0")/.." && pwd)/target}/windows}

[[ $# != 0 ]] || { sed -n '2,/^set/s/^# \{0,1\}//p' "$0" | sed '$d' >&2; exit 2; }
library=$(/usr/bin/rustc --print sysroot 2>/dev/null)/lib/rustlib/src/rust/library
[[ -x /usr/bin/cargo && -f $library/rtstartup/rsbegin.rs ]] && command -v x86_64-w64-mingw32-gcc >/dev/null || {
  echo "windows-cargo: no compiler for $target: run tools/install-test-deps.sh --dx12" >&2
  exit 3
}
[[ $1 != --find ]] || exit 0

# RUSTC by its full path: another rustc may come first in PATH, and only this one matches the
# sources of the standard library.
unset RUSTUP_TOOLCHAIN
export RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 CARGO_TARGET_DIR=$out
# The objects at the beginning and end of each program, which -Zbuild-std does not create.
mkdir -p "$out/runtime"
for part in rsbegin rsend; do
  object=$out/runtime/$part.o
  [[ -f $object ]] || $RUSTC --target $target --emit=obj -o "$object" "$library/rtstartup/$part.rs"
done
export CARGO_TARGET_X86_64_PC_WINDOWS_GNU_LINKER=x86_64-w64-mingw32-gcc
export CARGO_TARGET_X86_64_PC_WINDOWS_GNU_RUSTFLAGS="-Clink-self-contained=no -L$(realpath "$out/runtime")"
exec /usr/bin/cargo "$1" --target $target -Zbuild-std=std,panic_unwind,test "${@:2}"
