#!/usr/bin/env bash
# Builds, and runs kubenatd under fire: thousands of Services that change at random, connections without end, and faults
# of its process, of the API server, of the rules and of the kernel, all from a seed. Everything runs in network
# namespaces of its own. Prints figures; fails when something went wrong that no fault explains.
#
#   scripts/soak.sh                    both modes, one after the other, a minute each
#   scripts/soak.sh --minutes N        minutes for each mode; 0.5 is half a minute
#   scripts/soak.sh --seed S           other changes and faults; without it the seed is the time
#   scripts/soak.sh --mode M           iptables, nftables or both
#   scripts/soak.sh --logs DIR         keeps what the agent says, a file for each of its lives
#
# Exit code: 0, 1 when kubenatd is to blame, 2 for wrong usage, 77 when the machine does not let it make namespaces.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

usage() {
  sed -n '2,/^set /{/^set /d; s/^# \{0,1\}//; p}' "${BASH_SOURCE[0]}"
  exit "$1"
}
seed=$(date +%s)
arguments=()
while (($# > 0)); do
  case $1 in
    -h | --help) usage 0 ;;
    --minutes | --mode | --logs | --services | --rate | --changes)
      (($# > 1)) || usage 2 >&2
      arguments+=("$1" "$2")
      shift
      ;;
    --seed)
      (($# > 1)) || usage 2 >&2
      seed=$2
      shift
      ;;
    *) usage 2 >&2 ;;
  esac
  shift
done
scripts/install.sh all
cmake --preset release >/dev/null
cmake --build --preset release --target kubenatd kubenatd_soak -- --quiet
exec build/kubenatd_soak --seed "$seed" "${arguments[@]}"
