#!/usr/bin/env bash
# Boots a kernel that fetch.sh has unpacked, in a small virtual machine without a network, and runs a command in it as
# root. The machine's root is a folder of this one, read-only, with an overlay in memory above it.
#
#   scripts/kernels/boot.sh KERNEL OUT [OPTION...] -- COMMAND...
#
#   KERNEL            what fetch.sh printed
#   OUT               a folder, in the machine /out: what the command writes there stays. The console is OUT/console
#   --arch ARCH       amd64 (default) or arm64
#   --root FOLDER     the root file system (default: /, this machine's own)
#   --share FOLDER    also there, at the same path, read-only; may be given more than once
#   --seconds N       the machine is stopped after so long (default 600)
#   --memory SIZE     (default 2G)
#
# Prints what the command prints, and exits with its status; 125 when the machine did not come to its end, 126 when the
# kernel did not even boot, 124 when it was stopped. KVM is used where it works; without it everything takes five to twenty times longer.
set -euo pipefail

usage() {
  sed -n '2,/^set /{/^set /d; s/^# \{0,1\}//; p}' "${BASH_SOURCE[0]}" >&2
  exit 2
}
fail() {
  echo "kernels: $*" >&2
  exit 125
}
(($# >= 2)) || usage
kernel=$(realpath -m -- "$1") out=$(realpath -m -- "$2")
shift 2
arch=amd64 root=/ seconds=600 memory=2G shares=()
while (($# > 0)) && [[ $1 != -- ]]; do
  (($# > 1)) || usage
  case $1 in
    --arch) arch=$2 ;;
    --root) root=$(realpath -- "$2") ;;
    --share) shares+=("$(realpath -- "$2")") ;;
    --seconds) seconds=$2 ;;
    --memory) memory=$2 ;;
    *) usage ;;
  esac
  shift 2
done
(($# > 1)) || usage
shift

# Without cx16: qemu 7.2 emulates cmpxchg16b with a wrong stack or flags now and then, and Linux 6.12 does not get far.
case $arch in
  amd64) qemu=(qemu-system-x86_64) native=x86_64 console=ttyS0 cpu=max,cx16=off,la57=off kvm_cpu=max,arch-capabilities=off ;;
  arm64) qemu=(qemu-system-aarch64 -M virt) native=aarch64 console=ttyAMA0 cpu=cortex-a72 kvm_cpu=host ;;
  *) usage ;;
esac
for program in "${qemu[0]}" cpio modprobe; do
  command -v "$program" >/dev/null || fail "no program $program: run scripts/install.sh"
done
busybox=$kernel/busybox
if [[ ! -e $busybox ]]; then busybox=$(command -v busybox) || fail "no program busybox: run scripts/install.sh"; fi
release=$(ls "$kernel/lib/modules")

# KVM without a processor that has virtualization is a hypervisor's own emulation, in which Linux did not boot when it was
# tried. A machine made and not started shows the rest: nested, KVM may refuse a register, and qemu 7.2 then aborts.
accelerator=(-accel tcg -cpu "$cpu")
if [[ $(uname -m) == "$native" && -w /dev/kvm ]] && { [[ $native != x86_64 ]] || grep -qwE 'vmx|svm' /proc/cpuinfo; } &&
  (sleep 1; echo quit) | timeout 20 "${qemu[@]}" -accel kvm -cpu "$kvm_cpu" -S -m 64M -nodefaults -display none \
    -monitor stdio >/dev/null 2>&1; then
  accelerator=(-accel kvm -cpu "$kvm_cpu")
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work"/initrd/{bin,dev,proc,sys,modules,root,lower,upper} "$out"
cp "$busybox" "$work/initrd/bin/busybox"
chmod 755 "$work/initrd/bin/busybox"
# What the kernel has built in is not known by name, or is said to be; what is missing shows when it is mounted.
order=()
while read -r word file _; do
  if [[ $word != insmod ]]; then continue; fi
  name=$(basename "$file")
  case $name in
    *.xz) xz -dc "$file" ;;
    *.zst) zstd -qdc "$file" ;;
    *) cat "$file" ;;
  esac >"$work/initrd/modules/${name%%.*}.ko"
  order+=("${name%%.*}")
done < <(for name in virtio_pci 9pnet_virtio 9p overlay; do
  modprobe --dirname "$kernel" --set-version "$release" --config /dev/null --show-depends "$name" 2>/dev/null || true
done)

