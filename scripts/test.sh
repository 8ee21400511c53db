#!/usr/bin/env bash
# Installs what is missing, builds, and checks everything: unit, kernel, packet and fault tests, format, layers,
# clang-tidy, a soak of a minute, the unit and kernel tests once more under the sanitizers, the fuzz targets, and those
# that a kernel decides on two other kernels.
#
#   scripts/test.sh              everything
#   scripts/test.sh --quick      without soak, clang-tidy, sanitizers, fuzzing and other kernels
#   scripts/test.sh --unit       only the product and the unit tests, quickly built and run without root
#   scripts/test.sh -R REGEX     only the tests whose name matches (given to ctest), and nothing but them
#
# The tests that need the kernel make their own network namespaces; without the rights for that they are skipped. With
# CI=true a test that is skipped for want of rights fails the run; the reasons of all that are skipped are listed. The
# last lines are what the tests that failed have printed, a summary, and the closing line of the main ctest run. A
# folder of conformance states (kube-proxy's own iptables-save of given objects) is used when KUBENATD_CONFORMANCE
# names it or ../shared/conformance is there.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 2

usage() {
  sed -n '2,/^set /{/^set /d; s/^# \{0,1\}//; p}' "${BASH_SOURCE[0]}"
  exit "$1"
}
quick=false
unit=false
only=()
while (($# > 0)); do
  case $1 in
    --quick) quick=true ;;
    --unit) unit=true ;;
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
trap 'rm -f "$log" "$log".*' EXIT

# step NAME COMMAND...: runs it, keeps the outcome for the summary. Later steps run all the same: one run tells all.
summary=()
failed=0
step() {
  local name=$1 begin=$SECONDS outcome=ok
  shift
  printf '\n== %s\n' "$name"
  local status=0
  "$@" || status=$?
  # 77 is that of scripts/kernels.sh and scripts/soak.sh, which have said what the machine lacks.
  if ((status == 77)); then
    outcome=skipped
  elif ((status != 0)); then
    outcome=FAILED
    failed=1
  fi
  summary+=("$(printf '%-28s %-7s %4d s' "$name" "$outcome" $((SECONDS - begin)))")
  ((status == 0))
}
finish() {
  if [[ -s $log.failed ]]; then
    printf '\n== What failed\n'
    cat "$log.failed"
  fi
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
# Lists why tests were skipped. One that lacks rights ("SKIPPED: no rights: ...") shows nothing, so CI does not take it
# for a test; what a machine may lack (a tool, a feature of its kernel) is allowed.
skipped() {
  python3 - "$1" "${CI:-}" <<'PYTHON'
import collections, re, sys, xml.etree.ElementTree as xml
tests, without_rights = collections.defaultdict(list), 0
for case in xml.parse(sys.argv[1]).getroot().iter("testcase"):
    if case.find("skipped") is None or case.get("status") == "disabled": continue
    said = re.search(r"SKIPPED: *(.*)", case.findtext("system-out") or "")
    tests[said.group(1).strip() if said else "without a word"].append(case.get("name"))
for why, names in sorted(tests.items()):
    print(f"skipped: {len(names)} ({names[0]}{', ...' if len(names) > 1 else ''}): {why}")
    if why.startswith("no rights"): without_rights += len(names)
if without_rights and sys.argv[2] == "true":
    sys.exit(f"CI: {without_rights} tests were skipped for want of rights")
PYTHON
}
# Keeps what the tests that failed have printed, for the end.
keep_failures() {
  python3 - "$1" >>"$log.failed" <<'PYTHON'
import sys, xml.etree.ElementTree as xml
for case in xml.parse(sys.argv[1]).getroot().iter("testcase"):
    if case.get("status") != "fail": continue
    print(f"-- {case.get('name')}")
    print("\n".join((case.findtext("system-out") or "").rstrip().splitlines()[-60:]))
PYTHON
}
# The address space is laid out without chance for the sanitizers: gcc 12's thread sanitizer and clang 16's address sanitizer
# do not start on kernels that shuffle it by more than 28 bits.
fixed_layout=()
if setarch -R true 2>/dev/null; then fixed_layout=(setarch -R); fi
# run_tests PRESET [ctest's options]: fails when a test fails, or is skipped where it may not be.
run_tests() {
  local preset=$1 outcome=0 layout=()
  shift
  if [[ $preset == *san ]]; then layout=("${fixed_layout[@]}"); fi
  rm -f "$log.xml"
  "${layout[@]}" ctest --preset "$preset" --no-tests=error --test-output-size-passed 1000000 --output-junit "$log.xml" "$@" ||
    outcome=1
  if [[ -s $log.xml ]]; then
    skipped "$log.xml" || outcome=1
    if ((outcome != 0)); then keep_failures "$log.xml"; fi
  fi
  return "$outcome"
}
main_tests() {
  # Many wait for something: one more than there are processors.
  run_tests release -j "$((jobs + 1))" "${only[@]}" 2>&1 | tee "$log"
  return "${PIPESTATUS[0]}"
}
unit_tests() {
  run_tests unit 2>&1 | tee "$log"
  return "${PIPESTATUS[0]}"
}
# sanitized PRESET TARGET LABELS: the tests whose label matches, built with the preset's sanitizers.
sanitized() {
  build "$1" --target "$2" && run_tests "$1" -j "$jobs" -L "$3"
}

# Half a minute in each mode under fire, of the same faults each time. Without rights it shows nothing, so CI does not take it.
soak() {
  local status=0
  timeout 900 scripts/soak.sh --minutes 0.5 --seed 1 || status=$?
  if ((status == 77)) && [[ ${CI:-} == true ]]; then status=1; fi
  return "$status"
}

step "install" scripts/install.sh || finish
if $unit; then
  step "build" build unit || finish
  step "unit tests" unit_tests
  finish
fi
step "build" build release || finish
step "tests" main_tests
if ((${#only[@]} > 0)); then finish; fi
step "format" scripts/format.sh
step "layers" scripts/layers.sh
if ! $quick; then
  step "soak" soak
  step "kernels" scripts/kernels.sh --short
  step "clang-tidy" scripts/tidy.sh build
  step "address, undefined behaviour" sanitized asan sanitized_tests 'unit|sanitized|threaded'
  # The same seed each time: whoever looks for new faults runs scripts/fuzz.sh, longer and by the clock.
  step "fuzzing" env KUBENATD_FUZZ_SEED="${KUBENATD_FUZZ_SEED:-1}" scripts/fuzz.sh all 15
  step "threads" sanitized tsan threaded_tests 'threaded'
fi
finish
