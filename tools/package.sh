#!/bin/bash
# Packs the crate as for crates.io, installs it from the packed files into a new folder, and trains there: what a user of
# `cargo install halfwave` would get. Nothing outside the target folder and a temporary one is written.
#
# Where there is an MPICH, the program is installed with the feature mpi for it, and the tests of processes are run with that
# program; the tests themselves are those that tools/test.sh has built, with the default MPI, and are not built again.
# Without the feature, the program is built by tools/dx12.sh.
#
#   REQUIRE_MPICH=1   a missing MPICH is an error; otherwise the feature is left out then, with a message
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
mpi=()
if command -v mpicc.mpich >/dev/null && command -v mpirun.mpich >/dev/null; then
  # mpi-sys does not notice a change of MPICC: a profile of its own keeps its build for MPICH apart from that for the default MPI.
  mpi=(--features mpi --config 'profile.dev.package.mpi-sys.codegen-units=1')
elif [[ ${REQUIRE_MPICH:-} == 1 ]]; then
  echo "package: error: no MPICH here (mpicc.mpich, mpirun.mpich)" >&2
  exit 1
else
  echo "package: NO MPICH HERE: what several processes train is only tested with the default MPI"
fi
# Without optimisation: it only has to run.
MPICC=mpicc.mpich CARGO_PROFILE_DEV_OPT_LEVEL=0 CARGO_TARGET_DIR=$target cargo install --debug --config "$scratch/.cargo/config.toml" "${mpi[@]}" \
  --path "$scratch/halfwave-$version" --root "$scratch/installed"

repository=$PWD
cd "$scratch"
installed/bin/halfwave --version
installed/bin/halfwave train --plain --adapter cpu --steps 3 --out run
installed/bin/halfwave report run --adapter cpu --out report.html
grep -q '<script' report.html
if [[ ${#mpi[@]} != 0 ]]; then
  [[ $(ldd installed/bin/halfwave) == *libmpich* ]] || { echo "package: error: the program does not use MPICH" >&2; exit 1; }
  HALFWAVE_TEST_PROGRAM=$PWD/installed/bin/halfwave HALFWAVE_TEST_MPIRUN=mpirun.mpich "$repository/tools/test.sh" --test ranks mpi::
fi
echo "package: halfwave $version works outside of its repository"
