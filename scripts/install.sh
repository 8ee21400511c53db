#!/usr/bin/env bash
# Installs what building, testing and the demo need, from Debian 12's own packages.
#
#   scripts/install.sh [build|lab|all|cross]   (default: all)
#   scripts/install.sh --list libraries|tools  only say which packages kubenatd is built with, and which its tests run
#
# "lab" adds to "build" what the lab and the demo run, "all" the tests' and the linters' tools. "cross" is what building for another
# architecture takes (scripts/cross.sh) and is in no other group. Nothing is asked, and a run that finds everything in place asks only
# dpkg and takes a fraction of a second. Needs root when something is missing.
set -euo pipefail

# The architecture that is built for has the libraries, and the tools where the tests run...
readonly libraries=(
  libnftnl-dev libmnl-dev libnl-3-dev libnl-route-3-dev
  libcpprest-dev prometheus-cpp-dev libssl-dev zlib1g-dev nlohmann-json3-dev libprotozero-dev libfmt-dev libyaml-dev libspdlog-dev
  catch2 libbenchmark-dev
)
readonly tools=(iproute2 iptables nftables procps python3 ca-certificates)
readonly test_tools=(conntrack ipset strace iputils-ping wireguard-tools)
# ... and this machine has the rest.
readonly build_tools=(cmake ninja-build pkg-config ccache dpkg-dev)
readonly build_packages=(g++ "${build_tools[@]}" "${libraries[@]}" "${tools[@]}")
readonly cross_packages=(g++-12-aarch64-linux-gnu "${build_tools[@]}" mmdebstrap qemu-system-arm)
readonly lab_packages=(nginx-light openssl curl python3-yaml)
# clang 16: older ones do not get through libstdc++ 12's <ranges>. clang-format stays at Debian 12's default.
readonly test_packages=(
  clang-16 libclang-rt-16-dev lld-16 clang-tidy-16 clang-format buildah containernetworking-plugins "${test_tools[@]}"
  qemu-system-x86 busybox-static cpio kmod xz-utils zstd
)

missing_packages() {
  local name status
  for name in "$@"; do
    status=$(dpkg-query --show --showformat='${db:Status-Status}' "$name" 2>/dev/null || true)
    if [[ $status != installed ]]; then echo "$name"; fi
  done
}

# Runs apt-get up to three times: a mirror may be busy or in the middle of its own update.
apt_get() {
  local try
  for try in 1 2 3; do
    if DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 -qq "$@" </dev/null \
      >"$log" 2>&1; then
      return 0
    fi
    echo "install: apt-get $1 failed (try $try of 3)" >&2
    sleep $((try * 2))
  done
  tail -n 20 "$log" >&2
  return 1
}

case "${1:-all}" in
  build) packages=("${build_packages[@]}") ;;
  lab) packages=("${build_packages[@]}" "${lab_packages[@]}") ;;
  all) packages=("${build_packages[@]}" "${lab_packages[@]}" "${test_packages[@]}") ;;
  cross) packages=("${cross_packages[@]}") ;;
  --list)
    case "${2:-}" in
      libraries) printf '%s\n' "${libraries[@]}" ;;
      tools) printf '%s\n' "${tools[@]}" "${test_tools[@]}" ;;
      *) echo "usage: scripts/install.sh --list libraries|tools" >&2 && exit 2 ;;
    esac
    exit 0
    ;;
  *)
    echo "usage: scripts/install.sh [build|lab|all|cross]" >&2
    exit 2
    ;;
esac

mapfile -t missing < <(missing_packages "${packages[@]}")
if ((${#missing[@]} == 0)); then exit 0; fi

echo "install: missing: ${missing[*]}"
if ((EUID != 0)); then
  echo "install: run as root, or: sudo apt-get install ${missing[*]}" >&2
  exit 1
fi
if ! command -v apt-get >/dev/null; then
  echo "install: apt-get not found; the packages above are Debian 12's" >&2
  exit 1
fi

log=$(mktemp)
trap 'rm -f "$log"' EXIT
# The lab wants nginx the program: a service of the machine's own is neither started nor left to start at the next boot.
without_service=false
if [[ " ${missing[*]} " == *" nginx-light "* && ! -e /usr/sbin/nginx ]]; then without_service=true; fi
if $without_service && [[ ! -e /usr/sbin/policy-rc.d ]]; then
  printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
  chmod 755 /usr/sbin/policy-rc.d
  trap 'rm -f "$log" /usr/sbin/policy-rc.d' EXIT
fi
apt_get update
apt_get install --yes --no-install-recommends "${missing[@]}"

if $without_service; then update-rc.d nginx disable >/dev/null 2>&1 || true; fi

mapfile -t missing < <(missing_packages "${packages[@]}")
if ((${#missing[@]} > 0)); then
  echo "install: still missing after apt-get: ${missing[*]}" >&2
  exit 1
fi
echo "install: done"
