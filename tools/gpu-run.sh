#!/bin/bash
# Measurements on a machine with a real GPU, in two calls of less than five minutes each; the most
# valuable come first.
#
#   tools/gpu-run.sh FOLDER first    selftest, benchmarks, profiles with and without cooperative matrices, coopconv, PyTorch without its compiler
#   tools/gpu-run.sh FOLDER second   the digits twice, PyTorch with its compiler, tuned kernels, Burn, Dawn in Node.js, CIFAR-10
#
# Every step has a limit in seconds and a separate log; a step that fails does not stop the next.
# All limits are shortened to what is left of TOTAL; a step without remaining time is skipped and
# named, as are missing programs. The calls do not depend on each other.
#
#   TOTAL          seconds of a call, at most (default: 290)
#   HALFWAVE       the program (default: target/release/halfwave)
#   ADAPTER        which adapter, as `halfwave devices` prints them, or cpu (default: 0, the first; a software one too)
#   BATCH          images of a step of vgg-small and resnet20 (default: 128); resnet18 takes a quarter of them
#   COOPCONV       the folder of the program coopconv, which measures convolutions on cooperative matrices
#   PEERS          the folder of bench_torch.py, which times the same networks in PyTorch
#   PYTHON         a Python that has torch (default: python3)
#   TORCH_DEVICE   where PyTorch computes (default: cuda)
#   BURN           the program burnbench, which times them in Burn
#   BURN_BACKEND   its backend (default: vulkan)
#   CIFAR10_DIR    CIFAR-10's binary version: vgg-small's full recipe is trained on it, as far as time allows; a call with the same FOLDER resumes it
#   CIFAR_SECONDS  seconds reserved for that (default: 120)
#   CIFAR_EPOCHS   epochs of its schedule, instead of the recipe's 200
#
# Dawn needs web/pkg and web/node_modules (web/build.sh). FOLDER gets system-CALL.txt (machine,
# driver, date), one CALL-NN-STEP.log per step (beginning with its command, ending with its exit
# code and seconds), JSON, pages, runs, a separate cache, and summary-CALL.txt. The exit code is the
# number of steps that failed.
set -uo pipefail

