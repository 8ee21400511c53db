#!/usr/bin/env bash
# Unpacks the kernel of a Debian release into a folder; nothing is installed. It comes from the mirror that this system
# uses, checked by apt with Debian's keys. Prints the folder; what is there already is not fetched again.
#
#   scripts/kernels/fetch.sh SUITE ARCH FOLDER      (bullseye, bookworm, trixie, sid; amd64, arm64)
#
# For another architecture than this machine's a static busybox comes with it.
set -euo pipefail

if (($# != 3)); then
  echo "usage: scripts/kernels/fetch.sh SUITE ARCH FOLDER" >&2
  exit 2
fi
suite=$1 arch=$2
mkdir -p "$3"
folder=$(cd "$3" && pwd)/$suite-$arch

fail() {
  echo "kernels: $suite $arch: $*" >&2
  exit 1
}

if [[ -d $folder ]]; then
  echo "$folder"
  exit 0
fi
for program in apt-get dpkg depmod; do
  command -v "$program" >/dev/null || fail "no program $program"
done

work=$folder.partial
rm -rf "$work"
mkdir -p "$work"/{lists/partial,archives/partial,debs,root}
trap 'rm -rf "$work"' EXIT

mirror() { apt-get indextargets --format '$(SITE)' 'Created-By: Packages' 'Label: Debian' 2>/dev/null | head -n 1; }
site=$(mirror)
if [[ -z $site ]] && ((EUID == 0)); then
  apt-get -qq update >"$work/log" 2>&1 || true
  site=$(mirror)
fi
[[ -n $site ]] || fail "apt knows no mirror of Debian"
keys=/usr/share/keyrings/debian-archive-keyring.gpg
[[ -r $keys ]] || fail "no $keys"
echo "deb [arch=$arch signed-by=$keys] $site $suite main" >"$work/sources.list"
options=(
  -o "Dir::Etc::sourcelist=$work/sources.list" -o Dir::Etc::sourceparts=/dev/null -o "Dir::State::lists=$work/lists"
  -o "Dir::Cache=$work" -o Dir::State::status=/dev/null -o "APT::Architecture=$arch" -o "APT::Architectures=$arch"
  -o APT::Sandbox::User=root -o Acquire::Retries=3 -o Acquire::http::Timeout=60 -o Acquire::Languages=none
)
apt_get() { timeout 600 apt-get "${options[@]}" -qq "$@" >"$work/log" 2>&1 </dev/null; }
apt_get update || fail "apt-get update: $(tail -n 1 "$work/log")"

# linux-image-ARCH names the image of today; since Debian 14 that one's files are in the packages that it names.
image=$(apt-cache "${options[@]}" depends "linux-image-$arch" | awk '/Depends: linux-image-/ { print $2; exit }')
[[ -n $image ]] || fail "no package linux-image-$arch"
packages=("$image")
for part in binary modules; do
  name=linux-$part-${image#linux-image-}
  if apt-cache "${options[@]}" show "$name" >/dev/null 2>&1; then packages+=("$name"); fi
done
if [[ $arch != "$(dpkg --print-architecture)" ]]; then packages+=(busybox-static); fi
(cd "$work/debs" && apt_get download "${packages[@]}") || fail "apt-get download: $(tail -n 1 "$work/log")"
for package in "$work"/debs/*.deb; do dpkg -x "$package" "$work/root"; done

# One place, whichever way the release merges its folders.
tree=$work/tree
mkdir -p "$tree/lib"
if [[ -d $work/root/usr/lib/modules ]]; then mv "$work/root/usr/lib/modules" "$tree/lib/"; else mv "$work/root/lib/modules" "$tree/lib/"; fi
release=$(ls "$tree/lib/modules")
[[ -n $release && $release != *$'\n'* ]] || fail "not one kernel in ${packages[*]}: $release"
for file in "$work/root/boot/vmlinuz-$release" "$tree/lib/modules/$release/vmlinuz"; do
  if [[ -e $file ]]; then mv "$file" "$tree/vmlinuz"; fi
done
[[ -e $tree/vmlinuz ]] || fail "no vmlinuz in ${packages[*]}"
# What the image unpacks into its own memory is unpacked here: without KVM that saves 3 of 5 s. Where qemu cannot start it
# (other architectures), or it is packed in another way, the image stays.
# unpacked MAGIC PROGRAM...
unpacked() {
  local at
  at=$(LC_ALL=C grep --byte-offset --only-matching --text --perl-regexp "$1" "$tree/vmlinuz" | head -n 1 | cut -d : -f 1)
  [[ -n $at ]] || return 1
  shift
  # Behind the packed kernel stands more, which the program calls an error.
  tail -c "+$((at + 1))" "$tree/vmlinuz" | "$@" >"$work/vmlinux" 2>/dev/null || true
  [[ $(head -c 4 "$work/vmlinux") == $'\x7fELF' ]]
}
if [[ $arch == amd64 ]] && { unpacked '\xfd7zXZ\x00' xz -dc || unpacked '\x28\xb5\x2f\xfd' zstd -dcq; }; then
  mv "$work/vmlinux" "$tree/vmlinuz"
fi
for file in "$work/root/bin/busybox" "$work/root/usr/bin/busybox"; do
  if [[ -e $file ]]; then mv "$file" "$tree/busybox"; fi
done
depmod --basedir "$tree" "$release" 2>"$work/log" || fail "depmod: $(tail -n 1 "$work/log")"
mv "$tree" "$folder"
echo "$folder"
