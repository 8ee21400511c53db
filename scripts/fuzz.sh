#!/usr/bin/env bash
# Feeds what the agent reads with inputs that libFuzzer makes up, from the corpora in test/fuzz/corpus on.
#
#   scripts/fuzz.sh                        every target, 30 seconds each, two at a time
#   scripts/fuzz.sh TARGET [SECONDS]       one target
#   scripts/fuzz.sh all [SECONDS]
#   scripts/fuzz.sh --list
#
# Builds the targets in build/asan when they are not there. What is found first is kept in build/fuzz/TARGET, from run to run,
# and an input that fails in build/fuzz/TARGET-*; it is to become a test. The seed is libFuzzer's own, by the clock;
# KUBENATD_FUZZ_SEED (a number) sets it. A line for each target tells the inputs run, the features covered, and the outcome.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 2

mapfile -t targets < <(sed -n 's/^ *kubenatd_fuzz(\([a-z_]*\) .*/\1/p' test/CMakeLists.txt)
usage() {
  sed -n '2,/^set /{/^set /d; s/^# \{0,1\}//; p}' "${BASH_SOURCE[0]}"
  exit "$1"
}
seconds=${2:-30}
case ${1:-all} in
  --list) printf '%s\n' "${targets[@]}" && exit 0 ;;
  -h | --help) usage 0 ;;
  all) ;;
  *)
    if [[ " ${targets[*]} " != *" $1 "* ]]; then
      echo "fuzz: no target $1; scripts/fuzz.sh --list tells them" >&2
      exit 2
    fi
    targets=("$1")
    ;;
esac
[[ $seconds =~ ^[1-9][0-9]*$ ]] || usage 2 >&2

build=${KUBENATD_FUZZ_BUILD:-build/asan}
if [[ ! -e $build/build.ninja ]]; then cmake --preset asan >/dev/null || exit 1; fi
ninja -C "$build" "${targets[@]/#/fuzz_}" >"$build/fuzz-build.log" || {
  tail -n 40 "$build/fuzz-build.log" >&2
  exit 1
}

# clang 16's address sanitizer does not start on kernels that shuffle the address space by more than 28 bits.
layout=
if setarch -R true 2>/dev/null; then layout="setarch -R"; fi
export seconds build layout
export seed=${KUBENATD_FUZZ_SEED:-0} # 0: by the clock
export LSAN_OPTIONS=suppressions=test/leaks.supp:print_suppressions=0
# A target may take half a GB, an allocation 256 MB, an input 10 seconds.
run() {
  local target=$1 found=build/fuzz/$1 log=build/fuzz/$1.log outcome=ok
  mkdir -p "$found"
  local dictionary=()
  if [[ -e test/fuzz/$target.dict ]]; then dictionary=(-dict="test/fuzz/$target.dict"); fi
  $layout "$build/fuzz_$target" -max_total_time="$seconds" -seed="$seed" -rss_limit_mb=768 -malloc_limit_mb=256 -timeout=10 \
    -max_len=8192 -print_final_stats=1 -print_funcs=0 -artifact_prefix="$found-" "${dictionary[@]}" "$found" "test/fuzz/corpus/$target" \
    >"$log" 2>&1 </dev/null || outcome=FAILED
  local runs features
  runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
  features=$(grep -o 'ft: [0-9]*' "$log" | tail -n 1 | cut -d ' ' -f 2)
  printf '%-20s %-7s %9s inputs %7s features\n' "$target" "$outcome" "${runs:-?}" "${features:-?}"
  if [[ $outcome != ok ]]; then
    grep -E '^fuzz: |^==[0-9]+==|SUMMARY|runtime error|Test unit written' "$log" | head -n 12 | sed 's/^/  /'
    return 1
  fi
}
export -f run

printf '%s\0' "${targets[@]}" | xargs -0 -n 1 -P 2 bash -c 'run "$1"' run
outcome=$?
((outcome == 0)) || exit 1