usage() { sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$0" >&2; exit 2; }
[[ $# == 2 && ($2 == first || $2 == second) ]] || usage
began=$SECONDS
call=$2
mkdir -p "$1" || exit 2
out=$(cd "$1" && pwd)
repository=$(cd "$(dirname "$0")/.." && pwd)
halfwave=${HALFWAVE:-$repository/target/release/halfwave}
[[ -x $halfwave ]] || { echo "gpu-run: no program $halfwave: cargo build --release, or set HALFWAVE" >&2; exit 2; }
halfwave=$(realpath "$halfwave")
total=${TOTAL:-290}
batch=${BATCH:-128}
adapter=(--adapter "${ADAPTER:-0}")
python=${PYTHON:-python3}
export HALFWAVE_CACHE_DIR=$out/cache
summary=$out/summary-$call.txt
failed=0
number=0
kept=0 # seconds reserved for later steps

note() { # note COMMAND...: prints its output, if the command exists
  command -v "$1" >/dev/null || { echo "\$ $*: not there"; return 0; }
  echo "\$ $*"
  timeout 10 "$@" 2>&1 || true
}
{
  date -u +%Y-%m-%dT%H:%M:%SZ
  note uname -srm
  note nproc
  grep -m1 'model name' /proc/cpuinfo 2>/dev/null
  grep -m1 MemTotal /proc/meminfo 2>/dev/null
  note "$halfwave" --version
  note git -C "$repository" rev-parse HEAD
  note nvidia-smi
  note nvidia-smi --query-gpu=name,driver_version,vbios_version,memory.total,clocks.max.sm,clocks.max.memory,power.limit --format=csv
  note vulkaninfo --summary
  note "$halfwave" devices
  env | grep -E '^(WGPU_|VK_|HALFWAVE|ADAPTER|BATCH|TOTAL|TORCH_|BURN_|CIFAR|RUST_LOG)' || true
} >"$out/system-$call.txt"

: >"$summary"
say() { printf '%s\n' "$*" | tee -a "$summary"; }
left() { echo $((total - kept - (SECONDS - began))); }

# A command is ended by SIGINT, as by a user, and five seconds later with all processes that it has
# started: a run keeps its progress. Behind nohup or & programs would ignore the signal.
hearing=(env --default-signal=INT)
"${hearing[@]}" true 2>/dev/null || hearing=()
limited() { # limited SECONDS COMMAND...
  local seconds=$1
  shift
  timeout --signal=INT --kill-after=5 "$seconds" "${hearing[@]}" "$@"
}

step() { # step NAME SECONDS COMMAND...: succeeds if the command ended by itself
  local name limit start=$SECONDS code=0 result
  number=$((number + 1))
  name=$(printf '%s-%02d-%s' "$call" "$number" "$1")
  log=$out/$name.log
  # It takes up to seven seconds more if it does not react to the signal.
  limit=$(($(left) - 7 < $2 ? $(left) - 7 : $2))
  shift 2
  printf '$ %s\n' "$*" >"$log"
  if ((limit < 1)); then
    echo "left out: no time" >>"$log"
    say "$(printf '%-30s          left out: no time' "$name")"
    return 1
  fi
  limited "$limit" "$@" >>"$log" 2>&1 </dev/null || code=$?
  echo "exit code $code after $((SECONDS - start)) s" >>"$log"
  case $code in
    0) result=ok ;;
    124 | 137) result="ended at $limit s" ;;
    *) result="FAILED ($code)" ;;
  esac
  say "$(printf '%-30s %5d s  %s' "$name" $((SECONDS - start)) "$result")"
  [[ $code == 0 ]] && return 0
  tail -5 "$log" | sed 's/^/    /'
  # A training that was ended in time counts as successful.
  [[ $code == 124 && $name == *cifar10* ]] && return 0
  failed=$((failed + 1))
  return 1
}
found() { # found PATTERN: prints the matching lines of the last log
  grep -E "$1" "$log" | tail -8 | cut -c1-240 | sed 's/^/    /' | tee -a "$summary"
}
best_convolutions() { # from coopconv's last log: the fastest correct kernel of each shape and product
  awk -F ' *[|] *' '
    $1 == "conv" && $4 ~ / ms$/ && $6 ~ /EXACT|ok/ { split($3, word, " "); key = $2 " " word[1]; if (!(key in best) || $4 + 0 < best[key]) { best[key] = $4 + 0; line[key] = $2 " | " $3 " | " $4 " | " $5 } }
    END { for (key in line) print "    " line[key] }' "$log" | sort | cut -c1-240 | tee -a "$summary"
}
bench() { # bench NAME SECONDS ARGUMENT...
  local name=$1 seconds=$2
  shift 2
  step "bench-$name" "$seconds" "$halfwave" bench "$@" "${adapter[@]}" --json "$out/bench-$name.json"
  found 'ms per (step|micro-batch)'
}
profile() { # profile NAME VARIABLE=VALUE...
  local name=$1 file=$out/profile-$1
  shift
  step "profile-$name" 30 env "$@" "$halfwave" profile vgg-small --batch "$batch" --all "${adapter[@]}" --json "$file.json" --html "$file.html"
  found 'without instrumentation|launches add up'
}
torch() { # torch NAME SECONDS ARGUMENT...: a network in PyTorch
  local name=$1 seconds=$2
  shift 2
  step "torch-$name" "$seconds" "$python" "$PEERS/bench_torch.py" bench --width 1 --quant hwgq --device "${TORCH_DEVICE:-cuda}" --iters 20 --warmup 3 --max-s 4 "$@"
  found '^\{'
}
peers_are_there() {
  [[ -n ${PEERS:-} ]] || { say "PyTorch: left out: PEERS names no folder"; return 1; }
  [[ -f $PEERS/bench_torch.py ]] || { say "PyTorch: left out: no bench_torch.py in $PEERS"; return 1; }
  "$python" -c 'import torch' 2>/dev/null || { say "PyTorch: left out: $python has no torch"; return 1; }
}

first() {
  # The measured peaks are the device's best rates; while they are measured its clock rises.
  step ceilings 30 "$halfwave" devices --ceilings --fresh "${adapter[@]}"
  found 'GFLOP/s|Gbitop/s|µs'
  step selftest 60 "$halfwave" selftest "${adapter[@]}"
  found 'agree|differ|failed'
  bench vgg-small 80 vgg-small --batch "$batch"
  profile vgg-small-matrices HALFWAVE_COOP=1
  profile vgg-small-without-matrices HALFWAVE_COOP=0
  bench resnet18 25 resnet18 --batch $(((batch + 3) / 4)) --steps-only
  bench resnet20 25 resnet20 --batch "$batch" --steps-only
  bench digits 20 digits --steps-only
  if [[ -n ${COOPCONV:-} ]]; then
    local program=$COOPCONV/coopconv
    [[ -x $program ]] || program=$COOPCONV/target/release/coopconv
    step coopconv-five 55 "$program" five --seconds 40
    best_convolutions
  else
    say "coopconv: left out: COOPCONV names no folder"
  fi
  if peers_are_there; then
    torch vgg-fp32 30 --model vgg --batch "$batch"
    torch vgg-bf16 30 --model vgg --batch "$batch" --dtype bf16 --channels-last
    bench vgg-small-beside 20 vgg-small --batch "$batch" --steps-only
    torch digits-fp32 20 --model digits --batch 64
  fi
}

