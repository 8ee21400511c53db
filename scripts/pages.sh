#!/usr/bin/env bash
# Writes the manual pages and the shells' completions that the packages install, as the program prints them.
#
#   scripts/pages.sh [PROGRAM [FOLDER]]     (default: build/kubenatd, scripts/package/pages)
#
# They are kept in git: a program for another architecture cannot print them where its package is made. A test compares.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

program=${1:-build/kubenatd}
folder=${2:-scripts/package/pages}
mkdir -p "$folder"
rm -f "$folder"/*.8
"$program" manual >"$folder/kubenatd.8"
for command in $(sed -n 's/^\.BR kubenatd\\-\([a-z\\-]*\) (8)$/\1/p' "$folder/kubenatd.8" | sed 's/\\//g' | sort -u); do
  "$program" manual "$command" >"$folder/kubenatd-$command.8"
done
"$program" completion bash >"$folder/kubenatd.bash"
"$program" completion zsh >"$folder/_kubenatd"
"$program" completion fish >"$folder/kubenatd.fish"
