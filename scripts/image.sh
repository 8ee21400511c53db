#!/usr/bin/env bash
# Builds the container image from scratch: the binary, the libraries of Debian's packages that it needs and their
# licences, the certificates of public authorities; no shell, nothing else, and nothing is pulled.
#
#   scripts/image.sh [--binary FILE] [--output FILE] [--name NAME:TAG]
#   scripts/image.sh --rootfs DIR [--binary FILE]       only lay out the image's files in DIR, which must not exist
#
# Defaults: build/kubenatd (built when it is missing), build/kubenatd-image.tar, localhost/kubenatd:VERSION. The output
# is an OCI archive: `kind load image-archive FILE`, `ctr --namespace k8s.io images import FILE`, `podman load`.
# The same binary on the same packages gives the same image: its digest does not depend on time and place.
set -euo pipefail
repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

fail() {
  echo "image: $*" >&2
  exit 1
}

version=$(sed -n 's/^project(kubenatd VERSION \([0-9.]*\).*/\1/p' "$repo/CMakeLists.txt")
binary='' output='' name=localhost/kubenatd:$version rootfs=''
while (($# > 0)); do
  case "$1" in
    --binary | --output | --name | --rootfs)
      if (($# < 2)) || [[ -z $2 ]]; then
        echo "image: $1 needs a value" >&2
        exit 2
      fi
      case "$1" in
        --binary) binary=$(realpath -m -- "$2") ;;
        --output) output=$(realpath -m -- "$2") ;;
        --name) name=$2 ;;
        --rootfs) rootfs=$(realpath -m -- "$2") ;;
      esac
      shift 2
      ;;
    *)
      echo "usage: scripts/image.sh [--binary FILE] [--output FILE] [--name NAME:TAG] | --rootfs DIR [--binary FILE]" >&2
      exit 2
      ;;
  esac
done
cd "$repo"

# The package that a file came with; files are known by the name from before /lib became a link to /usr/lib, or after.
package_of() {
  local file=$1 try owner
  for try in "$file" "/usr${file}" "${file#/usr}"; do
    if owner=$(dpkg-query --search "$try" 2>/dev/null); then
      owner=${owner%%: *}
      echo "${owner%%:*}"
      return
    fi
  done
  return 1
}

# add ROOT FILE [NAME]: the file without links, where it was or as NAME. Modes and times do not depend on the builder.
add() {
  local root=$1 file=$2 target=$1${3:-$2}
  install -D --mode=0644 -- "$(realpath -- "$file")" "$target"
}

lay_out() {
  local root=$1 line library package
  local -A packages=()
  mkdir --mode=0755 -p "$root"
  install -D --mode=0755 --strip -- "$binary" "$root/usr/sbin/kubenatd"

  # Lines of ldd: "NAME => FILE (ADDRESS)"; the loader and the kernel's own object have no arrow.
  local listing
  listing=$(ldd "$binary") || fail "$binary is no dynamic program of this machine"
  while read -r line; do
    case "$line" in
      *"not found"*) fail "$binary needs a library that is not here: $line" ;;
      *" => "*) library=${line#* => } ;;
      /*) library=$line ;;
      *) continue ;;
    esac
    library=${library% (*}
    package=$(package_of "$library") || fail "$library is from no Debian package; build without it"
    packages[$package]=1
    add "$root" "$library"
    chmod 0755 "$root$library"
  done <<<"$listing"

  local certificates=/etc/ssl/certs/ca-certificates.crt
  [[ -s $certificates ]] || fail "$certificates is missing: apt-get install ca-certificates"
  packages[ca-certificates]=1
  add "$root" "$certificates"
  mkdir -p "$root/usr/lib/ssl"
  ln -s "$certificates" "$root/usr/lib/ssl/cert.pem" # where OpenSSL looks

  for package in "${!packages[@]}"; do add "$root" "/usr/share/doc/$package/copyright"; done
  add "$root" LICENSE /usr/share/doc/kubenatd/copyright
  add "$root" /etc/os-release
  mkdir -p "$root"/{dev,proc,sys,run,tmp,host/proc/sys/net,var/lib/kube-proxy}
  echo 'hosts: files dns' >"$root/etc/nsswitch.conf"
  echo 'root:x:0:0:root:/:/nonexistent' >"$root/etc/passwd"
  echo 'root:x:0:' >"$root/etc/group"
  chmod 0644 "$root"/etc/{nsswitch.conf,passwd,group}
  find "$root" -type d -exec chmod 0755 {} +
  chmod 1777 "$root/tmp"
  echo "image: $(numfmt --to=iec --suffix=B "$(du --summarize --bytes "$root" | cut -f 1)") in" \
    "$(find "$root" -type f | wc -l) files, of $((${#packages[@]} + 1)) packages"
}

build_image() {
  local root container
  command -v buildah >/dev/null || fail "buildah is not installed: run scripts/install.sh, or apt-get install buildah"
  work=$(mktemp --directory) # not local: the trap needs it
  # A storage of its own: nothing is left behind and nobody else's images are met.
  buildah() { command buildah --root "$work/storage" --runroot "$work/run" --storage-driver vfs "$@"; }
  # Files of other users of the namespace are removed inside it.
  trap 'rm -rf "$work" 2>/dev/null || command buildah unshare rm -rf "$work"' EXIT
  root=$work/root
  lay_out "$root"
  if ! container=$(buildah from scratch 2>"$work/log"); then
    cat "$work/log" >&2
    if ((EUID != 0)); then
      fail "buildah needs user namespaces and subordinate user ids (package uidmap, /etc/subuid), or root"
    fi
    fail "buildah does not work here"
  fi
  buildah copy --quiet --chown 0:0 "$container" "$root" / >/dev/null
  buildah config --entrypoint '["/usr/sbin/kubenatd"]' --cmd '["--help"]' --workingdir / --created-by 'scripts/image.sh' \
    --label org.opencontainers.image.title=kubenatd --label org.opencontainers.image.version="$version" \
    --label org.opencontainers.image.licenses=Apache-2.0 "$container"
  mkdir -p "$(dirname "$output")"
  rm -f "$output"
  buildah commit --quiet --timestamp 0 --disable-compression=false "$container" "oci-archive:$output:$name" >/dev/null
  echo "image: $name, $(numfmt --to=iec --suffix=B "$(stat --format=%s "$output")") in $output"
}

if [[ -z $binary ]]; then
  binary=$repo/build/kubenatd
  if [[ ! -x $binary ]]; then
    scripts/install.sh build
    cmake --preset release >/dev/null
    cmake --build --preset release --target kubenatd
  fi
fi
[[ -x $binary ]] || fail "$binary is not a program"
if [[ -n $rootfs ]]; then
  [[ ! -e $rootfs ]] || fail "$rootfs exists"
  lay_out "$rootfs"
else
  output=${output:-$repo/build/kubenatd-image.tar}
  build_image
fi