second() {
  if [[ -n ${CIFAR10_DIR:-} ]]; then kept=$((${CIFAR_SECONDS:-120} + 20)); fi
  local resume=() length=() toml
  # The clock rises, and two runs with one seed on one adapter must agree to the byte.
  step train-digits 25 "$halfwave" train --plain "${adapter[@]}" --out "$out/digits-$$"
  found 'test accuracy'
  if step train-digits-again 25 "$halfwave" train --plain "${adapter[@]}" --out "$out/digits-again-$$"; then
    step same-bytes 5 cmp "$out/digits-$$/checkpoint.safetensors" "$out/digits-again-$$/checkpoint.safetensors"
  fi
  if peers_are_there; then
    torch vgg-bf16-graphs 70 --model vgg --batch "$batch" --dtype bf16 --channels-last --compile reduce-overhead
    bench vgg-small-beside-graphs 20 vgg-small --batch "$batch" --steps-only
    torch resnet20-bf16-graphs 60 --model resnet20 --batch "$batch" --dtype bf16 --channels-last --compile reduce-overhead
    torch digits-graphs 40 --model digits --batch 64 --compile reduce-overhead
  fi
  if step tune 60 "$halfwave" tune vgg-small --batch "$batch" "${adapter[@]}"; then
    bench vgg-small-tuned 20 vgg-small --batch "$batch" --steps-only
    step tune-forget 5 "$halfwave" tune --forget "${adapter[@]}"
  fi
  if [[ -f $repository/web/pkg/package.json && -d $repository/web/node_modules/webgpu ]]; then
    toml=$(sed 's/^epochs = .*/steps = 69/' "$repository/assets/recipes/digits.toml")
    step dawn-selftest 40 node "$repository/web/tests/fixtures/node.mjs" selftest
    step dawn-losses 20 node "$repository/web/tests/fixtures/node.mjs" losses "$toml"
  else
    say "Dawn in Node.js: left out: web/build.sh has made no web/pkg, or web/node_modules has no webgpu"
  fi
  if [[ -n ${BURN:-} ]]; then
    # Its kernels are tuned while it warms up, which takes minutes the first time.
    step burn 90 "$BURN" "${BURN_BACKEND:-vulkan}" vgg 1 "$batch" hwgq 10 20
    found '^\{'
  else
    say "Burn: left out: BURN names no program"
  fi
  kept=0
  if [[ -z ${CIFAR10_DIR:-} ]]; then say "CIFAR-10: left out: CIFAR10_DIR names no folder"; return; fi
  [[ ! -e $out/cifar10/run.json ]] || resume=(--resume "$out/cifar10")
  [[ -z ${CIFAR_EPOCHS:-} ]] || length=(--epochs "$CIFAR_EPOCHS")
  # The remaining time, except for the evaluation after it.
  kept=13
  if [[ ${#resume[@]} != 0 ]]; then
    step cifar10-on "$total" "$halfwave" train "${resume[@]}" "${length[@]}" --plain --data-dir "$CIFAR10_DIR" "${adapter[@]}"
  else
    step cifar10 "$total" "$halfwave" train vgg-small "${length[@]}" --plain --data-dir "$CIFAR10_DIR" "${adapter[@]}" --out "$out/cifar10"
  fi
  found 'epoch|accuracy|stopped after'
  kept=0
  step cifar10-eval 15 "$halfwave" eval "$out/cifar10" --data-dir "$CIFAR10_DIR" "${adapter[@]}"
  found 'after .* steps|test accuracy|test loss'
}

"$call"
note nvidia-smi --query-gpu=temperature.gpu,clocks.sm,clocks.mem,power.draw --format=csv >>"$out/system-$call.txt"
say "gpu-run: $failed of $number steps failed in $((SECONDS - began)) s; everything is in $1"
exit "$failed"
