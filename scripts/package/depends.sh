#!/usr/bin/env bash
# Prints which packages a program needs, as a package's Depends has them: dpkg-shlibdeps, also for another architecture.
#
#   scripts/package/depends.sh [--architecture ARCHITECTURE --sysroot FOLDER] PROGRAM [PACKAGE LIBRARY]...
#
# A LIBRARY comes with the program: what it needs counts, and its own PACKAGE does not.
set -euo pipefail

architecture='' sysroot=''
while [[ ${1:-} == --* ]]; do
  case $1 in
    --architecture) architecture=$2 ;;
    --sysroot) sysroot=$(realpath -- "$2") ;;
    *) break ;;
  esac
  shift 2
done
if (($# % 2 == 0)) || [[ $1 == --* || ${architecture:+given} != "${sysroot:+given}" ]]; then
  echo "usage: scripts/package/depends.sh [--architecture ARCHITECTURE --sysroot FOLDER] PROGRAM [PACKAGE LIBRARY]..." >&2
  exit 2
fi
files=("$(realpath -- "$1")") options=()
shift
while (($# > 0)); do
  options+=("-x$1")
  files+=("$(realpath -- "$2")")
  shift 2
done
work=$(mktemp --directory)
trap 'rm -rf "$work"' EXIT
mkdir "$work/debian"
printf 'Source: kubenatd\n\nPackage: kubenatd\nArchitecture: any\n' >"$work/debian/control"
if [[ -n $sysroot ]]; then
  export DEB_HOST_ARCH=$architecture
  # dpkg-shlibdeps takes a library to be where it has found it, so this database has the files where they are here, under
  # both names of the merged folder.
  cp --recursive "$sysroot/var/lib/dpkg" "$work/dpkg"
  mkdir -p "$work/dpkg/updates" "$work/dpkg/triggers"
  sed -i -E -n -e "s,^(/usr)?(/lib/.*),$sysroot\2\n$sysroot/usr\2,p" "$work"/dpkg/info/*.list
  folder=$(dpkg-architecture --host-arch "$architecture" --query DEB_HOST_MULTIARCH)
  options+=("-l$sysroot/lib/$folder" "-l$sysroot/usr/lib/$folder" "--admindir=$work/dpkg")
fi
cd "$work"
# No warnings of libraries that libcpprest's interface links and the program does not use.
dpkg-shlibdeps --warnings=0 -O "${options[@]}" "${files[@]}" 2>"$work/log" >"$work/substvars" || {
  cat "$work/log" >&2
  exit 1
}
sed -n 's/^shlibs:Depends=//p' "$work/substvars"
