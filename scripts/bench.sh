#!/usr/bin/env bash
# Measures kubenatd on this machine and prints tables: syncs, restart and connect latency by number of services, beside
# iptables-restore of the same rules and the floor (the same netlink bytes sent again from memory), the same for nftables
# mode beside nft -f of kube-proxy's form, and the memory of the program itself. Everything runs in network namespaces of
# its own. A benchmark, not a test: nothing is judged.
#
#   scripts/bench.sh             up to 10 000 services, in nftables mode 30 000 (some minutes; iptables-restore takes most)
#   scripts/bench.sh --quick     1 000 services, without iptables-restore
#   scripts/bench.sh --nftables  nftables mode alone; may be followed by --quick
#   scripts/bench.sh --peer DIR  beside kube-proxy with a real API server (both, v1.36, in DIR; etcd in PATH) instead of
#                                all that; half an hour. --quick: small and soon; --nftables as above
#   scripts/bench.sh --peer DIR --services N  with so many alone
#   scripts/bench.sh --peer DIR --storm    both of them in a storm of changes
#   scripts/bench.sh --peer DIR --packets  what the rules of both cost the packets that pass
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

usage() {
  sed -n '2,15s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2
  exit 2
}
both=1
quick=()
instead=()
peer=
while (($#)); do
  case "$1" in
    --quick) quick=(--quick) ;;
    --nftables) both=0 ;;
    --storm | --packets) instead=("$1") ;;
    --services)
      if (($# < 2)) || [[ ! $2 =~ ^[1-9][0-9]{1,4}$ ]]; then usage; fi
      instead=("$1" "$2")
      shift
      ;;
    --peer)
      if (($# < 2)); then usage; fi
      peer=$(realpath "$2")
      shift
      ;;
    *) usage ;;
  esac
  shift
done
if ((${#instead[@]})) && [[ -z $peer ]]; then usage; fi
if [[ -n $peer ]]; then
  for program in "$peer/kube-apiserver" "$peer/kube-proxy" etcd openssl; do
    if ! command -v "$program" >/dev/null; then
      echo "bench: $program is missing" >&2
      exit 1
    fi
  done
fi
if ((EUID != 0)); then
  echo "bench: needs root, for network namespaces" >&2
  exit 1
fi
scripts/install.sh build
cmake --preset release >/dev/null
cmake --build --preset release --target kubenatd kubenatd_bench -- --quiet

printf 'kubenatd %s, %s, %s\n' "$(build/kubenatd version | cut -d' ' -f2)" "$(iptables --version)" "$(nft --version | cut -d' ' -f1,2)"
if [[ -n $peer ]]; then
  mode=()
  if ((!both)); then mode=(--nftables); fi
  "$peer/kube-proxy" --version
  exec build/kubenatd_bench --peer build/kubenatd "$peer" "${quick[@]}" "${instead[@]}" "${mode[@]}"
fi
if ((both)); then
  build/kubenatd_bench "${quick[@]}"
  echo
fi
build/kubenatd_bench --nftables "${quick[@]}"

# The memory of the program itself, from manifests to a steady state.
folder=$(mktemp -d)
agent=
finish() {
  if [[ -n $agent ]]; then kill "$agent" 2>/dev/null || true; fi
  rm -rf "$folder"
}
trap finish EXIT
memory() {
  local services=$1 form=$2 pid line try
  rm -rf "$folder/manifests" && mkdir "$folder/manifests"
  build/kubenatd_bench --manifests "$services" "$folder/manifests/cluster.yaml"
  local mode=(--proxy-mode nftables)
  if [[ $form != nftables ]]; then mode=(--dispatch "$form"); fi
  unshare --net build/kubenatd run --manifests "$folder/manifests" --hostname-override node-1 "${mode[@]}" \
    2>"$folder/log" &
  agent=$!
  for ((try = 0; try < 1200; ++try)); do
    if grep -q 'msg="\?ready' "$folder/log"; then break; fi
    if ! kill -0 "$agent" 2>/dev/null; then
      cat "$folder/log" >&2
      return 1
    fi
    sleep 0.1
  done
  sleep 4  # two seconds after the start memory is given back
  pid=$agent
  line=$(awk '/^VmHWM/ {peak = $2} /^VmRSS/ {steady = $2} END {printf "%7.1f MB | %7.1f MB", steady / 1e3, peak / 1e3}' "/proc/$pid/status")
  printf '| %6d | %-6s | %s | %5.2f s |\n' "$services" "$form" "$line" \
    "$(awk '{printf "%.2f", ($14 + $15) / '"$(getconf CLK_TCK)"'}' "/proc/$pid/stat")"
  kill "$agent"
  wait "$agent" 2>/dev/null || true
  agent=
}
printf '\n| N      | form   | steady RSS | peak RSS   | CPU     |\n|--------|--------|------------|------------|---------|\n'
sizes=(1000 5000 10000)
if ((${#quick[@]})); then sizes=(1000); fi
for services in "${sizes[@]}"; do
  if ((both)); then
    memory "$services" linear
    memory "$services" tree
  fi
  memory "$services" nftables
done

# The program in a cluster: lists are streamed to it by an API server on loopback. "lists" is from its start to the
# lists' end, "commit" from there until all chains are in the kernel (the floor above is the kernel's own part of it),
# "change" from one changed EndpointSlice to its commit.
printf '\n| N      | lists    | commit   | 1 change  | steady RSS | peak RSS   | CPU     |\n'
printf '|--------|----------|----------|-----------|------------|------------|---------|\n'
for services in "${sizes[@]}"; do build/kubenatd_bench --api "$services" build/kubenatd; done