share() { printf 'local,path=%s,mount_tag=%s,security_model=none,multidevs=remap%s' "$1" "$2" "${3:-}"; }
devices=(
  -virtfs "$(share "$root" root ,readonly=on)" -virtfs "$(share "$kernel/lib/modules/$release" modules ,readonly=on)"
  -virtfs "$(share "$out" out)"
)
nine='-t 9p -o trans=virtio,version=9p2000.L,msize=262144'
mounts=
for index in "${!shares[@]}"; do
  devices+=(-virtfs "$(share "${shares[index]}" "share$index" ,readonly=on)")
  path=$(printf %q "/root${shares[index]}")
  mounts+="\$b mkdir -p $path; \$b mount $nine,ro,cache=loose share$index $path || echo 'boot: not shared: ${shares[index]}'"$'\n'
done
rm -f "$out/status" "$out/booted"
{
  echo 'export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8'
  printf '%q ' "$@"
  echo
} >"$out/command"
cat >"$work/initrd/init" <<INIT
#!/bin/busybox sh
b=/bin/busybox
\$b mount -t proc proc /proc; \$b mount -t sysfs sys /sys; \$b mount -t devtmpfs dev /dev
for m in $(printf '%s\n' "${order[@]}" | awk '!seen[$0]++' | tr '\n' ' '); do \$b insmod /modules/\$m.ko || echo "boot: \$m is not loaded"; done
\$b mount $nine,ro,cache=loose root /lower || echo "boot: no root"
\$b mount -t tmpfs -o size=75% upper /upper; \$b mkdir /upper/files /upper/work
\$b mount -t overlay -o lowerdir=/lower,upperdir=/upper/files,workdir=/upper/work root /root || echo "boot: no overlay"
\$b mkdir -p /root/lib/modules/$release /root/out /root/proc /root/sys /root/dev /root/tmp /root/run
\$b mount $nine,ro,cache=loose modules /root/lib/modules/$release
\$b mount $nine out /root/out || echo "boot: no /out"
\$b mount -t proc proc /root/proc; \$b mount -t sysfs sys /root/sys; \$b mount -t cgroup2 cgroup /root/sys/fs/cgroup
\$b mount -t devtmpfs dev /root/dev; \$b mkdir -p /root/dev/pts /root/dev/shm; \$b mount -t devpts pts /root/dev/pts
\$b ln -s /proc/self/fd /root/dev/fd; for n in 0:stdin 1:stdout 2:stderr; do \$b ln -s /proc/self/fd/\${n%:*} /root/dev/\${n#*:}; done
for f in dev/shm tmp run; do \$b mount -t tmpfs -o mode=1777 tmp /root/\$f; done
\$b mkdir -p /root/run/netns
$mounts
\$b ip link set lo up
\$b cp /bin/busybox /root/run/busybox
\$b umount /proc /sys
: >/root/out/booted
exec \$b switch_root /root /bin/bash -c 'bash /out/command; echo \$? >/out/status; /run/busybox sync; /run/busybox poweroff -f' </dev/console >/dev/console 2>&1
INIT
chmod 755 "$work/initrd/init"
(cd "$work/initrd" && find . | cpio --create --format newc --quiet | gzip -1) >"$work/initrd.gz"

# Emulated, a kernel now and then dies while it patches its own code, which the other processor is just running (qemu 7.2,
# Linux 7.2 in sched_clock_cpu). It is started again; the last time both processors take turns.
begin=$SECONDS
for try in 1 2 3; do
  if ((try == 3)) && [[ ${accelerator[1]} == tcg ]]; then accelerator[1]=tcg,thread=single; fi
  timeout --foreground --kill-after 10 "$seconds" "${qemu[@]}" "${accelerator[@]}" -smp 2 -m "$memory" -nographic -no-reboot -nodefaults \
    -serial stdio -kernel "$kernel/vmlinuz" -initrd "$work/initrd.gz" \
    -append "console=$console quiet panic=-1 loglevel=3 mitigations=off" "${devices[@]}" </dev/null 2>&1 |
    tr -d '\r' | tee "$out/console" || true
  if [[ -e $out/booted ]] || ((SECONDS - begin >= seconds)); then break; fi
  echo "kernels: $release did not boot (try $try of 3)" >&2
done
if [[ -s $out/status ]]; then exit "$(cat "$out/status")"; fi
if ((SECONDS - begin >= seconds)); then
  echo "kernels: $release: stopped after $seconds s" >&2
  exit 124
fi
echo "kernels: $release did not come to its end; its console is in $out/console" >&2
if [[ ! -e $out/booted ]]; then exit 126; fi
exit 125
