#!/usr/bin/env bash
# Lays out the archive for systems without a package: the program with all its libraries and the loader, which needs nothing
# of the system but a kernel.
#
#   scripts/release/bundle.sh ROOTFS DIR       ROOTFS is one of scripts/image.sh --rootfs; DIR must not exist
set -euo pipefail
repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
if (($# != 2)); then
  echo "usage: scripts/release/bundle.sh ROOTFS DIR" >&2
  exit 2
fi
rootfs=$1 target=$2
mkdir -p "$target"/{bin,lib,doc,man/man8,completions,systemd,etc}

install -m 755 "$rootfs/usr/sbin/kubenatd" "$target/lib/kubenatd.program"
loader=''
while IFS= read -r -d '' library; do
  install -m 755 "$library" "$target/lib/"
  case $(basename "$library") in ld-linux*) loader=$(basename "$library") ;; esac
done < <(find "$rootfs" -name '*.so*' -type f -print0)
[[ -n $loader ]] || {
  echo "bundle: $rootfs has no loader" >&2
  exit 1
}
# The loader is told where the libraries are, so that the folder can stand anywhere.
cat >"$target/bin/kubenatd" <<END
#!/bin/sh
# kubenatd with the libraries of this folder.
folder=\$(dirname -- "\$(readlink -f -- "\$0")")/../lib
exec "\$folder/$loader" --argv0 "\$0" --library-path "\$folder" "\$folder/kubenatd.program" "\$@"
END
chmod 755 "$target/bin/kubenatd"

install -m 644 "$repo/LICENSE" "$repo/CHANGELOG.md" "$target/"
install -m 644 "$repo/scripts/release/bundle.txt" "$target/README"
install -m 644 "$repo"/scripts/package/pages/*.8 "$target/man/man8/"
install -m 644 "$repo/scripts/package/pages/"{kubenatd.bash,_kubenatd,kubenatd.fish} "$target/completions/"
install -m 644 "$repo/manifests/systemd/config.conf" "$target/etc/"
sed 's,^ExecStart=/usr/sbin/kubenatd,ExecStart=/opt/kubenatd/bin/kubenatd,' "$repo/manifests/systemd/kubenatd.service" \
  >"$target/systemd/kubenatd.service"
for folder in "$rootfs"/usr/share/doc/*/; do
  package=$(basename "$folder")
  if [[ $package != kubenatd ]]; then install -m 644 "$folder/copyright" "$target/doc/$package.copyright"; fi
done
