#!/usr/bin/env bash
# Makes the Debian package, for Debian 12 and 13: the program, its licence, and what it depends on.
#
#   scripts/package.sh [amd64|arm64...]      (default: this machine's architecture)
#
# The output is build/kubenatd_VERSION_ARCHITECTURE.deb. Another architecture than this machine's is built by
# scripts/cross.sh. The same commit with the same compiler and libraries gives the same bytes.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

umask 022
here=$(dpkg --print-architecture)
if (($# == 0)); then set -- "$here"; fi
for architecture in "$@"; do
  case $architecture in
    "$here" | arm64) ;;
    *)
      echo "usage: scripts/package.sh [amd64|arm64...]" >&2
      exit 2
      ;;
  esac
done
for architecture in "$@"; do
  if [[ $architecture == "$here" ]]; then
    folder=build
    scripts/install.sh build
    cmake --preset release >/dev/null
    cmake --build --preset release --target kubenatd
  else
    folder=build/$architecture
    scripts/cross.sh "$architecture" kubenatd
  fi
  work=$(mktemp --directory)
  trap 'rm -rf "$work"' EXIT
  if ! cpack --config "$folder/CPackConfig.cmake" -B "$work" >"$work/log" 2>&1; then
    cat "$work/log" >&2
    exit 1
  fi
  package=$(basename "$work"/*.deb)
  mv "$work/$package" build/
  rm -rf "$work"
  echo "package: build/$package, $(numfmt --to=iec --suffix=B "$(stat --format=%s "build/$package")")"
done
