#!/usr/bin/env bash
# Installs what is missing, builds, and checks everything: unit, kernel, packet and fault tests, format, layers,
# clang-tidy, and the unit and kernel tests once more under the sanitizers.
#
#   scripts/test.sh              everything
#   scripts/test.sh --quick      without clang-tidy and sanitizers
#   scripts/test.sh -R REGEX     only the tests whose name matches (given to ctest), and nothing but them
#
# The tests that need the kernel make their own network namespaces; without the rights for that they are skipped. The
# last lines are a summary and the closing line of the main ctest run. A folder of conformance states (kube-proxy's own
# iptables-save of given objects) is used when KUBENATD_CONFORMANCE names it or ../shared/conformance is there.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 2

usage() {
  sed -n '2,/^set /{/^set /d; s/^# \{0,1\}//; p}' "${BASH_SOURCE[0]}"
  exit "$1"
}
quick=false
only=()
while (($# > 0)); do
  case $1 in
    --quick) quick=true ;;
    -R)
      (($# > 1)) || usage 2 >&2
      only=(-R "$2")
      shift
      ;;
    -h | --help) usage 0 ;;
    *) usage 2 >&2 ;;
  esac
  shift
done

if [[ -z ${KUBENATD_CONFORMANCE:-} && -d ../shared/conformance ]]; then
  KUBENATD_CONFORMANCE=$(cd ../shared/conformance && pwd)
  export KUBENATD_CONFORMANCE
fi
jobs=$(nproc)
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# step NAME COMMAND...: runs it, keeps the outcome for the summary. Later steps run all the same: one run tells all.
summary=()
failed=0
step() {
  local name=$1 begin=$SECONDS outcome=ok
  shift
  printf '\n== %s\n' "$name"
  if ! "$@"; then
    outcome=FAILED
    failed=1
  fi
  summary+=("$(printf '%-28s %-6s %4d s' "$name" "$outcome" $((SECONDS - begin)))")
  [[ $outcome == ok ]]
}
finish() {
  printf '\n== Summary\n'
  printf '%s\n' "${summary[@]}"
  # The closing line of the main run, last, for whoever reads only the end.
  if [[ -s $log ]]; then grep -E 'tests passed,|No tests were found' "$log" | tail -n 1; fi
  exit "$failed"
}

build() {
  local preset=$1
  shift
  cmake --preset "$preset" >"$log.cmake" 2>&1 || {
    cat "$log.cmake"
    rm -f "$log.cmake"
    return 1
  }
  rm -f "$log.cmake"
  cmake --build --preset "$preset" -j "$jobs" "$@"
}
# The address space is laid out without chance: gcc 12's thread sanitizer stops with "unexpected memory mapping" on
# kernels that shuffle it by more than 28 bits.
fixed_layout() {
  if setarch -R true 2>/dev/null; then setarch -R "$@"; else "$@"; fi
}
main_tests() {
  ctest --preset release -j "$jobs" --no-tests=error "${only[@]}" 2>&1 | tee "$log"
  return "${PIPESTATUS[0]}"
}
# sanitized PRESET TARGET LABELS: the tests whose label matches, built with the preset's sanitizers.
sanitized() {
  build "$1" --target "$2" && fixed_layout ctest --preset "$1" -j "$jobs" --no-tests=error -L "$3"
}

step "install" scripts/install.sh || finish
step "build" build release || finish
step "tests" main_tests
if ((${#only[@]} > 0)); then finish; fi
step "format" scripts/format.sh
step "layers" scripts/layers.sh
if ! $quick; then
  step "clang-tidy" scripts/tidy.sh build
  step "address, undefined behaviour" sanitized asan sanitized_tests '^(sanitized|threaded)$'
  step "threads" sanitized tsan threaded_tests '^threaded$'
fi
finish
