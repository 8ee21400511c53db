#!/usr/bin/env bash
# Prints which packages a program needs, as a package's Depends has them: dpkg-shlibdeps, also for another architecture.
#
#   scripts/package/depends.sh PROGRAM [ARCHITECTURE SYSROOT]
set -euo pipefail

if (($# != 1 && $# != 3)); then
  echo "usage: scripts/package/depends.sh PROGRAM [ARCHITECTURE SYSROOT]" >&2
  exit 2
fi
program=$(realpath -- "$1")
work=$(mktemp --directory)
trap 'rm -rf "$work"' EXIT
mkdir "$work/debian"
printf 'Source: kubenatd\n\nPackage: kubenatd\nArchitecture: any\n' >"$work/debian/control"
options=()
if (($# == 3)); then
  sysroot=$(realpath -- "$3")
  export DEB_HOST_ARCH=$2
  # dpkg-shlibdeps takes a library to be where it has found it, so this database has the files where they are here, under
  # both names of the merged folder.
  cp --recursive "$sysroot/var/lib/dpkg" "$work/dpkg"
  mkdir -p "$work/dpkg/updates" "$work/dpkg/triggers"
  sed -i -E -n -e "s,^(/usr)?(/lib/.*),$sysroot\2\n$sysroot/usr\2,p" "$work"/dpkg/info/*.list
  folder=$(dpkg-architecture --host-arch "$2" --query DEB_HOST_MULTIARCH)
  options=("-l$sysroot/lib/$folder" "-l$sysroot/usr/lib/$folder" "--admindir=$work/dpkg")
fi
cd "$work"
# No warnings of libraries that libcpprest's interface links and the program does not use.
dpkg-shlibdeps --warnings=0 -O "${options[@]}" "$program" 2>"$work/log" >"$work/substvars" || {
  cat "$work/log" >&2
  exit 1
}
sed -n 's/^shlibs:Depends=//p' "$work/substvars"
