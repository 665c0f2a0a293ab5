#!/bin/bash
# A web developer, in a project with the npm package, trains a network, exports it, and classifies an image
# with the small runtime in Node.js. What the developer came for: the answer that halfwave itself gives.
set -euo pipefail
fail() { echo "web-developer: $*" >&2; exit 1; }

halfwave train --epochs 1
halfwave export runs/digits-1 --out digits.packed.safetensors
cat >seven.pgm <<'PICTURE'
P2
8 8
16
0 0 2 13 16 16 12 0
0 0 4 9 8 12 14 0
0 0 0 0 1 15 7 0
0 0 0 1 11 16 6 0
0 0 5 15 16 15 9 0
0 0 2 9 15 2 0 0
0 0 0 14 9 0 0 0
0 0 3 16 3 0 0 0
PICTURE
cat >classify.mjs <<'SCRIPT'
import { readFile } from "node:fs/promises";
import { load } from "halfwave/infer";

const [, width, height, , ...pixels] = (await readFile("seven.pgm", "utf8")).trim().split(/\s+/);
const network = await load("digits.packed.safetensors");
if (Number(width) !== network.input.width || Number(height) !== network.input.height) throw new Error("another size");
console.log(network.classify(Uint8Array.from(pixels, Number)).name);
SCRIPT
answer=$(node classify.mjs)
expected=$(halfwave predict runs/digits-1 seven.pgm --json | sed -n 's/^    "class": "\(.*\)",$/\1/p' | head -1)
[[ -n $answer && $answer == "$expected" ]] || fail "the runtime says \"$answer\", and halfwave predict \"$expected\""
