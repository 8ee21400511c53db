#!/usr/bin/env bash
# Builds kubenatd, or the targets given, for another architecture: preset release-ARCH, in build/ARCH, with Debian's cross
# compiler and the sysroot that scripts/sysroot.sh makes. Installs what is missing for that (scripts/install.sh cross).
#
#   scripts/cross.sh arm64 [TARGET...]       (default: kubenatd)
#
# What it builds runs on Debian 12 of that architecture; scripts/image.sh and scripts/package.sh use it.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

if [[ ${1:-} != arm64 ]]; then
  echo "usage: scripts/cross.sh arm64 [TARGET...]" >&2
  exit 2
fi
architecture=$1
shift
if (($# == 0)); then set -- kubenatd; fi
scripts/install.sh cross
scripts/sysroot.sh "$architecture"
cmake --preset "release-$architecture" >/dev/null
cmake --build --preset "release-$architecture" --target "$@"
