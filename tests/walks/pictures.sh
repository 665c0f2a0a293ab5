#!/bin/bash
# Somebody has a folder with pictures of two classes, gets a recipe for them, trains it, and asks about
# pictures of another size. What they came for: the right class.
set -euo pipefail
fail() { echo "pictures: $*" >&2; exit 1; }

# picture WIDTH HEIGHT SEED CLASS: stripes with noise, as a PPM file.
picture() {
  awk -v width="$1" -v height="$2" -v seed="$3" -v class="$4" 'BEGIN {
    srand(seed)
    print "P3", width, height, 255
    for (y = 0; y < height; y++) for (x = 0; x < width; x++) {
      share = class == "across" ? y / height : x / width
      bright = int(share * 4) % 2 ? 200 : 60
      print int(bright + 40 * rand()), int(bright / 2 + 40 * rand()), int(100 + 40 * rand())
    }
  }'
}
for class in across along; do
  mkdir -p "fabric/$class"
  for seed in $(seq 30); do picture 16 16 "$seed" "$class" >"fabric/$class/$seed.ppm"; done
done

halfwave new fabric
grep -q '^classes = 2$' fabric.toml || fail "the recipe has another number of classes"
halfwave train fabric.toml --epochs 4
for class in across along; do
  picture 60 44 99 "$class" >"$class.ppm"
  halfwave predict runs/fabric-1 "$class.ppm" --json >"$class.json"
  grep -q "^    \"class\": \"$class\"" "$class.json" || fail "a picture of $class is taken for another class: $(cat "$class.json")"
done
