#!/bin/bash
# A GPU engineer looks at a device (in the tests, a software driver): what it is, whether its kernels are
# right, what a step does on it, where the time goes, and what the compiler makes of a kernel. What the
# engineer came for: a comparison of two measurements, and a kernel's translation.
set -euo pipefail
fail() { echo "gpu-engineer: $*" >&2; exit 1; }

halfwave devices --json >devices.json
grep -q '"name"' devices.json || fail "no adapter is listed"
halfwave selftest --adapter 0 quantise --json >selftest.json
halfwave plan --adapter 0 >plan.txt
kernel=$(grep -o 'bconv_[a-z0-9]*' plan.txt | head -1)
[[ -n $kernel ]] || fail "the plan has no binary convolution"

halfwave profile --adapter 0 --batch 4 --steps 2 --json before.json --html before.html --trace before.trace.json
halfwave profile --adapter 0 --batch 4 --steps 2 --json after.json --set 'layers.q*.bits=1'
halfwave profile --diff before.json after.json >diff.txt
grep -q 'the plans differ' diff.txt || fail "the comparison does not see that the networks differ: $(cat diff.txt)"
grep -q 'a step without instrumentation: .* before, .* after' diff.txt || fail "the comparison has no times: $(cat diff.txt)"
for file in before.html before.trace.json; do [[ -s $file ]] || fail "$file is missing or empty"; done

halfwave shader "$kernel" | grep -q popcount || fail "$kernel does not count bits"
halfwave shader "$kernel" --layer conv2 --emit msl >kernel.metal
grep -q 'kernel void' kernel.metal || fail "kernel.metal is not in Metal's language"
