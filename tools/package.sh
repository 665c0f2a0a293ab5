#!/bin/bash
# Packs the crate as for crates.io, installs it from the packed files into a new folder, and trains there: what a user of
# `cargo install halfwave` would get. Nothing outside the target folder and a temporary one is written.
set -euo pipefail
cd "$(dirname "$0")/.."

target=${CARGO_TARGET_DIR:-$PWD/target}
version=$(sed -n '/^\[package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# Installing compiles what was packed, so that cargo need not do it as well.
cargo package --package halfwave-infer --package halfwave --no-verify --allow-dirty
for crate in halfwave-infer halfwave; do tar -xzf "$target/package/$crate-$version.crate" -C "$scratch"; done
# Until it is on crates.io, the packed crate takes its place.
export CARGO_HOME=${CARGO_HOME:-$HOME/.cargo}
mkdir "$scratch/.cargo"
printf '[patch.crates-io]\nhalfwave-infer = { path = "%s" }\n' "$scratch/halfwave-infer-$version" >"$scratch/.cargo/config.toml"
# Without optimisation: it only has to run.
CARGO_PROFILE_DEV_OPT_LEVEL=0 CARGO_TARGET_DIR=$target cargo install --debug --config "$scratch/.cargo/config.toml" --path "$scratch/halfwave-$version" --root "$scratch/installed"

cd "$scratch"
installed/bin/halfwave --version
installed/bin/halfwave train --plain --adapter cpu --steps 3 --out run
installed/bin/halfwave report run --adapter cpu --out report.html
grep -q '<script' report.html
echo "package: halfwave $version works outside of its repository"
