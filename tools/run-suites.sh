#!/bin/bash
# Runs the Rust tests as `cargo test OPTION...` does, but two suites at a time: most of them leave a core idle,
# because they wait for a device or for programs that they start. Each suite's output is printed when it has
# ended. Called by tools/test.sh.
#
#   HALFWAVE_TEST_JOBS   suites at a time (default: 2)
set -uo pipefail
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
export scratch

# Unit tests compile the library once more: without optimisation, because that takes longer than they do.
build() { cargo test --no-run --message-format=json-render-diagnostics "$@" >>"$scratch/messages" || exit 1; }
CARGO_PROFILE_DEV_OPT_LEVEL=0 build --lib "$@"
build --bins --test '*' "$@"
cargo build --examples "$@" || exit 1
# For each suite the package's folder, the source file and the program; the longest first, so that none is left at the end.
longest='/(reference|run|sums|conformance|memory|contract|cli|export|export_c|export_onnx)\.rs\t'
sed -nE 's|.*"manifest_path":"([^"]*)/Cargo\.toml".*"src_path":"([^"]*)".*"profile":\{[^}]*"test":true\}.*"executable":"([^"]*)".*|\1\t\2\t\3|p' \
  "$scratch/messages" >"$scratch/all"
{ grep -P "$longest" "$scratch/all"; grep -vP "$longest" "$scratch/all"; } >"$scratch/suites"
[[ -s $scratch/suites ]] || { echo "run-suites: no suite was built" >&2; exit 1; }

run_suite() { # run_suite NUMBER
  local folder source program log=$scratch/$1.log code=0 began=$SECONDS
  IFS=$'\t' read -r folder source program < <(sed -n "$1p" "$scratch/suites")
  source=${source#"$folder/"}
  [[ $source == src/* ]] && source="unittests $source"
  { echo "     Running $source ($program)" && cd "$folder" && "$program"; } >"$log" 2>&1 || code=$?
  if [[ $code != 0 ]]; then
    echo "error: $source failed ($code)" >>"$log"
    echo "$source" >>"$scratch/failed"
  fi
  echo "($((SECONDS - began)) s)" >>"$log"
  flock "$scratch/lock" cat "$log"
}
export -f run_suite
seq "$(wc -l <"$scratch/suites")" | xargs -P "${HALFWAVE_TEST_JOBS:-2}" -I{} bash -c 'run_suite "$1"' run-suites {}
cargo test --doc "$@" || echo "doc tests" >>"$scratch/failed"

if [[ -s $scratch/failed ]]; then
  echo "error: these suites failed: $(paste -sd, "$scratch/failed")"
  exit 1
fi
