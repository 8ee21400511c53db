#!/usr/bin/env bash
# Runs the tests that a kernel decides on the kernels of Debian's releases, in small virtual machines: the conformance
# states, codecs and sync on the real kernel, packets of TCP, UDP and SCTP, healing and kill -9, in both modes. The machine's
# root is this system's own files, read-only; nothing is installed, and nothing but build/kernels is written.
#
#   scripts/kernels.sh                     all kernels, all cases, as the preset release has built them; an hour or more
#                                          for each without KVM
#   scripts/kernels.sh --short             bookworm's and the newest kernel, the cases with the tag [short]
#     --kernel NAME...                     only these: bullseye bookworm trixie sid
#     --mode MODE...                       only iptables, nftables or base (what has no mode, and the sync of both)
#     --build FOLDER                       the programs' folder (default: build)
#     --arch ARCH [--root FOLDER]          amd64 or arm64 (default: this machine's). Another architecture's programs are in
#                                          build/ARCH (scripts/cross.sh ARCH kernel_tests), and the root file system is
#                                          what scripts/sysroot.sh has unpacked, unless FOLDER is another
#     --seconds N                          for each kernel, then its machine is stopped (default: 10800, short 900)
#   scripts/kernels.sh --list              names, releases, and what is fetched already
#
# The last lines are a table and a closing line for each kernel. The status is 0 when all passed, 1 when something failed, 2
# for wrong usage, and 77 when nothing could be tried: no qemu, or no kernel to be had. In build/kernels/NAME-ARCH.out are
# the results of the last run, what failed cases said, and the console. Debian's kernels have SCTP; a case that is skipped
# there fails, unless it says that it needs a later Linux.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 2
repo=$PWD

readonly known=(bullseye bookworm trixie sid)
declare -rA linux=([bullseye]=5.10 [bookworm]=6.1 [trixie]=6.12 [sid]=newest)
readonly cache=build/kernels

usage() {
  sed -n '2,/^set /{/^set /d; s/^# \{0,1\}//; p}' "${BASH_SOURCE[0]}"
  exit "$1"
}
wrong() {
  echo "kernels: $*" >&2
  exit 2
}
# among WORD LIST...
among() {
  local word=$1 one
  shift
  for one; do if [[ $one == "$word" ]]; then return 0; fi; done
  return 1
}
short=() list=false kernels=() modes=() build='' arch='' root='' seconds=
case $(uname -m) in
  x86_64) own_arch=amd64 ;;
  aarch64) own_arch=arm64 ;;
  *) own_arch=$(uname -m) ;;
esac
while (($# > 0)); do
  option=$1
  case $option in
    --short) short=(--short) ;;
    --list) list=true ;;
    --kernel | --mode)
      count=0
      while (($# > 1)) && [[ $2 != -* ]]; do
        if [[ $option == --kernel ]]; then
          among "$2" "${known[@]}" || wrong "no kernel $2; there are: ${known[*]}"
          kernels+=("$2")
        else
          among "$2" iptables nftables base || wrong "no mode $2; there are: iptables nftables base"
          modes+=("$2")
        fi
        count=$((count + 1))
        shift
      done
      ((count > 0)) || wrong "$option needs a value"
      ;;
    --build | --arch | --root | --seconds)
      if (($# < 2)) || [[ -z $2 ]]; then wrong "$option needs a value"; fi
      case $option in
        --build) build=$2 ;;
        --arch) arch=$2 ;;
        --root) root=$2 ;;
        --seconds) seconds=$2 ;;
      esac
      shift
      ;;
    -h | --help) usage 0 ;;
    *) usage 2 >&2 ;;
  esac
  shift
done
arch=${arch:-$own_arch}
among "$arch" amd64 arm64 || wrong "no architecture $arch; there are: amd64 arm64"
if [[ $arch == "$own_arch" ]]; then
  root=${root:-/} build=${build:-build}
  how="cmake --preset release && cmake --build --preset release"
else
  build=${build:-build/$arch}
  how="scripts/cross.sh $arch kernel_tests"
fi
[[ -d ${root:-/} ]] || wrong "no folder $root"
if [[ -n $seconds && ! $seconds =~ ^[1-9][0-9]*$ ]]; then wrong "--seconds needs a number, not $seconds"; fi

if $list; then
  for name in "${known[@]}"; do
    fetched=
    if [[ -d $cache/$name-$arch ]]; then fetched=$(ls "$cache/$name-$arch/lib/modules"); fi
    printf '%-10s %-8s %-6s %s\n' "$name" "${linux[$name]}" "$arch" "${fetched:-not fetched}"
  done
  exit 0
fi

nothing() {
  echo "SKIPPED: kernels: $*"
  exit 77
}
case $arch in
  amd64) qemu=qemu-system-x86_64 ;;
  arm64) qemu=qemu-system-aarch64 ;;
esac
programs=("$qemu" cpio modprobe)
if [[ $arch == "$own_arch" ]]; then programs+=(busybox); fi
for program in "${programs[@]}"; do
  command -v "$program" >/dev/null || nothing "no program $program"
done
build=$(realpath -m -- "$build")
[[ -x $build/kubenatd && -x $build/packet ]] || wrong "no test programs in $build: $how"
if [[ -z $root ]]; then
  scripts/sysroot.sh "$arch" || nothing "no root file system of $arch"
  root=build/sysroot-$arch
fi

