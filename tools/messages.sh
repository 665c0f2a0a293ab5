#!/bin/bash
# Prints every message that the tests of wrong input produce, sorted, each once, with numbers and paths of temporary
# files replaced, and without the marked lines of recipes: to be read as a whole after a change of words.
set -euo pipefail
cd "$(dirname "$0")/.."
HALFWAVE_MESSAGES=$(mktemp)
export HALFWAVE_MESSAGES
trap 'rm -f "$HALFWAVE_MESSAGES"' EXIT
cargo test --quiet --no-fail-fast --test recipe --test data --test cli --test experiment --test sweep >&2
sed -E '/^ +[0-9]* *\| /d; s#/tmp/[^ :]*/#…/#g; s#/tmp/[^ :]*#…#g; s/\x1b\[[0-9;]*m//g' "$HALFWAVE_MESSAGES" | sort -u
