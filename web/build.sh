#!/bin/bash
# Builds the browser part in one command: wasm -> web/pkg (the npm package) -> web/dist (the page with the package, what is deployed).
# Needs Rust, its target wasm32-unknown-unknown (rustup target add wasm32-unknown-unknown; see tools/wasm-cargo.sh) and Node.js 20 with npm. Quick when nothing changed.
#
#   web/build.sh [--pkg | --bundles]    --pkg: the package only, not the page
#                                       --bundles: only web/bundles, which the native program embeds and the repository holds
#
#   CARGO_TARGET_DIR, WASM_TARGET_DIR   where cargo's artefacts go, see tools/wasm-cargo.sh
#
# The exit code is 3 when only a compiler for wasm32 is missing, 1 when anything fails, or the page or the small runtime exceeds its budget.
set -euo pipefail
cd "$(dirname "$0")/.."

say() { echo "build: $*" >&2; }
die() { say "error: $*"; exit 1; }

only_package= only_bundles=
case ${1:-} in
  --pkg) only_package=1 ;;
  --bundles) only_bundles=1 ;;
  ?*) sed -n '2,/^set/s/^# \{0,1\}//p' "$0" | sed '$d' >&2; exit 2 ;;
esac
# Everything that is missing at once, each with the command that brings it.
missing=()
if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
  missing+=("Node.js 20 or later with npm" "    Debian, Ubuntu: sudo apt install nodejs npm;   macOS: brew install node;   others: https://nodejs.org")
fi
code=0
[[ -n $only_bundles ]] || tools/wasm-cargo.sh --find >/dev/null 2>&1 || { code=3; missing+=("a Rust compiler for WebAssembly" "    rustup target add wasm32-unknown-unknown"); }
if [[ ${#missing[@]} != 0 ]]; then
  say "error: this machine lacks what builds the browser part:"
  printf 'build:   %s\n' "${missing[@]}" >&2
  say "then run web/build.sh again"
  if [[ ${#missing[@]} == 2 && $code == 3 ]]; then exit 3; fi
  exit 1
fi

modules=web/node_modules
install() {
  if [[ ! -x $modules/.bin/wasm-opt || web/package-lock.json -nt $modules/.package-lock.json ]]; then
    say "npm ci"
    (cd web && npm ci --no-progress >&2) && touch $modules/.package-lock.json || say "npm ci failed (see above)"
  fi
}

# wasm-opt: the npm package's; without npm's registry, one in PATH that is new enough for what the compiler emits.
optimiser() {
  if [[ -x $modules/.bin/wasm-opt ]]; then echo $modules/.bin/wasm-opt; return; fi
  local version
  version=$(wasm-opt --version 2>/dev/null | grep -o '[0-9]\+' | head -1) || true
  if [[ ${version:-0} -ge 116 ]]; then echo wasm-opt; fi
}

install
if [[ -n $only_bundles ]]; then exec node web/bundle.mjs; fi
tools/wasm-cargo.sh build -p halfwave-web --profile web
tools/wasm-cargo.sh build -p halfwave-infer-web --profile web-infer
modules_at=$(tools/wasm-cargo.sh --folder)/wasm32-unknown-unknown
cargo build --release -p halfwave-bindgen
bindgen=${CARGO_TARGET_DIR:-target}/release/halfwave-bindgen
wasm_opt=$(optimiser)

# Makes a module and its bindings: FOLDER NAME MODULE LEVEL, with wasm-opt's level. The bindings and wasm-opt take half a minute, so only
# when something is new.
bound() {
  local folder=$1 name=$2 module=$3 level=$4 made_from
  made_from=$(cat "$module" "$bindgen" web/build.sh <(echo "$wasm_opt") | sha256sum)
  if [[ -f $folder/${name}_bg.wasm && $(cat "$folder/.made-from" 2>/dev/null) == "$made_from" ]]; then return; fi
  rm -rf "$folder"
  "$bindgen" "$module" "$folder" "$name"
  rm -f "$folder/${name}_bg.wasm.d.ts" # of no use to people
  sed -i '1i /// <reference lib="esnext.disposable" />' "$folder/$name.d.ts" # Symbol.dispose
  if [[ -n $wasm_opt ]]; then
    say "wasm-opt $level ($($wasm_opt --version))"
    $wasm_opt "$level" "$folder/${name}_bg.wasm" -o "$folder/optimised"
    mv "$folder/optimised" "$folder/${name}_bg.wasm"
  else
    say "WARNING: NO wasm-opt (neither npm's binaryen nor version 116 or later in PATH): THE MODULE IS LARGER AND SLOWER THAN IT SHOULD BE"
  fi
  echo "$made_from" >"$folder/.made-from"
}

mkdir -p web/made
bound web/made/engine halfwave "$modules_at/web/halfwave_web.wasm" -O3
bound web/made/infer halfwave_infer "$modules_at/web-infer/halfwave_infer_web.wasm" -Oz

# The package: the engine, and the small runtime in a folder of its own.
rm -rf web/pkg
mkdir -p web/pkg/infer
cp web/made/engine/* web/npm/node.js web/pkg/
cp web/made/infer/* web/infer/*.js web/infer/*.d.ts web/pkg/infer/
# The runtime without comments, which are a third of it. The other modules are types for the page, too.
if [[ -x $modules/.bin/esbuild ]]; then
  for name in halfwave_infer index images error; do
    $modules/.bin/esbuild "web/pkg/infer/$name.js" --minify-whitespace --log-level=warning --allow-overwrite "--outfile=web/pkg/infer/$name.js"
  done
fi
version=$(sed -n '/^\[package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml)
sed "s/@VERSION@/$version/" web/npm/package.json.in >web/pkg/package.json
cp web/npm/README.md LICENSE-MIT LICENSE-APACHE web/pkg/
node web/budget.mjs
[[ -z $only_package ]] || exit 0

node web/dist.mjs
