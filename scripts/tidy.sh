#!/usr/bin/env bash
# clang-tidy over the product's sources, two files at a time. It reads the code with Clang's own front end, so it is
# also the check that the code is not g++'s alone.
#
#   scripts/tidy.sh [BUILD_DIR] [FILE...]     (default: build, every source in its compile_commands.json)
#
# A file that was clean is not looked at again until it, a header or .clang-tidy changes.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

build=${1:-build}
shift || true
if [[ ! -f $build/compile_commands.json ]]; then
  echo "tidy: $build is not configured: cmake --preset release" >&2
  exit 2
fi
if ! command -v clang-tidy-16 >/dev/null; then
  echo "tidy: clang-tidy-16 is not installed: run scripts/install.sh" >&2
  exit 2
fi

if (($# > 0)); then
  files=("$@")
else
  mapfile -t files < <(python3 -c '
import json, os, sys
for entry in json.load(open(sys.argv[1])):
    path = os.path.relpath(entry["file"])
    if path.split(os.sep)[0] in ("rules", "netlink", "agent") and os.path.exists(path):
        print(path)' "$build/compile_commands.json" | sort -u)
fi

export stamps=$build/tidy build
mkdir -p "$stamps"
common=$({ cat .clang-tidy; find rules netlink agent -name '*.h' -print0 | sort -z | xargs -0 cat; } | sha256sum)
export common

check() {
  local file=$1 key output
  key=$stamps/$({ echo "$common"; cat "$file"; } | sha256sum | cut -c 1-32)
  if [[ -e $key ]]; then return 0; fi
  # What it counts and suppresses in system headers is told on stderr, compile errors of this file on stdout.
  if output=$(clang-tidy-16 -p "$build" --quiet "$file" 2>/dev/null); then
    touch "$key"
  else
    printf '%s\n' "${output:-$file: clang-tidy-16 failed without a word}"
    return 1
  fi
}
export -f check

if printf '%s\0' "${files[@]}" | xargs -0 -n 1 -P "$(nproc)" bash -c 'check "$1"' check; then
  echo "tidy: ${#files[@]} files clean"
else
  echo "tidy: failed" >&2
  exit 1
fi
