#!/bin/bash
# Prints the software Vulkan drivers of this machine in the format of HALFWAVE_TEST_ICDS:
# name=/path/to/icd.json,... Fails if there is no lavapipe, which every test machine must have.
set -euo pipefail

first() { # the first of these files that exists
  for file in "$@"; do
    if [[ -f $file ]]; then echo "$file"; return; fi
  done
}

machine=$(uname -m)
# The name of Mesa's file includes the machine or not, depending on the version.
lavapipe=$(first {/usr/share,/usr/local/share,/etc}/vulkan/icd.d/{lvp_icd.json,"lvp_icd.$machine.json"})
swiftshader=$(first /usr/lib/chromium/vk_swiftshader_icd.json /usr/lib/chromium-browser/vk_swiftshader_icd.json \
  /usr/lib64/chromium-browser/vk_swiftshader_icd.json /snap/chromium/current/usr/lib/chromium-browser/vk_swiftshader_icd.json \
  /opt/google/chrome/vk_swiftshader_icd.json)

[[ -n $swiftshader ]] || echo "find-icds: no SwiftShader found (it comes with chromium)" >&2
[[ -n $lavapipe ]] || { echo "find-icds: no lavapipe found: run tools/install-test-deps.sh" >&2; exit 1; }
echo "lavapipe=$lavapipe${swiftshader:+,swiftshader=$swiftshader}"