# The newest one that is to be had stands for itself in the short form.
chosen=("${kernels[@]}")
newest=()
if ((${#chosen[@]} == 0)); then
  if ((${#short[@]} > 0)); then chosen=(bookworm) newest=(sid trixie); else chosen=("${known[@]}"); fi
fi
if ((${#modes[@]} == 0)); then modes=(base iptables nftables); fi
# Each case may take so many times its time. Emulated, some take ten times as long; there are more of them in the long form.
slow=10
if ((${#short[@]} > 0)); then slow=5; fi
if [[ -z $seconds ]]; then
  seconds=10800
  if ((${#short[@]} > 0)); then seconds=900; fi
fi
trees=() names=()
# fetch NAME
fetch() {
  local tree
  if tree=$(scripts/kernels/fetch.sh "$1" "$arch" "$cache"); then
    trees+=("$tree")
    names+=("$1")
  else
    return 1
  fi
}
missing=()
for name in "${chosen[@]}"; do fetch "$name" || missing+=("$name"); done
for name in "${newest[@]}"; do if fetch "$name"; then break; fi; done
if ((${#names[@]} == 0)); then nothing "no kernel could be fetched: ${missing[*]} ${newest[*]}"; fi

if [[ -z ${KUBENATD_CONFORMANCE:-} && -d ../shared/conformance ]]; then KUBENATD_CONFORMANCE=$(realpath ../shared/conformance); fi
shares=(--share "$repo") variables=()
if [[ $build/ != "$repo"/* ]]; then shares+=(--share "$build"); fi
for name in KUBENATD_CONFORMANCE KUBENATD_TOOLS; do
  if [[ -n ${!name:-} ]]; then
    shares+=(--share "${!name}")
    variables+=("$name=$(realpath -- "${!name}")")
  fi
done

# summary RESULTS: for each mode and outcome how many, in a line each.
summary() {
  awk -F '\t' '{ ++count[$1 " " $4]; seconds[$1] += $5; modes[$1] = 1 }
    END { for (mode in modes) print mode, count[mode " passed"] + 0, count[mode " failed"] + 0, count[mode " skipped"] + 0, seconds[mode] }' \
    "$1" | sort
}
# run INDEX: boots that kernel's machine, which leaves its results.
run() {
  local out=$cache/${names[$1]}-$arch.out begin=$SECONDS status
  rm -rf "$out"
  mkdir -p "$out"
  scripts/kernels/boot.sh "${trees[$1]}" "$out" --arch "$arch" --root "$root" --seconds "$seconds" "${shares[@]}" -- \
    env "${variables[@]}" "$repo/scripts/kernels/inside.sh" "$build" /out "${modes[@]}" "${short[@]}" --slow "$slow"
  status=$?
  touch "$out/results"
  echo $((SECONDS - begin)) >"$out/seconds"
  return "$status"
}
# In the short form both machines run at once, as neither keeps two processors busy while it boots or waits.
running=()
if ((${#short[@]} > 0)); then
  trap 'for group in "${running[@]}"; do kill -- "-$group" 2>/dev/null; done' EXIT
  set -m # a process group for each
  for index in "${!names[@]}"; do
    run "$index" >"$cache/${names[index]}-$arch.said" 2>&1 </dev/null &
    running[index]=$!
  done
  set +m
fi
failed=0 tried=0 table=() closing=()
for index in "${!names[@]}"; do
  name=${names[index]}
  release=$(ls "${trees[index]}/lib/modules")
  out=$cache/$name-$arch.out
  printf '\n== %s: Linux %s, %s\n' "$name" "$release" "$arch"
  if [[ -n ${running[index]:-} ]]; then
    wait "${running[index]}"
    status=$?
    unset "running[index]"
    cat "$cache/$name-$arch.said"
  else
    run "$index"
    status=$?
  fi
  if [[ -s $out/log ]]; then cat "$out/log"; fi
  while IFS=$'\t' read -r mode program case outcome _ word; do
    if [[ $outcome == skipped ]]; then printf 'skipped: %s %s: %s: %s\n' "$mode" "$program" "$case" "$word"; fi
  done <"$out/results"
  passed=0 bad=0 skipped=0
  while read -r mode mode_passed mode_failed mode_skipped mode_seconds; do
    table+=("$(printf '%-10s %-26s %-9s %7d %7d %8d %6d s' "$name" "$release" "$mode" "$mode_passed" "$mode_failed" \
      "$mode_skipped" "$mode_seconds")")
    passed=$((passed + mode_passed)) bad=$((bad + mode_failed)) skipped=$((skipped + mode_skipped))
  done < <(summary "$out/results")
  end=
  case $status in
    0 | 1) ;;
    124) end=", stopped after $seconds s" ;;
    126) end=", the kernel does not boot in this qemu" ;;
    *) end=", the machine did not come to its end" ;;
  esac
  # A kernel that does not even boot says nothing of the project; the short form goes on with the other one.
  if ((status == 126 && ${#short[@]} > 0)); then
    :
  elif ((status != 0 || bad > 0 || passed == 0)); then
    failed=1
  else
    tried=$((tried + 1))
  fi
  closing+=("kernels: $name: Linux $release: $passed passed, $bad failed, $skipped skipped in $(<"$out/seconds") s$end")
done
for name in "${missing[@]}"; do
  closing+=("kernels: $name: could not be fetched")
  failed=1
done
printf '\n%-10s %-26s %-9s %7s %7s %8s %8s\n' kernel Linux mode passed failed skipped time
printf '%s\n' "${table[@]}"
printf '\n'
printf '%s\n' "${closing[@]}"
if ((failed == 0 && tried == 0)); then nothing "no kernel boots in this qemu"; fi
exit "$failed"
