# shellcheck shell=bash
# What the lab's scenarios share. To be sourced by test/lab/NN-name.sh, which ctest runs: each has a lab of its own, up
# from the first line to the last, and ends with 1 when something is not as expected, after having checked the rest.
#
#   expect FROM ADDRESS URL PATTERN [curl's options]   one request, at once: its outcome (lab_web) matches the pattern
#   become FROM ADDRESS URL PATTERN [curl's options]   the same after a while, and from then on
#   always COUNT FROM ADDRESS URL PATTERN              each of COUNT requests
#   told NODE QUESTION CODE CLIENT [explain's options]   kubenatd explain finds CODE ("" for nothing that is wrong) and
#                                                      foresees CLIENT
#   check WHAT COMMAND...                              the command succeeds
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
KUBENATD_LAB=t$$
# shellcheck source=scripts/lab.bash
source scripts/lab.bash

why=$(lab_obstacle)
if [[ -n $why ]]; then
  # For want of rights, or because something is not installed or not in the kernel.
  if ((EUID != 0)) || [[ $why == *'not permitted'* || $why == *'ermission denied'* ]]; then why="no rights: $why"; fi
  echo "SKIPPED: $why"
  exit 0
fi
failures=0
finish() {
  local status=$?
  trap - EXIT
  if ((status != 0 || failures > 0)); then
    echo "--- kubenatd on node-1, its last lines"
    tail -n 15 "$lab_dir/log/kubenatd-node-1" 2>/dev/null || true
  fi
  lab_down
  if ((failures > 0)); then
    echo "$failures not as expected"
    exit 1
  fi
  exit "$status"
}
trap finish EXIT
trap 'exit 130' INT TERM

host=127.0.0.1
node_1=172.18.0.2
node_2=172.18.0.3

say() { printf '\n-- %s\n' "$*"; }
verdict() {
  local outcome=$1
  shift
  if ((outcome == 0)); then echo "ok     $*"; else
    echo "WRONG  $*"
    failures=$((failures + 1))
  fi
}
check() {
  local what=$1 outcome=0
  shift
  "$@" || outcome=1
  verdict "$outcome" "$what"
}
expect() {
  local from=$1 address=$2 url=$3 pattern=$4 seen outcome=0
  shift 4
  seen=$(lab_web "$from" "$address" "$url" "$@")
  # shellcheck disable=SC2053  # the right side is a pattern
  [[ $seen == $pattern ]] || outcome=1
  verdict "$outcome" "$from asks $url at $address: $seen$( ((outcome == 0)) || echo ", expected $pattern")"
}
# shellcheck disable=SC2053
outcome_is() { [[ $(lab_web "$1" "$2" "$3" "${@:5}") == $4 ]]; }
become() {
  lab_eventually outcome_is "$@" || true
  lab_eventually lab_ingress_settled || true
  expect "$@"
}
always() {
  local count=$1 seen outcome=0 pattern=$5 number
  for ((number = 0; number < count; ++number)); do
    seen=$(lab_web "$2" "$3" "$4")
    # shellcheck disable=SC2053
    if [[ $seen != $pattern ]]; then
      outcome=1
      break
    fi
  done
  verdict "$outcome" "$2 asks $4 at $3, $count times: $seen$( ((outcome == 0)) || echo ", expected $pattern")"
}
told() {
  local node=$1 question=$2 code=$3 client=$4 answer
  shift 4
  answer=$(lab_kubenatd "$node" explain "$question" -o json "$@" 2>/dev/null) || true
  local seen
  seen=$(python3 -c 'import json, sys
answer = json.load(sys.stdin)
parts = [answer, answer["backend"]] if answer.get("backend") else [answer]
codes = {finding["code"] for part in parts for finding in part["findings"] if finding["weight"] == "problem"}
print(*sorted(codes), answer["client"]["code"])' <<<"$answer") || seen="no answer"
  local outcome=0
  if [[ -z $code ]]; then [[ $seen == "$client" ]] || outcome=1; else
    [[ " $seen" == *" $code "* && $seen == *" $client" ]] || outcome=1
  fi
  verdict "$outcome" "explain $question says: $seen$( ((outcome == 0)) || echo ", expected ${code:+$code }$client")"
  if [[ -n ${KUBENATD_LAB_BROWSER:-} ]]; then shown "$node" "$question" "$code" "$client" "${2:-}"; fi
}

# shown NODE QUESTION CODE CLIENT FROM: so does the node's page, in a browser. Only where KUBENATD_LAB_BROWSER
# names a Python that has selenium, such as /usr/bin/python3.
shown() {
  local node=$1 question=$2 code=$3 client=$4 from=$5 seen outcome=0
  seen=$("$KUBENATD_LAB_BROWSER" "$(dirname "${BASH_SOURCE[0]}")/../page/ask_page.py" "$(lab_page "$node")" "$question" "$from") || outcome=1
  [[ $seen == *"${code:-no problem}"* && $seen == *"| $client |"* ]] || outcome=1
  verdict "$outcome" "the page of $node shows for $question: $seen"
}
