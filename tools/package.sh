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
cargo package --package halfwave --no-verify --allow-dirty
tar -xzf "$target/package/halfwave-$version.crate" -C "$scratch"
# Without optimisation: it only has to run.
CARGO_PROFILE_DEV_OPT_LEVEL=0 CARGO_TARGET_DIR=$target cargo install --debug --locked --path "$scratch/halfwave-$version" --root "$scratch/installed"

cd "$scratch"
installed/bin/halfwave --version
installed/bin/halfwave train --plain --adapter cpu --steps 3 --out run
installed/bin/halfwave report run --adapter cpu --out report.html
grep -q '<script' report.html
echo "package: halfwave $version works outside of its repository"
