#!/bin/bash
# A student trains a network on the embedded digits, looks at what the run has written, tries codes of
# another width, and compares both. What the student came for: a page that says which one is better.
set -euo pipefail
fail() { echo "student: $*" >&2; exit 1; }

halfwave --epochs 2
for file in recipe.toml run.json metrics.jsonl curve.png curve.svg checkpoint.safetensors; do
  [[ -s runs/digits-1/$file ]] || fail "runs/digits-1/$file is missing or empty"
done
halfwave eval runs/digits-1 >eval.txt
accuracy=$(sed -n 's/^test accuracy *\([0-9]*\)\..*/\1/p' eval.txt)
((accuracy >= 80)) || fail "two epochs reach only $accuracy%"

halfwave train --epochs 2 --set 'layers.q*.bits=1' --out runs/one-bit
grep -q '^bits = 1$' runs/one-bit/recipe.toml || fail "the bits were not changed"

halfwave report runs --json >report.json
[[ $(grep -c '"tested": 0\.[0-9]' report.json) == 2 ]] || fail "the report has not tested both runs"
for name in digits-1 one-bit; do
  grep -q "\"name\": \"$name\"" report.json || fail "$name is not in report.json"
  grep -q "\"name\":\"$name\"" runs/report.html || fail "$name is not on the page"
done
