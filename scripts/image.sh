#!/usr/bin/env bash
# Builds the container image from scratch: the binary, the libraries of Debian's packages that it needs and their
# licences, the certificates of public authorities; no shell, nothing else, and nothing is pulled.
#
#   scripts/image.sh [--platform LIST] [--binary FILE] [--output FILE] [--name NAME:TAG]
#   scripts/image.sh --rootfs DIR [--platform PLATFORM] [--binary FILE]
#                                                       only lay out the image's files in DIR, which must not exist
#
# Defaults: this machine's platform, build/kubenatd (built when it is missing), build/kubenatd-image.tar,
# localhost/kubenatd:VERSION. LIST is of linux/amd64 and linux/arm64, with a comma between them: with both the output is one
# index of two images. Another platform than this machine's has its binary in build/ARCHITECTURE (scripts/cross.sh) and its
# libraries from build/sysroot-ARCHITECTURE (scripts/sysroot.sh). --binary is for one platform.
# The output is an OCI archive: `kind load image-archive FILE`, `ctr --namespace k8s.io images import FILE`, `podman load`.
# The same binary and commit on the same packages give the same file: it does not depend on time and place.
set -euo pipefail
repo=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

fail() {
  echo "image: $*" >&2
  exit 1
}

version=$(sed -n 's/^project(kubenatd VERSION \([0-9.]*\).*/\1/p' "$repo/CMakeLists.txt")
here=linux/$(dpkg --print-architecture)
binary='' output='' name=localhost/kubenatd:$version rootfs='' platforms=$here
while (($# > 0)); do
  case "$1" in
    --platform | --binary | --output | --name | --rootfs)
      if (($# < 2)) || [[ -z $2 ]]; then
        echo "image: $1 needs a value" >&2
        exit 2
      fi
      case "$1" in
        --platform) platforms=$2 ;;
        --binary) binary=$(realpath -m -- "$2") ;;
        --output) output=$(realpath -m -- "$2") ;;
        --name) name=$2 ;;
        --rootfs) rootfs=$(realpath -m -- "$2") ;;
      esac
      shift 2
      ;;
    *)
      echo "usage: scripts/image.sh [--platform LIST] [--binary FILE] [--output FILE] [--name NAME:TAG]" >&2
      echo "       scripts/image.sh --rootfs DIR [--platform PLATFORM] [--binary FILE]" >&2
      exit 2
      ;;
  esac
done
mapfile -t platforms < <(tr , '\n' <<<"$platforms" | LC_ALL=C sort --unique)
for platform in "${platforms[@]}"; do
  if [[ ! $platform =~ ^linux/(amd64|arm64)$ ]]; then
    echo "image: no platform '$platform', only linux/amd64 and linux/arm64" >&2
    exit 2
  fi
