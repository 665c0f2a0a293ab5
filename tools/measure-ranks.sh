#!/bin/bash
# Measures the time of a training step against the number of ranks, the bandwidth between them and the exchange of
# gradients, on one Linux computer: each rank is in a network namespace of its own, whose link is limited by tc's token
# bucket filter (tbf) in both directions. Needs root, iproute2, Open MPI, and a halfwave that is built with the feature mpi.
#
#   tools/measure-ranks.sh HALFWAVE OUT.csv [RECIPE OPTION...]   default: vgg-small-quarter --batch 8, on CIFAR10_DIR
#
#   RANKS        numbers of ranks (default: "2 4")
#   RATES        bandwidths in Mbit/s, 0 for no limit (default: "0 100 20")
#   GRADIENTS    exchanges (default: "f32 f16 int8 sign")
#   BATCH_NORM   synchronised or local (default: local, so that a step has one exchange)
#   STEPS        steps per measurement (default: 20)
#
# A line of the file: ranks, Mbit/s, gradients, milliseconds of a step, of which exchanging (the least of the ranks: others
# also wait for it), bytes that a rank sends per step. The first epoch of each run is not counted.
set -euo pipefail
program=$(realpath "$1") out=$2
shift 2
[[ $# != 0 ]] || set -- vgg-small-quarter --data-dir "$CIFAR10_DIR" --batch 8
steps=${STEPS:-20}
work=$(mktemp -d)
most=0

close_network() {
  local i
  # A link is deleted by itself: with its namespace it lives on for a moment.
  for i in $(seq "$most"); do
    ip link del "link$i" 2>/dev/null || true
    ip netns del "rank$i" 2>/dev/null || true
  done
  ip link del ranks 2>/dev/null || true
}
trap 'close_network; rm -rf "$work"' EXIT

open_network() { # open_network RANKS MBIT
  local i
  most=$1
  ip link add ranks type bridge && ip addr add 10.77.0.254/24 dev ranks && ip link set ranks up
  for i in $(seq "$1"); do
    ip netns add "rank$i"
    ip link add "link$i" type veth peer name eth0 netns "rank$i"
    ip link set "link$i" master ranks up
    ip -n "rank$i" addr add "10.77.0.$i/24" dev eth0
    ip -n "rank$i" link set eth0 up
    ip -n "rank$i" link set lo up
    if [[ $2 != 0 ]]; then
      ip netns exec "rank$i" tc qdisc add dev eth0 root tbf rate "$2mbit" burst 64kb latency 400ms
      tc qdisc add dev "link$i" root tbf rate "$2mbit" burst 64kb latency 400ms
    fi
  done
  seq -f '10.77.0.%g slots=1' "$1" >"$work/hosts"
}

# What mpirun uses instead of ssh. Each rank has a folder for temporary files of its own, as on a computer of its own.
cat >"$work/enter" <<AGENT
#!/bin/bash
namespace=rank\${1##*.}
shift
mkdir -p "$work/\$namespace"
exec ip netns exec "\$namespace" env TMPDIR="$work/\$namespace" bash -c "\$*"
AGENT
chmod +x "$work/enter"

echo "ranks,mbit_per_s,gradients,step_ms,exchange_ms,bytes_per_step" >"$out"
for ranks in ${RANKS:-2 4}; do
  for rate in ${RATES:-0 100 20}; do
    close_network
    open_network "$ranks" "$rate"
    for gradients in ${GRADIENTS:-f32 f16 int8 sign}; do
      batch=$(("$(printf '%s\n' "$@" | grep -A1 -x -e --batch | tail -1)"))
      rm -rf "$work/run"
      mpirun --allow-run-as-root --hostfile "$work/hosts" -n "$ranks" --mca plm_rsh_agent "$work/enter" \
        --mca oob_tcp_if_include 10.77.0.0/24 --mca btl tcp,self --mca btl_tcp_if_include 10.77.0.0/24 \
        "$program" train "$@" --adapter cpu --plain --quiet --out "$work/run" --epochs 3 --set data.limit=$((steps * batch)) \
        --set data.test_limit="$batch" --set "train.ranks.gradients=$gradients" --set "train.ranks.batch_norm=${BATCH_NORM:-local}"
      node -e '
        const [file, batch, steps, ...names] = process.argv.slice(1);
        const rows = require("fs").readFileSync(file, "utf8").trim().split("\n").map(line => JSON.parse(line));
        const epochs = rows.filter(row => row.ranks).slice(1);
        const mean = of => epochs.map(of).reduce((a, b) => a + b) / epochs.length;
        const step = mean(row => 1000 * batch / row.images_per_s);
        const exchange = mean(row => Math.min(...row.ranks.map(rank => rank.exchange_s)) * 1000 / steps);
        const bytes = mean(row => Math.max(...row.ranks.map(rank => rank.bytes_per_step)));
        console.log([...names, step.toFixed(1), exchange.toFixed(1), bytes.toFixed(0)].join(","));
      ' "$work/run/metrics.jsonl" "$batch" "$steps" "$ranks" "$rate" "$gradients" | tee -a "$out"
    done
  done
done
