#!/bin/bash
# The test command: installs the requirements of the tests, runs every Rust test on each software
# driver, builds the browser part and tests it in Chromium and Firefox. Options are passed to cargo
# test and omit the browser part, for example: tools/test.sh --test gradient
#
#   HALFWAVE_TEST_ICDS   drivers to test on, name=/path/to/icd.json,...; nothing is installed then
#                        (default: those that tools/find-icds.sh finds)
#   HALFWAVE_TEST_COOP   a driver with cooperative matrices, as an ICD file below target/coop-lavapipe (default: tools/coop-lavapipe.sh fetches one)
#   HALFWAVE_TEST_ONNX   a Python with onnx and onnxruntime, and HALFWAVE_TEST_QONNX one with qonnx (default: tools/python-export.sh installs both below target)
#   CIFAR10_DIR          the folder of CIFAR-10's binary version, for the tests that need it (default: they are skipped with a message)
#   HALFWAVE_TEST_FEATURES  features to build with (default: halfwave/mpi where there is an MPI; otherwise training by several processes
#                        is not tested, with a message)
#   REQUIRE_WASM=1       a missing wasm32 compiler is an error; otherwise the browser part is skipped then, with a message
#   REQUIRE_CROSS=1      a missing cross compiler or emulator is an error; otherwise exported C is tested on this processor only, with a message
#   REQUIRE_BROWSERS=0   a missing browser is no error (default: 1)
set -euo pipefail
cd "$(dirname "$0")/.."

[[ -n ${HALFWAVE_TEST_ICDS:-} ]] || tools/install-test-deps.sh
command -v cargo >/dev/null || { echo "test: no cargo in PATH: install Rust with rustup first" >&2; exit 1; }

export HALFWAVE_TEST_ICDS=${HALFWAVE_TEST_ICDS:-$(tools/find-icds.sh)}
export HALFWAVE_TEST_COOP=${HALFWAVE_TEST_COOP:-$(tools/coop-lavapipe.sh)}
export HALFWAVE_TEST_ONNX=${HALFWAVE_TEST_ONNX:-$(tools/python-export.sh onnx)}
export HALFWAVE_TEST_QONNX=${HALFWAVE_TEST_QONNX:-$(tools/python-export.sh qonnx)}
export REQUIRE_GPU=1 # a test that finds no adapter fails instead of passing without having run
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
export XDG_RUNTIME_DIR=${XDG_RUNTIME_DIR:-$scratch} # Mesa complains without one
echo "test: drivers $HALFWAVE_TEST_ICDS, cooperative matrices $HALFWAVE_TEST_COOP"
if [[ -n ${CIFAR10_DIR:-} ]]; then echo "test: CIFAR-10 in $CIFAR10_DIR"; else echo "test: CIFAR10_DIR is not set: what needs CIFAR-10 is left out"; fi

if [[ -z ${HALFWAVE_TEST_FEATURES+set} ]]; then
  if command -v mpicc >/dev/null && command -v mpirun >/dev/null; then HALFWAVE_TEST_FEATURES=halfwave/mpi
  else HALFWAVE_TEST_FEATURES= && echo "test: NO MPI HERE: what several processes train is not tested"
  fi
fi

log=$scratch/log
status=0
# The packages for browsers have no native tests. The pipe only writes the log: cargo's exit code counts.
options=(--package halfwave --package halfwave-infer --features "$HALFWAVE_TEST_FEATURES")
if [[ $# == 0 ]]; then tools/run-suites.sh "${options[@]}" 2>&1 | tee "$log" || status=1
else cargo test "${options[@]}" --no-fail-fast "$@" 2>&1 | tee "$log" || status=1
fi

web=tested
: >"$scratch/web"
if [[ $# != 0 ]]; then web="left out (options for cargo test are given)"
else
  code=0
  web/build.sh || code=$?
  if [[ $code == 3 && -z ${REQUIRE_WASM:-} ]]; then web="SKIPPED (no compiler for wasm32)"
  elif [[ $code != 0 ]]; then web="NOT BUILT" status=1
  else
    # Two files at a time, because a browser leaves a core idle; the one that measures times is alone.
    browsers() { # browsers FILES-AT-A-TIME FILE...
      local at_a_time=$1
      shift
      REQUIRE_BROWSERS=${REQUIRE_BROWSERS:-1} node --test --test-concurrency="$at_a_time" --test-reporter=spec --test-reporter-destination=stdout \
        --test-reporter=./web/tests/counts.mjs --test-reporter-destination="$scratch/counts" "$@" || status=1
      cat "$scratch/counts" >>"$scratch/web"
    }
    timed=web/tests/page.test.mjs others=()
    for file in web/tests/*.test.mjs; do [[ $file == "$timed" ]] || others+=("$file"); done
    browsers 1 "$timed"
    browsers 2 "${others[@]}"
  fi
fi

# A suite ends with "test result: ok. 12 passed; 0 failed; 1 ignored; ...". Only the last such line
# of a suite counts: the report of a failed test may quote that of a test program it started.
awk '
  function close_suite() { if (counts) { print name, counts } counts = "" }
  /^ +Running |^ +Doc-tests / { close_suite(); name = $1 == "Doc-tests" ? "doc-tests" : $2 == "unittests" ? $3 : $2 }
  /^test result: / { counts = $4 " " $6 " " $8 }
  END { close_suite() }' "$log" >"$scratch/suites"
cat "$scratch/web" >>"$scratch/suites"
read -r suites passed failed ignored < <(awk '{ passed += $2; failed += $3; ignored += $4 } END { print NR, passed + 0, failed + 0, ignored + 0 }' "$scratch/suites")
echo
awk '{ printf "%-28s %4d passed, %d failed, %d ignored\n", $1, $2, $3, $4 }' "$scratch/suites"
echo "browser part: $web"
if [[ $passed == 0 ]]; then echo "test: no test ran" >&2; status=1; fi
if [[ $failed != 0 ]]; then status=1; fi
if [[ $status != 0 ]]; then echo "FAILED"; fi
echo "$passed passed, $failed failed ($ignored ignored, $suites suites)"
exit $status