done
if ((${#platforms[@]} > 1)) && [[ -n $binary$rootfs ]]; then
  echo "image: --binary and --rootfs are for one platform" >&2
  exit 2
fi
cd "$repo"

# choose PLATFORM: sets where its binary and its packages are, and what is told of it.
choose() {
  platform=$1
  variant=''
  case $platform in
    linux/amd64) triplet=x86_64-linux-gnu machine='Advanced Micro Devices X86-64' ;;
    # v8 is what arm64 always has in an image; without it docker and containerd fill it in.
    linux/arm64) triplet=aarch64-linux-gnu machine=AArch64 variant=v8 ;;
  esac
  architecture=${platform#linux/}
  source='' program=$binary
  if [[ $platform == "$here" ]]; then
    program=${program:-$repo/build/kubenatd}
    if [[ -z $binary && ! -x $program ]]; then
      scripts/install.sh build
      cmake --preset release >/dev/null
      cmake --build --preset release --target kubenatd
    fi
  else
    source=$repo/build/sysroot-$architecture
    program=${program:-$repo/build/$architecture/kubenatd}
    scripts/sysroot.sh "$architecture"
    if [[ -z $binary && ! -x $program ]]; then scripts/cross.sh "$architecture"; fi
  fi
  [[ -x $program ]] || fail "$program is not a program"
}

# The package that a file came with; files are known by the name from before /lib became a link to /usr/lib, or after.
package_of() {
  local file=$1 try owner
  for try in "$file" "/usr${file}" "${file#/usr}"; do
    if owner=$(dpkg-query --admindir="$source/var/lib/dpkg" --search "$try" 2>/dev/null); then
      owner=${owner%%: *}
      echo "${owner%%:*}"
      return
    fi
  done
  return 1
}

# add ROOT FILE [NAME]: the file of this platform without links, where it was or as NAME. Modes and times do not depend on
# the builder.
add() {
  local root=$1 file=$2 target=$1${3:-$2}
  install -D --mode=0644 -- "$(realpath -- "$file")" "$target"
}

described() { LC_ALL=C readelf --wide --file-header --program-headers --dynamic "$1" 2>/dev/null; }

# libraries FILE: the loader of a program and all libraries that it and they need, as the loader would find them.
libraries() {
  local wanted=("$1") file text name folder loader=''
  local -A found=()
  while ((${#wanted[@]} > 0)); do
    file=${wanted[0]}
    wanted=("${wanted[@]:1}")
    text=$(described "$file")
    [[ $text == *Machine:*"$machine"* ]] || fail "$file is no program or library of $platform"
    # The order of the search below is the loader's, without what only a file itself asks for: of that there is but the folder of the
    # Debian package's own libraries, which an image does not have.
    if grep --quiet --extended-regexp '\((RPATH|RUNPATH)\).*\[' <<<"${text//\[\/usr\/lib\/kubenatd\]/}"; then fail "$file has a path to libraries built in"; fi
    if [[ $file == "$1" ]]; then
      loader=$(sed -n 's/.*Requesting program interpreter: \(.*\)\]$/\1/p' <<<"$text")
      [[ -n $loader ]] || fail "$file is no dynamic program"
      found[$(basename "$loader")]=$loader
    fi
    while read -r name; do
      if [[ -n ${found[$name]:-} ]]; then continue; fi
      for folder in /usr/local/lib{/$triplet,} {,/usr}/lib/$triplet {,/usr}/lib; do
        if [[ -e $source$folder/$name ]]; then
          found[$name]=$folder/$name
          break
        fi
      done
      [[ -n ${found[$name]:-} ]] || fail "$file needs a library that is not here: $name"
      wanted+=("$source${found[$name]}")
    done < <(sed -n 's/.*(NEEDED).*\[\(.*\)\]$/\1/p' <<<"$text")
  done
  printf '%s\n' "${found[@]}" | LC_ALL=C sort
}

lay_out() {
  local root=$1 library package
  local -A packages=()
  mkdir --mode=0755 -p "$root"
  local strip=strip
  if [[ -n $source ]]; then strip=$triplet-strip; fi
  install -D --mode=0755 --strip --strip-program="$strip" -- "$program" "$root/usr/sbin/kubenatd"

  local listing
  listing=$(libraries "$program")
  while read -r library; do
    package=$(package_of "$library") || fail "$library is from no Debian package; build without it"
    packages[$package]=1
    add "$root" "$source$library" "$library"
    chmod 0755 "$root$library"
  done <<<"$listing"

  # Those of the package, not /etc/ssl/certs/ca-certificates.crt: this machine's own authorities are nobody else's.
  local certificates=/etc/ssl/certs/ca-certificates.crt authorities=$source/usr/share/ca-certificates/mozilla
  [[ -d $authorities ]] || fail "$authorities is missing: apt-get install ca-certificates"
  packages[ca-certificates]=1
  mkdir -p "$root/etc/ssl/certs" "$root/usr/lib/ssl"
  (LC_ALL=C && cat "$authorities"/*.crt) >"$root$certificates"
  chmod 0644 "$root$certificates"
  ln -s "$certificates" "$root/usr/lib/ssl/cert.pem" # where OpenSSL looks

  for package in "${!packages[@]}"; do
    add "$root" "$source/usr/share/doc/$package/copyright" "/usr/share/doc/$package/copyright"
  done
  add "$root" LICENSE /usr/share/doc/kubenatd/copyright
  add "$root" "$source/etc/os-release" /etc/os-release
  mkdir -p "$root"/{dev,proc,sys,run,tmp,host/proc/sys/net,var/lib/kube-proxy}
  echo 'hosts: files dns' >"$root/etc/nsswitch.conf"
  echo 'root:x:0:0:root:/:/nonexistent' >"$root/etc/passwd"
  echo 'root:x:0:' >"$root/etc/group"
  chmod 0644 "$root"/etc/{nsswitch.conf,passwd,group}
  find "$root" -type d -exec chmod 0755 {} +
  chmod 1777 "$root/tmp"
  echo "image: $platform: $(numfmt --to=iec --suffix=B "$(du --summarize --bytes "$root" | cut -f 1)") in" \
    "$(find "$root" -type f | wc -l) files, of $((${#packages[@]} + 1)) packages"
}

# commit ROOT TARGET: the laid out files become the image that buildah writes to TARGET.
commit() {
  local root=$1 target=$2 container
  if ! container=$(buildah from scratch 2>"$work/log"); then
    cat "$work/log" >&2
    if ((EUID != 0)); then
      fail "buildah needs user namespaces and subordinate user ids (package uidmap, /etc/subuid), or root"
    fi
    fail "buildah does not work here"
  fi
  buildah copy --quiet --chown 0:0 "$container" "$root" / >/dev/null
  local labels=()
  local revision
  if revision=$(git rev-parse HEAD 2>/dev/null); then
    labels=(--label org.opencontainers.image.revision="$revision"
      --label org.opencontainers.image.created="$(date --utc --date="@$(git log -1 --format=%ct)" +%FT%TZ)")
  fi
  buildah config --arch "$architecture" --variant "$variant" --os linux \
    --entrypoint '["/usr/sbin/kubenatd"]' --cmd '["--help"]' --workingdir / --created-by 'scripts/image.sh' \
    --label org.opencontainers.image.title=kubenatd --label org.opencontainers.image.version="$version" \
    --label org.opencontainers.image.description='Kubernetes node agent in place of kube-proxy and portmap' \
    --label org.opencontainers.image.licenses=Apache-2.0 "${labels[@]}" "$container"
  buildah commit --quiet --rm --timestamp 0 --disable-compression=false "$container" "$target" >/dev/null
}

build_image() {
  command -v buildah >/dev/null || fail "buildah is not installed: run scripts/install.sh, or apt-get install buildah"
  work=$(mktemp --directory) # not local: the trap needs it
  # A storage of its own: nothing is left behind and nobody else's images are met.
  buildah() { command buildah --root "$work/storage" --runroot "$work/run" --storage-driver vfs "$@"; }
  # Files of other users of the namespace are removed inside it.
  trap 'rm -rf "$work" 2>/dev/null || command buildah unshare rm -rf "$work"' EXIT
  mkdir -p "$(dirname "$output")"
  local image
  if ((${#platforms[@]} == 1)); then
    choose "${platforms[0]}"
    lay_out "$work/$architecture"
    commit "$work/$architecture" "oci:$work/layout:$name"
  else
    buildah manifest create index >/dev/null
    for image in "${platforms[@]}"; do
      choose "$image"
      lay_out "$work/$architecture"
      commit "$work/$architecture" "localhost/platform:$architecture"
      buildah manifest add index "localhost/platform:$architecture" >/dev/null
    done
    buildah manifest push --all --quiet index "oci:$work/layout:$name" >/dev/null
  fi
  # buildah's own archive has the time of its making in it.
  tar --create --file="$output" --directory="$work/layout" --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner \
    --mode=u=rwX,go=rX --format=ustar blobs index.json oci-layout
  echo "image: $name, $(numfmt --to=iec --suffix=B "$(stat --format=%s "$output")") in $output"
}

if [[ -n $rootfs ]]; then
  choose "${platforms[0]}"
  [[ ! -e $rootfs ]] || fail "$rootfs exists"
  lay_out "$rootfs"
else
  output=${output:-$repo/build/kubenatd-image.tar}
  build_image
fi
