#!/usr/bin/env bash
# What runs in the virtual machine: test programs of a build, each test case in a process of its own, as ctest runs them.
#
#   scripts/kernels/inside.sh BUILD OUT GROUP... [--short] [--slow N]
#
# GROUP: iptables, nftables, or base, which is what has no mode: the codecs, the sync of both modes, the walk, the command
# line. --short runs the cases with the tag [short] alone; --slow gives each N times its time.
# Leaves OUT/results, a line for each case: group, program, case, outcome, seconds, word; and OUT/log, what failed ones said.
# A skipped case counts as failed, unless it says that it needs a later Linux, or something that is not the kernel's.
set -uo pipefail

build=$1 out=$2 groups=() short='' slow=1
shift 2
while (($# > 0)); do
  case $1 in
    --short) short='[short]' ;;
    --slow)
      slow=$2
      shift
      ;;
    *) groups+=("$1") ;;
  esac
  shift
done
export out slow KUBENATD_TEST_PATIENCE=$slow
export results=$out/results log=$out/log
: >"$results"
: >"$log"
# Loaded by the first socket, or by nobody, as on a node kubelet's setup does; here modprobe says why it cannot.
for module in sctp br_netfilter tun fuse nft_flow_offload; do modprobe "$module" || true; done

readonly may_skip='^(needs Linux [0-9]|no iptables and nft of other releases|no recorded states|promtool is not installed)'
export may_skip

# one GROUP PROGRAM SECONDS CASE
one() {
  local group=$1 program=$2 seconds=$(($3 * slow)) name=$4 said status begin=$EPOCHREALTIME outcome word=
  said=$(mktemp)
  # Catch takes a blank or a star at the end, a comma and a bracket for its own.
  local spec=${name//\\/\\\\}
  spec=${spec//,/\\,}
  spec=${spec//\[/\\[}
  timeout --kill-after 10 "$seconds" "$program" "$spec" >"$said" 2>&1 </dev/null
  status=$?
  outcome=passed
  if ((status == 124 || status == 137)); then
    outcome=failed word="stopped after $seconds s"
  elif ((status != 0)); then
    outcome=failed word="exit status $status"
  elif grep -q 'SKIPPED:' "$said"; then
    word=$(sed -n 's/.*SKIPPED: *//p' "$said" | head -n 1)
    outcome=skipped
    if ! [[ $word =~ $may_skip ]]; then outcome=failed word="skipped: $word"; fi
  elif grep -q 'No test cases matched' "$said"; then
    outcome=failed word="no such test case"
  fi
  local end=$EPOCHREALTIME
  printf '%s\t%s\t%s\t%s\t%d\t%s\n' "$group" "${program##*/}" "$name" "$outcome" \
    $(((${end/[.,]/} - ${begin/[.,]/}) / 1000000)) "$word" >>"$results"
  if [[ $outcome == failed ]]; then
    printf '%s\n' "FAILED $group ${program##*/}: $name: $word"
    { printf '\n== %s %s: %s: %s\n' "$group" "${program##*/}" "$name" "$word"; tail -c 20000 "$said"; } >>"$log"
  fi
  rm -f "$said"
}
export -f one

# part GROUP PROGRAM SECONDS FILTER [VARIABLE=VALUE...]
part() {
  local group=$1 program=$build/$2 seconds=$3 filter=$4 cases
  shift 4
  if [[ " ${groups[*]} " != *" $group "* ]]; then return; fi
  if [[ ! -x $program ]]; then
    printf '%s\t%s\t%s\t%s\t%d\t%s\n' "$group" "${program##*/}" - failed 0 "not built" >>"$results"
    return
  fi
  # Catch2 2 exits with the number of names. Two at once: nearly all of them wait for something.
  mapfile -t cases < <("$program" --list-test-names-only "$filter$short" | grep -v '^$')
  if ((${#cases[@]} == 0)); then return; fi
  printf '%s\0' "${cases[@]}" | env "$@" xargs -0 -n 1 -P "$(nproc)" bash -c 'one "$@"' one "$group" "$program" "$seconds"
}

part base kernel_netlink 240 ''
part base kernel_fake 60 ''
part base kernel_base 60 ''
part base kernel_serve 60 ''
part base kernel_walk 240 ''
part base sync 120 '~[fake]' KUBENATD_TEST_KERNEL=real
part base cli 60 ''
part base fault 120 '~[iptables]~[nftables]'
part iptables conformance 300 '~[nftables]'
part iptables packet 120 '~[nftables]' KUBENATD_TEST_MODE=iptables
part iptables fault 120 '[iptables]'
part nftables conformance 300 '[nftables]'
part nftables packet 120 '~[iptables]' KUBENATD_TEST_MODE=nftables
part nftables fault 120 '[nftables]'
! cut -f 4 "$results" | grep -qx failed
