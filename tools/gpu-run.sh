#!/bin/bash
# One run of everything worth recording on a machine with a real GPU. A step that fails does not stop the next.
#
#   tools/gpu-run.sh FOLDER
#
#   HALFWAVE      the program (default: target/release/halfwave)
#   HALFWAVE_PROFILE_BENCH  the profiler's own checks (`cargo bench --bench profile --no-run`; default: none, left out)
#   HALFWAVE_BENCH  the step benchmark (`cargo bench --bench step --no-run` says where it is; default: none, left out)
#   ADAPTER       which adapter (name or index, as `halfwave devices` prints them; default: 0, the first; a software one too)
#   STEPS         steps of the vgg-small run (default: 20)
#   CIFAR10_DIR   CIFAR-10's binary version, for vgg-small
#   STEP_LIMIT    seconds after which a step is ended (default: 600)
#
# FOLDER gets system.txt (machine, driver, date), NN-STEP.log a step (its command first, its exit code and seconds last),
# the runs' own folders and summary.txt. The exit code is the number of steps that failed.
set -uo pipefail

[[ $# == 1 ]] || { sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2; exit 2; }
mkdir -p "$1" || exit 2
out=$(cd "$1" && pwd)
halfwave=${HALFWAVE:-$(dirname "$0")/../target/release/halfwave}
[[ -x $halfwave ]] || { echo "gpu-run: no program $halfwave: cargo build --release, or set HALFWAVE" >&2; exit 2; }
adapter=(--adapter "${ADAPTER:-0}")
limit=${STEP_LIMIT:-600}
failed=0
number=0

note() { # note COMMAND...: its output into system.txt, if the command is there
  command -v "$1" >/dev/null || { echo "\$ $*: not there"; return 0; }
  echo "\$ $*"
  "$@" 2>&1 || true
}
{
  date -u +%Y-%m-%dT%H:%M:%SZ
  note uname -srm
  note nproc
  grep -m1 'model name' /proc/cpuinfo 2>/dev/null
  grep -m1 MemTotal /proc/meminfo 2>/dev/null
  note "$halfwave" --version
  note git -C "$(dirname "$0")" rev-parse HEAD
  note nvidia-smi
  note nvidia-smi --query-gpu=name,driver_version,vbios_version,memory.total,clocks.max.sm,clocks.max.memory,power.limit --format=csv
  note vulkaninfo --summary
  env | grep -E '^(WGPU_|VK_|HALFWAVE|ADAPTER|CIFAR10_DIR|RUST_LOG)' || true
} >"$out/system.txt"

: >"$out/summary.txt"
step() { # step NAME COMMAND...
  local name start=$SECONDS code=0 log result
  number=$((number + 1))
  name=$(printf '%02d-%s' "$number" "$1")
  log=$out/$name.log
  shift
  printf '$ %s\n' "$*" >"$log"
  timeout --kill-after=10 "$limit" "$@" >>"$log" 2>&1 </dev/null || code=$?
  echo "exit code $code after $((SECONDS - start)) s" >>"$log"
  case $code in
    0) result=ok ;;
    124 | 137) result="ended at $limit s" failed=$((failed + 1)) ;;
    *) result="FAILED ($code)" failed=$((failed + 1)) ;;
  esac
  printf '%-24s %5d s  %s\n' "$name" $((SECONDS - start)) "$result" | tee -a "$out/summary.txt"
  [[ $code == 0 ]] || tail -5 "$log" | sed 's/^/    /'
}

step devices "$halfwave" devices
step selftest "$halfwave" selftest "${adapter[@]}"
step plan "$halfwave" plan
step train-digits "$halfwave" train "${adapter[@]}" --out "$out/digits"
step train-digits-again "$halfwave" train "${adapter[@]}" --out "$out/digits-again"
# Two runs with one seed on one adapter must agree to the byte.
step same-bytes cmp "$out/digits/checkpoint.safetensors" "$out/digits-again/checkpoint.safetensors"
step plan-vgg-small "$halfwave" plan vgg-small
step train-vgg-small "$halfwave" train vgg-small "${adapter[@]}" --steps "${STEPS:-20}" --out "$out/vgg-small"
if [[ -x ${HALFWAVE_BENCH:-} ]]; then
  for recipe in digits vgg-small; do step "bench-$recipe" "$HALFWAVE_BENCH" "$recipe" "${adapter[@]}"; done
else
  echo "bench: HALFWAVE_BENCH names no program" | tee -a "$out/summary.txt"
fi
step ceilings "$halfwave" devices --ceilings --fresh "${adapter[@]}"
for recipe in digits vgg-small; do
  for shape in tiled registers; do
    file=$out/profile-$recipe-$shape
    step "profile-$recipe-$shape" "$halfwave" profile "$recipe" --shape "$shape" --all "${adapter[@]}" --json "$file.json" --html "$file.html" --trace "$file.trace.json"
  done
done
# The profiler's own checks: does it add up, does it tell a slower kernel from noise?
[[ ! -x ${HALFWAVE_PROFILE_BENCH:-} ]] || step profile-bench "$HALFWAVE_PROFILE_BENCH" --batch 128 "${adapter[@]}"
[[ -f $out/system.txt ]] && note nvidia-smi --query-gpu=temperature.gpu,clocks.sm,clocks.mem,power.draw --format=csv >>"$out/system.txt"
echo "gpu-run: $failed of $number steps failed; everything is in $1"
exit "$failed"
