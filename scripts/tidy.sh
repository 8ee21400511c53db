#!/usr/bin/env bash
# clang-tidy over the product's sources, two files at a time. It reads the code with Clang's own front end, so it is
# also the check that the code is not g++'s alone.
#
#   scripts/tidy.sh [BUILD_DIR] [FILE...]     (default: build, every source in its compile_commands.json)
#
# Without FILE the sources of a folder are looked at together (scripts/units.py), and again alone where something is found:
# the first is quicker, the second is how they are compiled. What was clean is not looked at again until it, a
# header or .clang-tidy changes.
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

export stamps=$build/tidy build units=$build/tidy/units
mkdir -p "$stamps"
if (($# > 0)); then
  files=("$@")
else
  rm -rf "$units"
  python3 scripts/units.py tidy "$build" "$units"
  mapfile -t files <"$units/units"
fi

common=$({ cat .clang-tidy; find rules netlink agent -name '*.h' -print0 | sort -z | xargs -0 cat; } | sha256sum)
export common

check() {
  local file=$1 database=$build key output together=() outcome=0 source
  if [[ $file == *"$units"/* ]]; then
    database=$units
    mapfile -t together < <(sed -n 's/^#include "\(.*\.cpp\)"$/\1/p' "$file")
  fi
  key=$stamps/$({ echo "$common"; cat "$file" "${together[@]}"; } | sha256sum | cut -c 1-32)
  if [[ -e $key ]]; then return 0; fi
  # What it counts and suppresses in system headers is told on stderr, compile errors of this file on stdout.
  if output=$(clang-tidy-16 -p "$database" --quiet "$file" 2>/dev/null); then
    touch "$key"
  elif ((${#together[@]} > 0)); then
    # Those of which something is said alone, the rest together.
    local rest=()
    for source in "${together[@]}"; do
      if [[ $output == *"$source:"* ]]; then
        check "${source#"$PWD"/}" || outcome=1
      else
        rest+=("$source")
      fi
    done
    if ((${#rest[@]} == ${#together[@]})); then
      for source in "${together[@]}"; do check "${source#"$PWD"/}" || outcome=1; done
    elif ((${#rest[@]} > 0)); then
      printf '#include "%s"\n' netinet/in.h "${rest[@]}" >"${file%.cpp}-rest.cpp"
      check "${file%.cpp}-rest.cpp" || outcome=1
    fi
    return "$outcome"
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
