#!/usr/bin/env bash
# Unpacks Debian's packages of another architecture in a folder: what kubenatd is built with there, and what its tests
# run, from the mirrors that this system uses. It is the compiler's sysroot, the source of an image's libraries, and the
# root of a virtual machine (scripts/cross.sh, image.sh).
#
#   scripts/sysroot.sh arm64 [DIR]       (default: build/sysroot-arm64)
#
# A folder that was made so already is left alone. Nothing of it is run here, but DIR/var/lib/dpkg knows the packages and
# their files, so that dpkg-query and dpkg-shlibdeps work with --admindir.
set -euo pipefail
repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

fail() {
  echo "sysroot: $*" >&2
  exit 1
}

if (($# < 1 || $# > 2)) || [[ $1 != arm64 ]]; then
  echo "usage: scripts/sysroot.sh arm64 [DIR]" >&2
  exit 2
fi
architecture=$1
root=$(realpath -m -- "${2:-$repo/build/sysroot-$architecture}")
command -v mmdebstrap >/dev/null || fail "mmdebstrap is not installed: run scripts/install.sh cross"

# This system's own sources of Debian's packages; other vendors' are left out.
sources() {
  # shellcheck disable=SC2016 # apt-get replaces these
  apt-get indextargets --format 'deb $(SITE) $(RELEASE) $(COMPONENT)|$(CREATED_BY)|$(ORIGIN)' |
    sed -n 's/|Packages|Debian$//p' | LC_ALL=C sort -u
}
mirrors=$(sources)
if [[ -z $mirrors ]]; then
  apt-get -qq update
  mirrors=$(sources)
fi
[[ -n $mirrors ]] || fail "apt knows no source of Debian's packages"

# What the compiler brings on this machine, and a shell with its usual commands for who enters the folder.
packages=$(
  "$repo/scripts/install.sh" --list libraries
  "$repo/scripts/install.sh" --list tools
  printf '%s\n' libc6-dev libstdc++6 base-files bash coreutils findutils grep sed mawk util-linux mount kmod
)
# The last to be written: what the folder was made from.
mark=$root.made-from
made_from=$(printf '%s\n' "$packages" "$mirrors" && sha256sum <"${BASH_SOURCE[0]}")
if [[ -e $mark && $made_from == "$(<"$mark")" ]]; then exit 0; fi

rm -rf "$root" "$mark"
mkdir -p "$(dirname "$root")"
# Without chroot/mount nothing of this system is mounted in it. An ordinary user needs no more rights for "chrootless".
# shellcheck disable=SC2016 # mmdebstrap's shell knows $1
merged='for folder in bin sbin lib; do mkdir -p "$1/usr/$folder" && ln -s "usr/$folder" "$1/$folder"; done'
mode=root
if ((EUID != 0)); then mode=chrootless; fi
mmdebstrap --quiet --mode="$mode" --variant=extract --architectures="$architecture" \
  --include="$(paste --serial --delimiters=, <<<"$packages")" --skip=chroot/mount,cleanup/apt \
  --setup-hook="$merged" '' "$root" - <<<"$mirrors"

# What dpkg would have written of the packages.
info=$root/var/lib/dpkg/info
work=$(mktemp --directory)
trap 'rm -rf "$work"' EXIT
mkdir -p "$info"
echo 1 >"$info/format"
for deb in "$root"/var/cache/apt/archives/*.deb; do
  rm -rf "$work/control"
  dpkg-deb --control "$deb" "$work/control"
  name=$(dpkg-deb --field "$deb" Package)
  if [[ $(dpkg-deb --field "$deb" Multi-Arch) == same ]]; then name=$name:$architecture; fi
  { sed '1a Status: install ok installed' "$work/control/control" && echo; } >>"$work/status"
  for file in shlibs symbols; do
    if [[ -e $work/control/$file ]]; then cp "$work/control/$file" "$info/$name.$file"; fi
  done
  dpkg-deb --fsys-tarfile "$deb" | tar --list | sed -e 's,^\./,/,' -e 's,\(.\)/$,\1,' -e 's,^/$,/.,' >"$info/$name.list"
done
mv "$work/status" "$root/var/lib/dpkg/status"
rm -rf "${root:?}"/var/cache/apt/* "$root"/var/lib/apt/*

# An absolute link leads out of the folder.
while IFS= read -r -d '' link; do
  ln --symbolic --force --no-dereference --relative -- "$root$(readlink -- "$link")" "$link"
done < <(find "$root" -xdev -type l -lname '/*' -print0)
# What the packages' scripts would have made.
for name in iptables ip6tables; do
  for command in '' -save -restore; do ln -s "$name-nft$command" "$root/usr/sbin/$name$command"; done
done
ln -s mawk "$root/usr/bin/awk"
ln -s bash "$root/usr/bin/sh"

echo "$made_from" >"$mark"
echo "sysroot: $(numfmt --to=iec --suffix=B "$(du --summarize --bytes "$root" | cut -f 1)")," \
  "$(grep -c ^Package: "$root/var/lib/dpkg/status") packages in $root"
